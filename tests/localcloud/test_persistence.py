# SPDX-License-Identifier: Apache-2.0
"""After a kill -9 and a restart every service answers what it answered before."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from localcloud import cloud as local_cloud

DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": []})


def kill(home: Path) -> None:
    running = local_cloud.status(home)
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(running.pid)], timeout=10)


def fill(cloud: Any) -> None:
    """Something in every service."""
    s3, sqs, sns, kms = (cloud.client(name) for name in ("s3", "sqs", "sns", "kms"))
    cloud.create_role()
    cloud.client("iam").attach_role_policy(RoleName="service", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    s3.create_bucket(Bucket="bucket")
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    for content in (b"first", b"second"):
        s3.put_object(Bucket="bucket", Key="a/b", Body=content, Metadata={"k": "v"}, Tagging="t=1")
    s3.put_object(Bucket="bucket", Key="gone", Body=b"x")
    s3.delete_object(Bucket="bucket", Key="gone")
    upload = s3.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="bucket", Key="parts", UploadId=upload, PartNumber=1, Body=b"p" * 100)["ETag"]
    parts = {"Parts": [{"ETag": part, "PartNumber": 1}]}
    s3.complete_multipart_upload(Bucket="bucket", Key="parts", UploadId=upload, MultipartUpload=parts)
    key = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/signing", TargetKeyId=key)
    kms.create_key(Description="symmetric")
    curve = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/curve", TargetKeyId=curve)
    sqs.create_queue(QueueName="queue")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="queue")["QueueUrl"], MessageBody="waiting")
    topic = sns.create_topic(Name="topic")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:queue")
    cloud.client("ssm").put_parameter(Name="/a/b", Value="v", Type="String")
    cloud.client("logs").create_log_group(logGroupName="/group")
    cloud.client("ecr").create_repository(repositoryName="images")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
    cloud.client("ecr").put_image(repositoryName="images", imageTag="t", imageManifest=json.dumps(manifest))
    dynamodb = cloud.client("dynamodb")
    dynamodb.create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="table", Item={"id": {"S": "1"}, "n": {"N": "2.5"}})
    cloud.client("events").put_rule(Name="rule", EventPattern='{"source": ["x"]}')
    cloud.client("cloudwatch").put_metric_alarm(
        AlarmName="alarm",
        Namespace="n",
        MetricName="m",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",  # it stays what it is set to
    )
    cloud.client("cloudwatch").set_alarm_state(AlarmName="alarm", StateValue="ALARM", StateReason="set")
    cloud.create_function("function", "def handler(event, context):\n    return event\n")
    cloud.create_function("slow", SLOW)
    cloud.create_function("never-answers", "import time\ndef handler(event, context):\n    time.sleep(15)\n")
    s3.create_bucket(Bucket="written-later")
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="group")
    for status in ("Approved", "PendingManualApproval"):
        sagemaker.create_model_package(
            ModelPackageGroupName="group", ModelApprovalStatus=status, CustomerMetadataProperties={"mAP": "0.5"}
        )
    sagemaker.create_pipeline(
        PipelineName="pipeline",
        PipelineDefinition='{"Version": "2020-12-01", "Steps": []}',
        RoleArn=cloud.role,
        ClientRequestToken="t" * 32,
    )
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "of-the-stack"}}
    body = json.dumps({"Resources": {"Queue": queue}, "Outputs": {"Url": {"Value": {"Ref": "Queue"}}}})
    cloud.client("cloudformation").create_stack(StackName="stack", TemplateBody=body)


def answers(cloud: Any) -> dict[str, Any]:
    """What a user can see of it."""
    queries: list[tuple[str, str, dict[str, Any]]] = [
        ("s3", "list_object_versions", {"Bucket": "bucket"}),
        ("s3", "get_object_tagging", {"Bucket": "bucket", "Key": "a/b"}),
        ("s3", "head_object", {"Bucket": "bucket", "Key": "a/b"}),
        ("s3", "head_object", {"Bucket": "bucket", "Key": "parts"}),
        ("kms", "list_keys", {}),
        ("kms", "list_aliases", {}),
        ("kms", "get_public_key", {"KeyId": "alias/signing"}),
        ("kms", "get_public_key", {"KeyId": "alias/curve"}),
        ("sqs", "list_queues", {"QueueNamePrefix": "queue"}),
        ("sns", "list_subscriptions", {}),
        ("ssm", "get_parameter", {"Name": "/a/b"}),
        ("logs", "describe_log_groups", {}),
        ("ecr", "describe_images", {"repositoryName": "images"}),
        ("dynamodb", "scan", {"TableName": "table"}),
        ("dynamodb", "describe_table", {"TableName": "table"}),
        ("events", "list_rules", {}),
        ("cloudwatch", "describe_alarms", {}),
        ("cloudwatch", "describe_alarm_history", {}),
        ("iam", "list_attached_role_policies", {"RoleName": "service"}),
        ("lambda", "list_functions", {}),
        ("sagemaker", "list_model_packages", {"ModelPackageGroupName": "group"}),
        ("sagemaker", "describe_model_package", {"ModelPackageName": f"{SAGEMAKER}:model-package/group/1"}),
        ("sagemaker", "describe_pipeline", {"PipelineName": "pipeline"}),
        ("cloudformation", "describe_stacks", {"StackName": "stack"}),
        ("cloudformation", "describe_stack_events", {"StackName": "stack"}),
        ("cloudformation", "list_stack_resources", {"StackName": "stack"}),
    ]
    found = {}
    for service, action, parameters in queries:
        answer = getattr(cloud.client(service), action)(**parameters)
        del answer["ResponseMetadata"]
        found[f"{service}.{action} {parameters}"] = answer
    found["body"] = cloud.client("s3").get_object(Bucket="bucket", Key="a/b")["Body"].read()
    return found


SAGEMAKER = "arn:aws:sagemaker:us-east-1:123456789012"


SLOW = """
import boto3, time
def handler(event, context):
    time.sleep(event["seconds"])
    boto3.client("s3").put_object(Bucket="written-later", Key="done", Body=b"")
