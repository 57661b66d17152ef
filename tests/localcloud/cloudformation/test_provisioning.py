# SPDX-License-Identifier: Apache-2.0
"""Properties are judged by their type's schema when the resource is made."""

from __future__ import annotations

from typing import Any


def test_properties_that_break_their_schema_are_refused_with_the_place(cloud: Any, stack: Any) -> None:
    misnamed = {"FunctionName": "a function", "Role": cloud.role, "Code": {"ZipFile": ""}}
    for resource, fault in (
        ({"Type": "AWS::S3::Bucket", "Properties": {"BucketNmae": "x"}}, "#: extraneous key [BucketNmae]"),
        ({"Type": "AWS::SSM::Parameter", "Properties": {"Value": "x"}}, "#: required key [Type] not found"),
        ({"Type": "AWS::Lambda::Function", "Properties": misnamed}, "#/FunctionName: failed validation constraint"),
    ):
        assert stack.bring({"Broken": resource})["StackStatus"] == "ROLLBACK_COMPLETE"
        assert f"Properties validation failed for resource Broken with message: [{fault}" in stack.reasons()
        stack.delete()


def test_what_a_schema_allows_and_the_emulated_cloud_has_not_is_refused_by_name(stack: Any) -> None:
    properties = {"CorsConfiguration": {"CorsRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}}
    made = stack.bring({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}})
    assert made["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "does not support property CorsConfiguration of AWS::S3::Bucket" in stack.reasons()
    stack.delete()


def test_a_custom_named_resource_that_needs_replacing_keeps_its_stack_as_it_was(stack: Any) -> None:
    def queue(**properties: Any) -> dict[str, Any]:
        return {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "named.fifo", **properties}}}

    stack.bring(queue(FifoQueue=True))
    assert stack.bring(queue())["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "cannot update a stack when a custom-named resource requires replacing" in stack.reasons()
    stack.delete()


def test_a_resource_that_takes_anothers_place_gets_all_its_settings(cloud: Any, stack: Any) -> None:
    def table(key: str) -> dict[str, Any]:
        properties = {
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        }
        return {"Table": {"Type": "AWS::DynamoDB::Table", "Properties": properties}}

    stack.bring(table("first"))
    old = stack.physical("Table")
    stack.bring(table("second"))
    new = stack.physical("Table")
    dynamodb = cloud.client("dynamodb")
    backups = dynamodb.describe_continuous_backups(TableName=new)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert new in dynamodb.list_tables()["TableNames"]
    assert old not in dynamodb.list_tables()["TableNames"]
    stack.delete()
