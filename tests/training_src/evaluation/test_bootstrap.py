# SPDX-License-Identifier: Apache-2.0
"""The bootstrap's weighted sums are what evaluating the drawn images themselves gives."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training_src.evaluation.bootstrap import bootstrap, difference, standard_deviation, weighted
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.coco import evaluate
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.matches import Matches, match

Scenes = Callable[..., tuple[GroundTruth, Detections]]


@pytest.mark.parametrize("seed", range(4))
def test_equals_evaluating_the_drawn_images(seed: int, scenes: Scenes, labels: dict[int, str]) -> None:
    # Wide of the mark, so that every threshold has a precision of its own.
    truth, detections = scenes(seed, images=12, ignored=0.2, shift=0.2)
    draws = np.random.default_rng(seed).multinomial(12, np.full(12, 1 / 12), size=10)
    samples = weighted(match(truth, detections, labels), draws)
    for at, weights in enumerate(draws):
        expected = evaluate(*drawn(truth, detections, weights), labels)
        assert samples.metrics["mAP"][at] == pytest.approx(expected["mAP"], abs=1e-12)
        assert samples.metrics["mAP_50"][at] == pytest.approx(expected["mAP_50"], abs=1e-12)
        for entry in expected.per_class:
            value = samples.per_class[entry.id]["AP"][at]
            assert np.isnan(value) if entry.values["AP"] is None else value == pytest.approx(entry.values["AP"])


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), weights=st.lists(st.integers(0, 4), min_size=5, max_size=5))
def test_equals_evaluating_any_weights(seed: int, weights: list[int]) -> None:
    labels = {1: "a", 3: "b"}
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 0.5, (40, 2))
    boxes = np.hstack([corners, corners + random.uniform(0.1, 0.4, (40, 2))])
    kinds, parts = random.choice([1, 3], 40), np.split(np.arange(40), 10)
    truth = GroundTruth.from_images(
        [(300, 300)] * 5, [boxes[part] for part in parts[:5]], [kinds[p] for p in parts[:5]]
    )
    near = np.clip(boxes + random.normal(0, 0.02, boxes.shape), 0, 1)
    found = [near[[*parts[at], *parts[at + 5]]] for at in range(5)]
    detections = Detections.from_images(found, list(random.random((5, 8))), list(random.choice([1, 3], (5, 8))))
    value = weighted(match(truth, detections, labels), np.array([weights])).metrics["mAP"][0]
    expected = evaluate(*drawn(truth, detections, np.array(weights)), labels)["mAP"]
    assert np.isnan(value) if expected is None else value == pytest.approx(expected, abs=1e-12)


def test_the_only_box_of_a_class_is_found_or_not() -> None:
    box = np.array([[0.1, 0.1, 0.5, 0.5]])
    truth = GroundTruth.from_images([(100, 100)] * 2, [box, box], [[1], [3]])
    detections = Detections.from_images([box, box + 0.4], [[0.9], [0.9]], [[1], [3]])
    samples = weighted(match(truth, detections, {1: "a", 3: "b"}), np.array([[1, 1], [2, 0], [0, 3]]))
    np.testing.assert_allclose(samples.per_class[1]["AP"], [1, 1, np.nan])
    np.testing.assert_allclose(samples.per_class[3]["AP50"], [0, np.nan, 0])
    np.testing.assert_allclose(samples.metrics["mAP"], [0.5, 1, 0])


def test_each_image_once_is_the_metric_itself(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(3, images=40)
    samples = weighted(match(truth, detections, labels), np.ones((1, 40), np.int64))
    assert samples.metrics["mAP"][0] == pytest.approx(evaluate(truth, detections, labels)["mAP"], abs=1e-12)


def test_the_same_seed_draws_the_same_images(scenes: Scenes, labels: dict[int, str]) -> None:
    matches = match(*scenes(1), labels)
    samples = bootstrap(matches, resamples=50).metrics["mAP"]
    assert (bootstrap(matches, resamples=50).metrics["mAP"] == samples).all()
    assert (bootstrap(matches, resamples=50, seed=1).metrics["mAP"] != samples).any()


def test_a_thousand_draws_of_as_many_images_by_the_seed_17(scenes: Scenes, labels: dict[int, str]) -> None:
    matches = match(*scenes(1, images=5), labels)
    draws = np.random.default_rng(17).multinomial(5, [0.2] * 5, size=1000)
    samples = bootstrap(matches)
    np.testing.assert_array_equal(samples.metrics["mAP"], weighted(matches, draws).metrics["mAP"])
    # Resamples are computed a part at a time; each is the one of its draw.
    alone = [weighted(matches, draws[at : at + 1]).metrics["mAP"][0] for at in (99, 100, 999)]
    np.testing.assert_array_equal(samples.metrics["mAP"][[99, 100, 999]], alone)


def test_a_difference_is_told_by_its_5_and_95_percent_quantiles() -> None:
    # From -0.10 to 0.90 in steps of 0.01, in any order.
    change = np.random.default_rng(0).permutation(np.arange(-10, 91)) / 100
    found = difference(np.append(change, np.nan), np.zeros(102))
    assert found is not None
    assert found.lower == pytest.approx(-0.05)
    assert found.upper == pytest.approx(0.85)
    # Of the numbers 1 to n the variance is n (n + 1) / 12, over n - 1.
    assert found.standard_deviation == pytest.approx(np.sqrt(101 * 102 / 12) / 100)
    # An equal result is not ahead; the resample that one of the two does not know counts for nothing.
    assert found.probability_better == pytest.approx(90 / 101)


def test_two_resamples_are_the_fewest_that_tell_anything() -> None:
    found = difference(np.array([3.0, 1.0]), np.array([1.0, 0.0]))
    assert found is not None
    assert (found.lower, found.upper) == pytest.approx((1.05, 1.95))
    assert (found.standard_deviation, found.probability_better) == pytest.approx((np.sqrt(0.5), 1))
    assert difference(np.array([3.0, np.nan]), np.array([1.0, 0.0])) is None
    assert standard_deviation(np.array([1.0, 3.0, np.nan])) == pytest.approx(np.sqrt(2))
    assert standard_deviation(np.array([1.0, np.nan])) is None


def test_more_images_make_it_narrower(scenes: Scenes, labels: dict[int, str]) -> None:
    resampled = (bootstrap(match(*scenes(2, images=n), labels), resamples=200) for n in (20, 320))
    few, many = (standard_deviation(one.metrics["mAP"]) for one in resampled)
    assert few is not None and many is not None and many < few / 2


def test_a_model_does_not_differ_from_itself(scenes: Scenes, labels: dict[int, str]) -> None:
    samples = bootstrap(match(*scenes(1), labels), resamples=100).metrics["mAP"]
    found = difference(samples, samples)
    assert found is not None
    assert (found.standard_deviation, found.lower, found.upper, found.probability_better) == (0, 0, 0, 0)


def test_pairing_sees_what_separate_draws_do_not(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(1, images=100)
    kept = np.random.default_rng(0).random(len(detections.scores)) < 0.97
    worse = Detections(
        detections.image_index[kept], detections.boxes[kept], detections.scores[kept], detections.classes[kept]
    )
    better, poorer = (bootstrap(match(truth, found, labels), resamples=300) for found in (detections, worse))
    found = difference(better.metrics["mAP"], poorer.metrics["mAP"])
    alone = standard_deviation(better.metrics["mAP"])
    assert found is not None and alone is not None
    assert found.standard_deviation < alone / 2
    assert found.probability_better > 0.9


def test_refuses_no_images() -> None:
    with pytest.raises(EvaluationError, match="no images"):
        bootstrap(Matches(0))


def drawn(truth: GroundTruth, detections: Detections, weights: NDArray[np.int64]) -> tuple[GroundTruth, Detections]:
    """The images as often as they were drawn, as images of their own."""
    sizes, boxes, classes, ignored, found, scores, guesses = [], [], [], [], [], [], []
    for image in np.repeat(np.arange(truth.images), weights):
        mine, seen = truth.image_index == image, detections.image_index == image
        sizes.append((int(truth.sizes[image, 0]), int(truth.sizes[image, 1])))
        boxes.append(truth.boxes[mine])
        classes.append(truth.classes[mine])
        ignored.append(truth.ignored[mine])
        found.append(detections.boxes[seen])
        scores.append(detections.scores[seen])
        guesses.append(detections.classes[seen])
    return GroundTruth.from_images(sizes, boxes, classes, ignored), Detections.from_images(found, scores, guesses)
