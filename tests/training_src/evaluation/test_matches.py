# SPDX-License-Identifier: Apache-2.0
"""Matches are pycocotools' own, detection by detection, at each threshold and size."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training_src.evaluation.pycocotools_oracle import judged
from training_src.evaluation import matches as matching
from training_src.evaluation.bootstrap import weighted
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.coco import METRICS
from training_src.evaluation.matches import AREAS, match

Scenes = Callable[..., tuple[GroundTruth, Detections]]


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_pycocotools_on_random_scenes(seed: int, scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(seed, shift=0.02 + 0.05 * seed, ignored=0.2)
    outlines = truth.square_pixels() * np.random.default_rng(seed).uniform(0.3, 1, len(truth.boxes))
    assert_agrees(replace(truth, areas=outlines), detections, labels)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1_000_000), crowded=st.booleans())
def test_agrees_where_boxes_overlap_equally(seed: int, crowded: bool) -> None:
    """Few places, few scores, one of the sizes' limits exactly: ties of every kind."""
    random = np.random.default_rng(seed)
    corners = np.array([[0.1, 0.1], [0.1, 0.2], [0.2, 0.2], [0.4, 0.1]])

    def boxes(count: int) -> np.ndarray:
        extents = random.choice([0.1, 0.16, 0.32, 0.48], (count, 2))
        some = corners[random.integers(0, len(corners), count)]
        return np.hstack([some, some + extents])

    counts, found = random.integers(0, 9, 3), random.integers(0, 14, 3)
    truth = GroundTruth.from_images(
        [(200, 200)] * 3,
        [boxes(count) for count in counts],
        [random.choice([1, 3], count) for count in counts],
        [random.random(count) < 0.3 * crowded for count in counts],
    )
    detections = Detections.from_images(
        [boxes(count) for count in found],
        [random.choice([0.25, 0.5, 0.75], count) for count in found],
        [random.choice([1, 3], count) for count in found],
    )
    assert_agrees(truth, detections, {1: "a", 3: "b"})


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_of_boxes_that_overlap_equally_the_last_is_taken(order: list[int]) -> None:
    left, right, between = ([0, start / 64, 0.5, (start + 20) / 64] for start in (11, 21, 16))
    truth = GroundTruth.from_images([(64, 64)], [np.array([left, right])[order]], [[1, 1]])
    # Whether anything is left for the less sure one depends on which box the surer one takes.
    detections = Detections.from_images([[between, right]], [[0.9, 0.8]], [[1, 1]])
    assert_agrees(truth, detections, {1: "a"})
    found = match(truth, detections, {1: "a"}).classes[1]
    assert found.matched[0].tolist() == [True, order == [1, 0]]


def test_agrees_with_more_than_a_hundred_detections_an_image() -> None:
    random = np.random.default_rng(5)
    corners = random.uniform(0, 0.5, (400, 2))
    boxes = np.hstack([corners, corners + 0.2])
    truth = GroundTruth.from_images([(480, 640)], [boxes[:40]], [random.choice([1, 2], 40)])
    detections = Detections.from_images([boxes], [random.random(400)], [random.choice([1, 2], 400)])
    assert_agrees(truth, detections, {1: "a", 2: "b"})


def test_pairs_are_computed_in_parts(scenes: Scenes, labels: dict[int, str], monkeypatch: pytest.MonkeyPatch) -> None:
    truth, detections = scenes(1)
    whole = match(truth, detections, labels)
    monkeypatch.setattr(matching, "_PAIRS_AT_ONCE", 3)
    for number, found in match(truth, detections, labels).classes.items():
        assert (found.matched == whole.classes[number].matched).all()


def test_matches_follow_falling_scores(scenes: Scenes, labels: dict[int, str]) -> None:
    matches = match(*scenes(1), labels)
    assert list(matches.classes) == [1, 2, 4]
    for found in matches.classes.values():
        assert (np.diff(found.scores) <= 0).all()
        assert found.matched.shape == (10, len(found.scores))
        assert (found.matched.sum(axis=1) <= found.truths.sum()).all()


def test_a_slice_is_what_its_images_alone_give(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(3, ignored=0.2)
    images = np.random.default_rng(0).random(truth.images) < 0.4
    once = np.ones((1, truth.images), np.int64)
    sliced = weighted(match(truth, detections, labels).subset(images), once).metrics
    alone = weighted(
        match(truth.subset(images), detections.subset(images), labels), np.ones((1, int(images.sum())), np.int64)
    ).metrics
    whole = weighted(match(truth, detections, labels), once).metrics
    for name in METRICS:
        assert sliced[name][0] == pytest.approx(alone[name][0], abs=1e-12)
    assert sliced["mAP"][0] != whole["mAP"][0]


def assert_agrees(truth: GroundTruth, detections: Detections, labels: dict[int, str]) -> None:
    """Each image's matches of each class, size and threshold, and the twelve numbers that follow."""
    evaluator, _ = judged(truth, detections, labels)
    found = match(truth, detections, labels)
    evaluated = iter(evaluator.evalImgs)
    for number in sorted(labels):
        one = found.classes[number]
        for size in AREAS:
            sized = one.sizes[size]
            for image in range(truth.images):
                entry = next(evaluated)
                mine = np.flatnonzero(one.image_index == image)
                mine = mine[np.argsort(one.rank[mine])]
                if entry is None:
                    assert not len(mine) and not (sized.truth_images == image).any()
                    continue
                assert one.scores[mine].tolist() == entry["dtScores"]
                ignored = np.asarray(entry["dtIgnore"], bool)
                matched = (np.asarray(entry["dtMatches"]) > 0) & ~ignored
                assert sized.ignored[:, mine].tolist() == ignored.tolist()
                assert sized.matched[:, mine].tolist() == matched.tolist()
                assert (sized.truth_images == image).sum() == (~np.asarray(entry["gtIgnore"], bool)).sum()
    metrics = weighted(found, np.ones((1, truth.images), np.int64)).metrics
    values = [-1.0 if np.isnan(metrics[name][0]) else metrics[name][0] for name in METRICS]
    assert values == pytest.approx(evaluator.stats.tolist(), abs=1e-12)
