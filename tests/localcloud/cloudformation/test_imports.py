# SPDX-License-Identifier: Apache-2.0
"""What a stack has left behind is taken in by the next one, as CloudFormation documents it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
KEY_ARN = {"Fn::GetAtt": ["Key", "Arn"]}
ENCRYPTION = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY_ARN}
BUCKET = "left-behind"
GROUP = "left-behind-group"
TEMPLATE: dict[str, Any] = {
    "Key": {"Type": "AWS::KMS::Key", **KEPT, "Properties": {"Description": "k"}},
    "Alias": {
        "Type": "AWS::KMS::Alias",
        "Properties": {"AliasName": "alias/left-behind", "TargetKeyId": KEY_ARN},
    },
    "Bucket": {
        "Type": "AWS::S3::Bucket",
        **KEPT,
        "Properties": {
            "BucketName": BUCKET,
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": ENCRYPTION}]},
        },
    },
    "Group": {
        "Type": "AWS::SageMaker::ModelPackageGroup",
        **KEPT,
        "Properties": {"ModelPackageGroupName": GROUP},
    },
    "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "goes-with-its-stack"}},
}


@pytest.fixture
def api(cloud: Any) -> Any:
    return cloud.client("cloudformation")


@pytest.fixture
def left_behind(cloud: Any, stack: Any, api: Any) -> Iterator[dict[str, str]]:
    """The physical ids of what a stack that was deleted has retained."""
    stack.bring(TEMPLATE)
    ids = {name: stack.physical(name) for name in TEMPLATE}
    cloud.client("s3").put_object(Bucket=BUCKET, Key="kept", Body=b"data")
    assert stack.delete()
    yield ids
    for found in api.describe_stacks()["Stacks"]:
        if found["StackName"].startswith("again"):
            api.delete_stack(StackName=found["StackName"])
    cloud.client("s3").delete_object(Bucket=BUCKET, Key="kept")
    cloud.client("s3").delete_bucket(Bucket=BUCKET)
    cloud.client("sagemaker").delete_model_package_group(ModelPackageGroupName=GROUP)


@pytest.fixture
def change(api: Any, until: Callable[..., Any]) -> Callable[..., tuple[dict[str, str], str]]:
    """Executes a change set; returns its actions by logical id, and the stack's status at the end."""

    def make(name: str, resources: dict[str, Any], kind: str, **more: Any) -> tuple[dict[str, str], str]:
        body = json.dumps({"Resources": resources})
        api.create_change_set(StackName=name, ChangeSetName="set", ChangeSetType=kind, TemplateBody=body, **more)
        changes = api.describe_change_set(StackName=name, ChangeSetName="set")["Changes"]
        api.execute_change_set(StackName=name, ChangeSetName="set")

        def rested() -> str:
            status = str(api.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
            return "" if status.endswith("IN_PROGRESS") else status

        actions = {each["ResourceChange"]["LogicalResourceId"]: each["ResourceChange"]["Action"] for each in changes}
        return actions, until(rested, 30)

    return make


def to_import(ids: dict[str, str]) -> list[dict[str, Any]]:
    names = {"Key": "KeyId", "Bucket": "BucketName", "Group": "ModelPackageGroupArn"}
    return [
        {
            "LogicalResourceId": logical_id,
            "ResourceType": TEMPLATE[logical_id]["Type"],
            "ResourceIdentifier": {name: ids[logical_id]},
        }
        for logical_id, name in names.items()
    ]


def test_a_second_stack_is_refused_imports_what_was_left_and_makes_the_rest(
    cloud: Any, api: Any, left_behind: dict[str, str], change: Callable[..., tuple[dict[str, str], str]]
) -> None:
    assert change("again-refused", TEMPLATE, "CREATE")[1] == "ROLLBACK_COMPLETE"
    kept = {name: TEMPLATE[name] for name in ("Key", "Bucket", "Group")}
    actions, status = change("again", kept, "IMPORT", ResourcesToImport=to_import(left_behind))
    assert (set(actions.values()), status) == ({"Import"}, "IMPORT_COMPLETE")
    actions, status = change("again", TEMPLATE, "UPDATE")
    assert (actions, status) == ({"Alias": "Add", "Queue": "Add"}, "UPDATE_COMPLETE")
    assert cloud.client("s3").get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"data"
    listed = api.list_stack_resources(StackName="again")["StackResourceSummaries"]
    ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}
    assert {name: ids[name] for name in kept} == {name: left_behind[name] for name in kept}
    api.delete_stack(StackName="again")
    assert BUCKET in {one["Name"] for one in cloud.client("s3").list_buckets()["Buckets"]}


def test_what_has_a_name_in_the_template_is_taken_in_by_it(
    left_behind: dict[str, str], change: Callable[..., tuple[dict[str, str], str]]
) -> None:
    """Neither a key, which has no name, nor a group, whose identifier is an ARN that SageMaker gives."""
    named = {name: TEMPLATE[name] for name in ("Key", "Bucket", "Queue")}
    actions, status = change("again-by-name", named, "CREATE", ImportExistingResources=True)
    assert actions == {"Key": "Add", "Bucket": "Import", "Queue": "Add"}
    assert status == "CREATE_COMPLETE"
    assert left_behind["Bucket"] == BUCKET


def test_what_was_taken_in_stays_when_the_rest_fails(
    cloud: Any, left_behind: dict[str, str], change: Callable[..., tuple[dict[str, str], str]]
) -> None:
    fails = {"Type": "AWS::SQS::Queue", "DependsOn": "Bucket", "Properties": {"QueueName": "no.such.name"}}
    named = {**{name: TEMPLATE[name] for name in ("Key", "Bucket")}, "Fails": fails}
    assert change("again-failing", named, "CREATE", ImportExistingResources=True)[1] == "ROLLBACK_COMPLETE"
    assert cloud.client("s3").get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"data"
    assert left_behind["Bucket"] == BUCKET


def test_imports_are_refused_as_cloudformation_refuses_them(api: Any, left_behind: dict[str, str]) -> None:
    bucket = to_import(left_behind)[1]
    careless = {**TEMPLATE["Bucket"], "Properties": {"BucketName": BUCKET}}
    for resources, wanted, reason in (
        ({"Bucket": careless, "Queue": TEMPLATE["Queue"]}, [bucket], r"modified resources \[Queue\]"),
        ({"Bucket": {**careless, "DeletionPolicy": None}}, [bucket], "no DeletionPolicy"),
        ({"Bucket": careless}, [{**bucket, "ResourceIdentifier": {"Name": BUCKET}}], r"identified by \[BucketName\]"),
        ({"Topic": {"Type": "AWS::SNS::Subscription", **KEPT}}, [], "modified resources"),
    ):
        made = {name: {k: v for k, v in each.items() if v is not None} for name, each in resources.items()}
        with pytest.raises(ClientError, match=reason):
            api.create_change_set(
                StackName="again-refused-import",
                ChangeSetName="set",
                ChangeSetType="IMPORT",
                ResourcesToImport=wanted,
                TemplateBody=json.dumps({"Resources": made}),
            )


def test_what_does_not_exist_is_not_taken_in(
    left_behind: dict[str, str], change: Callable[..., tuple[dict[str, str], str]]
) -> None:
    ids = {**left_behind, "Bucket": "no-such-bucket"}
    kept = {name: TEMPLATE[name] for name in ("Key", "Bucket", "Group")}
    assert change("again-missing", kept, "IMPORT", ResourcesToImport=to_import(ids))[1] == "IMPORT_ROLLBACK_COMPLETE"
