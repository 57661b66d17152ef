# SPDX-License-Identifier: Apache-2.0
"""The deployer with boto3's own clients against the laptop's cloud, whose calls are throttled, fail and come late."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.delivery.deployer.deployments.clients import Clients
from infra.delivery.deployer.deployments.events import route
from infra.delivery.deployer.deployments.settings import DeployerSettings
from localcloud import cloud as local_cloud
from localcloud.pushing import push

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
SERVER = """
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer
ANSWER = json.dumps({"normalized_boxes": [[0.1, 0.1, 0.5, 0.6]], "classes": [0], "scores": [0.9], "labels": ["a"]})
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer("")
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(ANSWER)
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
HTTPServer((os.environ["MAPGATE_BIND_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


@dataclass
class Laptop:
    """The laptop's cloud with a registry, records and queues, and the settings of a deployer in it."""

    url: str
    settings: DeployerSettings

    def client(self, service: str) -> Any:
        return boto3.client(service)  # type: ignore[call-overload]

    def order(self, **order: Any) -> None:
        urllib.request.urlopen(f"{self.url}/mapgate/faults", json.dumps(order).encode(), timeout=10).close()

    def handle(self, event: dict[str, Any]) -> None:
        route(event, Clients(), self.settings)

    def change(self, endpoint: str) -> None:
        """Deliver an event of SageMaker's about an endpoint."""
        self.handle({"detail-type": "SageMaker Endpoint State Change", "detail": {"EndpointName": endpoint}})

    def register(self, version: int) -> str:
        """Register a version with its artifact and evaluation; returns its ARN."""
        s3, model, folder = self.client("s3"), f"models/{version}/model.tar.gz", f"executions/{version}"
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.addfile(tarfile.TarInfo(f"weights of {version}"), io.BytesIO())
        judged = {
            "model": {"sha256": hashlib.sha256(packed.getvalue()).hexdigest()},
            "serving": {"runtime": "openvino", "precision": "f32"},
            "gate": {"passed": True, "sentence": "good", "mAP": 0.7},
        }
        objects = {model: packed.getvalue(), f"{folder}/evaluation.json": json.dumps(judged).encode()}
        for key, body in {**objects, f"{folder}/sample.jpg": b"\xff\xd8"}.items():
            s3.put_object(Bucket="data", Key=key, Body=body)
        container = {"Image": f"{REGISTRY}/server:1", "ModelDataUrl": f"s3://data/{model}"}
        statistics = {"ContentType": "application/json", "S3Uri": f"s3://data/{folder}/evaluation.json"}
        return str(
            self.client("sagemaker").create_model_package(
                ModelPackageGroupName="mapgate-dev",
                ModelApprovalStatus="PendingManualApproval",
                InferenceSpecification={
                    "Containers": [container],
                    "SupportedContentTypes": ["application/x-image"],
                    "SupportedResponseMIMETypes": ["application/json"],
                },
                ModelMetrics={"ModelQuality": {"Statistics": statistics}},
            )["ModelPackageArn"]
        )

    def approve(self, arn: str) -> None:
        self.client("sagemaker").update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
        moment = self.client("sagemaker").describe_model_package(ModelPackageName=arn)["LastModifiedTime"]
        detail = {
            "ModelPackageGroupName": "mapgate-dev",
            "ModelPackageArn": arn,
            "ModelApprovalStatus": "Approved",
            "UpdatedModelPackageFields": ["ModelApprovalStatus"],
            "LastModifiedTime": round(moment.timestamp() * 1000),
        }
        self.handle({"detail-type": "SageMaker Model Package State Change", "detail": detail})

    def await_status(self, endpoint: str, config: str) -> None:
        def serves() -> bool:
            described = self.client("sagemaker").describe_endpoint(EndpointName=endpoint)
            return (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", config)

        wait(serves)

    def record(self, endpoint: str) -> dict[str, Any]:
        table = boto3.resource("dynamodb").Table("deployments")
        return dict(table.get_item(Key={"EndpointName": endpoint, "Record": "endpoint"})["Item"])


def wait(question: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    home, images = tmp_path_factory.mktemp("laptop") / ".mapgate", tmp_path_factory.mktemp("images")
    (images / "serve.py").write_text(SERVER)
    information = local_cloud.up(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", information.endpoint_url)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        yield Laptop(information.endpoint_url, _furnish(images))
    local_cloud.down(home)


def _furnish(images: Path) -> DeployerSettings:
    boto3.client("s3").create_bucket(Bucket="data")
    boto3.client("ecr").create_repository(repositoryName="server")
    push(boto3.client("ecr"), "server", "1", directory=images, python=sys.executable, entrypoint=["python", "serve.py"])
    boto3.client("sagemaker").create_model_package_group(ModelPackageGroupName="mapgate-dev")
    keys: dict[str, Any] = {"EndpointName": "HASH", "Record": "RANGE"}
    boto3.client("dynamodb").create_table(
        TableName="deployments",
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    return DeployerSettings(
        prefix="mapgate-dev",
        table="deployments",
        bucket="data",
        model_package_group="mapgate-dev",
        endpoint_name="mapgate-dev",
        topic_arn=boto3.client("sns").create_topic(Name="people")["TopicArn"],
        instance_type="ml.m5.large",
        instance_count=1,
        execution_role_arn="arn:aws:iam::123456789012:role/model",
        callback_queue_url=boto3.client("sqs").create_queue(QueueName="callback")["QueueUrl"],
    )


def test_candidate_outlives_a_throttle_and_a_failing_service(laptop: Laptop) -> None:
    arn, name = laptop.register(1), "mapgate-dev-candidate-1"
    message = {
        "token": "0123456789",
        "pipelineExecutionArn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev/execution/1",
        "arguments": {"model_package_arn": arn, "evaluation_uri": "s3://data/executions/1"},
        "status": "Executing",
    }
    laptop.handle({"Records": [{"messageId": "1", "body": json.dumps(message)}]})
    laptop.await_status(name, name)
    service, action = "sagemaker-runtime", "InvokeEndpoint"
    laptop.order(service=service, action=action, code="InternalDependencyException", status=530)
    laptop.order(service=service, action=action, code="ThrottlingException", message="Rate exceeded")
    laptop.change(name)
    assert (laptop.record(name)["State"], laptop.record(name)["Faults"]) == ("started", 1)
    laptop.handle({"Records": [{"body": json.dumps({"endpoint": name})}]})
    assert laptop.record(name)["State"] == "answered"
    assert "with 1 detections" in laptop.record(name)["Outcome"]


def test_late_description_does_not_roll_production_back(laptop: Laptop) -> None:
    laptop.approve(laptop.register(2))
    laptop.await_status("mapgate-dev", "mapgate-dev-v2")
    laptop.change("mapgate-dev")
    laptop.order(service="sagemaker", action="DescribeEndpoint", late=1)
    laptop.order(service="sns", action="Publish", code="InternalError", status=500, times=100)
    laptop.approve(laptop.register(3))
    laptop.order()
    laptop.await_status("mapgate-dev", "mapgate-dev-v3")
    laptop.change("mapgate-dev")
    assert laptop.record("mapgate-dev")["Champion"]["Version"] == 3
