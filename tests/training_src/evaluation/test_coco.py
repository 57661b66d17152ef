# SPDX-License-Identifier: Apache-2.0
"""COCO metrics: pycocotools is the oracle, and wrong inputs are refused by name."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.training_src.evaluation.pycocotools_oracle import judged
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.coco import CLASS_METRICS, METRICS, evaluate, mean_value
from training_src.evaluation.errors import EvaluationError

Scenes = Callable[..., tuple[GroundTruth, Detections]]
NOTHING = Detections(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_pycocotools_on_random_scenes(seed: int, scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(seed, shift=0.02 + 0.05 * seed)
    assert_agrees(truth, detections, labels)


def test_agrees_when_nothing_was_detected(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, _ = scenes(1)
    assert_agrees(truth, NOTHING, labels)
    assert evaluate(truth, NOTHING, labels)["mAP"] == 0.0


def test_agrees_when_classes_have_no_ground_truth(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(2)
    only = truth.classes == 2
    sparse = GroundTruth(
        truth.sizes, truth.image_index[only], truth.boxes[only], truth.classes[only], truth.ignored[only]
    )
    assert_agrees(sparse, detections, labels)
    cyclist = evaluate(sparse, detections, labels).per_class[2]
    assert (cyclist.name, cyclist.support, cyclist.values["AP"]) == ("cyclist", 0, None)


def test_agrees_when_everything_is_ignored(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(3)
    hidden = replace(truth, ignored=np.ones(len(truth.boxes), bool))
    assert_agrees(hidden, detections, labels)
    metrics = evaluate(hidden, detections, labels)
    assert set(metrics.values.values()) == {None}
    assert metrics.reasons["mAP"] == "the test set has no box to be found"


def test_agrees_with_more_than_a_hundred_detections_an_image(labels: dict[int, str]) -> None:
    random = np.random.default_rng(5)
    corners = random.uniform(0, 0.5, (400, 2))
    boxes = np.hstack([corners, corners + 0.2])
    truth = GroundTruth.from_images([(480, 640)], [boxes[:40]], [random.choice([1, 2, 4], 40)])
    detections = Detections.from_images([boxes], [random.random(400)], [random.choice([1, 2, 4], 400)])
    assert_agrees(truth, detections, labels)


def test_unknown_sizes_are_none_with_a_reason(labels: dict[int, str]) -> None:
    truth = GroundTruth.from_images([(640, 640)], [[[0.1, 0.1, 0.9, 0.9]]], [[1]])
    metrics = evaluate(truth, NOTHING, labels)
    assert metrics["mAP_small"] is None
    assert metrics.reasons["mAP_small"] == "the test set has no box below 32² pixels"
    assert metrics["mAP_large"] == 0.0


def test_areas_are_measured_in_the_images_own_pixels(labels: dict[int, str]) -> None:
    box = [[0.0, 0.0, 0.1, 0.1]]
    truth = GroundTruth.from_images([(200, 200), (2000, 2000)], [box, box], [[1], [1]])
    detections = Detections.from_images([box, box], [[0.9], [0.8]], [[1], [1]])
    metrics = evaluate(truth, detections, labels)
    assert metrics["mAP_small"] == pytest.approx(1)
    assert metrics["mAP_large"] == pytest.approx(1)
    assert metrics["mAP_medium"] is None


def test_per_class_precision_averages_to_the_mean(scenes: Scenes, labels: dict[int, str]) -> None:
    metrics = evaluate(*scenes(4), labels)
    known = [entry.values["AP"] for entry in metrics.per_class]
    assert metrics["mAP"] == pytest.approx(np.mean([value for value in known if value is not None]))
    assert metrics.per_class[0].precision_50.mean() == pytest.approx(metrics.per_class[0].values["AP50"])
    assert sum(entry.support for entry in metrics.per_class) == metrics.boxes


def test_confusion_matrix_counts_every_box_once(labels: dict[int, str]) -> None:
    left, right = [0.1, 0.1, 0.4, 0.4], [0.6, 0.6, 0.9, 0.9]
    truth = GroundTruth.from_images([(100, 100)], [[left, right]], [[1, 2]])
    detections = Detections.from_images([[left, [0.1, 0.6, 0.3, 0.9]]], [[0.9, 0.8]], [[4, 1]])
    counts = evaluate(truth, detections, labels).confusion.counts
    expected = np.zeros((4, 4), int)
    expected[0, 2] = expected[1, 3] = expected[3, 0] = 1
    assert counts.tolist() == expected.tolist()


def test_prints_the_table_of_pycocotools(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(1)
    _, printed = oracle(truth, detections, labels)
    assert str(evaluate(truth, detections, labels)) in printed


def test_the_operating_score_has_the_greatest_f1(labels: dict[int, str]) -> None:
    hit, miss = [0.1, 0.1, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]
    truth = GroundTruth.from_images([(100, 100)], [[hit]], [[1]])
    detections = Detections.from_images([[hit, miss]], [[0.7, 0.4]], [[1, 1]])
    assert evaluate(truth, detections, labels).score == pytest.approx(0.7)


def test_an_annotations_own_area_decides_its_size(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(2)
    outlines = truth.square_pixels() * np.random.default_rng(0).uniform(0.1, 1, len(truth.boxes))
    outlines[::7] = np.nan
    outlined = replace(truth, areas=outlines)
    assert_agrees(outlined, detections, labels)
    assert evaluate(outlined, detections, labels)["mAP_small"] != evaluate(truth, detections, labels)["mAP_small"]


@pytest.mark.parametrize(("area", "shown"), [(-1.0, "-1"), (np.inf, "inf")])
def test_refuses_an_area_that_is_none(area: float, shown: str, labels: dict[int, str]) -> None:
    truth = GroundTruth.from_images([(100, 100)], [BOX], [[1]], areas=[[area]])
    with pytest.raises(
        EvaluationError, match=rf"box 0 \(image 0\) has the area {shown}; an area is a number of square"
    ):
        evaluate(truth, NOTHING, labels)


def test_each_classs_numbers_are_those_of_the_class_alone(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(4)
    metrics = evaluate(truth, detections, labels)
    for one in metrics.per_class:
        alone, found = truth.classes == one.id, detections.classes == one.id
        truth_alone = GroundTruth(
            truth.sizes, truth.image_index[alone], truth.boxes[alone], truth.classes[alone], truth.ignored[alone]
        )
        seen = Detections(
            detections.image_index[found], detections.boxes[found], detections.scores[found], detections.classes[found]
        )
        expected, _ = oracle(truth_alone, seen, {one.id: one.name})
        assert [-1.0 if (value := one.values[name]) is None else value for name in CLASS_METRICS] == pytest.approx(
            expected, abs=1e-9
        )


def test_a_mean_over_some_classes_leaves_the_unknown_ones_out(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(2)
    metrics = evaluate(replace(truth, ignored=truth.ignored | (truth.classes == 4)), detections, labels)
    first, second, third = (one.values["AP75"] for one in metrics.per_class)
    assert first is not None and second is not None and third is None
    assert mean_value(metrics, [1, 4], "AP75") == first
    assert mean_value(metrics, {1, 2}, "AP75") == pytest.approx((first + second) / 2)
    assert mean_value(metrics, [1, 2, 4], "AR_10") == pytest.approx(metrics["AR_10"])
    assert mean_value(metrics, [4], "AP") is None


BOX = [[0.1, 0.2, 0.3, 0.4]]


@pytest.mark.parametrize(
    ("boxes", "scores", "classes", "sentence"),
    [
        ([[0.1, np.nan, 0.3, 0.4]], [0.5], [1], "has a coordinate that is not a finite number"),
        ([[0.1, 0.2, np.inf, 0.4]], [0.5], [1], "has a coordinate that is not a finite number"),
        ([[0.3, 0.2, 0.1, 0.4]], [0.5], [1], "has a negative height or width"),
        ([[10.0, 20.0, 30.0, 40.0]], [0.5], [1], "fractions of the image, not pixels"),
        (BOX, [np.nan], [1], "has the score nan"),
        (BOX, [1.5], [1], "has the score 1.5"),
        (BOX, [0.5], [3], "has a class that the label map does not have; it has 1, 2, 4"),
    ],
)
def test_refuses_wrong_detections(boxes: Any, scores: Any, classes: Any, sentence: str, labels: dict[int, str]) -> None:
    truth = GroundTruth.from_images([(100, 100)], [BOX], [[1]])
    with pytest.raises(EvaluationError, match="detections: box 0 ") as caught:
        evaluate(truth, Detections.from_images([boxes], [scores], [classes]), labels)
    assert sentence in str(caught.value)


def test_refuses_an_unknown_image(labels: dict[int, str]) -> None:
    truth = GroundTruth.from_images([(100, 100)], [BOX], [[1]])
    stray = Detections(np.array([1]), np.array(BOX), np.array([0.5]), np.array([1]))
    with pytest.raises(EvaluationError, match="of no known image; there are 1"):
        evaluate(truth, stray, labels)


@pytest.mark.parametrize(
    ("truth", "names", "sentence"),
    [
        (([(100, 100)], [[[0.3, 0.2, 0.1, 0.4]]], [[1]]), {1: "a"}, "negative height"),
        (([(100, 100)], [BOX], [[7]]), {1: "a"}, "class that the label map does not have"),
        (([(0, 100)], [BOX], [[1]]), {1: "a"}, "height and a width above 0"),
        (([(100, 100)], [BOX], [[1]]), {1: "a", 2**24 + 1: "b"}, "ids are from 1 to 16777216"),
        (([(100, 100)], [BOX], [[1]]), {1: "a", 0: "b"}, "ids are from 1 to 16777216"),
        (([(100, 100)], [BOX], [[1]]), {1: "a", 2: "a"}, "two ids have the same name"),
        (([(100, 100)], [BOX], [[1]]), {}, "names no class"),
        (([(100, 100)] * 2, [BOX, BOX], [[1], [1]], None, ["x", "x"]), {1: "a"}, 'two images have the source id "x"'),
        (([(100, 100)], [BOX], [[1]], None, ["x", "y"]), {1: "a"}, "2 source ids for 1 images"),
    ],
)
def test_refuses_wrong_ground_truth(truth: Any, names: dict[int, str], sentence: str) -> None:
    with pytest.raises(EvaluationError, match=sentence):
        evaluate(GroundTruth.from_images(*truth), NOTHING, names)


def test_refuses_columns_of_different_lengths(labels: dict[int, str]) -> None:
    with pytest.raises(EvaluationError, match="differ in length"):
        Detections.from_images([BOX], [[0.5, 0.4]], [[1]])
    truth = GroundTruth.from_images([(100, 100)], [BOX], [[1]])
    short = Detections(np.zeros(1, int), np.array(BOX), np.zeros(2), np.ones(1, int))
    with pytest.raises(EvaluationError, match=r"scores has the shape \(2,\) for 1 boxes"):
        evaluate(truth, short, labels)


def assert_agrees(truth: GroundTruth, detections: Detections, labels: dict[int, str]) -> None:
    """The twelve numbers are those of pycocotools, with None for -1."""
    expected, _ = oracle(truth, detections, labels)
    values = evaluate(truth, detections, labels).values
    assert [-1.0 if values[name] is None else values[name] for name in METRICS] == pytest.approx(expected, abs=1e-9)


def oracle(truth: GroundTruth, detections: Detections, labels: dict[int, str]) -> tuple[list[float], str]:
    """The twelve numbers of pycocotools, and what it prints."""
    evaluator, printed = judged(truth, detections, labels)
    return [float(value) for value in evaluator.stats], printed
