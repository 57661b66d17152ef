# SPDX-License-Identifier: Apache-2.0
"""The bootstrap's weighted sums are what evaluating the drawn images themselves gives."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training_src.evaluation import bootstrap as bootstrapping
from training_src.evaluation import weighted_metrics
from training_src.evaluation.bootstrap import (
    at_score,
    bootstrap,
    difference,
    draw,
    interval,
    mean_over,
    recall_at_precision,
    standard_deviation,
    weighted,
)
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.coco import CLASS_METRICS, METRICS, evaluate, mean_value
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.matches import Matches, match
from training_src.evaluation.outcomes import outcomes

Scenes = Callable[..., tuple[GroundTruth, Detections]]


@pytest.mark.parametrize("seed", range(4))
def test_equals_evaluating_the_drawn_images(seed: int, scenes: Scenes, labels: dict[int, str]) -> None:
    # Wide of the mark, so that every threshold has a precision of its own.
    truth, detections = scenes(seed, images=12, ignored=0.2, shift=0.2)
    outlines = truth.square_pixels() * np.random.default_rng(seed).uniform(0.3, 1, len(truth.boxes))
    truth = replace(truth, areas=outlines)
    draws = np.random.default_rng(seed).multinomial(12, np.full(12, 1 / 12), size=10)
    samples = weighted(match(truth, detections, labels), draws)
    for at, weights in enumerate(draws):
        expected = evaluate(*drawn(truth, detections, weights), labels)
        for name in METRICS:
            assert_is(samples.metrics[name][at], expected[name])
        for entry in expected.per_class:
            for name in CLASS_METRICS:
                assert_is(samples.per_class[entry.id][name][at], entry.values[name])
        for name in CLASS_METRICS:
            assert_is(mean_over(samples, [1, 4], name)[at], mean_value(expected, [1, 4], name))


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


def test_groups_are_drawn_whole(scenes: Scenes, labels: dict[int, str]) -> None:
    matches, groups = match(*scenes(1, images=30), labels), np.arange(30) // 5 * 7
    samples = bootstrap(matches, groups=groups, resamples=200)
    by_group = samples.draws.reshape(200, 6, 5)
    assert (by_group == by_group[:, :, :1]).all()
    assert (by_group[:, :, 0].sum(axis=1) == 6).all()
    expected = np.random.default_rng(17).multinomial(6, [1 / 6] * 6, size=200)
    assert (by_group[:, :, 0] == expected).all()
    np.testing.assert_array_equal(samples.metrics["AR_10"], weighted(matches, samples.draws).metrics["AR_10"])


def test_images_that_are_alike_make_a_group_wider(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(2, images=20)
    film = drawn(truth, detections, np.full(20, 6))
    groups = np.repeat(np.arange(20), 6)
    alone, whole = (bootstrap(match(*film, labels), groups=of, resamples=200).metrics["mAP"] for of in (None, groups))
    few, many = standard_deviation(alone), standard_deviation(whole)
    assert few is not None and many is not None
    assert many > 2 * few  # the root of 6 is 2.4


def test_a_large_set_is_drawn_in_parts_of_the_same_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw(40, resamples=50)
    monkeypatch.setattr(bootstrapping, "AT_ONCE", 300)
    assert (draw(40, resamples=50) == whole).all()


def test_parts_of_a_large_class_are_the_whole(
    scenes: Scenes, labels: dict[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    matches = match(*scenes(1), labels)
    whole = bootstrap(matches, resamples=40).metrics
    for module in (bootstrapping, weighted_metrics):
        monkeypatch.setattr(module, "AT_ONCE", 70)
    for name, samples in bootstrap(matches, resamples=40).metrics.items():
        np.testing.assert_allclose(samples, whole[name], atol=1e-12)


def test_metrics_of_no_size_need_no_other(scenes: Scenes, labels: dict[int, str]) -> None:
    matches = match(*scenes(1), labels)
    whole = bootstrap(matches, resamples=20)
    some = weighted(matches, whole.draws, sizes=("all",))
    assert set(some.metrics) == {"mAP", "mAP_50", "mAP_75", "AR_1", "AR_10", "AR_100"}
    np.testing.assert_array_equal(some.metrics["mAP_75"], whole.metrics["mAP_75"])
    np.testing.assert_array_equal(some.per_class[2]["AR_1"], whole.per_class[2]["AR_1"])


def test_a_slice_is_weighed_by_the_same_draws(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(1, images=20)
    images = np.arange(20) < 8
    whole = bootstrap(match(truth, detections, labels), resamples=10)
    sliced = weighted(match(truth, detections, labels).subset(images), whole.draws)
    for at, weights in enumerate(whole.draws):
        expected = evaluate(*drawn(truth, detections, weights * images), labels)
        assert_is(sliced.metrics["mAP"][at], expected["mAP"])
        assert_is(sliced.metrics["mAP_small"][at], expected["mAP_small"])


@pytest.mark.parametrize("precision", [0.0, 0.5, 0.8, 0.95, 1.0])
def test_recall_at_a_precision_is_the_greatest_of_all_scores(
    precision: float, scenes: Scenes, labels: dict[int, str]
) -> None:
    truth, detections = scenes(3, images=12, ignored=0.2)
    matches = match(truth, detections, labels)
    draws = bootstrap(matches, resamples=12).draws
    found = recall_at_precision(matches.classes[2], precision, draws)
    for at, weights in enumerate(draws):
        some, seen = drawn(truth, detections, weights)
        best = 0.0
        for score in np.unique(seen.scores):
            kept = (seen.scores >= score) & (seen.classes == 2)
            hits, alarms, truths = counts(some, seen, kept, 2)
            if truths and hits + alarms and hits / (hits + alarms) >= precision:
                best = max(best, hits / truths)
        assert found[at] == pytest.approx(best)


def test_precision_and_recall_at_a_score(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(3, images=12, ignored=0.2)
    matches = match(truth, detections, labels)
    draws = bootstrap(matches, resamples=12).draws
    precision, recall = at_score(matches.classes[1], 0.6, draws)
    for at, weights in enumerate(draws):
        some, seen = drawn(truth, detections, weights)
        hits, alarms, truths = counts(some, seen, (seen.scores >= 0.6) & (seen.classes == 1), 1)
        assert_is(precision[at], hits / (hits + alarms) if hits + alarms else None)
        assert_is(recall[at], hits / truths if truths else None)


def test_a_class_without_boxes_or_detections_has_no_recall() -> None:
    box = np.array([[0.1, 0.1, 0.5, 0.5]])
    truth = GroundTruth.from_images([(100, 100)], [box], [[1]])
    nothing = Detections.from_images([np.zeros((0, 4))], [[]], [[]])
    one, other = match(truth, nothing, {1: "a", 2: "b"}).classes.values()
    once = np.ones((1, 1), np.int64)
    assert recall_at_precision(one, 0.9, once) == [0.0]
    assert np.isnan(recall_at_precision(other, 0.9, once)).all()
    assert np.isnan(at_score(one, 0.5, once)[0]).all()
    assert at_score(one, 0.5, once)[1] == [0.0]
    assert np.isnan(at_score(other, 0.5, once)[1]).all()


def test_a_mean_over_no_class_is_unknown(scenes: Scenes, labels: dict[int, str]) -> None:
    samples = bootstrap(match(*scenes(1), labels), resamples=3)
    assert np.isnan(mean_over(samples, [], "AP")).tolist() == [True] * 3


def test_an_interval_is_told_by_its_5_and_95_percent_quantiles() -> None:
    assert interval(np.append(np.arange(101) / 100, np.nan)) == pytest.approx((0.05, 0.95))
    assert interval(np.array([0.5, np.nan])) is None


def test_refuses_no_images() -> None:
    with pytest.raises(EvaluationError, match="no images"):
        bootstrap(Matches(0))


def test_refuses_groups_of_other_images(scenes: Scenes, labels: dict[int, str]) -> None:
    with pytest.raises(EvaluationError, match=r"groups have the shape \(3,\) for 30 images"):
        bootstrap(match(*scenes(1), labels), groups=np.arange(3))


def assert_is(sample: float, expected: float | None) -> None:
    """A sample is the number that evaluating gave, NaN where that is unknown."""
    assert np.isnan(sample) if expected is None else sample == pytest.approx(expected, abs=1e-12)


def counts(truth: GroundTruth, detections: Detections, kept: NDArray[np.bool_], number: int) -> tuple[int, int, int]:
    """Hits, false alarms and boxes of a class, as the gallery counts them."""
    mine = truth.classes == number
    some = GroundTruth(
        truth.sizes, truth.image_index[mine], truth.boxes[mine], truth.classes[mine], truth.ignored[mine]
    )
    seen = Detections(
        detections.image_index[kept], detections.boxes[kept], detections.scores[kept], detections.classes[kept]
    )
    found = outcomes(some, seen, 0.0)
    hits, alarms = sum(len(one.hits) for one in found), sum(len(one.false_alarms) for one in found)
    return hits, alarms, int((~some.ignored).sum())


def drawn(truth: GroundTruth, detections: Detections, weights: NDArray[np.int64]) -> tuple[GroundTruth, Detections]:
    """The images as often as they were drawn, as images of their own."""
    sizes, boxes, classes, ignored, areas, found, scores, guesses = [], [], [], [], [], [], [], []
    for image in np.repeat(np.arange(truth.images), weights):
        mine, seen = truth.image_index == image, detections.image_index == image
        sizes.append((int(truth.sizes[image, 0]), int(truth.sizes[image, 1])))
        boxes.append(truth.boxes[mine])
        classes.append(truth.classes[mine])
        ignored.append(truth.ignored[mine])
        areas.append(truth.square_pixels()[mine])
        found.append(detections.boxes[seen])
        scores.append(detections.scores[seen])
        guesses.append(detections.classes[seen])
    again = GroundTruth.from_images(sizes, boxes, classes, ignored, areas=areas)
    return again, Detections.from_images(found, scores, guesses)
