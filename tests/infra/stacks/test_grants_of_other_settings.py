# SPDX-License-Identifier: Apache-2.0
"""What roles are granted only where the settings are not dev's, and what they are then granted no longer.

The story counts dev's grants by their use (`tests/end_to_end/permissions.py`). Here every setting is another, all at
once: what that grants beyond dev has its reason here, and what dev needs because of a setting has gone with it.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import boto3
import pytest

from infra.app import build
from infra.settings import Settings
from localcloud.authorisation import records
from localcloud.pushing import push
from tests.conftest import MadeOnce
from tests.end_to_end.permissions import Grant, Pattern, explains, idle_reasons
from tests.infra.delivery.deployer.test_on_the_laptops_cloud import SERVER
from tests.infra.stacks.conftest import ROOT, Assembly

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DATA = "mapgate-dev-data-123456789012-us-east-1"
ARTIFACT = "released/1/model.tar.gz"

OTHERWISE: dict[str, Any] = {
    "further_instance_types": ["ml.m99.large"],
    "removal": "retain",
    "log_retention_days": 365,
    "quota_wait_minutes": 60,
    # Names a test set of the environment's own.
    "gate_policy": str(Path(__file__).with_name("other_gate_policy.yaml")),
    "network": {"subnets": ["subnet-0a"], "security_groups": ["sg-0a"]},
    "security": {
        "network_isolation": False,
        "encrypt_between_containers": True,
        "customer_managed_volumes": False,
    },
    "processing": {
        "prepare_instance_type": "ml.m5.2xlarge",
        "prepare_instance_count": 2,
        "evaluate_instance_type": "ml.m5.2xlarge",
        "volume_gigabytes": 60,
        "prepare_maximum_hours": 3,
        "evaluate_maximum_hours": 3,
    },
    "training": {
        "instance_types": ["ml.m5.4xlarge"],
        "spot": True,
        "maximum_hours": 5,
        "maximum_wait_hours": 6,
        "volume_gigabytes": 60,
        "default_architecture": "ssd_mobilenet_v2_fpnlite_640x640",
        "default_steps": 10,
        "default_batch_size": 4,
        "data_buckets": ["labelled"],
    },
    "delivery": {
        "instance_type": "ml.c5.xlarge",
        "instance_count": 2,
        "canary_percent": 50,
        "latency_alarm_milliseconds": 500,
        "data_capture_percent": 20,
        "email": "someone@example.com",
    },
}
NAMES = {"project", "environment", "account", "region"}
"""Settings that stand in names and ARNs, and so are dev's."""

ROLES = "https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html"
KEY = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html"
CAPTURE = "https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture.html"
NOT_FOUND = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"
IN_A_VPC = (
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)
REASONS: dict[Pattern, str] = {
    **{
        (role, action, "[*]"): f"network: {ROLES}#sagemaker-roles-{operation}-perms, for a private VPC."
        for role, operation in (
            ("model", "createmodel"),
            ("processing", "createprocessingjob"),
            ("training", "createtrainingjob"),
        )
        for action in IN_A_VPC
    },
    (
        "model",
        "s3:PutObject",
        "*-data-*/data-capture/[*]",
    ): f"data_capture_percent: {CAPTURE}, of the role that serves.",
    ("model", "kms:GenerateDataKey", "*GetAttKey*Arn*"): f"data_capture_percent: {KEY}, to write under a key.",
    **{
        (role, action, f"arn:aws:s3:::labelled{objects}"): f"data_buckets: {page}, {what}."
        for role, page, what in (
            (
                "processing",
                f"{ROLES}#sagemaker-roles-createprocessingjob-perms",
                "of ProcessingInputs: images, policies",
            ),
            (
                "training",
                f"{ROLES}#sagemaker-roles-createtrainingjob-perms",
                "of InputDataConfig: a config, a checkpoint",
            ),
            ("check-plan-function", NOT_FOUND, "which must read the policy that EvaluateDetector will read"),
        )
        for action, objects in (("s3:GetObject", "/[*]"), ("s3:ListBucket", ""))
    },
    **{
        ("processing", action, f"arn:aws:s3:::fleet{objects}"): (
            f"gate_policy: {ROLES}#sagemaker-roles-createprocessingjob-perms, of ProcessingInputs: its test set."
        )
        for action, objects in (("s3:GetObject", "/test-sets/2026-11/[*]"), ("s3:ListBucket", ""))
    },
}
"""By patterns of a grant that dev has not: the setting, the page that says why, and for what."""

