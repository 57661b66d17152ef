# SPDX-License-Identifier: Apache-2.0
"""Requests against the service model, in AWS's words."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from localcloud.service_limits import validation_errors

MODEL = botocore.session.get_session().get_service_model("sagemaker")


def found(operation: str, **parameters: Any) -> str:
    shape = MODEL.operation_model(operation).input_shape
    assert shape is not None
    return validation_errors(parameters, shape)


@pytest.mark.parametrize(
    ("operation", "parameters", "sentence"),
    [
        ("DescribeModel", {}, "Value null at 'modelName' failed to satisfy constraint: Member must not be null"),
        ("DescribeModel", {"ModelName": "a" * 64}, "Member must have length less than or equal to 63"),
        ("DescribeModel", {"ModelName": "a_b"}, "Member must satisfy regular expression pattern: "),
        (
            "UpdateModelPackage",
            {
                "ModelPackageArn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/g/1",
                "ModelApprovalStatus": "Ok",
            },
            "Value 'Ok' at 'modelApprovalStatus' failed to satisfy constraint: Member must satisfy enum value set: "
            "[Approved, Rejected, PendingManualApproval]",
        ),
        ("ListModels", {"MaxResults": 101}, "Member must have value less than or equal to 100"),
        (
            "AddTags",
            {"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:model/m", "Tags": [{"Key": "", "Value": "v"}]},
            "Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than",
        ),
        (
            "CreateModelPackage",
            {"CustomerMetadataProperties": {"gate": "mAP 0,5"}},
            "at 'customerMetadataProperties' failed to satisfy constraint: Map value must satisfy constraint: "
            "[Member must satisfy regular expression pattern:",
        ),
    ],
)
def test_violations_are_told_as_aws_tells_them(operation: str, parameters: dict[str, Any], sentence: str) -> None:
    told = found(operation, **parameters)
    assert told.startswith("1 validation error detected: ")
    assert sentence in told


def test_several_violations_are_counted() -> None:
    assert found("CreateEndpoint", EndpointName="-").startswith("2 validation errors detected: ")


def test_a_right_request_passes() -> None:
    assert found("CreateEndpoint", EndpointName="e", EndpointConfigName="c", Tags=[{"Key": "ä b", "Value": ""}]) == ""
