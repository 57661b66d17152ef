# SPDX-License-Identifier: Apache-2.0
"""Pipeline executions on the laptop's cloud, seen through SageMaker's own actions."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

Until = Callable[..., Any]
CACHED = {"Enabled": True, "ExpireAfter": "P30D"}
REPORT = [{"PropertyFileName": "Report", "OutputName": "report", "FilePath": "report.json"}]


def get(reference: str) -> dict[str, str]:
    return {"Get": reference}


def join(on: str, *values: Any) -> dict[str, Any]:
    return {"Std:Join": {"On": on, "Values": list(values)}}


def report(path: str, step: str = "Prepare") -> dict[str, Any]:
    return {"Std:JsonGet": {"PropertyFile": {"Get": f"Steps.{step}.PropertyFiles.Report"}, "Path": path}}


def processing(cloud: Any, name: str = "Prepare", **wishes: Any) -> dict[str, Any]:
    output = {
        "S3Uri": join("/", "s3://bucket/executions", get("Execution.PipelineExecutionId"), name),
        "LocalPath": "/opt/ml/processing/output/report",
        "S3UploadMode": "EndOfJob",
    }
    source = {
        "S3Uri": get("Parameters.DatasetUri"),
        "LocalPath": "/opt/ml/processing/input/data",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    arguments = {
        "RoleArn": cloud.role,
        "AppSpecification": {"ImageUri": cloud.image, "ContainerEntrypoint": ["python", "stand_in.py", "process"]},
        "ProcessingInputs": [{"InputName": "data", "S3Input": source}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": output}]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
        },
        "Environment": wishes,
    }
    return {"Name": name, "Type": "Processing", "Arguments": arguments, "PropertyFiles": REPORT}


def training(cloud: Any, name: str = "Train", reads: str | None = "Prepare", **wishes: Any) -> dict[str, Any]:
    uri = (
        get(f"Steps.{reads}.ProcessingOutputConfig.Outputs['report'].S3Output.S3Uri") if reads else "s3://bucket/data/"
    )
    arguments = {
        "RoleArn": cloud.role,
        "AlgorithmSpecification": {"TrainingImage": cloud.image, "TrainingInputMode": "File"},
        "HyperParameters": wishes,
        "InputDataConfig": [
            {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    return {"Name": name, "Type": "Training", "Arguments": arguments}


def register(cloud: Any) -> dict[str, Any]:
    container = {"Image": cloud.image, "ModelDataUrl": get("Steps.Train.ModelArtifacts.S3ModelArtifacts")}
    arguments = {
        "ModelPackageGroupName": "group",
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    }
    return {"Name": "Register", "Type": "RegisterModel", "Arguments": arguments}


def fail(message: Any) -> dict[str, Any]:
    return {"Name": "Refused", "Type": "Fail", "Arguments": {"ErrorMessage": message}}


def check(conditions: list[dict[str, Any]], then: list[Any], otherwise: list[Any]) -> dict[str, Any]:
    arguments = {"Conditions": conditions, "IfSteps": then, "ElseSteps": otherwise}
    return {"Name": "Check", "Type": "Condition", "Arguments": arguments}


def equals(left: Any, right: Any) -> dict[str, Any]:
    return {"Type": "Equals", "LeftValue": left, "RightValue": right}


def callback(url: str, **arguments: Any) -> dict[str, Any]:
    outputs = [{"OutputName": "Latency", "OutputType": "Float"}]
    return {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": url, "Arguments": arguments, "OutputParameters": outputs}


PARAMETERS = [
    {"Name": "DatasetUri", "Type": "String", "DefaultValue": "s3://bucket/data/"},
    {"Name": "Threshold", "Type": "Float", "DefaultValue": 0.5},
    {"Name": "Size", "Type": "String", "DefaultValue": "small", "EnumValues": ["small", "large"]},
]


class Pipelines:
    """Makes, starts and follows pipelines."""

    def __init__(self, cloud: Any, until: Until) -> None:
        self.sagemaker, self._until, self._number = cloud.client("sagemaker"), until, 0
        self._role = cloud.role

    def create(self, name: str, *steps: dict[str, Any]) -> str:
        definition = {"Version": "2020-12-01", "Parameters": PARAMETERS, "Steps": list(steps)}
        self.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=json.dumps(definition), RoleArn=self._role)
        return name

    def start(self, name: str, **parameters: str) -> str:
        given = [{"Name": key, "Value": value} for key, value in parameters.items()]
        answer = self.sagemaker.start_pipeline_execution(PipelineName=name, PipelineParameters=given)
        return str(answer["PipelineExecutionArn"])

    def end(self, arn: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            described = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            return described if described["PipelineExecutionStatus"] not in ("Executing", "Stopping") else None

        return dict(self._until(look))

    def run(self, name: str, **parameters: str) -> tuple[str, dict[str, Any]]:
        arn = self.start(name, **parameters)
        return arn, self.end(arn)

    def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        listed = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder="Ascending")
        return {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}

    def status(self, arn: str, step: str) -> str | None:
        return self.steps(arn).get(step, {}).get("StepStatus")


@pytest.fixture
def pipelines(cloud: Any, until: Until) -> Pipelines:
    return Pipelines(cloud, until)


@pytest.fixture
def queue(cloud: Any) -> str:
    return str(cloud.client("sqs").create_queue(QueueName=f"ask-{time.monotonic_ns()}")["QueueUrl"])


def message(cloud: Any, until: Until, queue: str) -> dict[str, Any]:
    sqs = cloud.client("sqs")
    (received,) = until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=received["ReceiptHandle"])
    return dict(json.loads(received["Body"]))


def test_data_flows_through_the_steps_to_the_registry(cloud: Any, pipelines: Pipelines, until: Until) -> None:
    changes = cloud.events("SageMaker Model Building Pipeline Execution Step Status Change")
    gate = [
        equals(report("gate.passed"), True),
        {
            "Type": "GreaterThanOrEqualTo",
            "LeftValue": report("gate.mAP"),
            "RightValue": get("Parameters.Threshold"),
        },
    ]
    name = pipelines.create(
        "whole",
        processing(cloud),
        training(cloud, seed="17"),
        check([*gate, equals(get("Steps.Train.TrainingJobStatus"), "Completed")], [register(cloud)], [fail("no")]),
    )
    arn, described = pipelines.run(name)
    assert described["PipelineExecutionStatus"] == "Succeeded"
    steps = pipelines.steps(arn)
    assert {name: step["StepStatus"] for name, step in steps.items()} == dict.fromkeys(
        ("Prepare", "Train", "Check", "Register"), "Succeeded"
    ), "the branch that was not taken is not listed"
    assert steps["Check"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[1]
    assert job.startswith(f"pipelines-{arn.rsplit('/', 1)[1]}-Train-")
    assert "files ['train/below/text.txt', 'train/report.json']" in cloud.log_of(job)
    package = pipelines.sagemaker.describe_model_package(
        ModelPackageName=steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    )
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == (
        f"s3://bucket/models/{job}/output/model.tar.gz"
    )
    for step in steps.values():
        assert step["StartTime"] <= step["EndTime"]
        assert step["AttemptCount"] == 1
    seen = until(lambda: [each for each in changes() if each["detail"]["currentStepStatus"] == "Succeeded"])
    assert seen[0]["resources"] == [described["PipelineArn"], arn]


def test_the_other_branch_fails_with_its_sentence(cloud: Any, pipelines: Pipelines) -> None:
    sentence = join(" ", "mAP", report("gate.mAP"), "is below", get("Parameters.Threshold"))
    gate = [{"Type": "GreaterThan", "LeftValue": report("gate.mAP"), "RightValue": get("Parameters.Threshold")}]
    name = pipelines.create("refusing", processing(cloud), check(gate, [training(cloud)], [fail(sentence)]))
    arn, described = pipelines.run(name, Threshold="0.9")
    assert described["PipelineExecutionStatus"] == "Failed"
    assert described["FailureReason"] == "Step failure: One or multiple steps failed."
    refused = pipelines.steps(arn)["Refused"]
    assert (refused["StepStatus"], refused["FailureReason"]) == ("Failed", "mAP 0.7 is below 0.9")
    assert refused["Metadata"] == {"Fail": {"ErrorMessage": "mAP 0.7 is below 0.9"}}
    assert "Train" not in pipelines.steps(arn)


def test_a_condition_on_what_is_not_there_fails(cloud: Any, pipelines: Pipelines) -> None:
    name = pipelines.create("missing", processing(cloud), check([equals(report("gate.absent"), True)], [], []))
    arn, described = pipelines.run(name)
    assert described["PipelineExecutionStatus"] == "Failed"
    assert "gate.absent: does not exist" in pipelines.steps(arn)["Check"]["FailureReason"]


def test_a_failed_job_fails_its_step_and_nothing_after_it_runs(cloud: Any, pipelines: Pipelines) -> None:
    name = pipelines.create(
        "failing",
        processing(cloud),
        training(cloud, fail="the loss is not finite", code="1"),
        training(cloud, "Later", reads=None) | {"DependsOn": ["Train"]},
    )
    arn, described = pipelines.run(name)
    assert described["PipelineExecutionStatus"] == "Failed"
    steps = pipelines.steps(arn)
    assert list(steps) == ["Prepare", "Train"]
    assert steps["Train"]["FailureReason"] == "AlgorithmError: the loss is not finite, exit code: 1"


def test_independent_steps_run_side_by_side_and_end_though_one_fails(cloud: Any, pipelines: Pipelines) -> None:
    slow = training(cloud, "Slow", reads=None, steps="1", pause="1")
    bad = training(cloud, "Bad", reads=None, fail="x")
    after = training(cloud, "After", reads=None) | {"DependsOn": ["Slow"]}
    arn, described = pipelines.run(pipelines.create("parallel", slow, bad, after))
    steps = pipelines.steps(arn)
    assert steps["Slow"]["StepStatus"] == "Succeeded"
    assert steps["Bad"]["EndTime"] < steps["Slow"]["EndTime"]
    assert set(steps) == {"Slow", "Bad"}
    assert described["PipelineExecutionStatus"] == "Failed"


def test_a_cached_step_is_not_run_again(cloud: Any, pipelines: Pipelines) -> None:
    steps = [processing(cloud) | {"CacheConfig": CACHED}, training(cloud) | {"CacheConfig": CACHED}]
    name = pipelines.create("cached", *steps)
    first, _ = pipelines.run(name)
    second, described = pipelines.run(name)
    assert described["PipelineExecutionStatus"] == "Succeeded"
    before, after = pipelines.steps(first), pipelines.steps(second)
    for step in ("Prepare", "Train"):
        assert "CacheHitResult" not in before[step]
        assert after[step]["CacheHitResult"] == {"SourcePipelineExecutionArn": first}
        assert after[step]["Metadata"] == before[step]["Metadata"]
    third, _ = pipelines.run(name, DatasetUri="s3://bucket/data/a")
    assert "CacheHitResult" not in pipelines.steps(third)["Prepare"]
    other, _ = pipelines.run(pipelines.create("cached-2", *steps))
    assert "CacheHitResult" not in pipelines.steps(other)["Prepare"], "another pipeline's runs do not count"


def test_an_image_that_was_not_pushed_fails_at_once(cloud: Any, pipelines: Pipelines) -> None:
    later = training(cloud)
    later["Arguments"]["AlgorithmSpecification"]["TrainingImage"] = f"{cloud.image}99"
    arn, described = pipelines.run(pipelines.create("no-image", processing(cloud), later))
    assert described["PipelineExecutionStatus"] == "Failed"
    (step,) = pipelines.steps(arn).values()
    assert step["StepName"] == "Prepare"
    assert "Step Train: Image" in step["FailureReason"]
    assert "Run `mapgate images push`" in step["FailureReason"]


def test_arguments_that_do_not_fit_the_action_fail_the_step(cloud: Any, pipelines: Pipelines) -> None:
    number = processing(cloud, threshold=get("Parameters.Threshold"))
    arn, _ = pipelines.run(pipelines.create("misfit", number))
    reason = pipelines.steps(arn)["Prepare"]["FailureReason"]
    assert "Failed to invoke sagemaker:CreateProcessingJob" in reason
    assert "Environment.threshold" in reason


HANDLER = """
def handler(event, context):
    if event["name"] == "fail":
        raise ValueError("no champion here")
    return {"Uri": "s3://bucket/" + event["name"], "Number": 7} if event["name"] != "short" else {"Uri": "x"}
