# SPDX-License-Identifier: Apache-2.0
"""An evaluation as EvaluateDetector writes it, for whoever reads one."""

from __future__ import annotations

from typing import Any

from training_src.evaluation.schema import Evaluation

CHAMPION_ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev/2"
MODEL_URI = "s3://data/models/job/output/model.tar.gz"


def estimate(value: float | None, *, reason: str | None = None) -> dict[str, Any]:
    if value is None:
        return {"value": None, "reason": reason}
    return {"value": value, "standard_deviation": 0.02, "lower": value - 0.033, "upper": value + 0.033}


def a_class(number: int, ap: float | None) -> dict[str, Any]:
    reason = "the test set has no box of it" if ap is None else None
    numbers = {name: estimate(ap, reason=reason) for name in ("AP", "AP50", "AP75", "AR_100", "recall_at_threshold")}
    return {"id": number, "support": 12, "support_images": 9, "missed": {"count": 3, "share": 0.25}, **numbers}


def evaluation(names: tuple[str, ...] = ("car", "cyclist", "pedestrian"), **further: Any) -> dict[str, Any]:
    """A better detector of three classes, one of which became worse.

    Args:
        names: Of its classes.
        further: Parts of it that are otherwise.
    """
    other = {
        "arn": CHAMPION_ARN,
        "runtime": "openvino",
        "metrics": {"mAP": estimate(0.40)},
        "change": {"mAP": {"value": 0.012, "lower": -0.01, "upper": 0.03, "probability_better": 0.8}},
        "per_class_change": {
            "car": {"value": 0.05, "lower": 0.01, "upper": 0.09},
            "pedestrian": {"value": -0.031, "lower": -0.05, "upper": -0.012},
        },
        "classes": {"common": ["car", "pedestrian"], "new": ["cyclist"], "missing": ["van"], "renamed": []},
    }
    content = {
        "dataset": {"sha256": "d" * 64, "images": 120, "boxes": 370, "test_set": "t" * 64, "chosen_by": "execution"},
        "model": {
            "sha256": "a" * 64,
            "uri": MODEL_URI,
            "architecture": "ssd_mobilenet_v2_fpnlite_640x640",
            "trained_on": "d" * 64,
            "steps": 2000,
            "best_step": 1500,
            "changes": [{"what": "data", "name": "images", "champion": 800, "challenger": 880}],
        },
        "metrics": {"mAP": estimate(0.412), "mAP_50": estimate(0.63), "mAP_large": estimate(None, reason="no boxes")},
        "per_class": {name: a_class(number + 1, 0.3 + 0.1 * number) for number, name in enumerate(names)},
        "slices": {"camera=front": {"images": 60, "boxes": 180, "metrics": {"mAP": estimate(0.2)}}},
        "score_threshold": 0.42,
        "champion": other,
        "policy": {
            "floor": {"uri": "s3://data/defaults/gate-policy/f/gate_policy.yaml", "sha256": "f" * 64},
            "left_out": ["No recall is asked of any class."],
            "overruled": ["The execution's policy asked for mAP_50 0.01."],
        },
        "resolution": {"smallest_difference": {"mAP": 0.034}, "images_needed": {"mAP": 250}},
        "resources": {"artifact_megabytes": 12.5, "latency_milliseconds": {"p50": 20.0, "p99": 31.0}},
        "serving": {
            "runtime": "openvino",
            "precision": "f32",
            "parity": None,
            "runtimes": {"openvino": {"precision": "f32", "mAP": 0.412, "parity": None}},
        },
        "gate": {
            "passed": True,
            "sentence": "mAP_50 is at least 0.597, 0.500 is asked for.",
            "mAP": 0.412,
            "rules": [
                {
                    "rule": "mAP_50",
                    "comparison": "at least",
                    "required": 0.5,
                    "actual": 0.597,
                    "passed": True,
                    "sentence": "mAP_50: the lower end is 0.597, at least 0.500 is asked for.",
                }
            ],
        },
        **further,
    }
    return Evaluation.model_validate(content).model_dump(mode="json", by_alias=True)
