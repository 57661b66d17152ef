# SPDX-License-Identifier: Apache-2.0
"""Versions, groups and executions say who made and who last changed them, by the session or user that asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.localcloud.authorisation.conftest import Actor, ActorWith

ADMINISTRATOR = "arn:aws:iam::123456789012:user/administrator"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
SPECIFICATION = {
    "Containers": [{"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/i:1", "ModelDataUrl": "s3://b/m.tar.gz"}],
    "SupportedContentTypes": ["image/jpeg"],
    "SupportedResponseMIMETypes": ["application/json"],
}


@pytest.fixture
def actor(actor_with: ActorWith) -> Actor:
    return actor_with(EVERYTHING)


def test_a_version_tells_who_made_it_and_who_changed_it_last(cloud: Any, actor: Actor) -> None:
    administrator, other = cloud.client("sagemaker"), actor.client("sagemaker")
    administrator.create_model_package_group(ModelPackageGroupName="identities")
    group = administrator.describe_model_package_group(ModelPackageGroupName="identities")
    assert group["CreatedBy"]["IamIdentity"]["Arn"] == ADMINISTRATOR
    arn = other.create_model_package(ModelPackageGroupName="identities", InferenceSpecification=SPECIFICATION)[
        "ModelPackageArn"
    ]

    def described() -> dict[str, Any]:
        return dict(administrator.describe_model_package(ModelPackageName=arn))

    made = described()
    assert made["CreatedBy"]["IamIdentity"]["Arn"] == actor.arn
    assert not {"LastModifiedBy", "LastModifiedTime"} & made.keys()
    administrator.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"a": "b"})
    assert described()["LastModifiedBy"]["IamIdentity"]["Arn"] == ADMINISTRATOR
    other.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="looked at it")
    approved = described()
    assert approved["LastModifiedBy"]["IamIdentity"]["Arn"] == actor.arn
    assert approved["LastModifiedTime"] >= approved["CreationTime"]
    assert approved["CreatedBy"]["IamIdentity"]["Arn"] == actor.arn


def test_a_principal_is_the_roles_id_with_the_sessions_name(cloud: Any, actor: Actor) -> None:
    name = actor.role.rsplit("/", 1)[-1]
    role = cloud.client("iam").get_role(RoleName=name)["Role"]["RoleId"]
    sagemaker = actor.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="principals")
    told = sagemaker.describe_model_package_group(ModelPackageGroupName="principals")["CreatedBy"]["IamIdentity"]
    assert told == {"Arn": actor.arn, "PrincipalId": f"{role}:{actor.arn.rsplit('/', 1)[-1]}"}
    assert actor.client("sts").get_caller_identity()["UserId"] == told["PrincipalId"]


def test_an_execution_tells_who_started_it_and_who_tried_again(cloud: Any, actor: Actor) -> None:
    definition = {
        "Version": "2020-12-01",
        "Steps": [{"Name": "Ends", "Type": "Fail", "Arguments": {"ErrorMessage": "at once"}}],
    }
    administrator, other = cloud.client("sagemaker"), actor.client("sagemaker")
    pipeline = {"PipelineDefinition": json.dumps(definition), "RoleArn": cloud.role, "ClientRequestToken": "t" * 32}
    administrator.create_pipeline(PipelineName="identities", **pipeline)
    started = other.start_pipeline_execution(PipelineName="identities", PipelineExecutionDescription="why")

    def described() -> dict[str, Any]:
        return dict(administrator.describe_pipeline_execution(PipelineExecutionArn=started["PipelineExecutionArn"]))

    told = described()
    assert told["CreatedBy"]["IamIdentity"]["Arn"] == told["LastModifiedBy"]["IamIdentity"]["Arn"] == actor.arn
    assert told["PipelineExecutionDescription"] == "why"
    while described()["PipelineExecutionStatus"] != "Failed":
        pass
    administrator.retry_pipeline_execution(
        PipelineExecutionArn=started["PipelineExecutionArn"], ClientRequestToken="r" * 32
    )
    again = described()
    assert again["LastModifiedBy"]["IamIdentity"]["Arn"] == ADMINISTRATOR
    assert again["CreatedBy"]["IamIdentity"]["Arn"] == actor.arn