"""


@pytest.fixture(scope="module")
def function(cloud: Any) -> str:
    """ARN of a function that answers with two outputs, fails, or forgets one."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = {"Version": "2012-10-17", "Statement": [trust]}
    role = cloud.client("iam").create_role(RoleName="find", AssumeRolePolicyDocument=json.dumps(policy))["Role"]["Arn"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("find.py", HANDLER)
    created = cloud.client("lambda").create_function(
        FunctionName="find",
        Runtime="python3.11",
        Role=role,
        Handler="find.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    return str(created["FunctionArn"])


def find(function: str, name: str) -> dict[str, Any]:
    outputs = [{"OutputName": "Uri", "OutputType": "String"}, {"OutputName": "Number", "OutputType": "Integer"}]
    arguments = {"name": name}
    return {
        "Name": "Find",
        "Type": "Lambda",
        "FunctionArn": function,
        "Arguments": arguments,
        "OutputParameters": outputs,
    }


def test_a_function_runs_and_its_outputs_are_typed(pipelines: Pipelines, function: str) -> None:
    wanted = [
        equals(get("Steps.Find.OutputParameters['Number']"), 7),
        equals(get("Steps.Find.OutputParameters['Uri']"), "s3://bucket/champion"),
    ]
    arn, described = pipelines.run(
        pipelines.create("finding", find(function, "champion"), check(wanted, [], [fail("x")]))
    )
    assert described["PipelineExecutionStatus"] == "Succeeded"
    outputs = [{"Name": "Uri", "Value": "s3://bucket/champion"}, {"Name": "Number", "Value": "7"}]
    assert pipelines.steps(arn)["Find"]["Metadata"] == {"Lambda": {"Arn": function, "OutputParameters": outputs}}


def test_a_step_that_others_only_wait_for_runs_again_and_they_do_not(
    cloud: Any, pipelines: Pipelines, function: str
) -> None:
    judged = find(function, "champion") | {"DependsOn": ["Prepare"]}
    judged["Arguments"] = {"name": get("Parameters.Size")}
    later = training(cloud) | {"CacheConfig": CACHED, "DependsOn": ["Find"]}
    name = pipelines.create("judged", processing(cloud) | {"CacheConfig": CACHED}, judged, later)
    pipelines.run(name)
    arn, described = pipelines.run(name, Size="large")
    assert described["PipelineExecutionStatus"] == "Succeeded"
    again = pipelines.steps(arn)
    assert again["Find"]["Metadata"]["Lambda"]["OutputParameters"][0]["Value"] == "s3://bucket/large"
    assert {name for name, step in again.items() if "CacheHitResult" in step} == {"Prepare", "Train"}


def test_a_second_execution_goes_on_from_the_checkpoints_under_its_fingerprint_only(
    cloud: Any, pipelines: Pipelines
) -> None:
    step = training(cloud, reads=None, steps=get("Parameters.Size"))
    step["Arguments"]["CheckpointConfig"] = {
        "S3Uri": join("/", "s3://bucket/checkpoints/longer", get("Parameters.Mark"))
    }
    definition = {
        "Version": "2020-12-01",
        "Parameters": [
            {"Name": "Size", "Type": "String", "DefaultValue": "2"},
            {"Name": "Mark", "Type": "String", "DefaultValue": "shared"},
        ],
        "Steps": [step],
    }
    pipelines.sagemaker.create_pipeline(
        PipelineName="longer",
        PipelineDefinition=json.dumps(definition),
        RoleArn=cloud.role,
    )

    def first_line(**parameters: str) -> str:
        arn, _ = pipelines.run("longer", **parameters)
        job = pipelines.steps(arn)["Train"]["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[1]
        log: str = cloud.log_of(job)
        return next(line for line in log.splitlines() if line.startswith("starts at"))

    assert first_line(Mark="0123") == "starts at step=0"
    assert first_line(Mark="0123", Size="3") == "starts at step=2"
    assert first_line(Mark="4567", Size="3") == "starts at step=0"
    assert first_line() == "starts at step=0"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fail", "no champion here"),
        ("short", "did not give the output Number"),
        ("n" * 1013, "gave the output Uri 1,025 characters"),
    ],
    ids=["fail", "short", "long"],
)
def test_a_function_that_fails_or_forgets_an_output_fails_the_step(
    pipelines: Pipelines, function: str, name: str, sentence: str
) -> None:
    arn, _ = pipelines.run(pipelines.create(f"finding-{name[:9]}", find(function, name)))
    assert sentence in pipelines.steps(arn)["Find"]["FailureReason"]


def test_a_callback_gets_a_message_and_its_outputs_are_typed(
    cloud: Any, pipelines: Pipelines, until: Until, queue: str
) -> None:
    name = pipelines.create(
        "asking",
        callback(queue, uri=get("Parameters.DatasetUri")),
        check(
            [{"Type": "LessThan", "LeftValue": get("Steps.Ask.OutputParameters['Latency']"), "RightValue": 2}], [], []
        ),
    )
    arn = pipelines.start(name)
    received = message(cloud, until, queue)
    assert received == {
        "token": received["token"],
        "pipelineExecutionArn": arn,
        "arguments": {"uri": "s3://bucket/data/"},
        "status": "Executing",
    }
    assert len(received["token"]) == 10
    assert pipelines.status(arn, "Ask") == "Executing"
    send = pipelines.sagemaker.send_pipeline_execution_step_success
    with pytest.raises(ClientError, match="declares no output Speed"):
        send(CallbackToken=received["token"], OutputParameters=[{"Name": "Speed", "Value": "1"}])
    with pytest.raises(ClientError, match="which is no Float"):
        send(CallbackToken=received["token"], OutputParameters=[{"Name": "Latency", "Value": "fast"}])
    with pytest.raises(ClientError, match="ResourceNotFound"):
        send(CallbackToken="abcdefghij", OutputParameters=[])
    send(CallbackToken=received["token"], OutputParameters=[{"Name": "Latency", "Value": "1.5"}])
    assert pipelines.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    steps = pipelines.steps(arn)
    assert steps["Ask"]["Metadata"]["Callback"] == {
        "CallbackToken": received["token"],
        "SqsQueueUrl": queue,
        "OutputParameters": [{"Name": "Latency", "Value": "1.5"}],
    }
    assert steps["Check"]["Metadata"]["Condition"] == {"Outcome": "True"}
    with pytest.raises(ClientError, match="ConflictException"):
        send(CallbackToken=received["token"], OutputParameters=[{"Name": "Latency", "Value": "1.5"}])


def test_a_callback_may_be_answered_with_a_failure(cloud: Any, pipelines: Pipelines, until: Until, queue: str) -> None:
    arn = pipelines.start(pipelines.create("asking-2", callback(queue)))
    token = message(cloud, until, queue)["token"]
    pipelines.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token, FailureReason="no detections")
    assert pipelines.end(arn)["PipelineExecutionStatus"] == "Failed"
    assert pipelines.steps(arn)["Ask"]["FailureReason"] == "no detections"


