# SPDX-License-Identifier: Apache-2.0
"""The deployer with boto3's own clients against the laptop's cloud, whose calls are throttled, fail and come late."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

from infra.delivery.deployer.deployments.clients import Clients
from infra.delivery.deployer.deployments.events import route
from infra.delivery.deployer.deployments.hosting import Hosting
from infra.delivery.deployer.deployments.names import production
from infra.delivery.deployer.deployments.settings import DeployerSettings
from localcloud import cloud as local_cloud
from localcloud.pushing import push
from tests.infra.delivery.deployer.publishing import FLOOR, Publisher

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
SERVER = """
import json, os, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
PLACES = threading.BoundedSemaphore(2)
ANSWER = json.dumps({"normalized_boxes": [[0.1, 0.1, 0.5, 0.6]], "classes": [0], "scores": [0.9], "labels": ["a"]})
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer("")
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if not PLACES.acquire(blocking=False):
            return self.answer("come again", 429)
        time.sleep(0.02)
        PLACES.release()
        self.answer(ANSWER)
    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
address = os.environ["MAPGATE_BIND_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])
ThreadingHTTPServer(address, Handler).serve_forever()
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

    def look(self) -> None:
        """Let the deployer look at everything."""
        self.handle({"detail-type": "Scheduled Event"})

    def named(self, version: int) -> str:
        """Return the name of the configuration that serves a version with the settings of now."""
        hosting = Hosting(self.client("sagemaker"), self.client("cloudwatch"), self.settings)
        return production("mapgate-dev", version, hosting.fingerprint)

    def serving(self) -> dict[str, Any]:
        """Let the deployer work until it has nothing more to do; return what is described then."""

        def rests() -> bool:
            self.look()
            busy = self.client("sagemaker").list_endpoints(NameContains="mapgate-dev-candidate-")["Endpoints"]
            described = self.client("sagemaker").describe_endpoint(EndpointName="mapgate-dev")
            return described["EndpointStatus"] == "InService" and not busy and not self.record("mapgate-dev")["Attempt"]

        wait(rests)
        return dict(self.client("sagemaker").describe_endpoint(EndpointName="mapgate-dev"))

    def register(self, version: int, tag: str = "1") -> str:
        """Register a version with its artifact and evaluation; returns its ARN."""
        s3, model, folder = self.client("s3"), f"models/{version}/model.tar.gz", f"executions/{version}"
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.addfile(tarfile.TarInfo(f"weights of {version}"), io.BytesIO())
        artifact = hashlib.sha256(packed.getvalue()).hexdigest()
        judged = {
            "model": {"sha256": artifact},
            "serving": {"runtime": "openvino", "precision": "f32"},
            "gate": {"passed": True, "sentence": "good", "mAP": 0.7},
            "policy": {"floor": {"sha256": FLOOR}},
        }
        evaluation = json.dumps(judged).encode()
        objects = {model: packed.getvalue(), f"{folder}/evaluation.json": evaluation}
        for key, body in {**objects, f"{folder}/sample.jpg": b"\xff\xd8"}.items():
            s3.put_object(Bucket="data", Key=key, Body=body)
        image = f"{REGISTRY}/server:{tag}"
        container = {"Image": image, "ModelDataUrl": f"s3://data/{model}"}
        statistics = {"ContentType": "application/json", "S3Uri": f"s3://data/{folder}/evaluation.json"}
        arn = self.client("sagemaker").create_model_package(
            ModelPackageGroupName="mapgate-dev",
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": ["application/x-image"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            ModelMetrics={"ModelQuality": {"Statistics": statistics}},
        )["ModelPackageArn"]
        found = self.client("ecr").describe_images(repositoryName="server", imageIds=[{"imageTag": tag}])
        self.publisher().publish(
            version=version,
            arn=arn,
            execution_arn="arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev/execution/abcdefghijkl",
            evaluation_uri=statistics["S3Uri"],
            evaluation=evaluation,
            model_uri=f"s3://data/{model}",
            model_sha256=artifact,
            image=image,
            image_digest=found["imageDetails"][0]["imageDigest"],
        )
        return str(arn)

    def publisher(self) -> Publisher:
        """Return PublishDossier's rights."""
        return Publisher(
            s3=self.client("s3"),
            kms=self.client("kms"),
            table=boto3.resource("dynamodb").Table("deployments"),
            bucket="data",
            endpoint_name="mapgate-dev",
            key_arn=self.settings.signing_key_arn,
        )

    def approve(self, arn: str) -> None:
        self.client("sagemaker").update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="override: as it comes"
        )
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
    (images / "fail.py").write_text(SERVER.replace("self.answer(ANSWER)", "self.answer(ANSWER, 500)"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAPGATE_BAKE_SCALE", str(1 / 300))  # a bake of five minutes takes a second
        information = local_cloud.up(home)
        patch.setenv("AWS_ENDPOINT_URL", information.endpoint_url)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        yield Laptop(information.endpoint_url, _furnish(images))
    local_cloud.down(home)


def _furnish(images: Path) -> DeployerSettings:
    boto3.client("s3").create_bucket(Bucket="data")
    boto3.client("s3").put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
    boto3.client("ecr").create_repository(repositoryName="server")
    for tag, program in (("1", "serve.py"), ("broken", "fail.py")):
        entrypoint = ["python", program]
        push(boto3.client("ecr"), "server", tag, directory=images, python=sys.executable, entrypoint=entrypoint)
    boto3.client("sagemaker").create_model_package_group(ModelPackageGroupName="mapgate-dev")
    keys: dict[str, Any] = {"EndpointName": "HASH", "Record": "RANGE"}
    boto3.client("dynamodb").create_table(
        TableName="deployments",
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    _make_role()
    key = boto3.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
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
        signing_key_arn=key["KeyMetadata"]["Arn"],
        floor_policy_sha256=FLOOR,
        inference_repository=f"{REGISTRY}/server",
        callback_queue_url=boto3.client("sqs").create_queue(QueueName="callback")["QueueUrl"],
    )


def _make_role() -> None:
    """What `infra/delivery/model_role.py` gives a model, on any resource."""
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    actions = ["cloudwatch:DescribeAlarms", "cloudwatch:PutMetricData", "ec2:*", "ecr:*", "logs:*", "s3:GetObject"]
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    iam = boto3.client("iam")
    iam.create_role(RoleName="model", AssumeRolePolicyDocument=_policy(trust))
    iam.put_role_policy(RoleName="model", PolicyName="inline", PolicyDocument=_policy(allowed))


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_candidate_outlives_a_throttle_and_a_failing_service(laptop: Laptop) -> None:
    arn, name = laptop.register(1), "mapgate-dev-candidate-1"
    message = {
        "token": "0123456789",
        "pipelineExecutionArn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev/execution/1",
        "arguments": {"model_package_arn": arn, "evaluation_uri": "s3://data/executions/1"},
        "status": "Executing",
    }
    service, action = "sagemaker-runtime", "InvokeEndpoint"
    laptop.order(service=service, action=action, code="InternalDependencyException", status=530)
    laptop.order(service=service, action=action, code="ThrottlingException", message="Rate exceeded")
    laptop.handle({"Records": [{"messageId": "1", "body": json.dumps(message)}]})
    laptop.await_status(name, name)
    if not laptop.record(name).get("Faults"):  # else it came up before the deployer had looked for the first time
        laptop.change(name)
    assert (laptop.record(name)["State"], laptop.record(name)["Faults"]) == ("started", 1)
    laptop.handle({"Records": [{"body": json.dumps({"endpoint": name})}]})
    assert laptop.record(name)["State"] == "answered"
    assert "with 1 detections" in laptop.record(name)["Outcome"]


def test_late_description_does_not_roll_production_back(laptop: Laptop) -> None:
    laptop.approve(laptop.register(2))
    laptop.await_status("mapgate-dev", laptop.named(2))
    laptop.change("mapgate-dev")
    laptop.order(service="sagemaker", action="DescribeEndpoint", late=1)
    laptop.approve(laptop.register(3))
    laptop.order()
    laptop.await_status("mapgate-dev", laptop.named(3))
    laptop.change("mapgate-dev")
    assert laptop.record("mapgate-dev")["Champion"]["Version"] == 3
    table: Any = boto3.resource("dynamodb").Table("deployments")
    found = table.query(
        KeyConditionExpression=Key("EndpointName").eq("mapgate-dev") & Key("Record").begins_with("event#")
    )
    happened = [(int(each["Version"]), each["Kind"]) for each in found["Items"] if each["Version"] > 1]
    assert happened == [(2, "override"), (2, "serves"), (3, "override"), (3, "serves")]


KEY = "arn:aws:kms:us-east-1:123456789012:key/62e5dc4a-5603-4f97-9c7b-17fb87734ad8"
PLACE = {"subnet_ids": ("subnet-1",), "security_group_ids": ("sg-1",)}


def test_every_setting_reaches_a_production_that_serves(laptop: Laptop) -> None:
    sagemaker = laptop.client("sagemaker")
    laptop.approve(laptop.register(4))
    laptop.serving()
    before, looked_at = laptop.settings, []
    for changed, path, expected in [
        ({"instance_type": "ml.m5.xlarge"}, ("variant", "InstanceType"), "ml.m5.xlarge"),
        ({"instance_count": 2}, ("living", "DesiredInstanceCount"), 2),
        ({"data_capture_percent": 20}, ("capture", "CurrentSamplingPercentage"), 20),
        ({"instance_count": 3}, ("living", "DesiredInstanceCount"), 3),
        ({"kms_key_arn": KEY}, ("config", "KmsKeyId"), KEY),
        (PLACE, ("model", "VpcConfig"), {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}),
        ({"data_capture_percent": 0, "instance_count": 1}, ("living", "DesiredInstanceCount"), 1),
    ]:
        laptop.settings = replace(laptop.settings, **changed)  # type: ignore[arg-type]
        described = laptop.serving()
        name = laptop.named(4)
        assert described["EndpointConfigName"] == name
        config = sagemaker.describe_endpoint_config(EndpointConfigName=name)
        places = {
            "living": described["ProductionVariants"][0],
            "capture": described.get("DataCaptureConfig", {}),
            "config": config,
            "variant": config["ProductionVariants"][0],
            "model": sagemaker.describe_model(ModelName=name),
        }
        assert places[path[0]][path[1]] == expected
        policy = described["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]
        looked_at.append(policy["TrafficRoutingConfiguration"]["Type"])
    assert looked_at == ["ALL_AT_ONCE", "ALL_AT_ONCE", "CANARY", "CANARY", "CANARY", "CANARY", "ALL_AT_ONCE"]
    assert "DataCaptureConfig" not in described
    assert _left_over(laptop) == ({laptop.named(4)}, set())
    laptop.settings = before


@pytest.fixture
def traffic(laptop: Laptop) -> Iterator[Callable[[int], list[int]]]:
    """Keeps production busy until the test ends; returns the statuses of its answers."""
    ended, threads, statuses = threading.Event(), list[threading.Thread](), list[int]()
    runtime = laptop.client("sagemaker-runtime")

    def keep_on() -> None:
        while not ended.wait(0.01):
            try:
                runtime.invoke_endpoint(EndpointName="mapgate-dev", Body=b"image")
                statuses.append(200)
            except ClientError as error:
                told: Any = error.response
                statuses.append(told.get("OriginalStatusCode", 0))

    def send(clients: int) -> list[int]:
        threads.extend(threading.Thread(target=keep_on) for _ in range(clients))
        for thread in threads:
            thread.start()
        return statuses

    yield send
    ended.set()
    for thread in threads:
        thread.join()


def test_load_does_not_roll_a_healthy_version_back(laptop: Laptop, traffic: Callable[[int], list[int]]) -> None:
    laptop.approve(laptop.register(5))
    laptop.serving()
    statuses = traffic(10)
    wait(lambda: 429 in statuses)
    statuses.clear()
    laptop.approve(laptop.register(6))
    assert laptop.serving()["EndpointConfigName"] == laptop.named(6)
    assert statuses.count(429) > len(statuses) / 10
    assert set(statuses) == {200, 429}


def test_fleet_that_fails_is_rolled_back_and_its_alarms_are_gone(
    laptop: Laptop, traffic: Callable[[int], list[int]]
) -> None:
    laptop.approve(laptop.register(7))
    laptop.serving()
    traffic(2)
    laptop.approve(laptop.register(8, tag="broken"))
    assert laptop.serving()["EndpointConfigName"] == laptop.named(7)
    assert _left_over(laptop) == ({laptop.named(7)}, set())


def test_fix_replaces_a_production_that_fails(laptop: Laptop, traffic: Callable[[int], list[int]]) -> None:
    laptop.approve(laptop.register(9, tag="broken"))
    assert laptop.serving()["EndpointConfigName"] == laptop.named(9)  # nobody asked it while it baked
    statuses = traffic(2)
    wait(lambda: statuses.count(500) > 20)
    laptop.approve(laptop.register(10))
    assert laptop.serving()["EndpointConfigName"] == laptop.named(10)


def _left_over(laptop: Laptop) -> tuple[set[str], set[str]]:
    """Return the configurations and the alarms that are there."""
    laptop.look()
    configs = laptop.client("sagemaker").list_endpoint_configs(NameContains="mapgate-dev-v")["EndpointConfigs"]
    alarms = laptop.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return {each["EndpointConfigName"] for each in configs}, {each["AlarmName"] for each in alarms}
