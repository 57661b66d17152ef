# SPDX-License-Identifier: Apache-2.0
"""A model card is refused where it breaks AWS's schema, and an archived one is not written again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.registry.model_cards import fault_of

METRIC = {"name": "mAP", "type": "number", "value": 0.4}


def with_metric(metric: dict[str, Any]) -> dict[str, Any]:
    return {"evaluation_details": [{"name": "test", "metric_groups": [{"name": "COCO", "metric_data": [metric]}]}]}


@pytest.mark.parametrize(
    "card",
    [
        {},
        {"model_overview": {"model_creator": "ana", "model_artifact": ["s3://b/model.tar.gz"]}},
        {"training_details": {"objective_function": {"function": {"function": "Minimize"}, "notes": "loss"}}},
        with_metric(METRIC),
        with_metric({"name": "AP", "type": "bar_chart", "value": [0.1], "x_axis_name": ["car"], "y_axis_name": "AP"}),
        with_metric({"name": "curve", "type": "linear_graph", "value": [[0, 1], [1, 0.5]]}),
        with_metric({"name": "confusion", "type": "matrix", "value": [[1, 2], [3, 4]], "x_axis_name": ["a", "b"]}),
    ],
)
def test_card_of_the_schema_is_taken(card: dict[str, Any]) -> None:
    assert fault_of(json.dumps(card)) is None


@pytest.mark.parametrize(
    ("card", "place"),
    [
        ({"model_overview": {"model_name": "belongs to another schema"}}, "$.model_overview"),
        ({"intended_uses": {"risk_rating": "low"}}, "$.intended_uses.risk_rating"),
        ({"intended_uses": {"purpose_of_model": "x" * 2049}}, "$.intended_uses.purpose_of_model"),
        ({"model_overview": {"model_artifact": ["s3://b/m"] * 16}}, "$.model_overview.model_artifact"),
        ({"evaluation_details": [{}]}, "$.evaluation_details[0]"),
        ({"evaluation_details": [{"name": "x" * 64}]}, "$.evaluation_details[0].name"),
        (with_metric(METRIC | {"value": None}), "$.evaluation_details[0].metric_groups[0].metric_data[0]"),
        (with_metric(METRIC | {"type": "matrix"}), "$.evaluation_details[0].metric_groups[0].metric_data[0]"),
        (with_metric(METRIC | {"unit": "1"}), "$.evaluation_details[0].metric_groups[0].metric_data[0]"),
        ({"additional_information": {"custom_details": {"seen": 3}}}, "$.additional_information.custom_details.seen"),
    ],
)
def test_card_that_breaks_the_schema_is_told_where(card: dict[str, Any], place: str) -> None:
    fault = fault_of(json.dumps(card))
    assert fault is not None
    assert fault.startswith(place)


def test_registry_takes_no_card_that_breaks_the_schema(cloud: Any) -> None:
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="cards")
    wrong = {"ModelCardContent": json.dumps({"mAP": 0.4}), "ModelCardStatus": "Draft"}
    with pytest.raises(ClientError, match=r"model package model card schema: .*'mAP'"):
        sagemaker.create_model_package(ModelPackageGroupName="cards", ModelCard=wrong)
    arn = sagemaker.create_model_package(ModelPackageGroupName="cards")["ModelPackageArn"]
    with pytest.raises(ClientError, match="it is no JSON"):
        sagemaker.update_model_package(ModelPackageArn=arn, ModelCard={"ModelCardContent": "a card"})

    right = {"ModelCardContent": "{}", "ModelCardStatus": "Archived"}
    sagemaker.update_model_package(ModelPackageArn=arn, ModelCard=right)
    assert sagemaker.describe_model_package(ModelPackageName=arn)["ModelCard"] == right
    with pytest.raises(ClientError, match="Model Card is in Archived state"):
        sagemaker.update_model_package(ModelPackageArn=arn, ModelCard={"ModelCardContent": "{}"})
