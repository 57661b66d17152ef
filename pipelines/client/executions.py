# SPDX-License-Identifier: Apache-2.0
"""Pipeline executions: started, listed, watched and stopped."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pipelines.client.connection import Connection, refusals_told
from pipelines.client.quotas import waited_for
from pipelines.errors import BadInputError

FINISHED = ("Succeeded", "Failed", "Stopped")


@dataclass(frozen=True)
class Step:
    """One step of an execution as ListPipelineExecutionSteps tells it.

    Attributes:
        attempts: How often it was begun.
        waits_for: The quota that is in use, where its job could not be made for that reason.
        reused_from: ARN of the execution whose result was taken, where one was.
    """

    name: str
    status: str
    started: datetime | None
    ended: datetime | None
    failure_reason: str | None
    cached: bool
    metadata: dict[str, Any] = field(default_factory=dict)
    attempts: int = 1
    waits_for: str | None = None
    reused_from: str | None = None

    @property
    def job(self) -> tuple[str, str] | None:
        """The log group and the job name of a training or processing step."""
        for kind, group in (("TrainingJob", "TrainingJobs"), ("ProcessingJob", "ProcessingJobs")):
            if arn := self.metadata.get(kind, {}).get("Arn"):
                return f"/aws/sagemaker/{group}", arn.rsplit("/", 1)[-1]
        return None

    @property
    def seconds(self) -> float | None:
        """How long the step has run, or ran."""
        if self.started is None:
            return None
        return ((self.ended or datetime.now(self.started.tzinfo)) - self.started).total_seconds()


@dataclass(frozen=True)
class Execution:
    """One execution of the pipeline with the steps that it has begun, oldest first.

    Attributes:
        description: What it is for.
        author: Who started it, where SageMaker knows.
    """

    arn: str
    status: str
    started: datetime
    failure_reason: str | None
    steps: list[Step]
    description: str | None = None
    author: str | None = None

    @property
    def identifier(self) -> str:
        """The last part of the ARN."""
        return self.arn.rsplit("/", 1)[-1]

    def step(self, name: str) -> Step | None:
        """The step of that name, if it has begun."""
        return next((step for step in self.steps if step.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """The execution as plain JSON values."""
        return {
            "arn": self.arn,
            "status": self.status,
            "started": self.started.isoformat(),
            "description": self.description,
            "author": self.author,
            "failure_reason": self.failure_reason,
            "steps": [
                {
                    "name": step.name,
                    "status": step.status,
                    "seconds": step.seconds,
                    "cached": step.cached,
                    "failure_reason": step.failure_reason,
                    "waits_for": step.waits_for,
                }
                for step in self.steps
            ],
        }


def start(
    connection: Connection,
    pipeline: str,
    parameters: dict[str, str],
    *,
    name: str | None = None,
    description: str | None = None,
) -> str:
    """Start an execution and return its ARN.

    Args:
        parameters: Pipeline parameters by name; those not given keep the deployment's defaults.
        description: What the execution is for, one line of at most 3,072 characters.

    Raises:
        BadInputError: SageMaker refused the parameters, in its own words.
    """
    further = {"PipelineExecutionDisplayName": name, "PipelineExecutionDescription": description}
    with refusals_told(f"pipeline {pipeline}"):
        answer = connection.client("sagemaker").start_pipeline_execution(
            PipelineName=pipeline,
            PipelineParameters=[{"Name": key, "Value": value} for key, value in parameters.items()],
            **{key: value for key, value in further.items() if value},
        )
    return str(answer["PipelineExecutionArn"])


def describe(connection: Connection, arn: str) -> Execution:
    """One execution and its steps.

    Raises:
        BadInputError: There is no such execution.
    """
    sagemaker = connection.client("sagemaker")
    with refusals_told(arn):
        told = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
    pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=arn, SortOrder="Ascending"
    )
    steps = [_step(item) for page in pages for item in page["PipelineExecutionSteps"]]
    return Execution(
        arn=arn,
        status=told["PipelineExecutionStatus"],
        started=told["CreationTime"],
        failure_reason=told.get("FailureReason"),
        steps=[_with_wait(connection, arn, _with_exit_message(connection, step)) for step in steps],
        description=told.get("PipelineExecutionDescription"),
        author=told.get("CreatedBy", {}).get("UserProfileName") or _principal(told.get("CreatedBy", {})),
    )


def recent(connection: Connection, pipeline: str, *, at_most: int = 20) -> list[dict[str, Any]]:
    """Summaries of the newest executions, newest first."""
    answer = connection.client("sagemaker").list_pipeline_executions(
        PipelineName=pipeline, SortBy="CreationTime", SortOrder="Descending", MaxResults=at_most
    )
    return list(answer["PipelineExecutionSummaries"])


def resolve(connection: Connection, pipeline: str, identifier: str | None) -> str:
    """The ARN of an execution named by its ARN, its id or the id's beginning; the newest where none is given.

    Raises:
        BadInputError: No execution, or more than one, fits.
    """
    if identifier and identifier.startswith("arn:"):
        return identifier
    arns = [summary["PipelineExecutionArn"] for summary in recent(connection, pipeline, at_most=100)]
    fitting = [arn for arn in arns if arn.rsplit("/", 1)[-1].startswith(identifier or "")]
    if not fitting:
        raise BadInputError(
            f"pipeline {pipeline} has no execution {identifier or 'yet'}: `mapgate executions list` names them"
        )
    if identifier and len(fitting) > 1:
        raise BadInputError(f"{identifier} fits {len(fitting)} executions of {pipeline}: give more of its id")
    return str(fitting[0])


def stop(connection: Connection, arn: str) -> None:
    """Ask SageMaker to stop the execution; running jobs get SIGTERM."""
    with refusals_told(arn):
        connection.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=arn)


def watch(connection: Connection, arn: str) -> Iterator[Execution]:
    """The execution again and again, until it has ended."""
    pause = 0.5 if connection.is_emulated else 10.0
    while True:
        execution = describe(connection, arn)
        yield execution
        if execution.status in FINISHED:
            return
        time.sleep(pause)


class StepLog:
    """The log of a step's job, read on from where it was left."""

    def __init__(self, connection: Connection, group: str, job: str) -> None:
        self._logs = connection.client("logs")
        self._group = group
        self._job = job
        self._tokens: dict[str, str] = {}

    def new_lines(self) -> list[str]:
        """What was logged since the last call; nothing while the job has no log yet."""
        return [line for stream in self._streams() for line in self._read(stream)]

    def _streams(self) -> list[str]:
        try:
            answer = self._logs.describe_log_streams(logGroupName=self._group, logStreamNamePrefix=f"{self._job}/")
        except self._logs.exceptions.ResourceNotFoundException:
            return []
        return [stream["logStreamName"] for stream in answer["logStreams"]]

    def _read(self, stream: str) -> Iterator[str]:
        while True:
            token = {"nextToken": self._tokens[stream]} if stream in self._tokens else {}
            answer = self._logs.get_log_events(
                logGroupName=self._group, logStreamName=stream, startFromHead=True, **token
            )
            yield from (event["message"] for event in answer["events"])
            if answer["nextForwardToken"] == self._tokens.get(stream):
                return
            self._tokens[stream] = answer["nextForwardToken"]


