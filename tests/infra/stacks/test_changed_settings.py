# SPDX-License-Identifier: Apache-2.0
"""A deployment of the app with other settings of hosting reaches the production that serves, by the CDK's own CLI."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import boto3
import pytest

from infra.app import build
from infra.settings import Settings
from localcloud.pushing import push
from tests.infra.delivery.deployer.publishing import Publisher
from tests.infra.delivery.deployer.test_on_the_laptops_cloud import SERVER

ROOT = Path(__file__).resolve().parents[3]
CDK = ROOT / "node_modules" / ".bin" / "cdk"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
BUCKET = "mapgate-dev-data-123456789012-us-east-1"


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch, dev: Any, tmp_path: Path) -> Path:  # noqa: ARG001  # sets the account
    """dev's assembly with two larger instances that keep a part of the requests."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    settings = Settings.read("dev")
    more = {"instance_type": "ml.m5.xlarge", "instance_count": 2, "data_capture_percent": 20}
    changed = settings.model_copy(update={"delivery": settings.delivery.model_copy(update=more)})
    with monkeypatch.context() as patch:
        patch.setattr(Settings, "read", classmethod(lambda *_: changed))
        build(cdk.App(outdir=str(tmp_path / "changed"), context=context, analytics_reporting=False)).synth()
    return tmp_path / "changed"


@pytest.mark.verify
@pytest.mark.timeout(900)
def test_deployment_with_other_settings_rolls_out_without_a_new_version(
    laptop: dict[str, str],
    dev: Any,
    changed: Path,
    tmp_path: Path,
    record: Callable[[str, str], None],
) -> None:
    def run(*arguments: str) -> None:
        ran = subprocess.run([str(CDK), *arguments], env=laptop, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def client(service: str) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        url = laptop["AWS_ENDPOINT_URL"]
        return boto3.client(service, endpoint_url=url, region_name="us-east-1", **keys)  # type: ignore[call-overload]

    def production() -> dict[str, Any]:
        found = client("sagemaker").list_endpoints(NameContains="mapgate-dev", StatusEquals="InService")["Endpoints"]
        if "mapgate-dev" not in {each["EndpointName"] for each in found}:
            return {}
        return dict(client("sagemaker").describe_endpoint(EndpointName="mapgate-dev"))

    def await_(question: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not question():
            assert time.monotonic() < end, _log(client)
            time.sleep(0.2)

    run("bootstrap", "aws://123456789012/us-east-1", "--app", str(dev.folder))
    deploy = ("deploy", "mapgate-dev-delivery", "--require-approval", "never", "--app")
    run(*deploy, str(dev.folder))
    _approve(client, tmp_path)
    await_(lambda: bool(production()), 60)
    first = production()
    assert first["ProductionVariants"][0]["DesiredInstanceCount"] == 1
    run(*deploy, str(changed))
    await_(lambda: production().get("EndpointConfigName") != first["EndpointConfigName"] and bool(production()), 120)
    second = production()
    assert second["ProductionVariants"][0]["DesiredInstanceCount"] == 2
    assert second["DataCaptureConfig"]["CurrentSamplingPercentage"] == 20
    config = client("sagemaker").describe_endpoint_config(EndpointConfigName=second["EndpointConfigName"])
    assert config["ProductionVariants"][0]["InstanceType"] == "ml.m5.xlarge"

    def alarms() -> set[str]:
        return {each["AlarmName"] for each in client("cloudwatch").describe_alarms()["MetricAlarms"]}

    await_(lambda: alarms() == {"mapgate-dev-endpoint-errors", "mapgate-dev-endpoint-latency"})
    run("destroy", "mapgate-dev-delivery", "--force", "--app", str(changed))
    assert client("sagemaker").list_endpoints()["Endpoints"] == []
    assert alarms() == set()
    record("settings of hosting that a deployment of the app brought to a production that serves", "3")


def _log(client: Callable[[str], Any]) -> str:
    """Return what the deployer told."""
    pages = client("logs").get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/mapgate-dev-deployer")
    return "\n".join(event["message"] for page in pages for event in page["events"])


def _approve(client: Callable[[str], Any], folder: Path) -> None:
    """Register and approve a version that serves."""
    (folder / "serve.py").write_text(SERVER)
    image: dict[str, Any] = {"directory": folder, "python": sys.executable, "entrypoint": ["python", "serve.py"]}
    push(client("ecr"), "mapgate-dev-inference", "1", **image)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("weights"), io.BytesIO())
    artifact, image_uri = hashlib.sha256(packed.getvalue()).hexdigest(), f"{REGISTRY}/mapgate-dev-inference:1"
    floor = Settings.read("dev").floor_policy.sha256
    judged = {
        "model": {"sha256": artifact},
        "serving": {"runtime": "openvino", "precision": "f32"},
        "gate": {"passed": True, "sentence": "good", "mAP": 0.7},
        "policy": {"floor": {"sha256": floor}},
    }
    evaluation = json.dumps(judged).encode()
    objects = {
        "models/1/model.tar.gz": packed.getvalue(),
        "executions/1/evaluation.json": evaluation,
        "executions/1/sample.jpg": b"\xff\xd8",
    }
    for key, body in objects.items():
        client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
    uri, model_uri = f"s3://{BUCKET}/executions/1/evaluation.json", f"s3://{BUCKET}/models/1/model.tar.gz"
    made = client("sagemaker").create_model_package(
        ModelPackageGroupName="mapgate-dev",
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [{"Image": image_uri, "ModelDataUrl": model_uri}],
            "SupportedContentTypes": ["application/x-image"],
            "SupportedResponseMIMETypes": ["application/json"],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
        },
        ModelMetrics={"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": uri}}},
    )
    found = client("ecr").describe_images(repositoryName="mapgate-dev-inference", imageIds=[{"imageTag": "1"}])
    _publisher(client).publish(
        version=1,
        arn=made["ModelPackageArn"],
        execution_arn="arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev/execution/abcdefghijkl",
        evaluation_uri=uri,
        evaluation=evaluation,
        model_uri=model_uri,
        model_sha256=artifact,
        image=image_uri,
        image_digest=found["imageDetails"][0]["imageDigest"],
        floor=floor,
    )
    client("sagemaker").update_model_package(ModelPackageArn=made["ModelPackageArn"], ModelApprovalStatus="Approved")


def _publisher(client: Callable[[str], Any]) -> Publisher:
    """Return the rights of PublishDossier's role: bucket and key let nobody else write evidence, nor sign it."""
    iam, name = client("iam"), "mapgate-dev-publish-dossier-function"
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"}
    rights = {"Effect": "Allow", "Action": ["kms:*", "s3:*"], "Resource": "*"}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=_policy(rights))
    role = f"arn:aws:iam::123456789012:role/{name}"
    session = client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    place: Any = {"endpoint_url": client("s3").meta.endpoint_url, "region_name": "us-east-1"}
    keys: Any = {
        "aws_access_key_id": session["AccessKeyId"],
        "aws_secret_access_key": session["SecretAccessKey"],
        "aws_session_token": session["SessionToken"],
    }
    administrator: Any = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return Publisher(
        s3=boto3.client("s3", **place, **keys),
        kms=boto3.client("kms", **place, **keys),
        table=boto3.resource("dynamodb", **place, **administrator).Table("mapgate-dev-deployments"),
        bucket=BUCKET,
        endpoint_name="mapgate-dev",
        key_arn=client("ssm").get_parameter(Name="/mapgate-dev/signing-key")["Parameter"]["Value"],
    )


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
