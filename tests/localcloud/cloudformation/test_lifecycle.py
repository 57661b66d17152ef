# SPDX-License-Identifier: Apache-2.0
"""CloudFormation: stacks are made, changed in place or by replacement, rolled back with a reason, and removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

SEEN = {
    "Type": "AWS::SSM::Parameter",
    "Properties": {"Name": "/stacks/seen", "Type": "String", "Value": {"Fn::GetAtt": ["Queue", "Arn"]}},
}


def exists(cloud: Any, queue: str) -> bool:
    return any(url.endswith(f"/{queue}") for url in cloud.client("sqs").list_queues().get("QueueUrls", []))


def test_a_stack_is_made_changed_in_place_and_removed(cloud: Any, stack: Any) -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "changed-in-place", "VisibilityTimeout": 30}}
    made = stack.bring({"Seen": SEEN, "Queue": queue}, {"Url": {"Value": {"Ref": "Queue"}}})
    assert made["StackStatus"] == "CREATE_COMPLETE"
    url = made["Outputs"][0]["OutputValue"]
    assert cloud.client("ssm").get_parameter(Name="/stacks/seen")["Parameter"]["Value"].endswith(":changed-in-place")
    queue["Properties"] = {"QueueName": "changed-in-place", "VisibilityTimeout": "77"}
    assert stack.bring({"Seen": SEEN, "Queue": queue})["StackStatus"] == "UPDATE_COMPLETE"
    attributes = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert attributes["Attributes"]["VisibilityTimeout"] == "77"
    assert stack.delete()
    assert not exists(cloud, "changed-in-place")


def test_a_new_name_replaces_the_resource_and_removes_the_old_one(cloud: Any, stack: Any) -> None:
    stack.bring({"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "old-name"}}})
    stack.bring({"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "new-name"}}})
    assert (exists(cloud, "old-name"), exists(cloud, "new-name")) == (False, True)
    stack.delete()


def test_a_failed_creation_is_rolled_back_with_its_reason(cloud: Any, stack: Any) -> None:
    role = {
        "Type": "AWS::IAM::Role",
        "DependsOn": "Queue",
        "Properties": {
            "RoleName": "never-stays",
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []},
            "ManagedPolicyArns": ["arn:aws:iam::aws:policy/NoSuchPolicy"],
        },
    }
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "rolled-back"}}
    assert stack.bring({"Role": role, "Queue": queue})["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "NoSuchPolicy does not exist" in stack.reasons()
    assert not exists(cloud, "rolled-back")
    names = [one["RoleName"] for one in cloud.client("iam").list_roles()["Roles"]]
    assert "never-stays" not in names  # it existed when attaching the policy failed
    stack.delete()


def test_a_failed_update_brings_everything_back(cloud: Any, stack: Any) -> None:
    def resources(seconds: int, group: str) -> dict[str, Any]:
        properties = {"QueueName": "brought-back", "VisibilityTimeout": seconds}
        bad = {"Type": "AWS::Logs::LogGroup", "DependsOn": "Queue", "Properties": {"LogGroupName": group}}
        return {"Queue": {"Type": "AWS::SQS::Queue", "Properties": properties}, "Group": bad}

    stack.bring(resources(31, "/brought/back"))
    cloud.client("logs").create_log_group(logGroupName="/taken/already")
    assert stack.bring(resources(62, "/taken/already"))["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    url = cloud.client("sqs").get_queue_url(QueueName="brought-back")["QueueUrl"]
    attributes = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert attributes["Attributes"]["VisibilityTimeout"] == "31"
    assert stack.physical("Group") == "/brought/back"
    stack.delete()


def test_exports_in_use_stay(cloud: Any, stack: Any, until: Callable[..., Any]) -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "exported"}}
    stack.bring({"Topic": topic}, {"Arn": {"Value": {"Ref": "Topic"}, "Export": {"Name": "the-topic"}}})
    api = cloud.client("cloudformation")
    value = {"Name": "/stacks/imported", "Type": "String", "Value": {"Fn::ImportValue": "the-topic"}}
    body = json.dumps({"Resources": {"Parameter": {"Type": "AWS::SSM::Parameter", "Properties": value}}})
    api.create_stack(StackName="importer", TemplateBody=body)
    until(lambda: api.describe_stacks(StackName="importer")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE")
    assert cloud.client("ssm").get_parameter(Name="/stacks/imported")["Parameter"]["Value"].endswith(":exported")
    with pytest.raises(ClientError, match="as it is in use by importer"):
        stack.delete()
    api.delete_stack(StackName="importer")
    until(lambda: all(one["StackName"] != "importer" for one in api.describe_stacks()["Stacks"]))
    assert stack.delete()


def test_a_bucket_that_is_not_empty_keeps_its_stack(cloud: Any, stack: Any) -> None:
    stack.bring({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "holds-something"}}})
    cloud.client("s3").put_object(Bucket="holds-something", Key="a", Body=b"b")
    cloud.client("cloudformation").delete_stack(StackName=stack.rested()["StackId"])
    assert stack.rested()["StackStatus"] == "DELETE_FAILED"
    cloud.client("s3").delete_object(Bucket="holds-something", Key="a")
    assert stack.delete()


def test_retained_resources_outlive_their_stack(cloud: Any, stack: Any) -> None:
    queue = {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain", "Properties": {"QueueName": "retained"}}
    stack.bring({"Queue": queue})
    assert stack.delete()
    assert exists(cloud, "retained")
