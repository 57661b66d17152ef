# SPDX-License-Identifier: Apache-2.0
"""What the shards of a split say is in its images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import xxhash

from containers.contract.tfrecord import write_record
from training_src.data.label_map import LabelMap, write_label_map
from training_src.data.records.example import DetectionExample, encode
from training_src.data.splits import group_hash
from training_src.evaluation.boxes import Detections
from training_src.evaluation.coco import evaluate
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.outcomes import outcomes
from training_src.evaluation.test_set import TestSet, read_test_set

LABELS = {1: "vehicle"}
WHOLE, INSIDE = [0.0, 0.0, 1.0, 1.0], [0.4, 0.4, 0.5, 0.56]
Write = Callable[..., TestSet]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Makes a split of the given examples and reads it."""

    def make(*examples: DetectionExample) -> TestSet:
        with (tmp_path / "test-00000-of-00001.tfrecord").open("wb") as stream:
            for example in examples:
                write_record(stream, encode(example))
        return read_test_set(tmp_path)

    return make


def example(name: str, boxes: list[list[float]], difficult: int = 0, crowd: int = 0) -> DetectionExample:
    count = len(boxes)
    zeros = np.zeros(count, np.int64)
    return DetectionExample(
        source_id=name,
        filename=name,
        encoded=cv2.imencode(".png", np.zeros((100, 100, 3), np.uint8))[1].tobytes(),
        format="png",
        width=100,
        height=100,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=zeros + 1,
        names=("vehicle",) * count,
        difficult=zeros + difficult,
        truncated=zeros,
        crowd=zeros + crowd,
    )


def test_a_difficult_box_is_an_ordinary_one(write: Write) -> None:
    test_set = write(example("a", [WHOLE], difficult=1), example("b", [WHOLE]))
    assert not test_set.truth.ignored.any()
    found = Detections.from_images([[INSIDE], [WHOLE]], [[0.9], [0.8]], [[1], [1]])
    metrics = evaluate(test_set.truth, found, LABELS)
    # The false alarm of IoU 0.016 counts, and the difficult box is missed: half of the boxes are found, half in vain.
    assert metrics.boxes == 2
    assert metrics["AR_100"] == pytest.approx(0.5)
    assert metrics["mAP_50"] == pytest.approx(0.5 * 51 / 101)
    assert metrics.confusion.counts.tolist() == [[1, 1], [1, 0]]
    alarm, hit = outcomes(test_set.truth, found, 0.5)
    assert (alarm.false_alarms, alarm.missed) == ((0,), (0,))
    assert (hit.hits, hit.errors) == ((1,), 0)


def test_a_crowd_is_neither_to_be_found_nor_false_when_found(write: Write) -> None:
    test_set = write(example("a", [WHOLE], crowd=1), example("b", [WHOLE]))
    found = Detections.from_images([[INSIDE], [WHOLE]], [[0.9], [0.8]], [[1], [1]])
    metrics = evaluate(test_set.truth, found, LABELS)
    assert metrics.boxes == 1
    assert metrics["mAP_50"] == pytest.approx(1)
    # The gallery goes by what the metrics go by: the share of the detection that lies in the crowd.
    inside, _ = outcomes(test_set.truth, found, 0.5)
    assert (inside.false_alarms, inside.missed, inside.hits) == ((), (), ())


def test_a_stated_area_decides_the_size(write: Write) -> None:
    outlined = replace(example("a", [WHOLE, INSIDE]), areas=np.array([900.0, np.nan], np.float32))
    truth = write(outlined, example("b", [WHOLE])).truth
    np.testing.assert_allclose(truth.square_pixels(), [900, 160, 10_000], rtol=1e-6)
    assert write(example("a", [WHOLE])).truth.areas is None


def test_groups_are_those_that_a_model_has_seen(write: Write) -> None:
    told = replace(example("a", []), group="drive 7", group_hash=group_hash("drive_7 of the policy"))
    stated, alone = replace(example("b", []), group="drive 7"), example("c", [])
    test_set = write(told, stated, replace(stated, source_id="d"), replace(alone, encoded=told.encoded + b" "))
    content = xxhash.xxh3_128_hexdigest(told.encoded + b" ")
    assert test_set.groups == tuple(map(group_hash, ("drive_7 of the policy", "drive 7", "drive 7", content)))
    units = test_set.units()
    assert units is not None
    assert units[1] == units[2] and len({*units.tolist()}) == 3
    assert test_set.images_outside([group_hash("drive 7"), "another"]).tolist() == [True, False, False, True]


def test_images_that_are_all_different_are_drawn_one_by_one(write: Write) -> None:
    first, second = example("a", []), example("b", [])
    assert write(first, replace(second, encoded=second.encoded + b" ")).units() is None
    assert write(first, second).units() is not None  # the same picture twice


def test_columns_slice_the_images(write: Write) -> None:
    front = replace(example("a", []), attributes={"camera": "front", "hour": "7"})
    rear, none = replace(example("b", []), attributes={"camera": "rear"}), example("c", [])
    test_set = write(front, rear, none)
    assert test_set.columns == {"camera": ("front", "rear", ""), "hour": ("7", "", "")}
    assert test_set.images_of("camera", "rear").tolist() == [False, True, False]
    for column, value in (("camera", "left"), ("weather", "fog"), ("hour", "")):
        assert not test_set.images_of(column, value).any()


def test_boxes_of_another_label_map_are_translated_by_their_classs_name(write: Write, tmp_path: Path) -> None:
    write_label_map(LabelMap({1: "tram", 3: "vehicle"}), tmp_path / "label_map.pbtxt")
    boxes = np.array([WHOLE, INSIDE], np.float32)
    texts = replace(example("a", [WHOLE, INSIDE]), names=("tram", "vehicle"), labels=np.array([1, 3]))
    ids = replace(texts, source_id="b", names=(), boxes=boxes)
    write(texts, ids)
    assert read_test_set(tmp_path, {1: "vehicle", 2: "tram"}).truth.classes.tolist() == [2, 1, 2, 1]
    assert read_test_set(tmp_path).truth.classes.tolist() == [1, 3, 1, 3]
    with pytest.raises(EvaluationError, match=r'label map does not have: "tram" \(2 boxes\); the model has vehicle'):
        read_test_set(tmp_path, {1: "vehicle"})


def test_a_test_set_without_names_keeps_its_ids(write: Write, tmp_path: Path) -> None:
    write(replace(example("a", [WHOLE]), names=()))
    assert read_test_set(tmp_path, {1: "vehicle"}).truth.classes.tolist() == [1]
    with pytest.raises(EvaluationError, match='"class 1" \\(1 boxes\\)'):
        read_test_set(tmp_path, {2: "vehicle"})
