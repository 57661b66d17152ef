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


@pytest.fixture
def stack(cloud: Any, until: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    """Brings a stack named after the test to a template; returns its description once it rests."""
    name = request.node.name.replace("_", "-")[:100]
    api = cloud.client("cloudformation")

    class Stack:
        def bring(
            self, resources: dict[str, Any], outputs: dict[str, Any] | None = None, **more: Any
        ) -> dict[str, Any]:
            body = json.dumps({"Resources": resources, **({"Outputs": outputs} if outputs else {}), **more})
            given = {"StackName": name, "TemplateBody": body, "Capabilities": ["CAPABILITY_NAMED_IAM"]}
            exists = any(one["StackName"] == name for one in api.describe_stacks()["Stacks"])
            (api.update_stack if exists else api.create_stack)(**given)
            return self.rested()

        def rested(self) -> dict[str, Any]:
            def look() -> Any:
                described = api.describe_stacks(StackName=name)["Stacks"][0]
                return described if not described["StackStatus"].endswith("IN_PROGRESS") else None

            return dict(until(look, 60))

        def delete(self) -> bool:
            api.delete_stack(StackName=name)
            return bool(until(lambda: all(one["StackName"] != name for one in api.describe_stacks()["Stacks"]), 60))

        def physical(self, logical_id: str) -> str:
            found = api.describe_stack_resources(StackName=name, LogicalResourceId=logical_id)["StackResources"]
            return str(found[0]["PhysicalResourceId"])

        def reasons(self) -> str:
            events = api.describe_stack_events(StackName=name)["StackEvents"]
            return "\n".join(event.get("ResourceStatusReason", "") for event in events)

    return Stack()


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


def test_unknown_types_and_missing_capabilities_are_refused(cloud: Any, stack: Any) -> None:
    with pytest.raises(ClientError, match=r"Unrecognized resource types: \[AWS::Banana::Tree\]"):
        stack.bring({"Tree": {"Type": "AWS::Banana::Tree"}})
    api = cloud.client("cloudformation")
    role = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r", "AssumeRolePolicyDocument": {}}}
    with pytest.raises(ClientError, match="InsufficientCapabilities"):
        api.create_stack(StackName="no-capability", TemplateBody=json.dumps({"Resources": {"Role": role}}))


def test_a_type_that_only_aws_has_is_refused_by_name_before_anything_is_made(cloud: Any, stack: Any) -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "never-made"}}
    network = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}
    refused = r"does not make AWS::EC2::VPC \(Network\): take it out of the template, or deploy to AWS"
    with pytest.raises(ClientError, match=refused):
        stack.bring({"Queue": queue, "Network": network})
    with pytest.raises(ClientError, match="resource Queue does not support attribute type Ran in Fn::GetAtt"):
        stack.bring({"Queue": queue}, {"Arn": {"Value": {"Fn::GetAtt": ["Queue", "Ran"]}}})
    assert not exists(cloud, "never-made")


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


def test_custom_resources_ask_their_function_and_take_its_answer(cloud: Any, stack: Any) -> None:
    source = """
import json, urllib.request
def handler(event, context):
    properties = event["ResourceProperties"]
    answer = {"Status": "FAILED" if properties.get("Fail") else "SUCCESS", "Reason": "as told",
              "PhysicalResourceId": "made-" + properties.get("Name", ""),
              "Data": {"What": event["RequestType"], "Was": event.get("OldResourceProperties", {}).get("Name", "")}}
    answer.update({key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")})
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    print(event["RequestType"], event.get("PhysicalResourceId"))
    urllib.request.urlopen(request)
"""
    token = cloud.create_function("custom", source)

    def resources(**properties: Any) -> dict[str, Any]:
        return {"Custom": {"Type": "Custom::Thing", "Properties": {"ServiceToken": token, **properties}}}

    outputs = {key: {"Value": {"Fn::GetAtt": ["Custom", key]}} for key in ("What", "Was")}
    made = stack.bring(resources(Name="a"), outputs)
    assert {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]} == {"What": "Create", "Was": ""}
    changed = stack.bring(resources(Name="b"), outputs)
    assert {one["OutputKey"]: one["OutputValue"] for one in changed["Outputs"]} == {"What": "Update", "Was": "a"}
    assert stack.physical("Custom") == "made-b"
    assert "Delete made-a" in cloud.log_of("custom")  # another physical id is another resource
    assert stack.bring(resources(Name="b", Fail=True))["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "as told" in stack.reasons()
    assert stack.delete()
    assert "Delete made-b" in cloud.log_of("custom")


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


def test_a_change_set_lists_what_it_would_do(cloud: Any, stack: Any) -> None:
    def template(**properties: Any) -> str:
        return json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": properties}}})

    stack.bring(json.loads(template(QueueName="listed"))["Resources"])
    name = stack.rested()["StackName"]
    api = cloud.client("cloudformation")
    api.create_change_set(StackName=name, ChangeSetName="rename", TemplateBody=template(QueueName="listed-2"))
    change = api.describe_change_set(StackName=name, ChangeSetName="rename")["Changes"][0]["ResourceChange"]
    assert (change["Action"], change["LogicalResourceId"], change["Replacement"]) == ("Modify", "Queue", "True")
    api.create_change_set(StackName=name, ChangeSetName="nothing", TemplateBody=template(QueueName="listed"))
    nothing = api.describe_change_set(StackName=name, ChangeSetName="nothing")
    assert nothing["Status"] == "FAILED"
    assert "didn't contain changes" in nothing["StatusReason"]
    stack.delete()
