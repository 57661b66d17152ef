# SPDX-License-Identifier: Apache-2.0
"""Images that are in the folder and are not read: which they are, where they lie, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from training_src.data.dataset import Fault
from training_src.data.formats import read_dataset
from training_src.data.writers.image import Image

Make = Callable[..., Image]
Write = Callable[[Path, Sequence[Image]], None]


@pytest.fixture
def folder(tmp_path: Path, make_image: Make, writers: Mapping[str, Write]) -> Path:
    """Two images of two splits in YOLO's layout."""
    made = tmp_path / "set"
    images = [make_image(f"{split}.jpg", ("car", 1, 2, 30, 40), split=split) for split in ("train", "test")]
    writers["yolo"](made, images)
    return made


def told(folder: Path) -> list[str]:
    return [
        entry.message
        for entry in read_dataset(folder).entries()
        if isinstance(entry, Fault) and entry.check == "unlisted"
    ]


def test_images_that_no_annotation_names_are_named(
    tmp_path: Path, make_image: Make, writers: Mapping[str, Write]
) -> None:
    writers["coco"](tmp_path, [make_image("0.jpg", ("car", 1, 2, 30, 40))])
    for number in range(1, 6):
        (tmp_path / f"images/{number}.jpg").write_bytes(b"")

    assert told(tmp_path) == [
        "5 images that no annotation names are left out: images/1.jpg, images/2.jpg, images/3.jpg, ...; they lie in "
        "images."
    ]


def test_image_that_no_annotation_names_is_named_alone(
    tmp_path: Path, make_image: Make, writers: Mapping[str, Write]
) -> None:
    writers["coco"](tmp_path, [make_image("0.jpg", ("car", 1, 2, 30, 40))])
    (tmp_path / "1.jpg").write_bytes(b"")

    assert told(tmp_path) == ["1 image that no annotation names is left out: 1.jpg."]


def test_image_that_is_named_in_a_roundabout_way_is_not_missed(
    tmp_path: Path, make_image: Make, writers: Mapping[str, Write]
) -> None:
    writers["coco"](tmp_path, [make_image("0.jpg", ("car", 1, 2, 30, 40))])
    (annotations,) = (tmp_path / "annotations").glob("*.json")
    annotations.write_text(annotations.read_text().replace('"0.jpg"', '".//0.jpg"'))

    assert told(tmp_path) == []


def test_folder_with_texts_of_its_own_is_not_said_to_have_none(folder: Path) -> None:
    for number in range(2):
        for place, suffix in (("images", "jpg"), ("labels", "txt")):
            (folder / place / "rest").mkdir(exist_ok=True)
            (folder / place / "rest" / f"{number}.{suffix}").write_text("0 0.5 0.5 0.1 0.1\n")

    assert told(folder) == [
        "2 images in images/rest are left out though there are annotations such as labels/rest/0.txt: the folder's "
        "name is none of a split. Call it train, val or test, or merge the folders by a sources.yaml."
    ]


@pytest.mark.parametrize("layout", ["coco", "pascal_voc", "yolo", "csv", "sagemaker_builtin"])
@pytest.mark.parametrize("name", ["dev", "extra"])
def test_unread_data_set_beside_those_of_the_splits_is_called_so(
    tmp_path: Path, make_image: Make, writers: Mapping[str, Write], layout: str, name: str
) -> None:
    for number, split in enumerate(("train", "test", name)):
        writers[layout](tmp_path / split, [make_image("a.jpg", ("car", 1, 2, 30, 40), number=number)])
    if layout in ("yolo", "coco", "pascal_voc", "csv"):  # whose reader wants the files of a split in its folder itself
        for split in ("train", "test", name):
            _flatten(tmp_path / split, layout)

    assert told(tmp_path) == [
        f"1 image in {name} is left out: the folder is a data set of its own, and its name is none of a split. Call it "
        "train, val or test, or merge the folders by a sources.yaml."
    ]


def _flatten(folder: Path, layout: str) -> None:
    if layout == "yolo":
        return
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            file.rename(folder / file.name)
    if layout == "coco":
        (annotations,) = folder.glob("*.json")
        assert json.loads(annotations.read_text())["images"]
