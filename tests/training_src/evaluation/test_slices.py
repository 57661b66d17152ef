# SPDX-License-Identifier: Apache-2.0
"""Parts of a test set: what their images alone give, over the draws of the whole."""

from collections.abc import Callable

import numpy as np
import pytest

from training_src.evaluation.bootstrap import draw, weighted
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.coco import METRICS, evaluate
from training_src.evaluation.matches import match
from training_src.evaluation.measurements import Measurement, Timings
from training_src.evaluation.scoring import Scored
from training_src.evaluation.slices import MOST_VALUES, measure_slices, slice_evidence

Scenes = Callable[..., tuple[GroundTruth, Detections]]


@pytest.fixture
def scored(scenes: Scenes, labels: dict[int, str]) -> Scored:
    truth, detections = scenes(3)
    matches = match(truth, detections, labels)
    measurement = Measurement("openvino", detections, truth.images, "", Timings())
    return Scored(measurement, evaluate(truth, detections, labels), matches, weighted(matches, draw(30, resamples=50)))


def test_a_slices_numbers_are_those_of_its_images(scored: Scored, scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(3)
    cameras = ["front"] * 12 + ["rear"] * 10 + [""] * 8
    found = measure_slices({"camera": cameras}, scored, ())
    assert {name: one.images for name, one in found.items()} == {"camera=front": 12, "camera=rear": 10}
    images = np.array(cameras) == "rear"
    expected = evaluate(truth.subset(images), detections.subset(images), labels)
    rear = found["camera=rear"]
    assert rear.boxes == expected.boxes
    for name in METRICS:
        assert rear.values[name] == (None if expected[name] is None else pytest.approx(expected[name], abs=1e-12))
    evidence = slice_evidence(found)["camera=rear"]["mAP_50"]
    assert evidence.lower is not None and evidence.upper is not None
    assert evidence.lower < rear.resampled.metrics["mAP_50"].mean() < evidence.upper


def test_of_a_column_with_many_values_only_those_that_the_policy_names_are_measured(scored: Scored) -> None:
    hours = [str(at % (MOST_VALUES + 1)) for at in range(30)]
    assert set(measure_slices({"hour": hours}, scored, ["hour=7", "hour=99"])) == {"hour=7"}
