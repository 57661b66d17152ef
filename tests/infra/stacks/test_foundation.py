# SPDX-License-Identifier: Apache-2.0
"""The foundation keeps data encrypted, private, and only as long as it should."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from containers.tags import IMAGE_NAMES, image_tag
from infra.foundation.infrastructure import FoundationStack
from infra.settings import Settings

ROOT = Path(__file__).resolve().parents[3]


def test_key_turns(dev: Any) -> None:
    (key,) = dev.resources("AWS::KMS::Key").values()
    assert key["Properties"]["EnableKeyRotation"] is True


def test_buckets_are_private_encrypted_and_tls_only(dev: Any) -> None:
    buckets = dev.resources("AWS::S3::Bucket")
    assert len(buckets) == 2
    for bucket in buckets.values():
        assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["Properties"]["BucketEncryption"]
    policies = dev.resources("AWS::S3::BucketPolicy").values()
    for policy in policies:
        denied = [each for each in policy["Properties"]["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in [each.get("Condition") for each in denied]
    assert len(policies) == 2


def test_data_has_versions_a_log_and_an_end(dev: Any) -> None:
    (data,) = [b for b in dev.resources("AWS::S3::Bucket").values() if "-data-" in b["Properties"]["BucketName"]]
    properties = data["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert properties["LoggingConfiguration"]["LogFilePrefix"] == "data/"
    encryption = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    assert rules["clean-up"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert rules["checkpoints"]["Prefix"] == "checkpoints/"
    assert not any(rule.get("Prefix", "").startswith(("models", "executions")) for rule in rules.values())


def test_what_keeps_a_bucket_empty_goes_with_the_bucket(dev: Any) -> None:
    """CloudFormation deletes a policy before its bucket, and access logs would come in between."""
    for policy in dev.resources("AWS::S3::BucketPolicy").values():
        assert policy["DeletionPolicy"] == "Retain"
    for logical in dev.resources("Custom::BucketContents"):
        needed = dev.templates["foundation"]["Resources"][logical]["DependsOn"]
        assert {*dev.resources("AWS::S3::Bucket"), *dev.resources("AWS::S3::BucketPolicy")} & set(needed)


def test_image_tags_cannot_be_moved_and_images_are_scanned(dev: Any) -> None:
    repositories = {
        each["Properties"]["RepositoryName"]: each for each in dev.resources("AWS::ECR::Repository").values()
    }
    assert set(repositories) == {"mapgate-dev-training", "mapgate-dev-inference"}
    for repository in repositories.values():
        properties = repository["Properties"]
        assert properties["ImageTagMutability"] == "IMMUTABLE"
        assert properties["ImageScanningConfiguration"] == {"ScanOnPush": True}
        assert properties["EncryptionConfiguration"]["EncryptionType"] == "KMS"
        assert properties["EmptyOnDelete"] is True
        assert "countNumber" in properties["LifecyclePolicy"]["LifecyclePolicyText"]


def test_image_uris_name_the_sources_as_they_are(dev: Any) -> None:
    parameters = {
        each["Properties"]["Name"]: each["Properties"]["Value"]
        for each in dev.resources("AWS::SSM::Parameter").values()
    }
    for name in ("training", "inference"):
        assert json.dumps(parameters[f"/mapgate-dev/{name}-image"]).count(f":{image_tag(ROOT, name)}") == 1


@pytest.mark.parametrize(("instance_type", "ending"), [("ml.c6i.xlarge", ""), ("ml.g5.xlarge", "-gpu")])
def test_what_measures_and_what_serves_is_the_image_for_the_endpoint_s_instance_type(
    instance_type: str, ending: str
) -> None:
    settings = Settings.read("dev")
    delivery = settings.delivery.model_copy(update={"instance_type": instance_type})
    settings = settings.model_copy(update={"delivery": delivery})
    environment = cdk.Environment(account="123456789012", region="us-east-1")
    stack = FoundationStack(cdk.App(), "foundation", settings=settings, env=environment)
    for name in IMAGE_NAMES:
        tag = image_tag(ROOT, name) + (ending if name == "inference" else "")
        assert f':{tag}"' in json.dumps(stack.resolve(stack.image_uri(name)))


def test_default_objects_are_the_ones_that_parameters_default_to(dev: Any) -> None:
    contents = [each["Properties"] for each in dev.resources("Custom::BucketContents").values()]
    assert all(each["EmptyOnDelete"] == "true" for each in contents)
    (objects,) = [each["Objects"] for each in contents if each["Objects"]]
    policy = (ROOT / "infra" / "training" / "defaults" / "gate_policy.yaml").read_text()
    digest = hashlib.sha256(policy.encode()).hexdigest()
    assert objects == {
        "defaults/none/none": "none\n",
        "defaults/scratch/scratch": "scratch\n",
        f"defaults/gate-policy/{digest}/gate_policy.yaml": policy,
    }
    assert {each["Keep"] for each in contents} == {"defaults/gate-policy/"}


def test_assets_hold_no_by_products(dev: Any) -> None:
    for asset in dev.folder.glob("asset.*"):
        names = [path.name for path in asset.rglob("*")]
        assert "index.py" in names
        assert "__pycache__" not in names
