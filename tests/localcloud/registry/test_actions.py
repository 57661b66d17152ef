# SPDX-License-Identifier: Apache-2.0
"""The model registry keeps what it is told, numbers versions once, and tells of changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

SPECIFICATION = {
    "Containers": [
        {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/i:1", "ModelDataUrl": "s3://b/model.tar.gz"}
    ],
    "SupportedContentTypes": ["image/jpeg"],
    "SupportedResponseMIMETypes": ["application/json"],
}


@pytest.fixture
def group(cloud: Any, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("_", "-").rstrip("-")[:60]
    cloud.client("sagemaker").create_model_package_group(ModelPackageGroupName=name)
    return str(name)


def register(cloud: Any, group: str, **more: Any) -> str:
    answer = cloud.client("sagemaker").create_model_package(
        ModelPackageGroupName=group,
        InferenceSpecification=SPECIFICATION,
        **{"ModelApprovalStatus": "PendingManualApproval", **more},
    )
    return str(answer["ModelPackageArn"])


def test_approving_keeps_everything_else(cloud: Any, group: str) -> None:
    content = json.dumps({"intended_uses": {"risk_rating": "Low"}})
    card = {"ModelCardContent": content, "ModelCardStatus": "Draft"}
    arn = register(cloud, group, CustomerMetadataProperties={"mAP": "0.5", "old": "x"}, ModelCard=card)
    sagemaker = cloud.client("sagemaker")
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="good")
    sagemaker.update_model_package(
        ModelPackageArn=arn, CustomerMetadataProperties={"gate": "passed"}, CustomerMetadataPropertiesToRemove=["old"]
    )
    described = sagemaker.describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ApprovalDescription"] == "good"
    assert described["CustomerMetadataProperties"] == {"mAP": "0.5", "gate": "passed"}
    assert described["ModelCard"] == card
    assert described["InferenceSpecification"]["Containers"][0]["Image"].endswith("/i:1")


def test_the_figures_of_a_version_are_what_it_was_registered_with(cloud: Any, group: str) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateModelPackage.html takes no ModelMetrics."""
    statistics = {"ContentType": "application/json", "ContentDigest": f"sha256:{'a' * 64}", "S3Uri": "s3://b/e.json"}
    metrics = {"ModelQuality": {"Statistics": statistics}}
    arn = register(cloud, group, ModelMetrics=metrics)
    sagemaker = cloud.client("sagemaker")
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    with pytest.raises(ParamValidationError, match="ModelMetrics"):
        sagemaker.update_model_package(ModelPackageArn=arn, ModelMetrics={})
    assert sagemaker.describe_model_package(ModelPackageName=arn)["ModelMetrics"] == metrics
    statistics["ContentDigest"] = "sha256:short"
    with pytest.raises(ClientError, match="contentDigest"):
        register(cloud, group, ModelMetrics=metrics)


def test_version_numbers_are_never_used_twice(cloud: Any, group: str) -> None:
    sagemaker = cloud.client("sagemaker")
    first, second = register(cloud, group), register(cloud, group)
    assert (first.rsplit("/", 1)[1], second.rsplit("/", 1)[1]) == ("1", "2")
    sagemaker.delete_model_package(ModelPackageName=second)
    assert register(cloud, group).endswith("/3")
    listed = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    assert [package["ModelPackageVersion"] for package in listed] == [3, 1]


def test_a_version_without_a_group_is_refused(cloud: Any) -> None:
    with pytest.raises(ClientError, match=r"ValidationException.*give a ModelPackageGroupName"):
        cloud.client("sagemaker").create_model_package(ModelPackageName="alone", InferenceSpecification=SPECIFICATION)


def test_a_group_with_versions_stays(cloud: Any, group: str) -> None:
    sagemaker = cloud.client("sagemaker")
    arn = register(cloud, group)
    with pytest.raises(ClientError, match="ConflictException"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)


def test_changes_are_told_with_the_fields_that_changed(cloud: Any, group: str) -> None:
    url, queue = cloud.create_queue(f"{group}-events")
    pattern = {"source": ["aws.sagemaker"], "detail": {"ModelPackageGroupName": [group]}}
    events = cloud.client("events")
    events.put_rule(Name=f"{group}-rule", EventPattern=json.dumps(pattern))
    events.put_targets(Rule=f"{group}-rule", Targets=[{"Id": "queue", "Arn": queue}])
    arn = register(cloud, group)
    created = json.loads(cloud.messages(url)[0])
    assert created["detail-type"] == "SageMaker Model Package State Change"
    assert created["resources"] == [arn]
    assert created["detail"]["ModelApprovalStatus"] == "PendingManualApproval"
    sagemaker = cloud.client("sagemaker")
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    approved = json.loads(cloud.messages(url)[0])["detail"]
    assert (approved["ModelApprovalStatus"], approved["UpdatedModelPackageFields"]) == (
        "Approved",
        ["ModelApprovalStatus"],
    )
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"a": "b"})
    edited = json.loads(cloud.messages(url)[0])["detail"]
    assert edited["UpdatedModelPackageFields"] == ["CustomerMetadataProperties"]


def test_models_and_configurations_are_described_as_they_were_asked_for(cloud: Any) -> None:
    sagemaker = cloud.client("sagemaker")
    container = {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/i:1", "Environment": {"A": "1"}}
    sagemaker.create_model(
        ModelName="asked", ExecutionRoleArn=cloud.role, PrimaryContainer=container, EnableNetworkIsolation=True
    )
    assert sagemaker.describe_model(ModelName="asked")["EnableNetworkIsolation"] is True
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "asked",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "ContainerStartupHealthCheckTimeoutInSeconds": 120,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="asked", ProductionVariants=[variant])
    described = sagemaker.describe_endpoint_config(EndpointConfigName="asked")
    assert described["ProductionVariants"][0]["ContainerStartupHealthCheckTimeoutInSeconds"] == 120
    with pytest.raises(ClientError, match="already existing model"):
        sagemaker.create_model(ModelName="asked", ExecutionRoleArn=cloud.role, PrimaryContainer=container)
    with pytest.raises(ClientError, match="already existing endpoint configuration"):
        sagemaker.create_endpoint_config(EndpointConfigName="asked", ProductionVariants=[variant])