def test_stopping_ends_running_jobs(cloud: Any, pipelines: Pipelines, until: Until) -> None:
    later = training(cloud, "Later", reads=None) | {"DependsOn": ["Train"]}
    name = pipelines.create("stopping", training(cloud, reads=None, steps="1000", pause="0.05"), later)
    arn = pipelines.start(name)
    until(lambda: "TrainingJob" in pipelines.steps(arn).get("Train", {}).get("Metadata", {}))
    job = pipelines.steps(arn)["Train"]["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[1]
    until(lambda: "step=2" in cloud.log_of(job))
    pipelines.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    status = pipelines.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
    assert status in ("Stopping", "Stopped")
    assert pipelines.end(arn)["PipelineExecutionStatus"] == "Stopped"
    assert {name: step["StepStatus"] for name, step in pipelines.steps(arn).items()} == {"Train": "Stopped"}
    assert "stops" in cloud.log_of(job)
    described = pipelines.sagemaker.describe_training_job(TrainingJobName=job)
    assert described["TrainingJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="ConflictException"):
        pipelines.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)


def test_stopping_tells_a_callback_and_waits_for_its_answer(
    cloud: Any, pipelines: Pipelines, until: Until, queue: str
) -> None:
    arn = pipelines.start(pipelines.create("stopping-2", callback(queue)))
    first = message(cloud, until, queue)
    pipelines.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    second = message(cloud, until, queue)
    assert second == first | {"status": "Stopping"}
    described = pipelines.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
    assert described["PipelineExecutionStatus"] == "Stopping"
    pipelines.sagemaker.send_pipeline_execution_step_failure(CallbackToken=first["token"], FailureReason="stopped")
    assert pipelines.end(arn)["PipelineExecutionStatus"] == "Stopped"
    assert pipelines.status(arn, "Ask") == "Stopped"


def test_a_retried_execution_keeps_what_succeeded(cloud: Any, pipelines: Pipelines, until: Until, queue: str) -> None:
    ask = callback(queue) | {"DependsOn": ["Prepare"]}
    arn = pipelines.start(pipelines.create("retried", processing(cloud), ask))
    token = message(cloud, until, queue)["token"]
    pipelines.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token, FailureReason="not yet")
    assert pipelines.end(arn)["PipelineExecutionStatus"] == "Failed"
    before = pipelines.steps(arn)["Prepare"]
    pipelines.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)
    again = message(cloud, until, queue)["token"]
    pipelines.sagemaker.send_pipeline_execution_step_success(
        CallbackToken=again, OutputParameters=[{"Name": "Latency", "Value": "2"}]
    )
    described = pipelines.end(arn)
    assert described["PipelineExecutionStatus"] == "Succeeded"
    assert "FailureReason" not in described
    assert pipelines.steps(arn)["Prepare"] == before


