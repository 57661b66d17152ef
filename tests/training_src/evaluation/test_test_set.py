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
from training_src.data.records.example import DetectionExample, encode
from training_src.data.statistics import short_hash
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


def test_an_image_is_known_by_all_that_a_model_may_have_seen_it_by(write: Write) -> None:
    told = replace(example("a", []), attributes={"sequence": "drive_7"}, group_hash=short_hash("drive_7"))
    stated, likely = replace(example("b", []), group="drive 7"), example("east_frame_0012.png", [])
    test_set = write(told, stated, likely, example("c", []))
    content = short_hash(xxhash.xxh3_128_hexdigest(told.encoded))
    assert test_set.groups == ("drive_7", "drive 7", "east", "")
    assert test_set.hashes == (
        *(frozenset({short_hash(key), content}) for key in ("drive_7", "drive 7", "east")),
        frozenset({content}),
    )


def test_columns_hold_each_images_value(write: Write) -> None:
    front = replace(example("a", []), attributes={"camera": "front", "hour": "7"})
    rear, none = replace(example("b", []), attributes={"camera": "rear"}), example("c", [])
    test_set = write(front, rear, none)
    assert test_set.columns == {"camera": ("front", "rear", ""), "hour": ("7", "", "")}
    some = test_set.subset(np.array([False, True, True]))
    assert some.columns == {"camera": ("rear", ""), "hour": ("", "")}
    assert (some.groups, len(some.hashes), some.truth.source_ids) == (("", ""), 2, ("b", "c"))


def test_classes_are_named_as_the_records_name_them(write: Write) -> None:
    named = replace(example("a", [WHOLE, INSIDE]), names=("tram", "vehicle"), labels=np.array([1, 3]))
    silent = replace(named, source_id="b", names=())
    assert write(named, silent).names == {1: "tram", 3: "vehicle"}
    with pytest.raises(EvaluationError, match='image "c" names class 1 "bus", others "tram"'):
        write(named, replace(named, source_id="c", names=("bus", "vehicle")))
