# SPDX-License-Identifier: Apache-2.0
"""The notifier: tell people in one sentence which execution failed, at which step, why, and where to read more."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import boto3
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sns import SNSClient

SUBJECT_CHARACTERS = 100
EXECUTION = "SageMaker Model Building Pipeline Execution Status Change"
STEP = "SageMaker Model Building Pipeline Execution Step Status Change"
_EVALUATION_STEP = "EvaluateDetector"
# Log groups of jobs, and how a step's metadata names its job.
_JOBS = {"TrainingJob": "/aws/sagemaker/TrainingJobs", "ProcessingJob": "/aws/sagemaker/ProcessingJobs"}


def handler(event: dict[str, Any], context: object) -> None:  # noqa: ARG001
    """Receive an EventBridge event of a failed execution or of one of its steps."""
    notify(event, Services(), os.environ["TOPIC_ARN"], os.environ["BUCKET"])


@dataclass
class Services:
    """The services that the notifier asks; a test sets its own."""

    @cached_property
    def sagemaker(self) -> SageMakerClient:
        """Executions and their steps."""
        return boto3.client("sagemaker")

    @cached_property
    def s3(self) -> S3Client:
        """Evaluations."""
        return boto3.client("s3")

    @cached_property
    def sns(self) -> SNSClient:
        """People."""
        return boto3.client("sns")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What people are told.

    Attributes:
        step: The failed step; None when the execution failed before any.
        link: The console page to read on.
    """

    pipeline: str
    execution: str
    step: str | None
    sentence: str
    link: str

    @property
    def subject(self) -> str:
        """A subject that SNS takes: one line of printable ASCII, at most 100 characters."""
        at = f" at {self.step}" if self.step else ""
        plain = f"{self.pipeline}: execution {self.execution} failed{at}".encode("ascii", "replace").decode()
        return "".join(character if character.isprintable() else " " for character in plain)[:SUBJECT_CHARACTERS]

    @property
    def message(self) -> str:
        """The message's text."""
        lines = [f"Pipeline:  {self.pipeline}", f"Execution: {self.execution}", f"Step:      {self.step or '-'}"]
        return "\n".join([self.sentence, "", *lines, f"Log:       {self.link}"])


def notify(event: dict[str, Any], services: Services, topic_arn: str, bucket: str) -> Failure | None:
    """Publish a failure to the topic; events of anything but a failure are passed over.

    Args:
        event: An EventBridge event of a pipeline execution or of one of its steps.
        services: AWS.
        topic_arn: Where people listen.
        bucket: The data bucket, where executions leave their evaluations.
    """
    failure = find_failure(event, services, bucket)
    line = {"detail-type": event.get("detail-type"), "message": failure.sentence if failure else "not a failure"}
    if failure is not None:
        services.sns.publish(TopicArn=topic_arn, Subject=failure.subject, Message=failure.message)
        line |= {"pipeline": failure.pipeline, "execution": failure.execution, "step": failure.step}
    print(json.dumps(line), flush=True)
    return failure


def find_failure(event: dict[str, Any], services: Services, bucket: str) -> Failure | None:
    """Return what failed and why; None when nothing did."""
    detail = event.get("detail") or {}
    kind = event.get("detail-type")
    if kind == EXECUTION and detail.get("currentPipelineExecutionStatus") == "Failed":
        step = _failed_step(services, detail["pipelineExecutionArn"])
    elif kind == STEP and detail.get("currentStepStatus") == "Failed":
        step = _step_of_event(services, detail)
    else:
        return None
    arn = detail["pipelineExecutionArn"]
    region, pipeline, execution = arn.split(":")[3], arn.split("/")[1], arn.rpartition("/")[2]
    return Failure(
        pipeline=pipeline,
        execution=execution,
        step=step.get("StepName") if step else None,
        sentence=_sentence(services, bucket, arn, step),
        link=_link(region, pipeline, execution, step),
    )