def test_a_lost_instance_is_retried_as_the_policy_says_and_resumes_from_its_checkpoints(
    cloud: Any, pipelines: Pipelines
) -> None:
    step = training(cloud, reads=None, lose="once", steps="3")
    step["Arguments"]["CheckpointConfig"] = {"S3Uri": "s3://bucket/checkpoints/lost"}
    step["RetryPolicies"] = [
        {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "MaxAttempts": 2}
    ]
    arn, described = pipelines.run(pipelines.create("losing", step))
    assert described["PipelineExecutionStatus"] == "Succeeded"
    listed = pipelines.steps(arn)["Train"]
    assert listed["AttemptCount"] == 2
    assert "starts at step=1" in cloud.log_of(listed["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[1])


def test_a_failure_that_no_policy_names_is_final(cloud: Any, pipelines: Pipelines) -> None:
    step = training(cloud, reads=None, fail="wrong data")
    step["RetryPolicies"] = [
        {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "MaxAttempts": 2}
    ]
    arn, _ = pipelines.run(pipelines.create("final", step))
    assert pipelines.steps(arn)["Train"]["AttemptCount"] == 1


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"Unknown": "1"}, "Unknown parameters"),
        ({"Threshold": "high"}, "which is no Float"),
        ({"Size": "middle"}, "must be one of"),
        ({"DatasetUri": ""}, r'\[string "" is too short \(length: 0, required minimum: 1\)\]'),
    ],
)
def test_wrong_parameters_are_refused(pipelines: Pipelines, parameters: dict[str, str], sentence: str) -> None:
    name = f"strict-{next(iter(parameters)).lower()}"
    pipelines.create(name, fail("never"))
    with pytest.raises(ClientError, match=f"ValidationException.*{sentence}"):
        pipelines.start(name, **parameters)
    assert not pipelines.sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]


