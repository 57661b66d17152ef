# SPDX-License-Identifier: Apache-2.0
"""The deployer's asset, run as the platform runs it: a process of its own, only boto3 beside it, a server over HTTP."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from infra.evidence_asset import evidence_asset
from tests.infra.delivery.deployer.publishing import FLOOR, Publisher

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DEPLOYER = Path(__file__).resolve().parents[4] / "infra" / "delivery" / "deployer"
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": 2,
            "digest": f"sha256:{'0' * 64}",
        },
        "layers": [],
    }
)


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
    cloud.client("ecr").create_repository(repositoryName=name)
    cloud.client("ecr").put_image(repositoryName=name, imageManifest=MANIFEST, imageTag="tag")
    key = cloud.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
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
        "SIGNING_KEY_ARN": key["KeyMetadata"]["Arn"],
        "FLOOR_POLICY_SHA256": FLOOR,
        "INFERENCE_REPOSITORY": f"{REGISTRY}/{name}",
    }


@pytest.fixture(scope="module")
def deployer() -> Iterator[str]:
    """The folder that is deployed."""
    with evidence_asset(DEPLOYER) as folder:
        yield str(folder)


def register(cloud: Any, environment: dict[str, str], *, passed: bool) -> str:
    bucket, s3, image = environment["BUCKET"], cloud.client("s3"), f"{environment['INFERENCE_REPOSITORY']}:tag"
    judged = {
        "model": {"sha256": hashlib.sha256(b"model").hexdigest()},
        "serving": {"runtime": "openvino", "precision": "f32"},
        "gate": {"passed": passed, "sentence": "mAP 0.1 is below 0.5", "mAP": 0.1},
        "policy": {"floor": {"sha256": FLOOR}},
    }
    evaluation = json.dumps(judged).encode()
    s3.put_object(Bucket=bucket, Key="models/job/output/model.tar.gz", Body=b"model")
    s3.put_object(Bucket=bucket, Key="executions/e/evaluation/evaluation.json", Body=evaluation)
    uri = f"s3://{bucket}/executions/e/evaluation/evaluation.json"
    answer = cloud.client("sagemaker").create_model_package(
        ModelPackageGroupName=environment["MODEL_PACKAGE_GROUP"],
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": image, "ModelDataUrl": f"s3://{bucket}/models/job/output/model.tar.gz"}],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        ModelMetrics={"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": uri}}},
    )
    publisher = Publisher(
        s3=s3,
        kms=cloud.client("kms"),
        table=cloud.resource("dynamodb").Table(environment["TABLE"]),
        bucket=bucket,
        endpoint_name=environment["ENDPOINT_NAME"],
        key_arn=environment["SIGNING_KEY_ARN"],
    )
    found = cloud.client("ecr").describe_images(repositoryName=bucket, imageIds=[{"imageTag": "tag"}])["imageDetails"]
    publisher.publish(
        version=1,
        arn=answer["ModelPackageArn"],
        execution_arn="arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev/execution/abcdefghijkl",
        evaluation_uri=uri,
        evaluation=evaluation,
        model_uri=f"s3://{bucket}/models/job/output/model.tar.gz",
        model_sha256=hashlib.sha256(b"model").hexdigest(),
        image=image,
        image_digest=found[0]["imageDigest"],
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
    cloud: Any, invoke: Any, deployer: str, environment: dict[str, str], moment: float | str
) -> None:
    arn = register(cloud, environment, passed=True)
    run = invoke(deployer, approval(environment, arn, moment), **environment)
    assert run.error == ""
    (line,) = run.log
    assert "v1 serves production" in line["message"]
    name = environment["PREFIX"]
    endpoint = cloud.client("sagemaker").describe_endpoint(EndpointName=name)
    assert endpoint["EndpointStatus"] == "InService"
    assert re.fullmatch(f"{name}-v1-[0-9a-f]{{6}}", endpoint["EndpointConfigName"])
    inputs = {
        "model_package_group": name,
        "endpoint_name": name,
        "inference_image": f"{environment['INFERENCE_REPOSITORY']}:tag",
    }
    champion = invoke("training/find_champion", inputs, TABLE=name, BUCKET=name, WAIVER="/none").answer
    released = f"s3://{name}/released/{hashlib.sha256(b'model').hexdigest()}/model.tar.gz"
    assert champion["ChampionModelPackageArn"] == arn
    assert champion["ChampionModelUri"] == released
    assert (champion["ChampionRuntime"], champion["ChampionWaiver"]) == ("openvino", "none")
    assert cloud.client("s3").get_object(Bucket=name, Key=released.split("/", 3)[3])["Body"].read() == b"model"


def test_refusal_is_published_to_the_topic(cloud: Any, invoke: Any, deployer: str, environment: dict[str, str]) -> None:
    sqs = cloud.client("sqs")
    queue = sqs.create_queue(QueueName=environment["PREFIX"])["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    cloud.client("sns").subscribe(TopicArn=environment["TOPIC_ARN"], Protocol="sqs", Endpoint=queue_arn)
    arn = register(cloud, environment, passed=False)
    run = invoke(deployer, approval(environment, arn), **environment)
    assert run.error == ""
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    bodies = [json.loads(message["Body"]) for message in received]
    assert {body["Subject"].partition(": ")[2] for body in bodies} == {"v1 was approved", "v1 was refused"}
    (refused,) = [body for body in bodies if body["MessageAttributes"]["kind"]["Value"] == "refused"]
    assert refused["Message"] == "v1 did not pass its gate: mAP 0.1 is below 0.5\n\nNext: mapgate models show 1"


def test_delete_of_the_custom_resource_removes_everything(
    cloud: Any, invoke: Any, deployer: str, responses: Any, environment: dict[str, str]
) -> None:
    arn = register(cloud, environment, passed=True)
    invoke(deployer, approval(environment, arn), **environment)
    request = {
        "RequestType": "Delete",
        "ResponseURL": responses.url,
        "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/delivery/1",
        "RequestId": "request",
        "LogicalResourceId": "Deliveries",
        "PhysicalResourceId": "deliveries",
        "ResourceProperties": {},
    }
    assert invoke(deployer, request, **environment).error == ""
    assert (responses.received[0]["Status"], responses.received[0]["PhysicalResourceId"]) == ("SUCCESS", "deliveries")
    sagemaker, name = cloud.client("sagemaker"), environment["PREFIX"]
    assert sagemaker.list_endpoints(NameContains=name)["Endpoints"] == []
    assert sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"] == []
    models = [model["ModelName"] for model in sagemaker.list_models(NameContains=name)["Models"]]
    assert [model for model in models if model.startswith(name)] == []