GOES: dict[Pattern, str] = {
    ("cleaner-function", "lambda:InvokeFunction", "*"): "removal: nothing is emptied.",
    ("cleaner-function", "s3:AbortMultipartUpload", "*"): "removal: nothing is emptied.",
    ("cleaner-function", "s3:DeleteObject", "*-access-logs-*"): "removal: nothing is emptied.",
    ("cleaner-function", "s3:DeleteObjectVersion", "*"): "removal: nothing is emptied.",
    ("cleaner-function", "s3:GetBucketPolicy", "*"): "removal: nothing is emptied.",
    ("cleaner-function", "s3:ListBucketMultipartUploads", "*"): "removal: nothing is emptied.",
    ("cleaner-function", "s3:ListBucketVersions", "*"): "removal: nothing is emptied.",
    ("cleaner-function", "s3:PutBucketPolicy", "*"): "removal: nothing is emptied.",
    ("deployer-function", "sagemaker:DeleteModelPackage", "*"): "removal: versions stay.",
    ("deployer-function", "kms:CreateGrant", "*"): "customer_managed_volumes: volumes name no key.",
    ("processing", "kms:CreateGrant", "*"): "customer_managed_volumes: volumes name no key.",
    ("training", "kms:CreateGrant", "*"): "customer_managed_volumes: volumes name no key.",
}
"""By patterns of a grant that only dev has: the setting that made it needed."""


@pytest.fixture(scope="module")
def otherwise(made_once: MadeOnce, dev: Assembly) -> Assembly:  # noqa: ARG001  # sets the account
    """The app under dev's names with all other settings another."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Settings, "read", classmethod(lambda *_: _settings()))
            build(cdk.App(outdir=str(folder), context=context, analytics_reporting=False)).synth()

    return Assembly(made_once("cdk-other-settings", make), "mapgate-dev")


def test_no_setting_is_left_as_dev_has_it() -> None:
    dev, other = dict(_leaves(Settings.read("dev").model_dump())), dict(_leaves(_settings().model_dump()))

    assert {name for name, value in other.items() if dev.get(name) == value} == NAMES


def test_what_other_settings_grant_has_its_reason(dev: Assembly, otherwise: Assembly) -> None:
    added = _grants(otherwise) - _grants(dev)

    assert sorted(grant for grant in added if not any(explains(key, grant) for key in REASONS)) == []
    assert idle_reasons(added, REASONS) == []
    assert [why for why in REASONS.values() if ": https://docs.aws.amazon.com/" not in why] == []


def test_what_only_devs_settings_need_goes_with_them(dev: Assembly, otherwise: Assembly) -> None:
    gone, left = _grants(dev) - _grants(otherwise), _grants(otherwise)

    assert sorted(grant for grant in left if any(explains(key, grant) for key in GOES)) == []
    assert sorted(grant for grant in gone if not any(explains(key, grant) for key in GOES)) == []
    assert idle_reasons(gone, GOES) == []


def test_settings_change_nothing_of_what_resources_themselves_allow(dev: Assembly, otherwise: Assembly) -> None:
    """A subscriber by e-mail needs no statement, nor do retained resources."""
    assert "AWS::SNS::Subscription" in {kind for kind, _ in _resources(otherwise)}
    assert _resource_policies(otherwise) == _resource_policies(dev) != []


def test_no_role_may_hand_the_key_to_volumes_that_take_none(synthesize: Any) -> None:
    """prod trains on types with storage of their own, serves and prepares on others.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
    """
    granting = {grant.role for grant in _grants(synthesize("prod")) if grant.action == "kms:CreateGrant"}

    assert granting == {"deployer-function", "processing"}


def test_a_model_uses_all_that_it_is_granted_then_and_lacks_nothing(
    otherwise: Assembly, laptop: dict[str, str], tmp_path: Path
) -> None:
    """It serves in a VPC, and its requests are kept under the environment's key."""
    account = Account(laptop["AWS_ENDPOINT_URL"])
    key, repository = account.furnish(tmp_path)
    account.give_role("mapgate-dev-model", _granted_to_model(otherwise, key, repository))

    account.serve(key)
    account.client("sagemaker-runtime").invoke_endpoint(EndpointName="mapgate-dev", Body=b"{}")

    noted = tmp_path / ".mapgate" / "state" / "permissions.jsonl"
    wanted = {action for role, action, _ in REASONS if role == "model"}
    end = time.monotonic() + 20
    while wanted - {line["action"] for line in records.read(noted) if not line["denied"]} and time.monotonic() < end:
        time.sleep(0.1)
    lines = [line for line in records.read(noted) if line["role"].endswith("role/mapgate-dev-model")]
    assert wanted - {line["action"] for line in lines if not line["denied"]} == set()
    assert [line for line in lines if line["denied"]] == []
    (kept,) = account.client("s3").list_objects_v2(Bucket=DATA, Prefix="data-capture/mapgate-dev/")["Contents"]
    assert account.client("s3").head_object(Bucket=DATA, Key=kept["Key"])["SSEKMSKeyId"] == key