def _failed_step(services: Services, execution_arn: str) -> dict[str, Any] | None:
    """Return the step that failed; of several the first, which the others may have fallen over."""
    failed = [step for step in _steps(services, execution_arn) if step.get("StepStatus") == "Failed"]
    return min(failed, key=lambda step: str(step.get("EndTime", "")), default=None)


def _step_of_event(services: Services, detail: dict[str, Any]) -> dict[str, Any]:
    for step in _steps(services, detail["pipelineExecutionArn"]):
        if step.get("StepName") == detail["stepName"]:
            return step
    return {"StepName": detail["stepName"], "FailureReason": detail.get("failureReason", "")}


def _steps(services: Services, execution_arn: str) -> list[dict[str, Any]]:
    pages = services.sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=execution_arn
    )
    return [dict(step) for page in pages for step in page["PipelineExecutionSteps"]]


def _sentence(services: Services, bucket: str, execution_arn: str, step: dict[str, Any] | None) -> str:
    if step is None:
        described = services.sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution_arn)
        return described.get("FailureReason") or "SageMaker gave no reason"
    if "Fail" in (step.get("Metadata") or {}):
        gate = _gate_sentence(services, bucket, execution_arn)
        if gate:
            return gate
    stated = (step.get("Metadata") or {}).get("Fail", {}).get("ErrorMessage")
    return step.get("FailureReason") or stated or f"{step.get('StepName')} failed; SageMaker gave no reason"


def _gate_sentence(services: Services, bucket: str, execution_arn: str) -> str | None:
    """Return the gate's own sentence from the execution's evaluation, as far as it can be reached."""
    own = f"s3://{bucket}/executions/{execution_arn.rpartition('/')[2]}/evaluation"
    for prefix in (own, _cached_evaluation(services, execution_arn)):
        if prefix is None:
            continue
        location = urlsplit(f"{prefix.rstrip('/')}/evaluation.json")
        try:
            body = services.s3.get_object(Bucket=location.netloc, Key=location.path.lstrip("/"))["Body"].read()
            return str(json.loads(body)["gate"]["sentence"])
        except (ClientError, KeyError, TypeError, ValueError):
            continue
    return None


def _cached_evaluation(services: Services, execution_arn: str) -> str | None:
    """Return where the evaluation lies when the step was not run but taken from an earlier execution."""
    try:
        for step in _steps(services, execution_arn):
            job = (step.get("Metadata") or {}).get("ProcessingJob", {}).get("Arn")
            if step.get("StepName") == _EVALUATION_STEP and job:
                described = services.sagemaker.describe_processing_job(ProcessingJobName=job.rpartition("/")[2])
                for output in described.get("ProcessingOutputConfig", {}).get("Outputs", []):
                    if output["OutputName"] == "evaluation":
                        return output["S3Output"]["S3Uri"]
    except (ClientError, KeyError):
        return None
    return None


def _link(region: str, pipeline: str, execution: str, step: dict[str, Any] | None) -> str:
    """Return the console's page of the failed job's log, or of the execution where no job ran."""
    console = f"https://{region}.console.aws.amazon.com"
    metadata = (step or {}).get("Metadata") or {}
    for kind, group in _JOBS.items():
        arn = metadata.get(kind, {}).get("Arn")
        if arn:
            return _log_link(console, region, group, f"$3FlogStreamNameFilter$3D{arn.rpartition('/')[2]}")
    function = metadata.get("Lambda", {}).get("Arn")
    if function:
        return _log_link(console, region, f"/aws/lambda/{function.split(':')[6]}", "")
    return f"{console}/sagemaker/home?region={region}#/pipelines/{pipeline}/executions/{execution}"


def _log_link(console: str, region: str, group: str, stream_filter: str) -> str:
    # CloudWatch's console wants the log group quoted twice, with $ in place of %.
    quoted = quote(quote(group, safe=""), safe="").replace("%", "$")
    return f"{console}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{quoted}{stream_filter}"
