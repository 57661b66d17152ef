# SPDX-License-Identifier: Apache-2.0
"""What an execution was asked for and what it left: parameters, data, evaluation, version, reports.

A processing step's outputs lie under `executions/<id>/<output>/` of the execution that ran it; of a step that was
reused that is an earlier one (`pipelines/steps/processing.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from pipelines.client.connection import Connection, refusals_told
from pipelines.client.deployment import Deployment
from pipelines.client.evaluations import Evaluation
from pipelines.client.executions import Execution, Step, describe
from pipelines.errors import BadInputError
from pipelines.whole_files import written_whole

# From one execution to the one that it reused, and on; AWS names the source of a hit, which may be a hit itself.
HOPS = 8
NAMES_OF_DATA = ("PrepareDataset", "JoinDataset")


@dataclass(frozen=True)
class Report:
    """A page that an execution left.

    Attributes:
        subject: What it tells of: the model or the data set.
        uri: S3 URI of report.html.
    """

    subject: str
    uri: str


@dataclass(frozen=True)
class Results:
    """An execution, and what is known of its making and its end.

    Attributes:
        parameters: By the pipeline's names, defaults included.
        dataset: The parsed dataset.json; None before PrepareDataset has ended.
        evaluation: None before EvaluateDetector has ended.
        version: ARN of the version that it registered.
        reports: Newest subject first: the model's, then the data set's.
        notes: A sentence for each thing that is there and could not be read.
    """

    execution: Execution
    parameters: dict[str, str]
    dataset: dict[str, Any] | None = None
    evaluation: Evaluation | None = None
    version: str | None = None
    reports: list[Report] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def version_number(self) -> int | None:
        """Of the version that it registered."""
        return int(self.version.rsplit("/", 1)[-1]) if self.version else None

    def as_json(self) -> dict[str, Any]:
        """The results as plain JSON values."""
        data = self.dataset
        return {
            "parameters": self.parameters,
            "data": data and {name: data.get(name) for name in ("sha256", "images", "boxes")},
            "evaluation": self.evaluation.as_json() if self.evaluation else None,
            "version": self.version_number,
            "version_arn": self.version,
            "reports": {report.subject: report.uri for report in self.reports},
            "notes": self.notes,
        }


def results(connection: Connection, deployment: Deployment, execution: Execution) -> Results:
    """Read what an execution left so far.

    Raises:
        BadInputError: SageMaker does not tell its parameters.
    """
    place = _Place(connection, deployment.data_bucket)
    data = place.of(execution, "metadata", *NAMES_OF_DATA)
    evaluated = place.of(execution, "evaluation", "EvaluateDetector")
    dataset = place.document(f"{data}dataset.json") if data else None
    document = place.document(f"{evaluated}evaluation.json") if evaluated else None
    evaluation = None
    if document is not None:
        try:
            evaluation = Evaluation.read(document, place.uri(f"{evaluated}evaluation.json"))
        except BadInputError as error:
            place.notes.append(str(error))
    pages = [("model", evaluated), ("data set", data)]
    return Results(
        execution,
        parameters_of(connection, execution.arn),
        dataset=dataset,
        evaluation=evaluation,
        version=_version(execution),
        reports=[
            Report(subject, place.uri(f"{prefix}report.html"))
            for subject, prefix in pages
            if prefix and place.has(f"{prefix}report.html")
        ],
        notes=place.notes,
    )


def results_of(connection: Connection, deployment: Deployment, arns: Sequence[str]) -> list[Results]:
    """The results of several executions, asked for side by side."""
    for service in ("s3", "sagemaker"):
        connection.client(service)  # made once, before threads share it
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda arn: results(connection, deployment, describe(connection, arn)), arns))


def parameters_of(connection: Connection, arn: str) -> dict[str, str]:
    """Every parameter of an execution by name, those that it left to the deployment's defaults included.

    Raises:
        BadInputError: SageMaker refused, in its own words.
    """
    sagemaker = connection.client("sagemaker")
    with refusals_told(arn):
        told = sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
        pages = sagemaker.get_paginator("list_pipeline_parameters_for_execution").paginate(PipelineExecutionArn=arn)
        given = {each["Name"]: each["Value"] for page in pages for each in page["PipelineParameters"]}
    defined = json.loads(told["PipelineDefinition"])["Parameters"]
    values = {each["Name"]: str(each["DefaultValue"]) for each in defined if "DefaultValue" in each}
    return values | given


def save(connection: Connection, uri: str, destination: Path) -> None:
    """Save an object, whole or not at all.

    Raises:
        BadInputError: There is no such object, or it may not be read.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with refusals_told(uri), written_whole(destination) as beside:
        connection.client("s3").download_file(bucket, key, str(beside))


def origin(connection: Connection, execution: Execution, step: Step) -> tuple[Execution, Step]:
    """The execution that ran what this one reused, and its step; themselves where it was run here."""
    for _ in range(HOPS):
        if step.reused_from is None:
            break
        try:
            execution = describe(connection, step.reused_from)
        except BadInputError:  # executions are not kept for ever
            break
        found = execution.step(step.name)
        if found is None:
            break
        step = found
    return execution, step


@dataclass
class _Place:
    """The bucket's prefixes in which executions leave things."""

    connection: Connection
    bucket: str
    notes: list[str] = field(default_factory=list)

    def of(self, execution: Execution, output: str, *steps: str) -> str | None:
        """The prefix of an output of the last of these steps that has begun."""
        begun = [step for step in execution.steps if step.name in steps]
        if not begun:
            return None
        ran_in, _ = origin(self.connection, execution, begun[-1])
        if ran_in is execution and begun[-1].reused_from:
            return f"executions/{begun[-1].reused_from.rsplit('/', 1)[-1]}/{output}/"
        return f"executions/{ran_in.identifier}/{output}/"

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def has(self, key: str) -> bool:
        try:
            self.connection.client("s3").head_object(Bucket=self.bucket, Key=key)
        except ClientError:
            return False
        return True

    def document(self, key: str) -> dict[str, Any] | None:
        """A JSON document; None, with a note where it is there, where it cannot be read."""
        try:
            body = self.connection.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()
            told: dict[str, Any] = json.loads(body)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
                self.notes.append(f"{self.uri(key)}: {error.response['Error']['Message']}")
            return None
        except ValueError as error:
            self.notes.append(f"{self.uri(key)}: not JSON ({error})")
            return None
        return told


def _version(execution: Execution) -> str | None:
    for step in execution.steps:
        if arn := step.metadata.get("RegisterModel", {}).get("Arn"):
            return str(arn)
    return None
