# SPDX-License-Identifier: Apache-2.0
"""CloudFormation's schemas say what a type requires, allows, gives, and is replaced by."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.cloudformation.resource_types import known_types, type_of
from localcloud.cloudformation.schemas import is_aws_type, schema_of

GROUP = "AWS::Logs::LogGroup"


@pytest.mark.parametrize(
    ("kind", "properties", "fault"),
    [
        ("AWS::SSM::Parameter", {"Value": "a"}, "#: required key [Type] not found"),
        ("AWS::S3::Bucket", {"BucketNmae": "a"}, "#: extraneous key [BucketNmae] is not permitted"),
        ("AWS::SQS::Queue", {"Arn": "a"}, "#: extraneous key [Arn] is not permitted"),
        (
            "AWS::SQS::Queue",
            {"DelaySeconds": 901},
            "#/DelaySeconds: failed validation constraint for keyword [maximum]",
        ),
        ("AWS::SQS::Queue", {"DelaySeconds": "soon"}, "#/DelaySeconds: expected type: Integer, found: String"),
        (GROUP, {"RetentionInDays": 31}, "#/RetentionInDays: 31 is not a valid enum value"),
        (GROUP, {"LogGroupName": "a b"}, "#/LogGroupName: failed validation constraint for keyword [pattern]"),
        (GROUP, {"Tags": [{"Key": ""}]}, "#/Tags/0/Key: failed validation constraint for keyword [minLength]"),
        ("Custom::Thing", {"Size": 1}, "#: required key [ServiceToken] not found"),
    ],
)
def test_what_breaks_a_schema_is_named_with_its_place(kind: str, properties: dict[str, Any], fault: str) -> None:
    assert fault in type_of(kind).schema.faults(properties)


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::SQS::Queue", {"DelaySeconds": "9", "FifoQueue": "true"}),
        (GROUP, {"RetentionInDays": "30"}),
        ("AWS::SSM::Parameter", {"Type": "String", "Value": 1}),
        ("AWS::SageMaker::ModelPackageGroup", {"ModelPackageGroupName": "a", "ModelPackageGroupDescription": "Größe"}),
        ("Custom::Thing", {"ServiceToken": "a", "Really": True, "Parts": [1]}),
    ],
)
def test_numbers_and_booleans_are_taken_as_text_and_back(kind: str, properties: dict[str, Any]) -> None:
    assert type_of(kind).schema.faults(properties) == []


def test_what_is_set_at_creation_only_replaces_the_resource() -> None:
    assert schema_of("AWS::SQS::Queue").replaced_by == {"QueueName", "FifoQueue"}
    assert "KeySchema" in schema_of("AWS::DynamoDB::Table").replaced_by
    assert type_of("Custom::Thing").schema.replaced_by == {"ServiceToken"}


def test_what_only_reading_gives_are_the_attributes() -> None:
    assert schema_of("AWS::IAM::Role").attributes == {"Arn", "RoleId"}


def test_every_type_of_the_emulated_cloud_is_one_of_aws() -> None:
    assert all(is_aws_type(kind) for kind in known_types())
    assert not is_aws_type("AWS::Banana::Tree")