def _with_exit_message(connection: Connection, step: Step) -> Step:
    """A failed processing job says in its exit message what its failure reason only points to."""
    if step.status != "Failed" or step.job is None or "ProcessingJob" not in step.metadata:
        return step
    job = connection.client("sagemaker").describe_processing_job(ProcessingJobName=step.job[1])
    return replace(step, failure_reason=job.get("ExitMessage") or step.failure_reason)


def _with_wait(connection: Connection, arn: str, step: Step) -> Step:
    """A step that runs, is tried again and has no job is one whose job was refused; only a quota's refusal lasts.

    The API has no status for it: FailureReason is "only returned if the step failed", and AttemptCount counts.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_PipelineExecutionStep.html
    """
    if step.status != "Executing" or step.job is not None or step.attempts < 2:
        return step
    return replace(step, waits_for=waited_for(connection, arn, step.name))


def _principal(creator: dict[str, Any]) -> str | None:
    """Who called, by the ARN of its session: the last part names the person, where an account's sessions do so.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_IamIdentity.html
    """
    arn = creator.get("IamIdentity", {}).get("Arn")
    return str(arn).rsplit(":", 1)[-1] if arn else None


def _step(item: dict[str, Any]) -> Step:
    return Step(
        name=item["StepName"],
        status=item["StepStatus"],
        started=item.get("StartTime"),
        ended=item.get("EndTime"),
        failure_reason=item.get("FailureReason"),
        cached="CacheHitResult" in item,
        reused_from=item.get("CacheHitResult", {}).get("SourcePipelineExecutionArn"),
        metadata=item.get("Metadata", {}),
        attempts=item.get("AttemptCount", 1),
    )
