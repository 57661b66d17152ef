# SPDX-License-Identifier: Apache-2.0
"""TFRecords as the OD API's tools and Waymo's exports write them, whole, compressed and damaged."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from containers.contract.tf_example import decode_example
from containers.contract.tfrecord import write_record
from training_src.data.dataset import Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.records.example import DetectionExample, encode
from training_src.data.records.protobuf import encode_example
from training_src.errors import DataError

Make = Callable[..., DetectionExample]


@pytest.fixture
def example(encoded_image: Callable[..., bytes]) -> Make:
    """Makes an example of 64 x 48 pixels with a vehicle and a cyclist."""

    def make(number: int = 0, **changes: object) -> DetectionExample:
        flags = np.zeros(2, np.int64)
        made = DetectionExample(
            f"{number}.jpg", f"{number}.jpg", encoded_image(number), "jpeg", 64, 48,
            np.array([[0.125, 0.0625, 0.5, 0.3], [0, 0, 1, 1]], np.float32), np.array([1, 4], np.int64),
            ("vehicle", "cyclist"), flags, flags, flags,
        )  # fmt: skip
        return replace(made, **changes)  # type: ignore[arg-type]

    return make


def records(*examples: DetectionExample | bytes) -> bytes:
    stream = io.BytesIO()
    for item in examples:
        write_record(stream, item if isinstance(item, bytes) else encode(item))
    return stream.getvalue()


def images_of(folder: Path) -> list[LabelledImage]:
    return [entry for entry in read_dataset(folder).entries() if isinstance(entry, LabelledImage)]


def faults_of(folder: Path) -> list[Fault]:
    return [entry for entry in read_dataset(folder).entries() if isinstance(entry, Fault)]


@pytest.mark.parametrize("compress", [lambda data: data, gzip.compress, zlib.compress])
def test_image_bytes_are_found_in_plain_and_compressed_shards(
    tmp_path: Path, example: Make, compress: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "train-00000-of-00001").write_bytes(compress(records(example(0), example(1))))

    images = images_of(tmp_path)

    assert [image.encoded.load() for image in images] == [example(0).encoded, example(1).encoded]
    assert [image.given_split for image in images] == ["train", "train"]
    assert read_dataset(tmp_path).label_map.names == {1: "vehicle", 4: "cyclist"}


def test_pixels_are_what_people_wrote_not_what_float32_made_of_it(tmp_path: Path, example: Make) -> None:
    shares = np.array([[0, 346 / 640, 1, 361.25 / 640]], np.float32)
    one = {"labels": np.array([1]), "names": ("vehicle",)}
    (tmp_path / "a.record").write_bytes(records(example(boxes=shares, width=640, height=480, **one)))

    (box,) = images_of(tmp_path)[0].boxes

    assert (box.xmin, box.xmax) == (346, 361.25)


def test_shards_that_others_announce_are_missed(tmp_path: Path, example: Make) -> None:
    for number in (0, 2):
        (tmp_path / f"pets_train.record-{number:05d}-of-00004").write_bytes(records(example(number)))

    (fault,) = faults_of(tmp_path)

    assert fault.check == "missing_shard"
    assert fault.message == "pets_train.record-?????-of-00004: 2 of 4 shards are missing; copy them all."


def test_frames_of_a_waymo_drive_are_a_group(tmp_path: Path, example: Make) -> None:
    drive = "segment-10017090168044687777_6380_000_6400_000"
    (tmp_path / "train").mkdir()
    named = [example(n, filename=f"{drive}_with_camera_labels_{n}.tfrecord", source_id="") for n in range(2)]
    keyed = example(2)
    features = decode_example(encode(keyed)) | {"image/context_name": [b"10017090168044687777_1_2_3_4"]}
    (tmp_path / f"train/{drive}_with_camera_labels.tfrecord").write_bytes(records(*named, encode_example(features)))

    assert [image.group for image in images_of(tmp_path)] == [drive, drive, "10017090168044687777_1_2_3_4"]
    assert read_dataset(tmp_path).label_map.names == {1: "vehicle", 4: "cyclist"}


def test_frames_in_waymos_own_schema_are_told_apart(tmp_path: Path, example: Make) -> None:
    (tmp_path / "a.record").write_bytes(records(example()))
    (tmp_path / "segment-1_with_camera_labels.tfrecord").write_bytes(records(b"\x0a\x09\x0a\x07context\x10\x05"))

    (fault,) = faults_of(tmp_path)

    assert fault.message.endswith("frames of Waymo's own schema must be exported as tf.Examples.")


def test_size_that_is_not_stated_is_the_images_own(tmp_path: Path, example: Make) -> None:
    (tmp_path / "a.record").write_bytes(records(example(width=0, height=0)))

    assert (images_of(tmp_path)[0].width, images_of(tmp_path)[0].height) == (64, 48)


def test_ids_that_are_off_by_one_here_and_there_are_named(tmp_path: Path, example: Make) -> None:
    (tmp_path / "a.record").write_bytes(records(example(), example(1, labels=np.array([2, 5], np.int64))))
    items = enumerate(["background", "vehicle", "x", "y", "cyclist"], start=1)
    (tmp_path / "label_map.pbtxt").write_text("".join(f"item {{ id: {n} name: '{name}' }}\n" for n, name in items))

    faults = faults_of(tmp_path)

    assert [fault.check for fault in faults] == ["label_offset", "label_offset"]
    assert 'a.record: record 0 ("0.jpg"): box 0 says class 1 is "vehicle", the label map says "background"' in (
        faults[0].message
    )


def test_records_without_ids_take_them_from_the_names(tmp_path: Path, example: Make) -> None:
    (tmp_path / "a.record").write_bytes(records(example(labels=np.zeros(0, np.int64))))

    assert read_dataset(tmp_path).label_map.names == {1: "cyclist", 2: "vehicle"}
    assert [box.label for box in images_of(tmp_path)[0].boxes] == [2, 1]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: data[:-9], "record 1 is cut off"),
        (lambda data: data[:-200] + b"?" + data[-199:], "record 1 is damaged"),
        (lambda data: data + b"12345", "record 2 is cut off in its header"),
        (lambda data: gzip.compress(data)[:-300], "a.record is cut off"),
        (
            lambda data: gzip.compress(data)[:900] + b"????" + gzip.compress(data)[904:],
            "cannot be decompressed|damaged",
        ),
        (lambda data: data + gzip.compress(bytes(1 << 26)), "record 2 has a damaged header"),
        (lambda _: gzip.compress(bytes(1 << 24)), "expands more than 200-fold"),
        (lambda data: data + records(b"\xff\xff\xff"), "record 2 is no tf.Example"),
    ],
)
def test_damage_is_named(tmp_path: Path, example: Make, damage: Callable[[bytes], bytes], sentence: str) -> None:
    (tmp_path / "a.record").write_bytes(damage(records(example(0), example(1))))
    (tmp_path / "label_map.pbtxt").write_text("item { id: 1 name: 'vehicle' } item { id: 4 name: 'cyclist' }")

    try:
        message = " ".join(fault.message for fault in faults_of(tmp_path))
    except DataError as error:
        message = str(error)

    assert any(part in message for part in sentence.split("|")), message


def test_training_and_validation_of_one_folder_are_read_beside_the_test(tmp_path: Path, example: Make) -> None:
    drives = {"training_and_validation/a": "train", "training_and_validation/b": "train", "test/c": "test"}
    for place in drives:
        file = tmp_path / f"{place}.tfrecord"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(records(example(source_id=f"{place}.jpg")))

    images = [entry for entry in read_dataset(tmp_path).entries() if isinstance(entry, LabelledImage)]

    assert {image.source_id.removesuffix(".jpg"): image.given_split for image in images} == drives


def test_records_in_folders_of_any_name_are_read(tmp_path: Path, example: Make) -> None:
    for place in ("drives/monday", "drives/val/tuesday", "wednesday"):
        (tmp_path / place).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / f"{place}.record").write_bytes(records(example(source_id=place)))

    images = [entry for entry in read_dataset(tmp_path).entries() if isinstance(entry, LabelledImage)]

    assert {image.source_id: image.given_split for image in images} == {
        "drives/monday": None,
        "drives/val/tuesday": "validation",
        "wednesday": None,
    }


MAP = "item { id: 1 name: 'vehicle' } item { id: 2 name: 'pedestrian' } item { id: 4 name: 'cyclist' }"


def labels_of(folder: Path) -> list[int]:
    return [box.label for image in images_of(folder) for box in image.boxes]


@pytest.mark.parametrize(
    ("labels", "notice"),
    [
        ((1, 4), None),
        ((0, 3), "The records' class ids count from 0; their class texts decide."),
        ((0, 0), "Every record says class id 0, whatever its class text; the texts decide."),
        ((2, 2), "Every record says class id 2, whatever its class text; the texts decide."),
        ((7, 9), None),  # ids of nobody's: the texts are known
    ],
)
def test_class_text_that_the_label_map_knows_decides(
    tmp_path: Path, example: Make, labels: tuple[int, ...], notice: str | None
) -> None:
    found = np.array(labels, np.int64)
    (tmp_path / "a.record").write_bytes(records(*(example(number, labels=found) for number in range(3))))
    (tmp_path / "label_map.pbtxt").write_text(MAP)

    assert labels_of(tmp_path) == [1, 4] * 3
    assert [(fault.check, fault.message) for fault in faults_of(tmp_path)] == ([("layout", notice)] if notice else [])


@pytest.mark.parametrize("labels", [(4, 1), (2, 4)])
def test_id_of_another_text_is_an_error(tmp_path: Path, example: Make, labels: tuple[int, ...]) -> None:
    (tmp_path / "a.record").write_bytes(records(example(labels=np.array(labels, np.int64))))
    (tmp_path / "label_map.pbtxt").write_text(MAP)

    assert any("the label map says" in fault.message for fault in faults_of(tmp_path))


def test_ids_alone_decide_where_there_is_no_text(tmp_path: Path, example: Make) -> None:
    (tmp_path / "a.record").write_bytes(records(example(names=("", ""))))
    (tmp_path / "label_map.pbtxt").write_text(MAP)

    assert labels_of(tmp_path) == [1, 4] and not faults_of(tmp_path)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ((0, 1), {1: "vehicle", 2: "cyclist"}),
        ((0, 0), {1: "cyclist", 2: "vehicle"}),
        ((1, 4), {1: "vehicle", 4: "cyclist"}),
    ],
)
def test_label_map_is_made_of_ids_that_tell_texts_apart(
    tmp_path: Path, example: Make, labels: tuple[int, ...], names: dict[int, str]
) -> None:
    (tmp_path / "a.record").write_bytes(records(example(labels=np.array(labels, np.int64))))

    assert read_dataset(tmp_path).label_map.names == names
    assert [box.name for image in images_of(tmp_path) for box in image.boxes] == ["vehicle", "cyclist"]


def test_edges_in_pixels_are_read_and_told(tmp_path: Path, example: Make) -> None:
    """VoTT's export: https://github.com/microsoft/VoTT/blob/master/src/providers/export/tensorFlowRecords.ts."""
    edges = np.array([[6, 4, 24, 19.25], [0, 0, 48, 64]], np.float32)
    voc = [example(number, boxes=edges, labels=np.array([0, 1], np.int64)) for number in range(2)]
    (tmp_path / "a.tfrecord").write_bytes(records(*voc))

    (first, _) = images_of(tmp_path)

    assert [(box.xmin, box.ymin, box.xmax, box.ymax) for box in first.boxes] == [(4, 6, 19.25, 24), (0, 0, 64, 48)]
    assert sum("box edges are pixels" in fault.message for fault in faults_of(tmp_path)) == 1


def test_shard_that_is_none_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "train.record").write_bytes(bytes(range(50)))

    with pytest.raises(DataError, match=r"^train\.record: record 0 has a damaged header"):
        read_dataset(tmp_path)
