# SPDX-License-Identifier: Apache-2.0
"""Each layout is recognised and read as its specification says, the real data sets included."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from training_src.data.check import check
from training_src.data.example import encode
from training_src.data.formats import read_dataset
from training_src.data.shards import to_example
from training_src.data.tfrecord import write_record
from training_src.errors import DataError

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data"
real = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real data sets are not at {SHARED}")


def test_voc_boxes_are_read_as_the_object_detection_api_reads_them(voc_folder: Path) -> None:
    dataset = read_dataset(voc_folder)
    vehicle, cyclist = dataset.images[0].boxes
    example = to_example(check(dataset).images[0])

    assert dataset.format == "pascal_voc"
    assert (vehicle.label, cyclist.label) == (1, 4)
    assert (vehicle.difficult, cyclist.difficult, cyclist.truncated) == (True, False, True)
    # create_pascal_tf_record.py: xmin / width, nothing subtracted.
    np.testing.assert_allclose(example.boxes[0], [6 / 48, 4 / 64, 30 / 48, 32 / 64], rtol=1e-7)
    assert example.difficult.tolist() == [1, 0]


def test_voc_splits_come_from_image_sets(voc_folder: Path) -> None:
    splits = Counter(image.given_split for image in read_dataset(voc_folder).images)

    assert splits == {"train": 3, "validation": 1, "test": 2}


def test_voc_lists_of_single_classes_are_no_splits(voc_folder: Path) -> None:
    (voc_folder / "ImageSets/Main/vehicle_test.txt").write_text("street_0  1\nstreet_1 -1\n")

    assert not read_dataset(voc_folder).faults


def test_voc_trainval_counts_where_there_is_no_train(voc_folder: Path) -> None:
    main = voc_folder / "ImageSets/Main"
    (main / "train.txt").rename(main / "trainval.txt")
    (main / "val.txt").unlink()

    assert Counter(image.given_split for image in read_dataset(voc_folder).images) == {"train": 3, "test": 2}


def test_voc_in_split_folders_with_xml_beside_the_images(voc_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    for number, split in enumerate(("train", "valid", "test")):
        (folder / split).mkdir(parents=True)
        shutil.copy(voc_folder / f"JPEGImages/street_{number}.jpg", folder / split)
        shutil.copy(voc_folder / f"Annotations/street_{number}.xml", folder / split)

    dataset = read_dataset(folder)

    assert [image.given_split for image in dataset.images] == ["test", "train", "validation"]
    assert dataset.label_map.names == {1: "cyclist", 2: "vehicle"}  # no label map: names sorted


def test_builtin_ids_shift_by_one_and_names_come_from_categories(builtin_folder: Path) -> None:
    dataset = read_dataset(builtin_folder)

    assert dataset.format == "sagemaker_builtin"
    assert dataset.label_map.names == {1: "vehicle", 2: "pedestrian"}
    first = next(image for image in dataset.images if image.source_id == "train/images/0.jpg")
    assert [(box.xmin, box.ymin, box.xmax, box.ymax, box.label) for box in first.boxes] == [(4, 6, 32, 30, 1)]
    assert Counter(image.given_split for image in dataset.images) == {"train": 5, "validation": 2, "test": 2}


def test_builtin_names_come_from_a_label_map_before_categories(builtin_folder: Path) -> None:
    (builtin_folder / "label_map.pbtxt").write_text("item { id: 1 name: 'car' } item { id: 2 name: 'person' }")

    assert read_dataset(builtin_folder).label_map.names == {1: "car", 2: "person"}


def test_builtin_without_names_numbers_its_classes(builtin_folder: Path) -> None:
    for file in builtin_folder.glob("*/annotations.json"):
        content = json.loads(file.read_text())
        del content["categories"]
        file.write_text(json.dumps(content))

    assert read_dataset(builtin_folder).label_map.names == {1: "class_0", 2: "class_1"}


def test_tfrecord_gives_back_what_was_prepared(voc_folder: Path, tmp_path: Path) -> None:
    original = check(read_dataset(voc_folder)).images
    folder = tmp_path / "records"
    folder.mkdir()
    for split in ("train", "val"):
        with (folder / f"streets_{split}.record-00000-of-00001").open("wb") as stream:
            for image in original[:2] if split == "train" else original[2:]:
                write_record(stream, encode(to_example(image)))

    dataset = read_dataset(folder)
    found = check(dataset)

    assert dataset.format == "tfrecord"
    assert not found.faults
    assert dataset.label_map.names == {1: "vehicle", 4: "cyclist"}
    assert Counter(image.given_split for image in dataset.images) == {"train": 2, "validation": 4}
    for before, after in zip(original, found.images, strict=True):
        assert after.sha256 == before.sha256
        np.testing.assert_allclose(to_example(after).boxes, to_example(before).boxes, atol=1e-6)
        assert to_example(after).difficult.tolist() == to_example(before).difficult.tolist()


def test_tfrecord_whose_ids_are_off_by_one_is_refused(voc_folder: Path, tmp_path: Path) -> None:
    image = check(read_dataset(voc_folder)).images[0]
    with (tmp_path / "train.record").open("wb") as stream:
        write_record(stream, encode(to_example(image)))
    (tmp_path / "label_map.pbtxt").write_text("item { id: 1 name: 'cyclist' } item { id: 4 name: 'truck' }")

    faults = read_dataset(tmp_path).faults

    assert [fault.check for fault in faults] == ["class", "class"]
    assert faults[0].message.endswith('box 0 says class 1 is "vehicle", the label map says "cyclist".')


@pytest.mark.parametrize("names", [[], ["labels/0.txt", "data.yaml"], ["instances_train.json"]])
def test_unsupported_layout_says_what_is_supported(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("0 0.5 0.5 0.1 0.1")

    with pytest.raises(DataError, match=r"no supported layout .* supported are Pascal VOC"):
        read_dataset(tmp_path)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is no folder"):
        read_dataset(tmp_path / "nowhere")


def test_builtin_file_outside_the_folder_is_refused(builtin_folder: Path, edit_builtin: Callable[..., None]) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "images", 0, file_name="../../val/images/0.jpg")

    assert "lies outside images/" in read_dataset(builtin_folder).faults[0].message


@real
def test_bccd_is_read_and_its_two_point_boxes_are_dropped() -> None:
    dataset = read_dataset(SHARED / "bccd")
    verdict = check(dataset)

    assert dataset.label_map.names == {1: "Platelets", 2: "RBC", 3: "WBC"}
    assert Counter(image.given_split for image in dataset.images) == {"train": 205, "validation": 87, "test": 72}
    assert not verdict.faults
    assert sum(image.dropped for image in verdict.images) == 2
    assert sum(len(image.labelled.boxes) for image in verdict.images) == 4886


@real
def test_raccoon_is_read_in_both_its_layouts(tmp_path: Path) -> None:
    builtin = read_dataset(SHARED / "raccoon")
    shutil.copy(SHARED / "raccoon/test.record", tmp_path)
    records = read_dataset(tmp_path)

    assert (builtin.format, len(builtin.images), len(records.images)) == ("sagemaker_builtin", 200, 40)
    assert builtin.label_map == records.label_map
    assert not check(builtin).faults
    assert not check(records).faults
    boxes = {Path(image.source_id).name: image.boxes for image in builtin.images}
    for image in records.images:
        # The published records were made from a smaller copy of some images, so sizes differ, shares do not.
        assert len(boxes[image.source_id]) == len(image.boxes)
