# SPDX-License-Identifier: Apache-2.0
"""Conversions: nothing is lost, nothing is overwritten, nothing half-written looks finished."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from training_src.data.convert import convert
from training_src.data.dataset import Box, Encoded, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.label_map import LabelMap
from training_src.data.writers.coco import CocoWriter
from training_src.data.writers.image import Image
from training_src.data.writers.tfrecord import TFRecordWriter
from training_src.errors import DataError

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
real = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real data sets are not at {SHARED}")


def contents(folder: Path) -> dict[bytes, tuple[str | None, list[tuple[object, ...]]]]:
    """Splits and boxes by the images' bytes."""
    found = {}
    for entry in read_dataset(folder).entries():
        assert isinstance(entry, LabelledImage)
        boxes = [
            (box.name, box.label, *(round(edge, 3) for edge in (box.xmin, box.ymin, box.xmax, box.ymax)), box.difficult)
            for box in entry.boxes
        ]
        found[entry.encoded.load()] = (entry.given_split, boxes)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@real
@pytest.mark.parametrize("name", ["bccd", "raccoon"])
def test_real_data_survive_both_conversions(tmp_path: Path, name: str) -> None:
    convert(SHARED / name, tmp_path / "coco", to="coco")
    convert(tmp_path / "coco", tmp_path / "records", to="tfrecord")
    convert(tmp_path / "records", tmp_path / "again", to="coco")

    before = contents(SHARED / name)
    assert contents(tmp_path / "coco") == contents(tmp_path / "records") == before
    one, other = (sorted((tmp_path / folder).rglob("*")) for folder in ("coco", "again"))
    assert [file.relative_to(tmp_path / "coco") for file in one] == [
        file.relative_to(tmp_path / "again") for file in other
    ]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(one, other, strict=True) if a.is_file())


def test_coco_keeps_the_ids_and_what_its_own_tools_ask_for(voc_folder: Path, tmp_path: Path) -> None:
    converted = convert(voc_folder, tmp_path / "out", to="coco")

    assert (converted.format, converted.images, converted.boxes) == ("pascal_voc", 6, 12)
    train = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert train["categories"] == [
        {"id": 1, "name": "vehicle"},
        {"id": 2, "name": "pedestrian"},
        {"id": 4, "name": "cyclist"},
    ]
    assert train["annotations"][0]["bbox"] == [4, 6, 28, 24]
    assert {"difficult", "area", "iscrowd", "segmentation", "id", "image_id"} <= train["annotations"][0].keys()
    assert sorted(child.name for child in (tmp_path / "out").iterdir()) == [
        "annotations",
        "test",
        "train",
        "validation",
    ]


def test_pycocotools_reads_what_is_written(builtin_folder: Path, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    convert(builtin_folder, tmp_path / "out", to="coco")

    read = coco.COCO(str(tmp_path / "out/annotations/instances_train.json"))

    assert len(read.getImgIds()) == 5
    assert [annotation["bbox"] for annotation in read.loadAnns(read.getAnnIds())] == [[4, 6, 28, 24]] * 5


def test_destination_that_is_taken_is_left_alone(voc_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")

    with pytest.raises(DataError, match="is not empty; name a folder that does not exist yet"):
        convert(voc_folder, tmp_path / "out", to="coco")
    with pytest.raises(DataError, match="lies within"):
        convert(voc_folder, voc_folder / "out", to="coco")

    assert [child.name for child in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_empty_destination_is_taken(voc_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    assert convert(voc_folder, tmp_path / "out", to="tfrecord").images == 6


@pytest.mark.parametrize("to", ["coco", "tfrecord"])
def test_faults_are_named_and_nothing_is_left_behind(voc_folder: Path, tmp_path: Path, to: str) -> None:
    (voc_folder / "Annotations/street_3.xml").write_text("")
    (voc_folder / "JPEGImages/street_4.jpg").write_bytes(b"no image")
    file = voc_folder / "Annotations/street_5.xml"
    file.write_text(file.read_text().replace("<xmin>40<", "<xmin>nan<"))
    before = sorted(tmp_path.iterdir())

    with pytest.raises(DataError) as caught:
        convert(voc_folder, tmp_path / "out", to=to)

    assert list(caught.value.sentences) == [
        "Annotations/street_3.xml is empty; export it again.",
        "JPEGImages/street_4.jpg is neither JPEG nor PNG; export it again, or remove it and its annotation.",
        "Annotations/street_5.xml: JPEGImages/street_5.jpg: object 1 (cyclist) has an edge that is no finite number.",
    ]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "source_id",
    ["../../escape.jpg", "/abs.jpg", "plain", "a.jpg/inner.jpg", "x\ny.jpg", "c:\\d.jpg", "e.png", "", "n" * 300],
)
def test_names_that_are_no_files_get_one(tmp_path: Path, encoded_image: Callable[..., bytes], source_id: str) -> None:
    inside = tmp_path / "out"
    inside.mkdir()
    labelled = LabelledImage("a.jpg", "", "", Encoded(""), (Box(1, 2, 3, 4, 1, "cat", ""),), 64, 48)
    images = [
        Image(replace(labelled, source_id=name), encoded_image(number), "jpeg")
        for number, name in enumerate(["a.jpg", source_id, source_id])
    ]

    with CocoWriter(inside, LabelMap({1: "cat"})) as writer:
        for image in images:
            writer.write(image)

    read = [entry for entry in read_dataset(inside).entries() if isinstance(entry, LabelledImage)]
    assert [image.encoded.load() for image in read] == [image.encoded for image in images]
    assert [child.name for child in tmp_path.iterdir()] == ["out"]


def test_shards_roll_over_and_groups_and_confidences_stay(tmp_path: Path, encoded_image: Callable[..., bytes]) -> None:
    boxes = (
        Box(1, 2, 3, 4, 1, "cat", "", confidence=0.25, area=2.5),
        Box(5, 6, 7, 8, 1, "cat", "", crowd=True),
    )
    with TFRecordWriter(tmp_path, LabelMap({1: "cat"}), shard_bytes=1) as writer:
        for number in range(3):
            labelled = LabelledImage(f"{number}.jpg", "", "", Encoded(""), boxes, 64, 48, group="drive 7")
            writer.write(Image(labelled, encoded_image(number), "jpeg"))

    (first, *_) = read = list(read_dataset(tmp_path).entries())

    assert sorted(file.name for file in tmp_path.glob("*.tfrecord")) == [
        f"dataset-{number:05d}-of-00003.tfrecord" for number in range(3)
    ]
    assert isinstance(first, LabelledImage) and len(read) == 3
    assert (first.group, [(box.confidence, box.crowd, box.area) for box in first.boxes]) == (
        "drive 7",
        [(0.25, False, 2.5), (None, True, None)],
    )
