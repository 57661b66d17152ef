# SPDX-License-Identifier: Apache-2.0
"""PublishDossier and the deployer by their roles, under the policies of bucket and key; others try in vain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.delivery.deployer.deployments.chain import verify_chain
from infra.delivery.deployer.deployments.released import release
from infra.delivery.deployer.deployments.verdict_record import VerdictRecord
from infra.training.publish_dossier_asset import publish_dossier_asset
from localcloud import cloud as local_cloud
from tests.infra.conftest import Cloud, invoking
from tests.infra.stacks.test_foundation import ACCOUNT, resolved
from tests.infra.training.publish_dossier.conftest import Stage, pushed_images, staged

DATA = f"mapgate-dev-data-{ACCOUNT}-us-east-1"
DOSSIER, DEPLOYER = "mapgate-dev-publish-dossier-function", "mapgate-dev-deployer-function"
EVERYTHING = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}], "Version": "2012-10-17"}
NOT_HERE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:not-here"
SIGNED: dict[str, Any] = {"SigningAlgorithm": "ECDSA_SHA_256", "Message": b"m"}


@dataclass
class Deployed:
    """A stage under the policies that the templates give to key, bucket and role."""

    stage: Stage
    cloud: Cloud

    def session(self, role: str) -> dict[str, str]:
        """The environment of a session of a role."""
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        given = self.cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    def client(self, service: str, role: str) -> Any:
        keys = {name.lower(): value for name, value in self.session(role).items()}
        return boto3.client(service, endpoint_url=self.cloud.url, region_name="us-east-1", **keys)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, dev: Any) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("evidence")
    cloud = Cloud(local_cloud.up(folder / ".mapgate").endpoint_url)
    (signs,) = (
        each["Properties"] for each in dev.resources("AWS::KMS::Key").values() if "KeySpec" in each["Properties"]
    )
    with publish_dossier_asset() as asset:
        stage = staged(
            cloud,
            pushed_images(cloud, folder),
            invoking(cloud, folder),
            asset,
            name="mapgate-dev",
            bucket=DATA,
            key_policy=json.dumps(resolved(_literal(signs["KeyPolicy"], {}))),
        )
        made = Deployed(stage, cloud)
        _give(made, dev)
        yield made
    local_cloud.down(folder / ".mapgate")


def _give(made: Deployed, dev: Any) -> None:
    """Encrypt the bucket, and put the policies of bucket and roles."""
    s3, iam = made.cloud.client("s3"), made.cloud.client("iam")
    key = made.cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = [{"ApplyServerSideEncryptionByDefault": default}]
    s3.put_bucket_encryption(Bucket=DATA, ServerSideEncryptionConfiguration={"Rules": rules})
    s3.put_bucket_policy(Bucket=DATA, Policy=json.dumps(resolved(_bucket_policy(dev))))
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    meant = {
        "SigningKey": made.stage.key,
        "GetAttKey": key,
        "Deployments": f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/mapgate-dev-deployments",
        "InferenceImages": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mapgate-dev-inference",
        "TrainingImages": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mapgate-dev-training",
    }
    given = {role: resolved(_literal(policy, meant)) for role, policy in _own_policies(dev).items()}
    for role, policy in {**given, "attacker": EVERYTHING}.items():
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=document)
        iam.put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=json.dumps(policy))


def _own_policies(dev: Any) -> dict[str, Any]:
    """What the templates give to the roles of the two functions."""
    found = {}
    for name, each in dev.resources("AWS::IAM::Policy").items():
        for begins, role in (("PublishDossierRole", DOSSIER), ("DeployerRole", DEPLOYER)):
            if begins in name:
                found[role] = each["Properties"]["PolicyDocument"]
    assert len(found) == 2
    return found


def _bucket_policy(dev: Any) -> Any:
    buckets = dev.resources("AWS::S3::Bucket").items()
    (logical,) = (name for name, each in buckets if "-data-" in each["Properties"]["BucketName"])
    (policy,) = (
        each["Properties"]["PolicyDocument"]
        for each in dev.resources("AWS::S3::BucketPolicy").values()
        if each["Properties"]["Bucket"] == {"Ref": logical}
    )
    own = [each for each in policy["Statement"] if "Sid" in each]  # CDK's own statements name roles that are not here
    return _literal({**policy, "Statement": own}, {logical: f"arn:aws:s3:::{DATA}"})


def _literal(value: Any, meant: dict[str, str]) -> Any:
    """A template's value with what its references mean, which are known by a part of their name."""
    if isinstance(value, list):
        return [_literal(each, meant) for each in value]
    if not isinstance(value, dict):
        return value
    if set(value) & {"Ref", "Fn::GetAtt", "Fn::ImportValue"}:
        whole = json.dumps(value)
        known = {"AWS::Partition": "aws", **meant}
        return next((text for name, text in known.items() if name in whole), NOT_HERE)
    return {name: _literal(each, meant) for name, each in value.items()}


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value.response["Error"]["Code"])


