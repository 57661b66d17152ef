# SPDX-License-Identifier: Apache-2.0
"""Each layout is recognised and read as its specification says, the real data sets included."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from training_src.data.dataset import Dataset, Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.writers.image import Image
from training_src.errors import DataError

Make = Callable[..., Image]
Write = Callable[[Path, Sequence[Image]], None]

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data"
real = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real data sets are not at {SHARED}")


def images_of(dataset: Dataset) -> list[LabelledImage]:
    return [entry for entry in dataset.entries() if isinstance(entry, LabelledImage)]


def faults_of(dataset: Dataset) -> list[Fault]:
    return [entry for entry in dataset.entries() if isinstance(entry, Fault)]


def test_voc_boxes_are_read_as_the_object_detection_api_reads_them(voc_folder: Path) -> None:
    dataset = read_dataset(voc_folder)
    vehicle, cyclist = images_of(dataset)[0].boxes

    assert dataset.format == "pascal_voc"
    assert (vehicle.label, cyclist.label) == (1, 4)
    assert (vehicle.difficult, cyclist.difficult, cyclist.truncated) == (True, False, True)
    # create_pascal_tf_record.py: xmin / width, nothing subtracted.
    assert (vehicle.xmin, vehicle.ymin, vehicle.xmax, vehicle.ymax) == (4, 6, 32, 30)


def test_voc_splits_come_from_image_sets(voc_folder: Path) -> None:
    splits = Counter(image.given_split for image in images_of(read_dataset(voc_folder)))

    assert splits == {"train": 3, "validation": 1, "test": 2}


def test_voc_lists_of_single_classes_are_no_splits(voc_folder: Path) -> None:
    (voc_folder / "ImageSets/Main/vehicle_test.txt").write_text("street_0  1\nstreet_1 -1\n")

    assert not faults_of(read_dataset(voc_folder))


def test_voc_trainval_counts_where_there_is_no_train(voc_folder: Path) -> None:
    main = voc_folder / "ImageSets/Main"
    (main / "train.txt").rename(main / "trainval.txt")
    (main / "val.txt").unlink()

    assert Counter(image.given_split for image in images_of(read_dataset(voc_folder))) == {"train": 3, "test": 2}


def test_voc_in_split_folders_with_xml_beside_the_images(voc_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    for number, split in enumerate(("train", "valid", "test")):
        (folder / split).mkdir(parents=True)
        shutil.copy(voc_folder / f"JPEGImages/street_{number}.jpg", folder / split)
        shutil.copy(voc_folder / f"Annotations/street_{number}.xml", folder / split)

    dataset = read_dataset(folder)

    assert [image.given_split for image in images_of(dataset)] == ["test", "train", "validation"]
    assert dataset.label_map.names == {1: "cyclist", 2: "vehicle"}  # no label map: names sorted


def test_builtin_ids_shift_by_one_and_names_come_from_categories(builtin_folder: Path) -> None:
    dataset = read_dataset(builtin_folder)

    assert dataset.format == "sagemaker_builtin"
    assert dataset.label_map.names == {1: "vehicle", 2: "pedestrian"}
    first = next(image for image in images_of(dataset) if image.source_id == "train/images/0.jpg")
    assert [(box.xmin, box.ymin, box.xmax, box.ymax, box.label) for box in first.boxes] == [(4, 6, 32, 30, 1)]
    assert Counter(image.given_split for image in images_of(dataset)) == {"train": 5, "validation": 2, "test": 2}


def test_builtin_names_come_from_a_label_map_before_categories(builtin_folder: Path) -> None:
    (builtin_folder / "label_map.pbtxt").write_text("item { id: 1 name: 'car' } item { id: 2 name: 'person' }")

    assert read_dataset(builtin_folder).label_map.names == {1: "car", 2: "person"}


def test_builtin_without_names_numbers_its_classes(builtin_folder: Path) -> None:
    for file in builtin_folder.glob("*/annotations.json"):
        content = json.loads(file.read_text())
        del content["categories"]
        file.write_text(json.dumps(content))

    assert read_dataset(builtin_folder).label_map.names == {1: "class_0", 2: "class_1"}


@pytest.mark.parametrize("names", [[], ["labels/0.txt", "notes.yaml"], ["instances_train.json"]])
def test_unsupported_layout_says_what_is_supported(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("0 0.5 0.5 0.1 0.1")

    with pytest.raises(DataError, match=r"no supported layout .* [sS]upported are Pascal VOC"):
        read_dataset(tmp_path)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist; name the folder"):
        read_dataset(tmp_path / "nowhere")


def test_builtin_file_outside_the_folder_is_refused(builtin_folder: Path, edit_builtin: Callable[..., None]) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "images", 0, file_name="../val/images/../../0.jpg")

    assert "lies outside images/" in faults_of(read_dataset(builtin_folder))[0].message


def test_builtin_file_of_another_split_is_found_under_its_path(
    builtin_folder: Path, edit_builtin: Callable[..., None]
) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "images", 0, file_name="../../val/images/0.jpg")

    found = [image.image for image in images_of(read_dataset(builtin_folder))]

    assert found.count("val/images/0.jpg") == 2  # which the checks call a duplicate


@real
def test_bccd_is_read() -> None:
    dataset = read_dataset(SHARED / "bccd")
    images = images_of(dataset)

    assert not faults_of(dataset)
    assert dataset.label_map.names == {1: "Platelets", 2: "RBC", 3: "WBC"}
    assert Counter(image.given_split for image in images) == {"train": 205, "validation": 87, "test": 72}
    assert sum(len(image.boxes) for image in images) == 4888


@real
def test_raccoon_is_read_in_both_its_layouts() -> None:
    builtin = read_dataset(SHARED / "raccoon")
    records = read_dataset(SHARED / "raccoon", format="tfrecord")

    assert (builtin.format, records.format) == ("sagemaker_builtin", "tfrecord")
    assert (len(images_of(builtin)), len(images_of(records))) == (200, 40)
    assert not faults_of(builtin) and not faults_of(records)
    assert builtin.label_map == records.label_map
    assert "also holds files of the layout tfrecord" in builtin.notices[0]
    boxes = {Path(image.source_id).name: image.boxes for image in images_of(builtin)}
    for image in images_of(records):
        # The published records were made from a smaller copy of some images, so sizes differ, counts do not.
        assert len(boxes[image.source_id]) == len(image.boxes)


def test_faults_of_a_data_set_without_its_images_are_summed_up(voc_folder: Path) -> None:
    shutil.rmtree(voc_folder / "JPEGImages")
    shutil.rmtree(voc_folder / "ImageSets")
    (voc_folder / "label_map.pbtxt").unlink()
    for number in range(6, 20):
        (voc_folder / f"Annotations/street_{number}.xml").write_bytes(
            (voc_folder / "Annotations/street_0.xml").read_bytes().replace(b"street_0", b"street_%d" % number)
        )

    with pytest.raises(DataError) as told:
        read_dataset(voc_folder)

    first, *messages, last = told.value.sentences
    assert first == (
        "voc holds annotations, but none of their images was found; copy them in, or name the folder that holds both."
    )
    assert (len(messages), last) == (8, "... and 12 more.")


@pytest.mark.parametrize("name", ["Vehicle", "VEHICLE", "vehicle_", "vehicle "])
def test_classes_that_differ_in_capitals_or_blanks_are_told(voc_folder: Path, name: str) -> None:
    (voc_folder / "label_map.pbtxt").unlink()
    file = voc_folder / "Annotations/street_1.xml"
    file.write_text(file.read_text().replace(">vehicle<", f">{name}<"))

    told = [notice for notice in read_dataset(voc_folder).notices if "differ in capitals or blanks only" in notice]

    assert len(told) == (name.strip() != "vehicle")
