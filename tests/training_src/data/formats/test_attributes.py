# SPDX-License-Identifier: Apache-2.0
"""What is known of images beside their boxes: read from each layout that states it, and written again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from training_src.data.convert import convert
from training_src.data.dataset import Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.writers.image import Image
from training_src.errors import DataError

BOX = ("vehicle", 1, 2, 30, 40)
Make = Callable[..., Image]
Write = Callable[[Path, Sequence[Image]], None]
EVERYTHING = {
    "camera": "front", "hour": 7, "night": False, " road ": " wet ", "seen": None, "list": [1], "long": "x" * 999,
    "odd": "a\nb", "": "x", "empty": " ",
}  # fmt: skip
KEPT = {"camera": "front", "hour": "7", "night": "false", "road": "wet"}


def attributes(folder: Path) -> dict[str, Mapping[str, str]]:
    """Of each image by its name."""
    entries = list(read_dataset(folder).entries())
    assert not [entry.message for entry in entries if isinstance(entry, Fault)]
    return {entry.source_id: entry.attributes for entry in entries if isinstance(entry, LabelledImage)}


@pytest.mark.parametrize("layout", ["coco", "sagemaker_builtin"])
def test_an_images_attributes_are_read(
    layout: str, tmp_path: Path, make_image: Make, writers: Mapping[str, Write]
) -> None:
    writers[layout](tmp_path, [make_image("a.jpg", BOX), make_image("b.jpg", BOX, number=1)])
    file = next(tmp_path.rglob("*.json"))
    content = json.loads(file.read_text())
    content["images"][0]["attributes"] = EVERYTHING
    content["images"][1]["attributes"] = "front"
    file.write_text(json.dumps(content))
    first, second = attributes(tmp_path).values()
    assert (first, second) == (KEPT, {})


def test_a_manifest_says_it_beside_its_boxes_and_by_jobs_that_classify(
    tmp_path: Path, make_image: Make, writers: Mapping[str, Write]
) -> None:
    writers["ground_truth"](tmp_path, [make_image("a.jpg", BOX)])
    file = next(tmp_path.rglob("*.manifest"))
    line = json.loads(file.read_text())
    line |= {
        "camera": "front",
        "light": 1,
        "light-metadata": {"class-name": "night", "type": "groundtruth/image-classification"},
    }
    line |= {"depth-ref": "s3://b/d.png", "odd": 3, "odd-metadata": {"confidence": 1}}
    file.write_text(json.dumps(line) + "\n")
    assert list(attributes(tmp_path).values()) == [{"camera": "front", "light": "night"}]


def test_they_stay_in_every_conversion(tmp_path: Path, make_image: Make, writers: Mapping[str, Write]) -> None:
    image = make_image("a.jpg", BOX)
    writers["tfrecord"](tmp_path / "first", [replace(image, labelled=replace(image.labelled, attributes=KEPT))])
    convert(tmp_path / "first", tmp_path / "second", to="coco")
    convert(tmp_path / "second", tmp_path / "third", to="tfrecord")
    for folder in ("first", "second", "third"):
        assert list(attributes(tmp_path / folder).values()) == [KEPT]


@pytest.mark.parametrize("layout", ["yolo", "pascal_voc", "coco"])
def test_a_table_says_it_of_any_layout(
    layout: str, tmp_path: Path, make_image: Make, writers: Mapping[str, Write]
) -> None:
    writers[layout](tmp_path, [make_image("a.jpg", BOX), make_image("b.jpg", BOX, number=1)])
    first, second = attributes(tmp_path)
    (tmp_path / "attributes.csv").write_text(f'image, camera,place\n{first},front,"Berlin, west"\n')
    assert attributes(tmp_path) == {first: {"camera": "front", "place": "Berlin, west"}, second: {}}


def test_a_table_of_other_images_is_a_fault(tmp_path: Path, make_image: Make, writers: Mapping[str, Write]) -> None:
    writers["coco"](tmp_path, [make_image("a.jpg", BOX)])
    (tmp_path / "attributes.csv").write_text("image,camera\nb.jpg,front\nc.jpg,front\n")
    dataset = read_dataset(tmp_path)
    for _ in range(2):
        (fault,) = (entry for entry in dataset.entries() if isinstance(entry, Fault))
        assert fault.message == (
            'attributes.csv names 2 images that the data set does not have; write names as "images/a.jpg".'
        )


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("", 'must begin with a line such as "image,camera,hour"'),
        ("name,camera\na,front\n", "it begins with name,camera"),
        ("image\na\n", "must begin"),
        ("image,camera,camera\n", "must begin"),
        ("image,camera\na.jpg\n", "has a line 2 of 1 columns; the first line names 2"),
        ("image,camera\na.jpg,front\na.jpg,rear\n", 'has "a.jpg" twice, at last in line 3; keep one'),
    ],
)
def test_a_table_that_is_none_is_refused(
    table: str, sentence: str, tmp_path: Path, make_image: Make, writers: Mapping[str, Write]
) -> None:
    writers["coco"](tmp_path, [make_image("a.jpg", BOX)])
    (tmp_path / "attributes.csv").write_text(table)
    with pytest.raises(DataError, match=f"attributes.csv .*({sentence})"):
        read_dataset(tmp_path)