def test_a_step_type_that_does_not_run_here_is_refused_at_the_start(pipelines: Pipelines) -> None:
    pipelines.create("tuning", {"Name": "Tune", "Type": "Tuning", "Arguments": {}})
    with pytest.raises(ClientError, match="Step Tune is of type Tuning, which the emulated cloud does not run"):
        pipelines.start("tuning")


def test_the_definition_in_force_at_the_start_is_kept(pipelines: Pipelines) -> None:
    name = pipelines.create("frozen", fail("the first"))
    arn, _ = pipelines.run(name)
    definition = {"Version": "2020-12-01", "Parameters": [], "Steps": [fail("the second")]}
    pipelines.sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=json.dumps(definition))
    kept = pipelines.sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    assert "the first" in kept["PipelineDefinition"]
    second, _ = pipelines.run(name)
    assert pipelines.steps(second)["Refused"]["FailureReason"] == "the second"


def test_the_same_token_starts_one_execution(pipelines: Pipelines) -> None:
    name = pipelines.create("once", fail("x"))
    token = "t" * 40
    arns = {
        pipelines.sagemaker.start_pipeline_execution(PipelineName=name, ClientRequestToken=token)[
            "PipelineExecutionArn"
        ]
        for _ in range(2)
    }
    assert len(arns) == 1


