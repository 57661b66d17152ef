# SPDX-License-Identifier: Apache-2.0
"""The deployer's asset, run as the platform runs it: a process of its own, only boto3 beside it, a server over HTTP."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from uuid import uuid4

import pytest


@pytest.fixture
def environment(cloud: Any) -> dict[str, str]:
    """What the stack makes: bucket, table, topic and a group with an approved version."""
    name = f"mapgate-{uuid4().hex[:8]}"
    cloud.client("s3").create_bucket(Bucket=name)
    keys = {"EndpointName": "HASH", "Record": "RANGE"}
    cloud.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    cloud.client("sagemaker").create_model_package_group(ModelPackageGroupName=name)
    return {
        "PREFIX": name,
        "TABLE": name,
        "BUCKET": name,
        "MODEL_PACKAGE_GROUP": name,
        "ENDPOINT_NAME": name,
        "TOPIC_ARN": cloud.client("sns").create_topic(Name=name)["TopicArn"],
        "INFERENCE_INSTANCE_TYPE": "ml.m5.xlarge",
        "INFERENCE_INSTANCE_COUNT": "1",
        "EXECUTION_ROLE_ARN": "arn:aws:iam::123456789012:role/mapgate-dev",
    }


def register(cloud: Any, environment: dict[str, str], *, passed: bool) -> str:
    bucket, s3 = environment["BUCKET"], cloud.client("s3")
    evaluation = {
        "model": {"sha256": hashlib.sha256(b"model").hexdigest()},
        "serving": {"runtime": "openvino", "precision": "f32"},
        "gate": {"passed": passed, "sentence": "mAP 0.1 is below 0.5", "mAP": 0.1},
    }
    s3.put_object(Bucket=bucket, Key="models/job/output/model.tar.gz", Body=b"model")
    s3.put_object(Bucket=bucket, Key="executions/e/evaluation/evaluation.json", Body=json.dumps(evaluation))
    uri = f"s3://{bucket}/executions/e/evaluation/evaluation.json"
    answer = cloud.client("sagemaker").create_model_package(
        ModelPackageGroupName=environment["MODEL_PACKAGE_GROUP"],
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": "image:tag", "ModelDataUrl": f"s3://{bucket}/models/job/output/model.tar.gz"}],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        ModelMetrics={"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": uri}}},
    )
    return str(answer["ModelPackageArn"])


def approval(environment: dict[str, str], arn: str, moment: float | str = 1790000000000) -> dict[str, Any]:
    return {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Package State Change",
        "detail": {
            "ModelPackageGroupName": environment["MODEL_PACKAGE_GROUP"],
            "ModelPackageVersion": 1,
            "ModelPackageArn": arn,
            "ModelApprovalStatus": "Approved",
            "LastModifiedTime": moment,
            "UpdatedModelPackageFields": ["ModelApprovalStatus"],
        },
    }


@pytest.mark.parametrize("moment", [1790000000000, 1790000000.5, "2026-09-21T13:33:20.000Z"])
def test_approval_brings_production_up_and_the_pipeline_finds_its_champion(
    cloud: Any, invoke: Any, environment: dict[str, str], moment: float | str
) -> None:
    arn = register(cloud, environment, passed=True)
    run = invoke("delivery/deployer", approval(environment, arn, moment), **environment)
    assert run.error == ""
    (line,) = run.log
    assert "v1 serves production" in line["message"]
    name = environment["PREFIX"]
    endpoint = cloud.client("sagemaker").describe_endpoint(EndpointName=name)
    assert endpoint["EndpointStatus"] == "InService"
    assert re.fullmatch(f"{name}-v1-[0-9a-f]{{6}}", endpoint["EndpointConfigName"])
    inputs = {"model_package_group": name, "endpoint_name": name}
    champion = invoke("training/find_champion", inputs, TABLE=name, BUCKET=name, WAIVER="/none").answer
    assert champion == {
        "ChampionModelPackageArn": arn,
        "ChampionModelUri": f"s3://{name}/models/job/output/model.tar.gz",
        "ChampionRuntime": "openvino",
        "ChampionWaiver": "none",
    }


def test_refusal_is_published_to_the_topic(cloud: Any, invoke: Any, environment: dict[str, str]) -> None:
    sqs = cloud.client("sqs")
    queue = sqs.create_queue(QueueName=environment["PREFIX"])["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    cloud.client("sns").subscribe(TopicArn=environment["TOPIC_ARN"], Protocol="sqs", Endpoint=queue_arn)
    arn = register(cloud, environment, passed=False)
    run = invoke("delivery/deployer", approval(environment, arn), **environment)
    assert run.error == ""
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(message["Body"])["Message"] == "v1 did not pass its gate: mAP 0.1 is below 0.5"


def test_delete_of_the_custom_resource_removes_everything(
    cloud: Any, invoke: Any, responses: Any, environment: dict[str, str]
) -> None:
    arn = register(cloud, environment, passed=True)
    invoke("delivery/deployer", approval(environment, arn), **environment)
    request = {
        "RequestType": "Delete",
        "ResponseURL": responses.url,
        "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/delivery/1",
        "RequestId": "request",
        "LogicalResourceId": "Deliveries",
        "PhysicalResourceId": "deliveries",
        "ResourceProperties": {},
    }
    assert invoke("delivery/deployer", request, **environment).error == ""
    assert (responses.received[0]["Status"], responses.received[0]["PhysicalResourceId"]) == ("SUCCESS", "deliveries")
    sagemaker, name = cloud.client("sagemaker"), environment["PREFIX"]
    assert sagemaker.list_endpoints(NameContains=name)["Endpoints"] == []
    assert sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"] == []
    models = [model["ModelName"] for model in sagemaker.list_models(NameContains=name)["Models"]]
    assert [model for model in models if model.startswith(name)] == []
