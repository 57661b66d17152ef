# SPDX-License-Identifier: Apache-2.0
"""What docs/removal.md says of deploying over what was retained."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "removal.md"
CDK = ROOT / "node_modules" / ".bin" / "cdk"


def retained(assembly: Any) -> dict[str, dict[str, Any]]:
    """Every resource that outlives its stack, by logical id."""
    return {
        name: resource
        for template in assembly.templates.values()
        for name, resource in template["Resources"].items()
        if resource.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate")
    }


def test_page_names_each_retained_resource_that_has_no_name_to_be_imported_by(
    synthesize: Callable[[str], Any],
) -> None:
    for environment in ("staging", "prod"):
        kept = retained(synthesize(environment))
        named = {"AWS::S3::Bucket", "AWS::ECR::Repository", "AWS::DynamoDB::Table"}
        others = {name for name, resource in kept.items() if resource["Type"] not in named}
        assert others == set(re.findall(r'\\"(\w+)\\": {', PAGE.read_text()))
        assert {resource["DeletionPolicy"] for resource in kept.values()} == {"RetainExceptOnCreate"}
        for name in set(kept) - others:
            properties = kept[name]["Properties"]
            given = [properties.get(each) for each in ("BucketName", "RepositoryName", "TableName")]
            assert any(isinstance(value, str) for value in given), f"{name} has no static name"


@pytest.mark.verify
@pytest.mark.timeout(900)
def test_what_was_retained_is_taken_into_new_stacks(
    laptop: dict[str, str], synthesize: Callable[[str], Any], record: Callable[[str, str], None]
) -> None:
    app = ("--app", str(synthesize("staging").folder))

    def cdk(*arguments: str, fails: bool = False) -> str:
        ran = subprocess.run([str(CDK), *arguments, *app], env=laptop, capture_output=True, text=True, check=False)
        assert (ran.returncode != 0) is fails, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    def client(service: str) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        url = laptop["AWS_ENDPOINT_URL"]
        return boto3.client(service, endpoint_url=url, region_name="us-east-1", **keys)  # type: ignore[call-overload]

    bucket, everything = "mapgate-staging-data-123456789012-us-east-1", ("--all", "--require-approval", "never")
    cdk("bootstrap", "aws://123456789012/us-east-1")
    cdk("deploy", *everything)
    client("s3").put_object(Bucket=bucket, Key="datasets/mine", Body=b"mine")
    cdk("destroy", "--all", "--force")
    assert f"{bucket.replace('-data-', '-access-logs-')} already exists" in cdk("deploy", *everything, fails=True)
    rules = client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    key = rules[0]["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"].rpartition("/")[2]
    kms = client("kms")
    told = [kms.describe_key(KeyId=each["KeyId"])["KeyMetadata"] for each in kms.list_keys()["Keys"]]
    (signing_key,) = [each["KeyId"] for each in told if "mapgate-staging's versions" in each["Description"]]
    group = "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/mapgate-staging"
    cdk("destroy", "mapgate-staging-foundation", "--force")
    for stack, mapping in (
        ("foundation", {"Key961B73FD": {"KeyId": key}, "SigningKeyEEFC2790": {"KeyId": signing_key}}),
        ("registry", {"Group": {"ModelPackageGroupArn": group}}),
    ):
        cdk("import", f"mapgate-staging-{stack}", "--resource-mapping-inline", json.dumps(mapping))
    cdk("deploy", *everything, "--import-existing-resources")
    assert client("s3").get_object(Bucket=bucket, Key="datasets/mine")["Body"].read() == b"mine"
    aliases = {each["AliasName"]: each.get("TargetKeyId") for each in client("kms").list_aliases()["Aliases"]}
    assert aliases["alias/mapgate-staging"] == key
    assert aliases["alias/mapgate-staging-signing"] == signing_key
    record("deployment of staging over what it had retained", "1")


@pytest.mark.verify
@pytest.mark.timeout(900)
def test_what_was_signed_and_released_goes_with_an_environment_that_is_destroyed(
    laptop: dict[str, str], synthesize: Callable[[str], Any], record: Callable[[str, str], None]
) -> None:
    app, bucket = ("--app", str(synthesize("dev").folder)), "mapgate-dev-data-123456789012-us-east-1"

    def cdk(*arguments: str) -> None:
        ran = subprocess.run([str(CDK), *arguments, *app], env=laptop, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    s3: Any = boto3.client("s3", endpoint_url=laptop["AWS_ENDPOINT_URL"], **keys)  # type: ignore[call-overload]
    cdk("bootstrap", "aws://123456789012/us-east-1")
    cdk("deploy", "--all", "--require-approval", "never")
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    for key in ("released/0/model.tar.gz", "evidence/v000001/verdict.json", "evidence/v000001/report.html"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"kept")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=bucket, Key="released/0/model.tar.gz")
    cdk("destroy", "--all", "--force")
    assert bucket not in {each["Name"] for each in s3.list_buckets()["Buckets"]}
    record("destruction of dev with evidence in its bucket", "1")