"""


def begin(cloud: Any, until: Callable[..., Any]) -> None:
    """Let an asynchronous run and the creation of a stack be under way."""
    cloud.client("lambda").invoke(FunctionName="slow", InvocationType="Event", Payload=b'{"seconds": 3}')
    token = cloud.client("lambda").get_function_configuration(FunctionName="never-answers")["FunctionArn"]
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "half-made"}}
    custom = {"Type": "Custom::Slow", "DependsOn": "Queue", "Properties": {"ServiceToken": token}}
    body = json.dumps({"Resources": {"Queue": queue, "Custom": custom}})
    api = cloud.client("cloudformation")

    def create() -> None:
        with contextlib.suppress(BotoCoreError):  # the server is killed under it
            api.create_stack(StackName="interrupted", TemplateBody=body)

    def made() -> bool:
        with contextlib.suppress(ClientError):  # there is no such stack yet
            resources = api.describe_stack_resources(StackName="interrupted")["StackResources"]
            return ("Queue", "CREATE_COMPLETE") in {
                (one["LogicalResourceId"], one["ResourceStatus"]) for one in resources
            }
        return False

    threading.Thread(target=create).start()
    assert until(made)


@pytest.fixture(scope="module")
def before_and_after(start_cloud: Callable[[], Any], until: Callable[..., Any]) -> tuple[dict[str, Any], Any]:
    """What a cloud answered before it was killed, and the same cloud, started again."""
    cloud = start_cloud()
    fill(cloud)
    before = answers(cloud)
    begin(cloud, until)
    cloud.client("ssm").put_parameter(Name="/last", Value="answered", Type="String")
    kill(cloud.home)
    return before, start_cloud()


def test_everything_is_what_it_was(before_and_after: tuple[dict[str, Any], Any]) -> None:
    before, cloud = before_and_after
    assert answers(cloud) == before
    assert cloud.client("ssm").get_parameter(Name="/last")["Parameter"]["Value"] == "answered"
    messages = cloud.messages(cloud.client("sqs").get_queue_url(QueueName="queue")["QueueUrl"])
    assert messages == ["waiting"]
    answer = cloud.client("lambda").invoke(FunctionName="function", Payload=b'{"a": 1}')
    assert json.loads(answer["Payload"].read()) == {"a": 1}
    register = cloud.client("sagemaker").create_model_package
    assert register(ModelPackageGroupName="group")["ModelPackageArn"].endswith("/3")


def test_what_was_under_way_goes_on(before_and_after: tuple[dict[str, Any], Any], until: Callable[..., Any]) -> None:
    _, cloud = before_and_after
    assert until(lambda: "Contents" in cloud.client("s3").list_objects_v2(Bucket="written-later"), 30)

    def status() -> str:
        described = cloud.client("cloudformation").describe_stacks(StackName="interrupted")["Stacks"][0]
        return str(described["StackStatus"])

    assert until(lambda: status() == "ROLLBACK_COMPLETE", 30)
    assert "QueueUrls" not in cloud.client("sqs").list_queues(QueueNamePrefix="half-made")


def test_a_state_that_cannot_be_read_is_said(tmp_path: Path, free_port: Callable[[], int]) -> None:
    file = tmp_path / "state" / "backends" / "ssm" / "123456789012" / "us-east-1.pickle"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"nonsense")
    with pytest.raises(local_cloud.CloudError, match=r"us-east-1\.pickle: cannot be read"):
        local_cloud.up(tmp_path, free_port())
