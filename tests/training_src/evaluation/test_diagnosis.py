# SPDX-License-Identifier: Apache-2.0
"""What lies behind the verdict, as curves.json holds it."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.coco import evaluate
from training_src.evaluation.diagnosis import curves, diagnose

Scenes = Callable[..., tuple[GroundTruth, Detections]]


def test_curves_are_those_of_the_metrics(scenes: Scenes, labels: dict[int, str]) -> None:
    truth, detections = scenes(3)
    metrics = evaluate(truth, detections, labels)
    found = diagnose(truth, detections, labels, metrics.score)
    history = [{"step": 10, "loss": 0.5, "mAP": float("nan")}]
    written = json.loads(json.dumps(curves(found, metrics.per_class, history), allow_nan=False))
    assert set(written["classes"]) == set(labels.values())
    for one in metrics.per_class:
        theirs = written["classes"][one.name]
        assert theirs["boxes"] == one.support
        # The last recall that is reached at all, in steps of 0.01.
        assert theirs["recall"][0] - 0.01 < np.flatnonzero(one.precision_50)[-1] / 100 <= theirs["recall"][0]
        assert theirs["precision_over_recall"]["iou_50"] == pytest.approx(one.precision_50.tolist(), abs=1e-4)
    assert written["history"] == [{"step": 10, "loss": 0.5}]
    assert len(written["scores"]) == len(written["all"]["f1"]) == 101
    # The served score is the one of the greatest F1, so the curve over all classes is highest there.
    f1 = [value or 0 for value in written["all"]["f1"]]
    assert f1[int(metrics.score * 100)] == pytest.approx(max(f1), abs=0.005)
    assert sum(one["errors"]["missed"] for one in written["classes"].values()) == written["errors"]["missed"]["count"]