def test_its_deployed_role_lets_it_publish(deployed: Deployed) -> None:
    run = deployed.stage.publish(**deployed.session(DOSSIER))
    assert run.error == ""
    assert deployed.stage.record() is not None
    assert deployed.stage.publish(**deployed.session(DOSSIER)).error == "", "tried again"


def test_it_is_told_of_the_jobs_of_pipelines_and_of_no_others(deployed: Deployed) -> None:
    sagemaker = deployed.client("sagemaker", DOSSIER)
    name = deployed.stage.inputs["evaluation_job"].rpartition("/")[2]
    assert sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"] == "Completed"
    for refused_call, job in (
        (sagemaker.describe_processing_job, "own"),
        (sagemaker.stop_processing_job, name),
    ):
        assert refused(refused_call, ProcessingJobName=job) == "AccessDeniedException"


def test_what_it_published_is_what_the_deployer_believes_and_releases_once(deployed: Deployed) -> None:
    s3, kms = (deployed.client(service, DEPLOYER) for service in ("s3", "kms"))
    item = deployed.stage.record()
    assert item is not None
    record = VerdictRecord.read(item)
    verify_chain(s3, kms, bucket=DATA, key_arn=deployed.stage.key, record=record)
    source, sha256 = (DATA, deployed.stage.model), record.model_sha256
    uri = release(s3, DATA, source=source, sha256=sha256, version=1)
    assert uri == f"s3://{DATA}/released/{sha256}/model.tar.gz"
    released = {"Bucket": DATA, "Key": f"released/{sha256}/model.tar.gz"}
    assert refused(s3.put_object, Body=b"other", **released) == "AccessDenied"
    assert (
        refused(s3.copy_object, CopySource=f"{DATA}/{deployed.stage.model}", IfNoneMatch="*", **released)
        == "PreconditionFailed"
    )
    assert refused(s3.delete_object, **released) == "AccessDenied"
    assert release(s3, DATA, source=source, sha256=sha256, version=1) == uri


def test_nobody_else_signs_and_everybody_verifies(deployed: Deployed) -> None:
    key = deployed.stage.key
    signature = deployed.client("kms", DOSSIER).sign(KeyId=key, **SIGNED)["Signature"]
    attacker = deployed.client("kms", "attacker")
    assert refused(attacker.sign, KeyId=key, **SIGNED) == "AccessDeniedException"
    assert attacker.verify(KeyId=key, Signature=signature, **SIGNED)["SignatureValid"]


def test_nobody_writes_over_or_deletes_what_was_signed_and_released(deployed: Deployed) -> None:
    place = {"Bucket": DATA, "Key": f"{deployed.stage.folder}/verdict.json"}
    attacker, own = deployed.client("s3", "attacker"), deployed.client("s3", DOSSIER)
    before = attacker.get_object(**place)
    denied = "AccessDenied"
    assert refused(attacker.put_object, Body=b"{}", **place) == denied
    assert refused(attacker.put_object, Body=b"{}", IfNoneMatch="*", **place) == denied
    assert refused(attacker.put_object, Body=b"{}", Bucket=DATA, Key="evidence/v000099/verdict.json") == denied
    assert refused(attacker.copy_object, CopySource=f"{DATA}/{place['Key']}", **place) == denied
    assert refused(attacker.delete_object, **place) == denied
    assert refused(attacker.delete_object, VersionId=before["VersionId"], **place) == denied
    assert (
        refused(attacker.put_object, Body=b"w", Bucket=DATA, Key="released/0/model.tar.gz", IfNoneMatch="*") == denied
    )
    # Not even the function itself, but under the condition that there is none.
    assert refused(own.put_object, Body=b"{}", **place) == denied
    assert refused(own.put_object, Body=b"{}", IfNoneMatch="*", **place) == "PreconditionFailed"
    assert attacker.get_object(**place)["Body"].read() == before["Body"].read()
