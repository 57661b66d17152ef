# SPDX-License-Identifier: Apache-2.0
"""Training and processing jobs run for real, under the platform's contract."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

Until = Callable[..., Any]
PLATFORM = {"AWS_REGION", "TRAINING_JOB_NAME", "TRAINING_JOB_ARN", "MAPGATE_ML_ROOT"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
PROCESS = {"PATH", "HOME", "LANG", "TMPDIR", "PYTHONUNBUFFERED", "LC_CTYPE"}


def training(cloud: Any, name: str, uri: str = "s3://bucket/data/", **wishes: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": cloud.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [
                {"Name": "train:loss", "Regex": r"loss=([0-9.]+)"},
                {"Name": "never", "Regex": r"nothing=([0-9.]+)"},
            ],
        },
        "RoleArn": cloud.role,
        "HyperParameters": wishes,
        "InputDataConfig": [
            {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "Environment": {"OF_THE_REQUEST": "yes"},
    }


def processing(cloud: Any, name: str, uri: str = "s3://bucket/data/", **wishes: str) -> dict[str, Any]:
    source = {
        "S3Uri": uri,
        "LocalPath": "/opt/ml/processing/input/data",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    output = {
        "S3Uri": f"s3://bucket/out/{name}",
        "LocalPath": "/opt/ml/processing/output/report",
        "S3UploadMode": "EndOfJob",
    }
    return {
        "ProcessingJobName": name,
        "AppSpecification": {
            "ImageUri": cloud.image,
            "ContainerEntrypoint": ["python", "stand_in.py", "process"],
        },
        "RoleArn": cloud.role,
        "Environment": wishes,
        "ProcessingInputs": [{"InputName": "data", "S3Input": source}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": output}]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
        },
    }


def train(cloud: Any, until: Until, request: dict[str, Any]) -> dict[str, Any]:
    sagemaker, name = cloud.client("sagemaker"), request["TrainingJobName"]
    sagemaker.create_training_job(**request)
    return ended_training(cloud, until, name)


def ended_training(cloud: Any, until: Until, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        described = cloud.client("sagemaker").describe_training_job(TrainingJobName=name)
        return described if described["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return dict(until(look))


def archive(cloud: Any, uri: str) -> dict[str, bytes]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def keys(cloud: Any, prefix: str) -> list[str]:
    return [
        item["Key"] for item in cloud.client("s3").list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
    ]


def test_a_training_job_trains_and_leaves_model_output_metrics_and_log(cloud: Any, until: Until) -> None:
    events = cloud.events("SageMaker Training Job State Change")
    described = train(cloud, until, training(cloud, "trains"))
    assert described["TrainingJobStatus"] == described["SecondaryStatus"] == "Completed"
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bucket/models/trains/output/model.tar.gz"
    assert archive(cloud, described["ModelArtifacts"]["S3ModelArtifacts"]) == {"weights": b"weights 2"}
    assert archive(cloud, "s3://bucket/models/trains/output/output.tar.gz") == {"notes.txt": b"notes"}
    assert [(each["MetricName"], each["Value"]) for each in described["FinalMetricDataList"]] == [("train:loss", 0.5)]
    assert [each["Status"] for each in described["SecondaryStatusTransitions"]] == [
        "Starting", "Downloading", "DownloadingTrainingImage", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    log = cloud.log_of("trains")
    assert "arguments ['train']" in log
    assert "files ['train/a.txt', 'train/below/b.txt']" in log
    logs = cloud.client("logs")
    stream = logs.describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="trains/algo-1-"
    )["logStreams"][0]["logStreamName"]
    sent = logs.get_log_events(logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream, startFromHead=True)
    assert [event["message"] for event in sent["events"]] == log.splitlines()
    seen = until(lambda: [each["detail"] for each in events() if each["detail"]["SecondaryStatus"] == "Completed"])
    assert seen[-1]["TrainingJobName"] == "trains"
    assert seen[-1]["TrainingEndTime"] > 1e12, "milliseconds"


def test_a_job_sees_what_the_platform_sets_and_nothing_else(cloud: Any, until: Until) -> None:
    described = train(cloud, until, training(cloud, "environment"))
    line = next(line for line in cloud.log_of("environment").splitlines() if line.startswith("environment "))
    environment = json.loads(line.removeprefix("environment "))
    assert set(environment) - PROCESS == PLATFORM | CREDENTIALS | {"OF_THE_REQUEST"}
    assert not [name for name in environment if name.startswith("SM_")]
    assert environment["TRAINING_JOB_ARN"] == described["TrainingJobArn"]
    train(cloud, until, training(cloud, "environment-3") | {"EnableNetworkIsolation": True})
    line = next(line for line in cloud.log_of("environment-3").splitlines() if line.startswith("environment "))
    assert set(json.loads(line.removeprefix("environment "))) - PROCESS == PLATFORM | {
        "AWS_EC2_METADATA_DISABLED",
        "OF_THE_REQUEST",
    }
    cloud.process(until, processing(cloud, "environment-2"))
    line = next(line for line in cloud.log_of("environment-2").splitlines() if line.startswith("environment "))
    assert set(json.loads(line.removeprefix("environment "))) - PROCESS == {"AWS_REGION", "MAPGATE_ML_ROOT"}


def test_a_failure_carries_the_containers_sentence_and_exit_code(cloud: Any, until: Until) -> None:
    described = train(cloud, until, training(cloud, "fails", fail="the loss is not finite", code="3"))
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"] == "AlgorithmError: the loss is not finite, exit code: 3"
    assert not keys(cloud, "models/fails/output/model")


def test_a_failed_processing_job_keeps_its_message(cloud: Any, until: Until) -> None:
    described = cloud.process(until, processing(cloud, "fails-2", fail="image 7 is broken"))
    assert described["ProcessingJobStatus"] == "Failed"
    assert described["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert described["ExitMessage"] == "image 7 is broken"
    assert keys(cloud, "out/fails-2/") == []


def test_processing_outputs_go_up_without_symbolic_links(cloud: Any, until: Until) -> None:
    described = cloud.process(until, processing(cloud, "processes", uri="s3://bucket/data/a.txt"))
    assert described["ProcessingJobStatus"] == "Completed"
    assert keys(cloud, "out/processes/") == ["out/processes/below/text.txt", "out/processes/report.json"]
    assert (cloud.home / "jobs/processes/opt/ml/processing/input/data/a.txt").read_text() == "content of a"


def test_a_training_channel_without_objects_is_refused(cloud: Any) -> None:
    with pytest.raises(ClientError, match='No S3 objects found under S3 URL "s3://bucket/nothing"'):
        cloud.client("sagemaker").create_training_job(**training(cloud, "empty", uri="s3://bucket/nothing"))


def test_a_processing_input_without_objects_fails_the_job(cloud: Any, until: Until) -> None:
    described = cloud.process(until, processing(cloud, "empty-2", uri="s3://bucket/nothing"))
    assert described["FailureReason"].startswith("ClientError: No S3 objects found under S3 URL")


def test_an_image_that_was_not_pushed_fails_the_job_with_the_way_out(cloud: Any, until: Until) -> None:
    request = training(cloud, "no-image")
    request["AlgorithmSpecification"]["TrainingImage"] = f"{cloud.image}234"
    assert "Run `mapgate images push`" in train(cloud, until, request)["FailureReason"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda r: r["ResourceConfig"].update(InstanceCount=2), "one instance"),
        (lambda r: r["AlgorithmSpecification"].update(TrainingInputMode="Pipe"), "File or FastFile"),
        (lambda r: r["InputDataConfig"][0]["DataSource"]["S3DataSource"].update(S3DataType="ManifestFile"), "S3Prefix"),
        (lambda r: r["InputDataConfig"][0].update(CompressionType="Gzip"), "does not decompress"),
    ],
)
def test_what_the_laptop_cannot_do_is_refused_with_one_sentence(
    cloud: Any, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    request = training(cloud, "refused")
    change(request)
    with pytest.raises(ClientError, match=sentence):
        cloud.client("sagemaker").create_training_job(**request)


def test_outputs_that_cannot_go_up_fail_the_job(cloud: Any, until: Until) -> None:
    request = training(cloud, "no-bucket")
    request["OutputDataConfig"]["S3OutputPath"] = "s3://no-such-bucket/models"
    described = train(cloud, until, request)
    assert described["FailureReason"].startswith("ClientError: ")
    assert "bucket does not exist" in described["FailureReason"]


def test_a_name_is_used_once(cloud: Any, until: Until) -> None:
    train(cloud, until, training(cloud, "once"))
    with pytest.raises(ClientError, match=r"ResourceInUse.*already exists"):
        cloud.client("sagemaker").create_training_job(**training(cloud, "once"))


def test_a_stopped_job_gets_sigterm_and_may_save_its_model(cloud: Any, until: Until) -> None:
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_training_job(**training(cloud, "stops", steps="1000", pause="0.05"))
    until(lambda: "step=2" in cloud.log_of("stops"))
    sagemaker.stop_training_job(TrainingJobName="stops")
    assert sagemaker.describe_training_job(TrainingJobName="stops")["TrainingJobStatus"] == "Stopping"
    assert ended_training(cloud, until, "stops")["TrainingJobStatus"] == "Stopped"
    assert archive(cloud, "s3://bucket/models/stops/output/model.tar.gz") == {"weights": b"weights -1"}


def test_a_container_that_is_not_roots_cannot_write_what_is(cloud: Any, until: Until) -> None:
    request = training(cloud, "as-somebody")
    request["AlgorithmSpecification"]["TrainingImage"] = cloud.push_image("somebody", user="1000:1000")
    described = train(cloud, until, request)
    assert described["TrainingJobStatus"] == "Failed"
    assert "runs as user 1000:1000, but SageMaker's folders below /opt/ml are root's" in described["FailureReason"]


def test_a_stubborn_job_is_killed_when_its_time_is_over(cloud: Any, until: Until) -> None:
    request = training(cloud, "too-long", steps="1000", pause="0.1", stubborn="yes")
    request["StoppingCondition"]["MaxRuntimeInSeconds"] = 1
    described = train(cloud, until, request)
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert "stops" in cloud.log_of("too-long")
    assert "step=900" not in cloud.log_of("too-long")


def test_checkpoints_go_up_while_the_job_runs_and_come_back_to_the_next(cloud: Any, until: Until) -> None:
    sagemaker = cloud.client("sagemaker")
    request = training(cloud, "first", steps="3", pause="3")
    request["CheckpointConfig"] = {"S3Uri": "s3://bucket/checkpoints/a", "LocalPath": "/opt/ml/checkpoints"}
    sagemaker.create_training_job(**request)
    until(lambda: keys(cloud, "checkpoints/a/"))
    assert sagemaker.describe_training_job(TrainingJobName="first")["TrainingJobStatus"] == "InProgress"
    sagemaker.stop_training_job(TrainingJobName="first")
    ended_training(cloud, until, "first")
    done = [int(key.rsplit("/", 1)[1]) for key in keys(cloud, "checkpoints/a/")]
    assert done, "no temporary file is among them"
    request["TrainingJobName"], request["HyperParameters"] = "second", {"steps": "4"}
    train(cloud, until, request)
    assert f"starts at step={max(done)}" in cloud.log_of("second")
    assert keys(cloud, "checkpoints/a/") == [f"checkpoints/a/{step}" for step in range(1, 5)]


def test_checkpoints_may_lie_anywhere_in_the_container(cloud: Any, until: Until) -> None:
    request = training(cloud, "anywhere", steps="2")
    request["CheckpointConfig"] = {"S3Uri": "s3://bucket/checkpoints/c", "LocalPath": "/tmp/checkpoints/"}  # noqa: S108
    train(cloud, until, request)
    assert keys(cloud, "checkpoints/c/") == ["checkpoints/c/1", "checkpoints/c/2"]
    request["TrainingJobName"] = "anywhere-2"
    train(cloud, until, request)
    assert "starts at step=2" in cloud.log_of("anywhere-2")


def test_a_checkpoint_that_the_job_deletes_is_deleted_in_s3(cloud: Any, until: Until) -> None:
    for step in (1, 2):
        cloud.client("s3").put_object(Bucket="bucket", Key=f"checkpoints/b/{step}", Body=b"checkpoint")
    request = training(cloud, "replaces", steps="5", replace="yes")
    request["CheckpointConfig"] = {"S3Uri": "s3://bucket/checkpoints/b", "LocalPath": "/opt/ml/checkpoints"}
    train(cloud, until, request)
    assert keys(cloud, "checkpoints/b/") == ["checkpoints/b/1", "checkpoints/b/5"]


def test_what_tensorboard_shows_goes_up_only_where_it_is_asked_for(cloud: Any, until: Until) -> None:
    request = training(cloud, "seen")
    request["TensorBoardOutputConfig"] = {"S3OutputPath": "s3://bucket/tensorboard"}
    train(cloud, until, request)
    train(cloud, until, training(cloud, "unseen"))
    assert keys(cloud, "tensorboard/") == ["tensorboard/seen/tensorboard-output/events"]


def test_what_the_debuggers_hook_writes_goes_up_where_an_estimator_asks_for_it(cloud: Any, until: Until) -> None:
    request = training(cloud, "hooked", tensors="yes")
    # As SageMaker's SDK asks for any job of an Estimator, whose profiler measures instances.
    request["DebugHookConfig"] = {"S3OutputPath": "s3://bucket/hook/", "CollectionConfigurations": []}
    request["ProfilerConfig"] = {"S3OutputPath": "s3://bucket/profile/", "DisableProfiler": False}
    described = train(cloud, until, request)
    assert described["DebugHookConfig"] == request["DebugHookConfig"]
    assert keys(cloud, "hook/") == ["hook/hooked/debug-output/collections.json"]
    assert "hook {'LocalPath': '/opt/ml/output/tensors', 'S3OutputPath'" in cloud.log_of("hooked")
    train(cloud, until, request | {"TrainingJobName": "unhooked", "HyperParameters": {}})
    assert not keys(cloud, "hook/unhooked/")


def test_jobs_are_listed_newest_first_and_filtered(cloud: Any, until: Until) -> None:
    cloud.process(until, processing(cloud, "listed-1"))
    cloud.process(until, processing(cloud, "listed-2", fail="x"))
    sagemaker = cloud.client("sagemaker")
    summaries = sagemaker.list_processing_jobs(NameContains="listed-")["ProcessingJobSummaries"]
    assert [each["ProcessingJobName"] for each in summaries] == ["listed-2", "listed-1"]
    failed = sagemaker.list_processing_jobs(NameContains="listed-", StatusEquals="Failed")["ProcessingJobSummaries"]
    assert [each["ExitMessage"] for each in failed] == ["x"]
    page = sagemaker.list_processing_jobs(NameContains="listed-", MaxResults=1)
    assert len(page["ProcessingJobSummaries"]) == 1
    rest = sagemaker.list_processing_jobs(NameContains="listed-", MaxResults=1, NextToken=page["NextToken"])
    assert rest["ProcessingJobSummaries"] != page["ProcessingJobSummaries"]
