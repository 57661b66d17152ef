# SPDX-License-Identifier: Apache-2.0
"""Records that TensorFlow reads as they were meant, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from containers.contract.tf_example import Feature, decode_example
from containers.contract.tfrecord import write_record
from tests.picture_files import with_orientation
from training_src.data.images import decode_upright
from training_src.data.records.example import DetectionExample, decode, decode_stored, encode, read_examples
from training_src.data.records.protobuf import encode_example
from training_src.errors import DataError

floats = st.lists(st.floats(width=32, allow_nan=False), max_size=5).map(lambda values: np.array(values, np.float32))
integers = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5).map(lambda values: np.array(values, np.int64))
features = st.dictionaries(
    st.text(max_size=8), st.one_of(st.lists(st.binary(max_size=40), max_size=4), floats, integers)
)


@st.composite
def examples(draw: st.DrawFn) -> DetectionExample:
    count = draw(st.integers(0, 6))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32)))
    return DetectionExample(
        source_id=draw(st.text(max_size=20)),
        filename=draw(st.text(max_size=20)),
        encoded=draw(st.binary(max_size=200)),
        format=draw(st.sampled_from(["jpeg", "png"])),
        width=draw(st.integers(1, 10_000)),
        height=draw(st.integers(1, 10_000)),
        boxes=numbers.random((count, 4), np.float32),
        labels=numbers.integers(1, 5000, count),
        names=tuple(draw(st.lists(st.text(max_size=5), min_size=count, max_size=count))),
        difficult=numbers.integers(0, 2, count),
        truncated=numbers.integers(0, 2, count),
        crowd=numbers.integers(0, 2, count),
        sha256=draw(st.sampled_from(["", "0" * 64])),
        areas=numbers.random(count, np.float32) + 1 if count and draw(st.booleans()) else None,
    )


@given(features)
def test_features_survive_the_round_trip(given_features: dict[str, Feature]) -> None:
    found = decode_example(encode_example(given_features))

    assert found.keys() == given_features.keys()
    for name, value in given_features.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(found[name], value)
        else:
            assert found[name] == value


@given(examples())
def test_labelled_image_survives_the_round_trip(example: DetectionExample) -> None:
    _assert_equal(decode(encode(example)), example)


def test_tensorflow_reads_what_is_written_and_writes_what_is_read(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    example = DetectionExample(
        "a.jpg", "a.jpg", b"\xff\xd8 not really", "jpeg", 640, 480,
        np.array([[0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 1.0, 1.0]], np.float32), np.array([1, 4], np.int64),
        ("vehicle", "cyclist"), np.array([1, 0]), np.array([0, 1]), np.array([0, 0]),
    )  # fmt: skip
    with (tmp_path / "train-00000-of-00001.tfrecord").open("wb") as stream:
        write_record(stream, encode(example))

    (record,) = list(tf.data.TFRecordDataset(str(tmp_path / "train-00000-of-00001.tfrecord")))
    parsed = tf.io.parse_single_example(
        record,
        {
            "image/encoded": tf.io.FixedLenFeature([], tf.string),
            "image/width": tf.io.FixedLenFeature([], tf.int64),
            "image/object/bbox/ymin": tf.io.VarLenFeature(tf.float32),
            "image/object/class/label": tf.io.VarLenFeature(tf.int64),
            "image/object/class/text": tf.io.VarLenFeature(tf.string),
        },
    )
    theirs = tf.train.Example.FromString(record.numpy()).SerializeToString()

    assert parsed["image/encoded"].numpy() == example.encoded
    assert parsed["image/width"].numpy() == 640
    np.testing.assert_array_equal(parsed["image/object/bbox/ymin"].values, example.boxes[:, 0])
    np.testing.assert_array_equal(parsed["image/object/class/label"].values, [1, 4])
    assert parsed["image/object/class/text"].values.numpy().tolist() == [b"vehicle", b"cyclist"]
    _assert_equal(decode(theirs), example)
    _assert_equal(next(iter(read_examples(tmp_path))), example)


def test_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no"):
        list(read_examples(tmp_path))


def _assert_equal(found: DetectionExample, expected: DetectionExample) -> None:
    for name, value in vars(expected).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)
        else:
            assert getattr(found, name) == value, name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_others_wrote_is_turned_upright_pixels_and_boxes(orientation: int) -> None:
    """A record's boxes mean the stored pixels, as TensorFlow decodes them."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[8:20, 12:42] = 255
    encoded = with_orientation(bytes(simplejpeg.encode_jpeg(pixels, quality=100)), orientation)
    boxes, none = np.array([[0.2, 0.2, 0.5, 0.7]], np.float32), np.zeros(1, np.int64)
    stored = DetectionExample("a", "a", encoded, "jpeg", 60, 40, boxes, none + 1, ("car",), none, none, none)

    read = decode(encode(stored))

    upright = decode_upright(read.encoded)
    assert upright.shape[:2] == (read.height, read.width)
    rows, columns = np.nonzero(upright[:, :, 0] > 128)
    edges = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
    np.testing.assert_allclose(read.boxes[0] * ([read.height, read.width] * 2), edges, atol=1e-4)
    np.testing.assert_array_equal(decode_stored(encode(stored)).boxes, boxes)
