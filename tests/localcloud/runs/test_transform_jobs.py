# SPDX-License-Identifier: Apache-2.0
"""Batch transform run for real: the model's server answers every object, one a request."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.runs.test_endpoints import upload_model
from tests.localcloud.runs.test_executions import Pipelines
from tests.localcloud.runs.test_jobs import keys

Until = Callable[..., Any]
Transform = Callable[..., dict[str, Any]]
GROUP = "/aws/sagemaker/TransformJobs"


@pytest.fixture
def sagemaker(cloud: Any) -> Any:
    return cloud.client("sagemaker")


@pytest.fixture
def name() -> str:
    """Of a job, its model, its inputs and its outputs."""
    return f"batch-{os.urandom(3).hex()}"


@pytest.fixture
def request_of(cloud: Any, sagemaker: Any, name: str) -> Callable[..., dict[str, Any]]:
    """Makes the model, puts the inputs, and gives a request; keyword arguments are its further members."""

    def make(inputs: dict[str, bytes], environment: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        upload_model(cloud, f"weights of {name}", f"{name}/model.tar.gz")
        container = {
            "Image": cloud.image,
            "ModelDataUrl": f"s3://bucket/served/{name}/model.tar.gz",
            "Environment": environment or {},
        }
        sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=cloud.role)
        for key, body in inputs.items():
            cloud.client("s3").put_object(Bucket="bucket", Key=f"in/{name}/{key}", Body=body)
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://bucket/in/{name}/"}}
        request = {
            "TransformJobName": name,
            "ModelName": name,
            "TransformInput": {"DataSource": source, "ContentType": "application/x-image"},
            "TransformOutput": {"S3OutputPath": f"s3://bucket/out/{name}", "Accept": "application/json"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            "ModelClientConfig": {"InvocationsMaxRetries": 1},
        }
        return request | more

    return make


@pytest.fixture
def transform(sagemaker: Any, until: Until) -> Transform:
    """Runs a job to its end, and describes it."""

    def run(request: dict[str, Any]) -> dict[str, Any]:
        sagemaker.create_transform_job(**request)
        return ended(sagemaker, until, request["TransformJobName"])

    return run


def ended(sagemaker: Any, until: Until, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        described = sagemaker.describe_transform_job(TransformJobName=name)
        return described if described["TransformJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return dict(until(look))


def outputs(cloud: Any, name: str) -> dict[str, bytes]:
    s3, prefix = cloud.client("s3"), f"out/{name}/"
    return {
        key.removeprefix(prefix): s3.get_object(Bucket="bucket", Key=key)["Body"].read() for key in keys(cloud, prefix)
    }


def data_log(cloud: Any, name: str) -> list[str]:
    logs = cloud.client("logs")
    streams = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
    (stream,) = [each["logStreamName"] for each in streams if each["logStreamName"].endswith("/data-log")]
    events = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)["events"]
    return [event["message"] for event in events]


def environment_of(cloud: Any, name: str) -> dict[str, str]:
    line = next(line for line in cloud.log_of(name).splitlines() if line.startswith("environment "))
    return dict(json.loads(line.removeprefix("environment ")))


def test_every_object_is_answered_and_its_output_has_its_place(
    cloud: Any, sagemaker: Any, name: str, request_of: Callable[..., dict[str, Any]], transform: Transform, until: Until
) -> None:
    # https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html
    events = cloud.events("SageMaker Transform Job State Change")
    request = request_of({"a.jpg": b"first", "below/b.jpg": b"second", "below/c d.jpg": b"third", "empty/": b""})
    described = transform(request | {"Environment": {"GREETING": "of the job"}})
    assert described["TransformJobStatus"] == "Completed"
    assert described["TransformStartTime"] <= described["TransformEndTime"]
    assert described["TransformInput"]["ContentType"] == "application/x-image"
    assert "RoleArn" not in described
    found = outputs(cloud, name)
    assert sorted(found) == ["a.jpg.out", "below/b.jpg.out", "below/c d.jpg.out"]
    answer = json.loads(found["below/b.jpg.out"])
    assert bytes.fromhex(answer["bytes"]) == b"second"
    assert answer["model"] == f"weights of {name}"
    assert (answer["content_type"], answer["accept"]) == ("application/x-image", "application/json")
    assert answer["greeting"] == "of the job"
    assert data_log(cloud, name) == [
        "[sagemaker logs]: MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD"
    ]
    seen = until(lambda: [each for each in events() if each["detail"]["TransformJobStatus"] == "Completed"])
    assert seen[-1]["resources"] == [described["TransformJobArn"]]
    assert seen[-1]["detail"]["TransformEndTime"] > 1e12, "milliseconds"
    listed = sagemaker.list_transform_jobs(NameContains=name)["TransformJobSummaries"]
    assert [each["TransformJobStatus"] for each in listed] == ["Completed"]


def test_a_server_in_batch_is_told_what_the_request_says_and_no_more(
    cloud: Any, name: str, request_of: Callable[..., dict[str, Any]], transform: Transform
) -> None:
    # https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html
    transform(request_of({"a": b"a"}))
    told = {key: value for key, value in environment_of(cloud, name).items() if key.startswith("SAGEMAKER_B")}
    assert told == {"SAGEMAKER_BATCH": "true", "SAGEMAKER_BIND_TO_PORT": told["SAGEMAKER_BIND_TO_PORT"]}
    again = {"TransformJobName": f"{name}-2", "ModelName": name}
    limits = {"MaxConcurrentTransforms": 2, "MaxPayloadInMB": 3, "BatchStrategy": "SingleRecord"}
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://bucket/in/{name}/"}}
    transform(
        {
            **again,
            **limits,
            "TransformInput": {"DataSource": source},
            "TransformOutput": {"S3OutputPath": f"s3://bucket/out/{name}-2/"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        }
    )
    told = environment_of(cloud, f"{name}-2")
    assert told["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] == "2"
    assert told["SAGEMAKER_MAX_PAYLOAD_IN_MB"] == "3"
    assert told["SAGEMAKER_BATCH_STRATEGY"] == "SINGLE_RECORD"
    assert list(outputs(cloud, f"{name}-2")) == ["a.out"]


def test_what_the_server_asks_for_counts_where_the_request_says_nothing(
    cloud: Any, name: str, request_of: Callable[..., dict[str, Any]], transform: Transform
) -> None:
    asked = {"MaxConcurrentTransforms": 4, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 1}
    environment = {"EXECUTION_PARAMETERS": json.dumps(asked)}
    request = request_of({"a": b"a", "large": bytes(2 << 20)}, environment, MaxConcurrentTransforms=2)
    described = transform(request)
    assert described["FailureReason"] == "ClientError: See job logs for more information"
    assert list(outputs(cloud, name)) == ["a.out"]
    assert data_log(cloud, name) == [
        "[sagemaker logs]: MaxConcurrentTransforms=2, MaxPayloadInMB=1, BatchStrategy=SINGLE_RECORD",
        f"[sagemaker logs]: bucket/in/{name}/large: ClientError: 2097152 bytes exceed MaxPayloadInMB=1",
    ]


def test_a_record_that_fails_fails_the_job_when_the_others_are_answered(
    cloud: Any, name: str, request_of: Callable[..., dict[str, Any]], transform: Transform
) -> None:
    # https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-errors.html
    described = transform(request_of({"a": b"status 415", "b": b"fine"}))
    assert (described["TransformJobStatus"], described["FailureReason"]) == (
        "Failed",
        "ClientError: See job logs for more information",
    )
    assert list(outputs(cloud, name)) == ["b.out"]
    where = f"[sagemaker logs]: bucket/in/{name}/a: "
    assert [line.strip() for line in data_log(cloud, name)[1:]] == [
        f"{where}ClientError: 415",
        where.strip(),
        f"{where}Message:",
        f'{where}{{"error": "as you wished"}}',
    ]


def test_a_server_that_fails_is_asked_again_and_then_to_blame(
    cloud: Any, name: str, request_of: Callable[..., dict[str, Any]], transform: Transform
) -> None:
    described = transform(request_of({"a": b"at first 503", "b": b"at first 429", "c": b"status 500"}))
    assert described["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert list(outputs(cloud, name)) == ["a.out", "b.out"]


def test_a_manifest_names_the_objects(
    cloud: Any, name: str, request_of: Callable[..., dict[str, Any]], transform: Transform
) -> None:
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TransformS3DataSource.html
    request = request_of({"a": b"a", "below/b": b"b", "c": b"c"})
    manifest = [{"prefix": f"s3://bucket/in/{name}/"}, "below/b", "c"]
    cloud.client("s3").put_object(Bucket="bucket", Key=f"{name}.manifest", Body=json.dumps(manifest).encode())
    source = {"S3DataType": "ManifestFile", "S3Uri": f"s3://bucket/{name}.manifest"}
    assert transform(request | {"TransformInput": {"DataSource": {"S3DataSource": source}}})["TransformJobStatus"] == (
        "Completed"
    )
    assert list(outputs(cloud, name)) == ["below/b.out", "c.out"]


@pytest.mark.parametrize("manifest", [b"{}", b"[]", b'["a"]', b'[{"prefix": "s3://bucket/"}, 3]', b"\xff"])
def test_what_is_no_manifest_is_the_clients_error(
    cloud: Any, name: str, request_of: Callable[..., dict[str, Any]], transform: Transform, manifest: bytes
) -> None:
    cloud.client("s3").put_object(Bucket="bucket", Key=f"{name}.manifest", Body=manifest)
    source = {"S3DataType": "ManifestFile", "S3Uri": f"s3://bucket/{name}.manifest"}
    described = transform(request_of({}) | {"TransformInput": {"DataSource": {"S3DataSource": source}}})
    assert described["FailureReason"].startswith(f"ClientError: s3://bucket/{name}.manifest is no manifest")


def test_a_prefix_without_objects_and_a_model_without_data_fail_the_job(
    cloud: Any, name: str, request_of: Callable[..., dict[str, Any]], transform: Transform
) -> None:
    described = transform(request_of({}))
    assert described["FailureReason"].startswith(
        f'ClientError: No S3 objects found under S3 URL "s3://bucket/in/{name}/"'
    )
    cloud.client("s3").put_object(Bucket="bucket", Key=f"in/{name}/a", Body=b"a")
    cloud.client("s3").delete_object(Bucket="bucket", Key=f"served/{name}/model.tar.gz")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://bucket/in/{name}/"}}
    described = transform(
        {
            "TransformJobName": f"{name}-2",
            "ModelName": name,
            "TransformInput": {"DataSource": source},
            "TransformOutput": {"S3OutputPath": "s3://bucket/out"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        }
    )
    assert described["FailureReason"].startswith("ClientError: Failed to download model data")


def test_instances_share_the_objects(
    cloud: Any, name: str, request_of: Callable[..., dict[str, Any]], transform: Transform
) -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2}
    request = request_of({f"{number}": b"x" for number in range(5)}, TransformResources=resources)
    assert transform(request)["TransformJobStatus"] == "Completed"
    assert sorted(outputs(cloud, name)) == [f"{number}.out" for number in range(5)]
    assert (cloud.home / "jobs" / name / "algo-2" / "log.txt").exists()


def test_a_job_that_is_stopped_keeps_what_it_has_answered(
    cloud: Any, sagemaker: Any, name: str, request_of: Callable[..., dict[str, Any]], until: Until
) -> None:
    request = request_of({f"{number:02}": b"x" for number in range(40)}, {"PAUSE": "0.5"})
    sagemaker.create_transform_job(**request)
    until(lambda: outputs(cloud, name))
    sagemaker.stop_transform_job(TransformJobName=name)
    assert ended(sagemaker, until, name)["TransformJobStatus"] == "Stopped"
    assert 0 < len(outputs(cloud, name)) < 40
    with pytest.raises(ClientError, match="the transform job is in status Stopped"):
        sagemaker.stop_transform_job(TransformJobName=name)


def test_outputs_are_listed_from_where_a_listing_stopped(
    cloud: Any, name: str, request_of: Callable[..., dict[str, Any]], transform: Transform
) -> None:
    transform(request_of({f"{number}": b"x" for number in range(5)}, MaxConcurrentTransforms=3))
    s3, prefix = cloud.client("s3"), f"out/{name}/"
    first = s3.list_objects_v2(Bucket="bucket", Prefix=prefix, MaxKeys=2)
    seen = [item["Key"] for item in first["Contents"]]
    token = s3.list_objects_v2(Bucket="bucket", Prefix=prefix, ContinuationToken=first["NextContinuationToken"])
    after = s3.list_objects_v2(Bucket="bucket", Prefix=prefix, StartAfter=seen[-1])
    rest = [item["Key"] for item in token["Contents"]]
    assert rest == [item["Key"] for item in after["Contents"]]
    assert [*seen, *rest] == [f"{prefix}{number}.out" for number in range(5)]


def test_a_pipelines_step_waits_for_its_job_and_is_cached(
    cloud: Any, name: str, request_of: Callable[..., dict[str, Any]], until: Until
) -> None:
    request = request_of({"a": b"a", "b": b"status 500"})
    arguments = {key: value for key, value in request.items() if key != "TransformJobName"}
    cache = {"Enabled": True, "ExpireAfter": "P1D"}
    batch = {"Name": "Batch", "Type": "Transform", "Arguments": arguments, "CacheConfig": cache}
    where = {"Get": "Steps.Batch.TransformOutput.S3OutputPath"}
    end = {"Name": "End", "Type": "Fail", "Arguments": {"ErrorMessage": where}}
    pipelines = Pipelines(cloud, until)
    pipelines.create(name, batch, end)
    step = pipelines.steps(pipelines.run(name)[0])["Batch"]
    assert step["StepStatus"] == "Failed"
    assert "AlgorithmError: See job logs for more information" in step["FailureReason"]

    cloud.client("s3").delete_object(Bucket="bucket", Key=f"in/{name}/b")
    first, _ = pipelines.run(name)
    steps = pipelines.steps(first)
    assert steps["End"]["FailureReason"] == f"s3://bucket/out/{name}"
    job = steps["Batch"]["Metadata"]["TransformJob"]["Arn"].rsplit("/", 1)[1]
    assert cloud.client("sagemaker").describe_transform_job(TransformJobName=job)["TransformJobStatus"] == "Completed"
    again = pipelines.steps(pipelines.run(name)[0])["Batch"]
    assert again["CacheHitResult"] == {"SourcePipelineExecutionArn": first}


def test_what_is_refused(sagemaker: Any, request_of: Callable[..., dict[str, Any]], transform: Transform) -> None:
    request = request_of({"a": b"a"})
    given, output = request["TransformInput"], request["TransformOutput"]
    for changes, sentence in (
        ({"ModelName": "nobody"}, 'Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/nobody"'),
        ({"TransformInput": given | {"SplitType": "Line"}}, "TransformInput.SplitType cannot be Line"),
        ({"TransformInput": given | {"CompressionType": "Gzip"}}, "CompressionType cannot be Gzip"),
        ({"TransformOutput": output | {"AssembleWith": "Line"}}, "TransformOutput.AssembleWith cannot be Line"),
        ({"DataProcessing": {"InputFilter": "$"}}, "DataProcessing of CreateTransformJob is not emulated"),
        ({"MaxConcurrentTransforms": 11, "MaxPayloadInMB": 10}, "must not exceed 100 MB"),
        ({"MaxPayloadInMB": 101}, "cannot be greater than 100"),
    ):
        with pytest.raises(ClientError, match=sentence):
            sagemaker.create_transform_job(**request | changes)
    transform(request)
    with pytest.raises(ClientError, match="a transform job with this name already exists") as caught:
        sagemaker.create_transform_job(**request)
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"
    with pytest.raises(ClientError, match="Requested resource not found") as caught:
        sagemaker.describe_transform_job(TransformJobName="nobody")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


def test_the_models_role_does_it(
    cloud: Any, sagemaker: Any, name: str, request_of: Callable[..., dict[str, Any]], transform: Transform
) -> None:
    allowed = ["ecr:*", "logs:*", "cloudwatch:PutMetricData", "s3:GetObject", "s3:ListBucket"]
    role = cloud.create_role(f"{name}-reads", {"Effect": "Allow", "Action": allowed, "Resource": "*"})
    request = request_of({"a": b"a"})
    sagemaker.delete_model(ModelName=name)
    container = {"Image": cloud.image, "ModelDataUrl": f"s3://bucket/served/{name}/model.tar.gz"}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role)
    described = transform(request)
    assert described["TransformJobStatus"] == "Failed"
    assert "AccessDenied" in described["FailureReason"]
    assert "s3:PutObject" in described["FailureReason"]


def test_who_asks_needs_the_permission(cloud: Any, name: str, request_of: Callable[..., dict[str, Any]]) -> None:
    statement = {"Effect": "Allow", "Action": "sagemaker:Describe*", "Resource": "*"}
    role = cloud.create_role(f"{name}-asks", statement)
    principal = {"AWS": "arn:aws:iam::123456789012:root"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    cloud.client("iam").update_assume_role_policy(RoleName=f"{name}-asks", PolicyDocument=document)
    with pytest.raises(ClientError, match="is not authorized to perform: sagemaker:CreateTransformJob"):
        cloud.as_role(role, "sagemaker").create_transform_job(**request_of({"a": b"a"}))


def test_instances_count_against_the_quota(
    cloud: Any, sagemaker: Any, request_of: Callable[..., dict[str, Any]]
) -> None:
    file = cloud.home / "quotas.json"
    file.write_text(json.dumps({"ml.m5.large for transform job usage": 0}))
    try:
        with pytest.raises(ClientError, match=r"'ml.m5.large for transform job usage' is 0 Instances"):
            sagemaker.create_transform_job(**request_of({"a": b"a"}))
    finally:
        file.unlink()
