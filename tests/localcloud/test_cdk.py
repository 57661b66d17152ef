# SPDX-License-Identifier: Apache-2.0
"""The CDK CLI itself bootstraps, deploys, deploys nothing, updates and destroys against the laptop's cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
CDK = CHECKOUT / "node_modules" / ".bin" / "cdk"
APP = """
import json, sys
import aws_cdk as cdk
from aws_cdk import aws_ecr, aws_events, aws_events_targets, aws_kms, aws_lambda, aws_logs, aws_s3, aws_sqs, aws_ssm

for delay, folder in ((1, sys.argv[1]), (2, sys.argv[2])):
    app = cdk.App(outdir=folder, analytics_reporting=False)
    environment = cdk.Environment(account="123456789012", region="us-east-1")
    first, second = (cdk.Stack(app, name, env=environment) for name in ("tried-first", "tried-second"))
    gone = cdk.RemovalPolicy.DESTROY
    key = aws_kms.Key(first, "Key", alias="alias/tried", removal_policy=gone)
    bucket = aws_s3.Bucket(
        first, "Bucket", bucket_name="tried-bucket", encryption_key=key, enforce_ssl=True, versioned=True,
        removal_policy=gone, lifecycle_rules=[aws_s3.LifecycleRule(expiration=cdk.Duration.days(9))],
    )
    aws_ecr.Repository(
        first, "Images", repository_name="tried", image_tag_mutability=aws_ecr.TagMutability.IMMUTABLE,
        empty_on_delete=True, removal_policy=gone,
    )
    function = aws_lambda.Function(
        second, "Function", function_name="tried", runtime=aws_lambda.Runtime.PYTHON_3_13, handler="index.handler",
        code=aws_lambda.Code.from_asset(sys.argv[3]), environment={"BUCKET": bucket.bucket_name},
        log_group=aws_logs.LogGroup(second, "Log", log_group_name="/aws/lambda/tried", removal_policy=gone),
    )
    bucket.grant_read(function)
    queue = aws_sqs.Queue(second, "Queue", queue_name="tried", delivery_delay=cdk.Duration.seconds(delay))
    pattern = aws_events.EventPattern(source=["tried"])
    aws_events.Rule(second, "Rule", event_pattern=pattern, targets=[aws_events_targets.LambdaFunction(function)])
    aws_ssm.StringParameter(second, "Name", parameter_name="/tried/bucket", string_value=bucket.bucket_name)
    app.synth()
"""


@pytest.fixture(scope="module")
def assemblies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The app's output before and after a change."""
    if not CDK.exists():
        pytest.skip("the CDK CLI is not installed: run `make setup`")
    folder = tmp_path_factory.mktemp("app")
    (folder / "app.py").write_text(APP)
    (folder / "function").mkdir()
    (folder / "function" / "index.py").write_text("import os\ndef handler(e, c):\n    return os.environ['BUCKET']\n")
    outputs = folder / "before", folder / "after"
    command = [sys.executable, str(folder / "app.py"), *map(str, outputs), str(folder / "function")]
    subprocess.run(command, check=True, env=environment(), cwd=folder)
    return outputs


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(CHECKOUT / ".venv" / "bin"), os.environ.get("PATH", os.defpath)])
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return {**kept, "PATH": path, "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1", **more}


def cdk(cloud: Any, *arguments: str) -> str:
    finished = subprocess.run(
        [str(CDK), *arguments],
        env=environment(
            AWS_ENDPOINT_URL=cloud.endpoint_url,
            AWS_ENDPOINT_URL_S3=cloud.endpoint_url,
            AWS_ENDPOINT_URL_S3_FOR_CLOUDFORMATION=cloud.endpoint_url.replace("127.0.0.1", "localhost"),
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",  # noqa: S106  # any key opens the emulated cloud
            AWS_REGION="us-east-1",
            AWS_EC2_METADATA_DISABLED="true",
            CDK_DISABLE_CLI_TELEMETRY="true",
            CI="true",
        ),
        cwd=cloud.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


def test_an_app_is_deployed_updated_and_destroyed(cloud: Any, assemblies: tuple[Path, Path]) -> None:
    before, after = map(str, assemblies)
    cdk(cloud, "bootstrap", "aws://123456789012/us-east-1", "--app", before)
    deploy = ("deploy", "--all", "--require-approval", "never", "--app")
    cdk(cloud, *deploy, before)
    assert cloud.client("ssm").get_parameter(Name="/tried/bucket")["Parameter"]["Value"] == "tried-bucket"
    assert cloud.client("s3").get_bucket_encryption(Bucket="tried-bucket")
    cloud.client("s3").put_object(Bucket="tried-bucket", Key="k", Body=b"")
    cloud.client("s3").get_object(Bucket="tried-bucket", Key="k")  # "deny what is not TLS" does not deny this
    answer = cloud.client("lambda").invoke(FunctionName="tried")
    assert json.loads(answer["Payload"].read()) == "tried-bucket"
    assert cdk(cloud, *deploy, after).count("(no changes)") == 1  # the first stack is as it was
    url = cloud.client("sqs").get_queue_url(QueueName="tried")["QueueUrl"]
    delay = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])["Attributes"]
    assert delay == {"DelaySeconds": "2"}
    _put_image(cloud)
    for version in cloud.client("s3").list_object_versions(Bucket="tried-bucket")["Versions"]:
        cloud.client("s3").delete_object(Bucket="tried-bucket", Key=version["Key"], VersionId=version["VersionId"])
    cdk(cloud, "destroy", "--all", "--force", "--app", after)
    _nothing_is_left(cloud)


def _put_image(cloud: Any) -> None:
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
    cloud.client("ecr").put_image(repositoryName="tried", imageTag="t", imageManifest=json.dumps(manifest))


def _nothing_is_left(cloud: Any) -> None:
    names = {
        "buckets": [one["Name"] for one in cloud.client("s3").list_buckets()["Buckets"]],
        "functions": [one["FunctionName"] for one in cloud.client("lambda").list_functions()["Functions"]],
        "groups": [one["logGroupName"] for one in cloud.client("logs").describe_log_groups()["logGroups"]],
        "images": [one["repositoryName"] for one in cloud.client("ecr").describe_repositories()["repositories"]],
        "parameters": [one["Name"] for one in cloud.client("ssm").describe_parameters()["Parameters"]],
        "queues": [url.rsplit("/", 1)[1] for url in cloud.client("sqs").list_queues().get("QueueUrls", [])],
        "roles": [one["RoleName"] for one in cloud.client("iam").list_roles()["Roles"]],
        "rules": [one["Name"] for one in cloud.client("events").list_rules()["Rules"]],
        "stacks": [one["StackName"] for one in cloud.client("cloudformation").describe_stacks()["Stacks"]],
    }
    assert [(kind, name) for kind, found in names.items() for name in found if "tried" in name] == []
    kms = cloud.client("kms")
    states = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] for key in kms.list_keys()["Keys"]]
    assert "PendingDeletion" in states
    assert not [alias for alias in kms.list_aliases()["Aliases"] if alias["AliasName"] == "alias/tried"]
