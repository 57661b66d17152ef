# SPDX-License-Identifier: Apache-2.0
"""CloudFormation: stacks are made, changed in place or by replacement, rolled back with a reason, and removed."""

from __future__ import annotations

import json
import re
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


FAILS = {
    "Type": "AWS::IAM::Role",
    "DependsOn": "Bucket",
    "Properties": {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []},
        "ManagedPolicyArns": ["arn:aws:iam::aws:policy/NoSuchPolicy"],
    },
}


def bucket(name: str, policy: str) -> dict[str, Any]:
    return {"Type": "AWS::S3::Bucket", "DeletionPolicy": policy, "Properties": {"BucketName": name}}


def buckets(cloud: Any) -> set[str]:
    return {one["Name"] for one in cloud.client("s3").list_buckets()["Buckets"]}


def test_retained_resources_of_a_failed_creation_stop_the_next_one(cloud: Any, stack: Any) -> None:
    """As CloudFormation has it, which the policy RetainExceptOnCreate is the way out of."""
    name = "kept-after-a-failure"
    assert stack.bring({"Bucket": bucket(name, "Retain"), "Role": FAILS})["StackStatus"] == "ROLLBACK_COMPLETE"
    assert name in buckets(cloud)
    stack.delete()
    assert stack.bring({"Bucket": bucket(name, "Retain")})["StackStatus"] == "ROLLBACK_COMPLETE"
    assert f'"{name} already exists" (HandlerErrorCode: AlreadyExists)' in stack.reasons()
    stack.delete()
    cloud.client("s3").delete_bucket(Bucket=name)


def test_a_first_creation_that_failed_can_be_repeated_where_only_later_ones_retain(cloud: Any, stack: Any) -> None:
    name, policy = "gone-after-a-failure", "RetainExceptOnCreate"
    assert stack.bring({"Bucket": bucket(name, policy), "Role": FAILS})["StackStatus"] == "ROLLBACK_COMPLETE"
    assert name not in buckets(cloud)
    stack.delete()
    assert stack.bring({"Bucket": bucket(name, policy)})["StackStatus"] == "CREATE_COMPLETE"
    assert stack.delete()
    assert name in buckets(cloud)


@pytest.mark.parametrize(("policy", "stays"), [("Retain", True), ("RetainExceptOnCreate", False)])
def test_what_a_failed_update_made_stays_only_by_the_stricter_policy(
    cloud: Any, stack: Any, policy: str, stays: bool
) -> None:
    name, other = f"made-by-an-update-{policy.lower()}", {"Type": "AWS::SNS::Topic"}
    stack.bring({"Topic": other})
    updated = stack.bring({"Topic": other, "Bucket": bucket(name, policy), "Role": FAILS})
    assert updated["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert (name in buckets(cloud)) is stays
    stack.delete()


@pytest.mark.parametrize("policy", ["Retain", "RetainExceptOnCreate"])
def test_what_leaves_a_template_stays_by_either_policy(cloud: Any, stack: Any, policy: str) -> None:
    name, other = f"left-{policy.lower()}", {"Type": "AWS::SNS::Topic"}
    stack.bring({"Topic": other, "Bucket": bucket(name, policy)})
    assert stack.bring({"Topic": other})["StackStatus"] == "UPDATE_COMPLETE"
    assert name in buckets(cloud)
    stack.delete()


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::SQS::Queue", {"QueueName": "twice"}),
        ("AWS::SNS::Topic", {"TopicName": "twice"}),
        ("AWS::S3::Bucket", {"BucketName": "twice-a-bucket"}),
        ("AWS::SSM::Parameter", {"Name": "/twice", "Type": "String", "Value": "x"}),
        ("AWS::Events::Rule", {"Name": "twice", "ScheduleExpression": "rate(1 day)"}),
        ("AWS::CloudWatch::Dashboard", {"DashboardName": "twice", "DashboardBody": "{}"}),
        ("AWS::ECR::Repository", {"RepositoryName": "twice"}),
        ("AWS::SageMaker::ModelPackageGroup", {"ModelPackageGroupName": "twice"}),
    ],
)
def test_a_name_that_is_taken_is_refused(cloud: Any, stack: Any, kind: str, properties: dict[str, Any]) -> None:
    template = json.dumps({"Resources": {"First": {"Type": kind, "Properties": properties}}})
    api, first = cloud.client("cloudformation"), f"first-{properties.get('QueueName', '')}{kind.rsplit('::')[-1]}"
    api.create_stack(StackName=first, TemplateBody=template)
    made = stack.bring({"Second": {"Type": kind, "Properties": properties}})
    assert made["StackStatus"] == "ROLLBACK_COMPLETE"
    assert re.search("already ?exists?", stack.reasons(), re.IGNORECASE)
    assert api.describe_stacks(StackName=first)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    stack.delete()
    api.delete_stack(StackName=first)


@pytest.mark.parametrize(
    ("attribute", "policy"), [("DeletionPolicy", "Keep"), ("UpdateReplacePolicy", "RetainExceptOnCreate")]
)
def test_policies_that_cloudformation_has_not_are_refused(cloud: Any, attribute: str, policy: str) -> None:
    template = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic", attribute: policy}}})
    with pytest.raises(ClientError, match=f"Unrecognized {attribute} {policy} for resource Topic"):
        cloud.client("cloudformation").create_stack(StackName="unknown-policy", TemplateBody=template)


@pytest.mark.parametrize("name", ["under_score", "-dash", "9", "a" * 129, "brackets[x]"])
def test_names_that_no_stack_can_have_are_refused(cloud: Any, name: str) -> None:
    template = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    with pytest.raises(ClientError, match="stackName"):
        cloud.client("cloudformation").create_stack(StackName=name, TemplateBody=template)
