# SPDX-License-Identifier: Apache-2.0
"""Quotas of instances on the laptop's cloud: seen through Service Quotas, and felt by jobs, steps and endpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipelines.client import executions
from pipelines.client.connection import Connection
from pipelines.client.quotas import refuse_shortages
from pipelines.client.readiness import findings
from pipelines.errors import BadInputError
from tests.localcloud.runs.test_executions import Pipelines
from tests.localcloud.runs.test_executions import training as training_step
from tests.localcloud.runs.test_jobs import processing, training

TRAINING = "ml.m5.large for training job usage"


@pytest.fixture
def quota(cloud: Any) -> Iterator[Callable[..., None]]:
    """Sets quotas, as whoever plays a new account does."""
    file = cloud.home / "quotas.json"

    def allow(**quotas: int) -> None:
        file.write_text(json.dumps({name.replace("_", " "): value for name, value in quotas.items()}))

    yield allow
    file.unlink(missing_ok=True)


def test_a_new_account_is_refused_in_awss_words(cloud: Any, quota: Callable[..., None]) -> None:
    sagemaker = cloud.client("sagemaker")
    quota(**{TRAINING: 0, "ml.m5.large for spot training job usage": 0, "ml.m5.large for processing job usage": 0})
    with pytest.raises(ClientError) as caught:
        sagemaker.create_training_job(**training(cloud, "quota-none"))
    error = caught.value.response["Error"]
    assert error["Code"] == "ResourceLimitExceeded"
    assert error["Message"].startswith(
        "The account-level service limit 'ml.m5.large for training job usage' is 0 Instances, with current utilization "
        "of 0 Instances and a request delta of 1 Instances. Please use AWS Service Quotas"
    )
    spot = training(cloud, "quota-spot") | {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
    }
    with pytest.raises(ClientError, match="for spot training job usage' is 0 Instances"):
        sagemaker.create_training_job(**spot)
    with pytest.raises(ClientError, match="for processing job usage' is 0 Instances"):
        sagemaker.create_processing_job(**processing(cloud, "quota-processing"))


def test_an_endpoint_and_its_second_fleet_count(cloud: Any, quota: Callable[..., None]) -> None:
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_model(ModelName="quota", PrimaryContainer={"Image": cloud.image}, ExecutionRoleArn=cloud.role)
    sagemaker.create_endpoint_config(
        EndpointConfigName="quota",
        ProductionVariants=[
            {"VariantName": "v", "ModelName": "quota", "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
        ],
    )
    quota(**{"ml.m5.large for endpoint usage": 1})
    with pytest.raises(ClientError, match=r"for endpoint usage' is 1 Instances.* request delta of 2 Instances"):
        sagemaker.create_endpoint(EndpointName="quota", EndpointConfigName="quota")
    sagemaker.delete_endpoint_config(EndpointConfigName="quota")
    sagemaker.delete_model(ModelName="quota")


def test_service_quotas_tell_and_raise_them(cloud: Any, quota: Callable[..., None]) -> None:
    quotas = cloud.client("service-quotas")
    quota(**{TRAINING: 0})
    pages = quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    told = {each["QuotaName"]: each for page in pages for each in page["Quotas"]}
    assert len(told) > 700
    assert (told[TRAINING]["Value"], told["ml.g5.xlarge for endpoint usage"]["Value"]) == (0, 100)

    code = told[TRAINING]["QuotaCode"]
    quotas.request_service_quota_increase(ServiceCode="sagemaker", QuotaCode=code, DesiredValue=2)
    assert quotas.get_service_quota(ServiceCode="sagemaker", QuotaCode=code)["Quota"]["Value"] == 2
    with pytest.raises(ClientError, match="must be greater than the current"):
        quotas.request_service_quota_increase(ServiceCode="sagemaker", QuotaCode=code, DesiredValue=2)
    with pytest.raises(ClientError, match="NoSuchResource"):
        quotas.get_service_quota(ServiceCode="sagemaker", QuotaCode="L-00000000")


def test_a_step_waits_for_instances_in_use(cloud: Any, until: Any, quota: Callable[..., None]) -> None:
    quota(**{TRAINING: 0})
    pipelines = Pipelines(cloud, until)
    patient = {
        "ExceptionType": ["SageMaker.RESOURCE_LIMIT"],
        "IntervalSeconds": 1,
        "BackoffRate": 1.0,
        "MaxAttempts": 20,
    }
    arn = pipelines.start(pipelines.create("quota", training_step(cloud, reads=None) | {"RetryPolicies": [patient]}))

    def waiting() -> dict[str, Any] | None:
        (step,) = pipelines.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        return step if step["AttemptCount"] > 1 else None

    told = until(waiting)
    assert (told["StepStatus"], told.get("Metadata", {}), "FailureReason" in told) == ("Executing", {}, False)
    connection = Connection(endpoint_url=cloud.information.endpoint_url)
    assert [each.waits_for for each in executions.describe(connection, arn).steps] == [TRAINING]
    with pytest.raises(BadInputError, match=r"Train needs 1 of ml.m5.large for training job usage, and this account's"):
        refuse_shortages(connection, "quota", {})

    quota(**{TRAINING: 1})
    refuse_shortages(connection, "quota", {})
    assert pipelines.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert [each.waits_for for each in executions.describe(connection, arn).steps] == [None]


def test_the_doctor_finds_what_a_first_deployment_lacks(cloud: Any, quota: Callable[..., None]) -> None:
    connection, ssm = Connection(endpoint_url=cloud.information.endpoint_url), cloud.client("ssm")
    quota(**{"ml.m5.large for endpoint usage": 2})
    found = {each.thing: each for each in findings(connection, "dev")}

    assert {thing for thing, each in found.items() if each.verdict == "wrong"} == {"bootstrap", "quotas"}
    assert "run `cdk bootstrap`" in found["bootstrap"].told
    assert found["quotas"].told.startswith(
        "the endpoint, its next fleet and a candidate needs 3 of ml.m5.large for endpoint usage, and this account's "
        "quota is 2: ask for more with `aws service-quotas request-service-quota-increase"
    )
    ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="21", Type="String")
    quota()
    assert [each.thing for each in findings(connection, "dev") if each.verdict == "wrong"] == []
    ssm.delete_parameter(Name="/cdk-bootstrap/hnb659fds/version")
