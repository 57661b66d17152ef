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
from localcloud.authorisation.policies import parse
from localcloud.authorisation.verdicts import Policies, Principal, Request, evaluate

ROOT = Path(__file__).resolve().parents[3]
ACCOUNT = "123456789012"
EVERYTHING = parse({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}, "identity")


def test_the_key_that_encrypts_turns_and_the_other_signs(dev: Any) -> None:
    encrypts, signs = keys_of(dev)
    assert encrypts["EnableKeyRotation"] is True
    assert (signs["KeySpec"], signs["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    aliases = {each["Properties"]["AliasName"] for each in dev.resources("AWS::KMS::Alias").values()}
    assert aliases == {"alias/mapgate-dev", "alias/mapgate-dev-signing"}


@pytest.mark.parametrize("named", ["publish-dossier-function", "deployer-function"])
def test_the_functions_that_sign_sign(dev: Any, named: str) -> None:
    assert may_sign(dev, f"mapgate-dev-{named}")


@pytest.mark.parametrize(
    "named",
    [
        "mapgate-dev-find-champion-function",
        "mapgate-dev-pipeline",
        "mapgate-dev-processing",
        "mapgate-dev-training",
        "mapgate-staging-deployer-function",
        "data-scientist",
        "approver",
    ],
)
def test_nobody_else_signs_whatever_policies_allow(dev: Any, named: str) -> None:
    assert not may_sign(dev, named)
    assert may_sign(dev, named, "kms:Verify") and may_sign(dev, named, "kms:GetPublicKey")


DATA = f"arn:aws:s3:::mapgate-dev-data-{ACCOUNT}-us-east-1"
RELEASED = f"{DATA}/released/{'a' * 64}/model.tar.gz"
STATEMENT = f"{DATA}/evidence/v000003/verdict.json"
REPORT = f"{DATA}/evidence/v000003/report.html"
CREATES: dict[str, tuple[str, ...]] = {"s3:objectcreationoperation": ("true",)}
ONCE: dict[str, tuple[str, ...]] = {**CREATES, "s3:if-none-match": ("*",)}
PART: dict[str, tuple[str, ...]] = {"s3:objectcreationoperation": ("false",)}
DEPLOYER, DOSSIER, CLEANER = (f"mapgate-dev-{each}-function" for each in ("deployer", "publish-dossier", "cleaner"))
OTHERS = (
    "mapgate-dev-processing",
    "mapgate-dev-training",
    "mapgate-dev-pipeline",
    CLEANER,
    "approver",
    "administrator",
)
Allowed = tuple[str, str, str, dict[str, tuple[str, ...]]]

WRITES: list[Allowed] = [
    (DEPLOYER, "s3:PutObject", RELEASED, ONCE),
    (DEPLOYER, "s3:PutObject", RELEASED, PART),
    (DEPLOYER, "s3:PutObject", STATEMENT, ONCE),
    (DOSSIER, "s3:PutObject", STATEMENT, ONCE),
    (DOSSIER, "s3:PutObject", REPORT, CREATES),
    (DEPLOYER, "s3:PutObject", REPORT, CREATES),
    (CLEANER, "s3:DeleteObjectVersion", RELEASED, {}),
    (CLEANER, "s3:DeleteObject", STATEMENT, {}),
    (OTHERS[0], "s3:PutObject", f"{DATA}/executions/abc/evaluation.json", CREATES),
    ("administrator", "s3:GetObject", STATEMENT, {}),
]
REFUSED: list[Allowed] = [
    *((role, "s3:PutObject", object_, ONCE) for role in OTHERS for object_ in (RELEASED, STATEMENT, REPORT)),
    (DOSSIER, "s3:PutObject", RELEASED, ONCE),
    # Over what is there.
    (DEPLOYER, "s3:PutObject", RELEASED, CREATES),
    (DEPLOYER, "s3:PutObject", STATEMENT, CREATES),
    (DOSSIER, "s3:PutObject", STATEMENT, CREATES),
    (DEPLOYER, "s3:PutObject", RELEASED, {**CREATES, "s3:if-match": ("0",)}),
    # Away with it, and then anew.
    *(
        (role, action, object_, {})
        for role in (DEPLOYER, DOSSIER, *OTHERS)
        for action in ("s3:DeleteObject", "s3:DeleteObjectVersion")
        for object_ in (RELEASED, STATEMENT, REPORT)
        if role != CLEANER
    ),
]


@pytest.mark.parametrize("asked", WRITES, ids=lambda asked: " ".join(asked[:3]))
def test_what_serves_and_what_was_signed_is_written_by_its_functions(dev: Any, asked: Allowed) -> None:
    assert may_at_bucket(dev, *asked)


@pytest.mark.parametrize("asked", REFUSED, ids=lambda asked: " ".join(asked[:3]))
def test_nobody_else_writes_it_and_nobody_writes_over_it_whatever_policies_allow(dev: Any, asked: Allowed) -> None:
    assert not may_at_bucket(dev, *asked)


def may_at_bucket(assembly: Any, role: str, action: str, on: str, context: dict[str, tuple[str, ...]]) -> bool:
    """Whether the data bucket's policy lets a session of a role whose own policies allow everything."""
    (logical,) = (
        name
        for name, each in assembly.resources("AWS::S3::Bucket").items()
        if "-data-" in each["Properties"]["BucketName"]
    )
    (policy,) = (
        each["Properties"]["PolicyDocument"]
        for each in assembly.resources("AWS::S3::BucketPolicy").values()
        if each["Properties"]["Bucket"] == {"Ref": logical}
    )
    whole = json.dumps(policy).replace('{"Ref": "AWS::Partition"}', '"aws"')
    whole = whole.replace(json.dumps({"Fn::GetAtt": [logical, "Arn"]}), json.dumps(DATA))
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    session = Principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/s", ACCOUNT, arn)
    told = {"aws:principalarn": (arn,), "aws:securetransport": ("true",), **context}
    policies = Policies([EVERYTHING], parse(resolved(json.loads(whole)), "resource"))
    return evaluate(Request(session, action, on, told), policies).allowed


def keys_of(assembly: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The properties of the key that encrypts and of the one that signs."""
    found = [key["Properties"] for key in assembly.resources("AWS::KMS::Key").values()]
    encrypts, signs = sorted(found, key=lambda each: "KeySpec" in each)
    return encrypts, signs


def may_sign(assembly: Any, role: str, action: str = "kms:Sign") -> bool:
    """Whether the key's policy lets a session of a role sign whose own policies allow everything."""
    whole = json.dumps(keys_of(assembly)[1]["KeyPolicy"]).replace('{"Ref": "AWS::Partition"}', '"aws"')
    policy = resolved(json.loads(whole))
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    session = Principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/s", ACCOUNT, arn)
    request = Request(session, action, f"arn:aws:kms:us-east-1:{ACCOUNT}:key/k", {"aws:principalarn": (arn,)})
    return evaluate(request, Policies([EVERYTHING], parse(policy, "resource"), needs_resource=True)).allowed


def resolved(value: Any) -> Any:
    """A template's value with its joined texts as text."""
    if isinstance(value, list):
        return [resolved(each) for each in value]
    if isinstance(value, dict) and "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return separator.join(resolved(part) for part in parts)
    return {name: resolved(each) for name, each in value.items()} if isinstance(value, dict) else value


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
