# SPDX-License-Identifier: Apache-2.0
"""evaluation.json carries its figures once more in the form in which Studio draws them."""

from __future__ import annotations

from typing import Any

from tests.evaluations import estimate, evaluation
from training_src.evaluation.model_metrics import model_metrics
from training_src.evaluation.schema import Estimate, Evaluation


def test_every_known_figure_is_drawn_with_its_standard_deviation() -> None:
    metrics = {"mAP": Estimate(value=0.4, standard_deviation=0.02), "mAP_small": Estimate(value=None, reason="none")}
    assert model_metrics(metrics, {"car": Estimate(value=0.0)}) == {
        "mAP": {"value": 0.4, "standard_deviation": 0.02},
        "AP of car": {"value": 0.0, "standard_deviation": "NaN"},
    }


def test_evaluation_is_drawn_as_it_was_measured_whatever_its_file_says() -> None:
    content: dict[str, Any] = evaluation(("car",))
    assert content["multiclass_classification_metrics"] == {
        "mAP": {"value": 0.412, "standard_deviation": 0.02},
        "mAP_50": {"value": 0.63, "standard_deviation": 0.02},
        "AP of car": {"value": 0.3, "standard_deviation": 0.02},
    }
    content["metrics"]["mAP"] = estimate(0.1)
    read = Evaluation.model_validate(content)
    assert read.multiclass_classification_metrics["mAP"]["value"] == 0.1
