# SPDX-License-Identifier: Apache-2.0
"""After a kill -9 and a restart: executions go on, endpoints answer again, and nothing was left running."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from localcloud import cloud as local_cloud

Until = Callable[..., Any]
RaiseCloud = Callable[[Path | None], Any]
DATA = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data/"}}


def training(cloud: Any, name: str, **wishes: str) -> dict[str, Any]:
    arguments = {
        "RoleArn": cloud.role,
        "AlgorithmSpecification": {"TrainingImage": cloud.image, "TrainingInputMode": "File"},
        "HyperParameters": wishes,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": DATA}],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "CheckpointConfig": {"S3Uri": f"s3://bucket/checkpoints/{name}"},
    }
    return {"Name": name, "Type": "Training", "Arguments": arguments}


def serve(cloud: Any, name: str) -> None:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as tar:
        member = tarfile.TarInfo("weights")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"best"))
    cloud.client("s3").put_object(Bucket="bucket", Key="model.tar.gz", Body=body.getvalue())
    sagemaker = cloud.client("sagemaker")
    container = {"Image": cloud.image, "ModelDataUrl": "s3://bucket/model.tar.gz"}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=cloud.role)
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)


def children(home: Path) -> set[int]:
    """Process ids of whatever works below a cloud's directory."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get("MAPGATE_ML_ROOT", "").startswith(str(home)):
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def own_cloud(raise_cloud: RaiseCloud) -> Any:
    made = raise_cloud(None)
    made.furnish()
    serve(made, "served")
    return made


def kill(cloud: Any, until: Until) -> None:
    os.kill(cloud.information.pid, signal.SIGKILL)
    os.waitpid(cloud.information.pid, 0)
    until(lambda: not children(cloud.home))


def test_everything_goes_on_after_a_kill(own_cloud: Any, raise_cloud: RaiseCloud, until: Until) -> None:
    sagemaker, sqs = own_cloud.client("sagemaker"), own_cloud.client("sqs")
    url = sqs.create_queue(QueueName="ask")["QueueUrl"]
    ask = {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": url, "Arguments": {"a": 1}, "OutputParameters": []}
    later = training(own_cloud, "Later") | {"DependsOn": ["Long", "Ask"]}
    steps = [training(own_cloud, "Quick"), training(own_cloud, "Long", steps="4", pause="1.5"), ask, later]
    definition = {"Version": "2020-12-01", "Parameters": [], "Steps": steps}
    sagemaker.create_pipeline(PipelineName="p", PipelineDefinition=json.dumps(definition), RoleArn=own_cloud.role)
    arn = sagemaker.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]

    def step(cloud: Any, name: str) -> dict[str, Any]:
        listed = cloud.client("sagemaker").list_pipeline_execution_steps(PipelineExecutionArn=arn)
        return next((each for each in listed["PipelineExecutionSteps"] if each["StepName"] == name), {})

    def checkpoints(cloud: Any) -> int:
        listed = cloud.client("s3").list_objects_v2(Bucket="bucket", Prefix="checkpoints/Long/")
        return int(listed["KeyCount"])

    until(lambda: step(own_cloud, "Quick").get("StepStatus") == "Succeeded")
    until(lambda: checkpoints(own_cloud) >= 1)
    until(lambda: sagemaker.describe_endpoint(EndpointName="served")["EndpointStatus"] == "InService")
    quick, interrupted = step(own_cloud, "Quick"), step(own_cloud, "Long")
    token = step(own_cloud, "Ask")["Metadata"]["Callback"]["CallbackToken"]
    kill(own_cloud, until)

    cloud = raise_cloud(own_cloud.home)
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName="served", Body=b"x")
    assert json.loads(answer["Body"].read())["model"] == "best"
    sagemaker = cloud.client("sagemaker")
    job = interrupted["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[1]
    described = sagemaker.describe_training_job(TrainingJobName=job)
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("InternalServerError")
    sagemaker.send_pipeline_execution_step_success(CallbackToken=token)

    def status() -> str:
        return str(sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"])

    until(lambda: status() != "Executing")
    assert status() == "Succeeded"
    assert step(cloud, "Quick") == quick, "a finished step stays finished"
    again = step(cloud, "Long")
    assert again["Metadata"] != interrupted["Metadata"]
    log = cloud.log_of(again["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[1])
    assert "starts at step=0" not in log, "it resumed from the checkpoints in S3"
    messages = cloud.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert len(messages) == 1, "a callback that waits is not asked again"


def test_a_transform_job_has_failed_and_what_it_had_answered_is_there(
    own_cloud: Any, raise_cloud: RaiseCloud, until: Until
) -> None:
    cloud = raise_cloud(own_cloud.home)
    sagemaker, s3 = cloud.client("sagemaker"), cloud.client("s3")
    for number in range(20):
        s3.put_object(Bucket="bucket", Key=f"batch/{number:02}", Body=b"x")
    container = {"Image": cloud.image, "ModelDataUrl": "s3://bucket/model.tar.gz", "Environment": {"PAUSE": "0.5"}}
    sagemaker.create_model(ModelName="slow", PrimaryContainer=container, ExecutionRoleArn=cloud.role)
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/batch/"}}
    sagemaker.create_transform_job(
        TransformJobName="batch",
        ModelName="slow",
        TransformInput={"DataSource": source},
        TransformOutput={"S3OutputPath": "s3://bucket/answers"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )

    def outputs(cloud: Any) -> list[str]:
        listed = cloud.client("s3").list_objects_v2(Bucket="bucket", Prefix="answers/")
        return [item["Key"] for item in listed.get("Contents", [])]

    until(lambda: len(outputs(cloud)) > 1)  # so that the first one's request was answered: it must outlive the cloud
    kill(cloud, until)

    cloud = raise_cloud(own_cloud.home)
    described = cloud.client("sagemaker").describe_transform_job(TransformJobName="batch")
    assert described["TransformJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("InternalServerError")
    assert outputs(cloud)[0] == "answers/00.out"
    assert len(outputs(cloud)) < 20


def test_nothing_runs_on_when_the_cloud_is_stopped(own_cloud: Any, raise_cloud: RaiseCloud, until: Until) -> None:
    cloud = raise_cloud(own_cloud.home)
    request = training(cloud, "job", steps="1000", pause="0.1")["Arguments"]
    cloud.client("sagemaker").create_training_job(TrainingJobName="job", **request)
    until(lambda: "step=1" in cloud.log_of("job"))
    until(lambda: len(children(cloud.home)) >= 2)  # the job's and the endpoint's
    local_cloud.down(cloud.home)
    until(lambda: not children(cloud.home))
