# SPDX-License-Identifier: Apache-2.0
"""The model card says what a version is, learned from, can do and does worse, in the form that AWS documents."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from infra.training.publish_dossier.model_card import RegisteredVersion, model_card, model_card_content
from localcloud.registry.model_cards import fault_of
from tests.evaluations import CHAMPION_ARN, MODEL_URI, evaluation

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
VERSION = RegisteredVersion(
    arn=f"{ARN}:model-package/mapgate-dev/3",
    model_uri=MODEL_URI,
    execution_arn=f"{ARN}:pipeline/mapgate-dev/execution/abcdefghijkl",
    report_uri="s3://data/executions/abcdefghijkl/evaluation/report.html",
    dataset_uri="s3://data/prepared/dddd/",
    training_job_arn=f"{ARN}:training-job/mapgate-abc",
    training_image="123456789012.dkr.ecr.us-east-1.amazonaws.com/mapgate-dev-training:abc",
    author="arn:aws:iam::123456789012:role/ana",
    champion_arn=CHAMPION_ARN,
    hyperparameters={"learning_rate": "0.01", "note": ""},
)
DATASET = {
    "sha256": "d" * 64,
    "images": 1000,
    "splits": {"train": {"images": 880, "boxes": 2700}, "test": {"images": 120, "boxes": 370}},
}


def test_card_is_of_the_schema_that_aws_documents() -> None:
    content = model_card_content(evaluation(), DATASET, VERSION)
    assert fault_of(content) is None
    assert "\n" not in content  # the API's pattern has none


def test_stranger_learns_what_it_is_and_how_good_and_how_sure() -> None:
    card = model_card(evaluation(), DATASET, VERSION)
    assert card["model_overview"] == {"model_creator": VERSION.author, "model_artifact": [VERSION.model_uri]}
    assert "3 classes: car, cyclist, pedestrian" in card["intended_uses"]["purpose_of_model"]
    assert card["intended_uses"]["risk_rating"] == "Unknown"
    training = card["training_details"]
    assert "880 training images" in training["training_observations"]
    assert "images: 800 before, 880 now" in training["training_observations"]
    assert training["training_job_details"]["hyper_parameters"] == [
        {"name": "learning_rate", "value": "0.01"},
        {"name": "note", "value": "-"},
    ]
    tested = card["evaluation_details"][0]
    assert "mAP 0.412 (90 % interval 0.379 to 0.445)" in tested["evaluation_observation"]
    assert "The execution chose its own test set" in tested["evaluation_observation"]
    assert "0.034; a difference of the champion rule's margin needs about 250" in tested["evaluation_observation"]
    assert tested["metadata"]["dataset_sha256"] == "d" * 64
    groups = {group["name"]: group["metric_data"] for group in tested["metric_groups"]}
    assert groups["COCO metrics"][0] == {
        "name": "mAP",
        "type": "number",
        "value": 0.412,
        "notes": "90 % interval 0.379 to 0.445",
    }
    assert groups["COCO metrics"][2] == {"name": "mAP_large", "type": "string", "value": "unknown", "notes": "no boxes"}
    assert groups["Average precision of each class"][0]["x_axis_name"] == ["car", "cyclist", "pedestrian"]
    assert {"name": "latency p99, ms", "type": "number", "value": 31.0} in groups["Serving"]


def test_what_became_worse_stands_on_the_card() -> None:
    card = model_card(evaluation(), DATASET, VERSION)
    champion = card["evaluation_details"][1]
    assert champion["metadata"] == {"model_package_arn": VERSION.champion_arn}
    fall = "Worse at pedestrian: AP -0.031 (its whole 90 % interval is below 0)."
    assert fall in champion["evaluation_observation"]
    caveats = card["additional_information"]["caveats_and_recommendations"]
    assert fall in caveats
    assert "Not asked: No recall is asked of any class." in caveats
    assert "Overruled: The execution's policy asked for mAP_50 0.01." in caveats
    assert "Worse at car" not in caveats
    assert card["additional_information"]["custom_details"]["Environment's policy, sha256"] == "f" * 64


def test_first_version_is_told_to_be_compared_with_nothing() -> None:
    first = evaluation(champion=None)
    card = model_card(first, DATASET, replace(VERSION, champion_arn="none"))
    assert [one["name"] for one in card["evaluation_details"]] == ["Test set"]
    assert "compared with nothing" in card["additional_information"]["caveats_and_recommendations"]


def test_waiver_and_images_that_a_model_has_seen_are_told() -> None:
    waived = {"runtime": "f32", "metrics": {}, "change": {}, "reason": "its artifact is gone", "waiver": "lost - admin"}
    scored = evaluation()["dataset"] | {"left_out": {"images": 7, "groups": 2}, "unknown_ancestors": ["zoo-ssd"]}
    caveats = model_card(evaluation(champion=waived, dataset=scored), DATASET, VERSION)["additional_information"]
    assert caveats["custom_details"]["Waiver"] == "lost - admin"
    for told in ("waived: lost - admin", "7 test images were left out", "unknown: zoo-ssd"):
        assert told in caveats["caveats_and_recommendations"]


@pytest.mark.parametrize("classes", [1, 80, 601, 5000])
def test_card_fits_however_many_classes_there_are_and_tells_the_weakest(classes: int) -> None:
    names = tuple(f"class {number} {'ä' * 200}" for number in range(classes))
    judged = evaluation(names)
    (rule,) = judged["gate"]["rules"]
    judged["gate"]["rules"] += [rule | {"rule": f"support[{name}]", "sentence": "enough " * 50} for name in names]
    content = model_card_content(judged, DATASET, VERSION)
    assert len(content) <= 100_000
    assert fault_of(content) is None
    assert "class 0 " in content
    if classes > 100:
        assert f"weakest of {classes} classes are told one by one; the report has all" in content


def test_texts_from_outside_are_cut_to_their_place_and_say_so() -> None:
    long = replace(VERSION, purpose="p " * 5000, author="a" * 3000, hyperparameters={"h" * 300: "v" * 300, "": "x"})
    content = model_card_content(evaluation(("x" * 500,)), {}, long)
    assert fault_of(content) is None
    assert json.loads(content)["intended_uses"]["purpose_of_model"].endswith("…")


def test_evaluation_of_the_last_release_makes_a_card_too() -> None:
    old = {
        "dataset": {"sha256": "d" * 64, "images": 120, "boxes": 370, "test_set": "t" * 64, "refused": {"a": "no"}},
        "model": {"sha256": "a" * 64, "architecture": "ssd"},
        "metrics": {"mAP": {"value": 0.4, "standard_deviation": 0.02}},
        "per_class": {"car": {"id": 1, "support": 3, "support_images": 2, "AP": {"value": None, "reason": "none"}}},
        "champion": {"runtime": "f32", "metrics": {}, "change": {"mAP": {"value": 0.1}}},
        "serving": {"runtime": "openvino", "precision": "f32", "runtimes": {}},
        "gate": {"passed": False, "sentence": "too low", "rules": [{"rule": "mAP", "passed": False}]},
    }
    assert fault_of(model_card_content(old, DATASET, VERSION)) is None