def test_executions_are_listed_newest_first_with_their_parameters(pipelines: Pipelines) -> None:
    name = pipelines.create("listed", fail("x"))
    first, _ = pipelines.run(name)
    second, _ = pipelines.run(name, Threshold="0.25")
    summaries = pipelines.sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]
    assert [each["PipelineExecutionArn"] for each in summaries] == [second, first]
    assert summaries[0]["PipelineExecutionStatus"] == "Failed"
    assert pipelines.sagemaker.describe_pipeline(PipelineName=name)["LastRunTime"]
    values = pipelines.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=second)
    assert {each["Name"]: each["Value"] for each in values["PipelineParameters"]} == {
        "DatasetUri": "s3://bucket/data/",
        "Threshold": "0.25",
        "Size": "small",
    }


def test_a_pipeline_goes_with_its_executions_but_not_while_one_runs(
    cloud: Any, pipelines: Pipelines, until: Until, queue: str
) -> None:
    name = pipelines.create("deleted", callback(queue))
    arn = pipelines.start(name)
    with pytest.raises(ClientError, match="has running executions"):
        pipelines.sagemaker.delete_pipeline(PipelineName=name)
    token = message(cloud, until, queue)["token"]
    pipelines.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token, FailureReason="x")
    pipelines.end(arn)
    pipelines.sagemaker.delete_pipeline(PipelineName=name)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        pipelines.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)


def test_events_tell_of_the_executions_states(cloud: Any, pipelines: Pipelines, until: Until) -> None:
    changes = cloud.events("SageMaker Model Building Pipeline Execution Status Change")
    arn, described = pipelines.run(pipelines.create("telling", fail("x")))

    def told() -> list[dict[str, Any]]:
        return [each["detail"] for each in changes() if each["detail"]["pipelineExecutionArn"] == arn]

    until(lambda: len(told()) >= 2)
    last = next(each for each in told() if each["currentPipelineExecutionStatus"] == "Failed")
    assert last["previousPipelineExecutionStatus"] == "Executing"
    assert last["pipelineArn"] == described["PipelineArn"]
    assert last["executionEndTime"].endswith("Z")