@dataclass(frozen=True)
class Account:
    """A cloud of the test's own, with what a model serves."""

    url: str

    def client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=self.url, region_name="us-east-1", **keys)  # type: ignore[call-overload]

    def furnish(self, folder: Path) -> tuple[str, str]:
        """Make key, bucket, artifact and image; returns the ARNs of the key and of the repository."""
        key = self.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.client("s3").create_bucket(Bucket=DATA)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.addfile(tarfile.TarInfo("weights"), io.BytesIO())
        self.client("s3").put_object(
            Bucket=DATA, Key=ARTIFACT, Body=packed.getvalue(), ServerSideEncryption="aws:kms", SSEKMSKeyId=key
        )
        (folder / "serve.py").write_text(SERVER)
        ecr = self.client("ecr")
        made = ecr.create_repository(repositoryName="mapgate-dev-inference")["repository"]
        image: dict[str, Any] = {"directory": folder, "python": sys.executable, "entrypoint": ["python", "serve.py"]}
        push(ecr, "mapgate-dev-inference", "1", **image)
        return key, made["repositoryArn"]

    def give_role(self, name: str, policy: dict[str, Any]) -> None:
        trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        self.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)
        self.client("iam").put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))

    def serve(self, key: str) -> None:
        """Bring an endpoint in service as the deployer makes one with these settings."""
        sagemaker, place = self.client("sagemaker"), {"Subnets": ["subnet-0a"], "SecurityGroupIds": ["sg-0a"]}
        container = {"Image": f"{REGISTRY}/mapgate-dev-inference:1", "ModelDataUrl": f"s3://{DATA}/{ARTIFACT}"}
        role = "arn:aws:iam::123456789012:role/mapgate-dev-model"
        sagemaker.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=role, VpcConfig=place)
        variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.c5.xlarge", "InitialInstanceCount": 1}
        capture = {
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{DATA}/data-capture",
            "CaptureOptions": [{"CaptureMode": "Input"}],
            "KmsKeyId": key,
        }
        sagemaker.create_endpoint_config(
            EndpointConfigName="c", ProductionVariants=[variant], DataCaptureConfig=capture
        )
        sagemaker.create_endpoint(EndpointName="mapgate-dev", EndpointConfigName="c")
        end = time.monotonic() + 30
        while (told := sagemaker.describe_endpoint(EndpointName="mapgate-dev"))["EndpointStatus"] == "Creating":
            assert time.monotonic() < end
            time.sleep(0.1)
        assert told["EndpointStatus"] == "InService", told.get("FailureReason")


def _granted_to_model(assembly: Assembly, key: str, repository: str) -> dict[str, Any]:
    """The policy that the template gives the model's role, with these for what the foundation exports."""
    (role,) = [
        logical
        for logical, resource in assembly.resources("AWS::IAM::Role").items()
        if resource["Properties"]["RoleName"] == "mapgate-dev-model"
    ]
    (policy,) = [
        resource["Properties"]["PolicyDocument"]
        for resource in assembly.resources("AWS::IAM::Policy").values()
        if resource["Properties"]["Roles"] == [{"Ref": role}]
    ]

    def resolved(on: Any) -> Any:
        if not isinstance(on, dict):
            return on
        return key if "GetAttKey" in on["Fn::ImportValue"] else repository

    return {**policy, "Statement": [{**each, "Resource": resolved(each["Resource"])} for each in policy["Statement"]]}


def _settings() -> Settings:
    return Settings.model_validate({"environment": "dev", **OTHERWISE})


def _leaves(settings: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _grants(assembly: Assembly) -> set[Grant]:
    """Of roles, and of the policies for people."""
    found = set()
    names = {
        logical: resource["Properties"]["RoleName"].removeprefix(f"{assembly.prefix}-")
        for logical, resource in assembly.resources("AWS::IAM::Role").items()
    }
    for kind, properties in _resources(assembly):
        if kind == "AWS::IAM::Policy":
            holders = [names[role["Ref"]] for role in properties["Roles"]]
        elif kind == "AWS::IAM::ManagedPolicy":
            holders = [properties["ManagedPolicyName"].removeprefix(f"{assembly.prefix}-")]
        else:
            continue
        statements = properties["PolicyDocument"]["Statement"]
        found |= {
            Grant(holder, action, on if isinstance(on, str) else json.dumps(on, sort_keys=True))
            for holder in holders
            for statement in statements
            if statement["Effect"] == "Allow"
            for action in _list(statement["Action"])
            for on in _list(statement["Resource"])
        }
    assert found, "no grants were read"
    return found


def _resource_policies(assembly: Assembly) -> list[str]:
    policies = ("AWS::KMS::Key", "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy")
    documents = [(kind, said) for kind, said in _resources(assembly) if kind in policies]
    return sorted(json.dumps([kind, said.get("KeyPolicy") or said["PolicyDocument"]]) for kind, said in documents)


def _resources(assembly: Assembly) -> Iterable[tuple[str, dict[str, Any]]]:
    for template in assembly.templates.values():
        for resource in template["Resources"].values():
            yield resource["Type"], resource.get("Properties", {})


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
