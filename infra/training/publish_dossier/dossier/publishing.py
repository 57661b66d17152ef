# SPDX-License-Identifier: Apache-2.0
"""Publishing a verdict: everything is read and hashed here, demanded, signed, recorded, and then shown.

Each write is made once, in the order in which the later ones stand on the earlier, so that a step that is tried again,
after a crash between any two, ends as the first would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from image_digest import ImageError, image_digest
from model_card import RegisteredVersion, model_card_content

from containers.evidence.page import fill
from containers.evidence.statements import Resource

from . import execution as executions
from . import objects
from .chain import Keeper, write_chain
from .errors import DossierError
from .execution import Execution
from .jobs import Expected, Ran, expected_jobs
from .judged import Found, Verdict, judge
from .metadata import properties
from .record import item, save
from .settings import Inputs, Settings


@dataclass(frozen=True)
class Published:
    """What was published.

    Attributes:
        statement_sha256: Of the signed verdict.
    """

    report_uri: str
    statement_sha256: str


def publish(inputs: Inputs, settings: Settings) -> Published:
    """Publish a version's verdict.

    Raises:
        DossierError: What was judged is not what is there, or another verdict is.
        botocore.exceptions.ClientError: AWS refused.
    """
    described = _client("sagemaker").describe_model_package(ModelPackageName=inputs.model_package_arn)
    found = _found(inputs, settings, described)
    verdict = judge(found, inputs, settings)
    execution = executions.describe(_client("sagemaker"), inputs.execution_arn)
    folder = f"evidence/v{inputs.version:06d}"
    report = f"s3://{settings.bucket}/{folder}/report.html"
    # Whatever could fail of what is only shown fails before anything is written.
    page, card = _page(found.report, inputs, execution, described), _card(inputs, found, verdict, execution, report)
    keeper = Keeper(_client("s3"), _client("kms"), settings.bucket, settings.signing_key_arn, folder)
    now = executions.moment(datetime.now(UTC))
    kept = write_chain(keeper, inputs, settings, found, verdict, execution, now)
    save(_table(settings.table), item(inputs, settings, found, verdict, kept))
    # A report that is there may have been filled further since.
    objects.put_if_free(_client("s3"), settings.bucket, f"{folder}/report.html", page, "text/html; charset=utf-8")
    shown = properties(inputs, found, verdict, kept, report, described.get("CustomerMetadataProperties") or {})
    _show(described, verdict, shown, card)
    return Published(report, kept.sha256)


def _found(inputs: Inputs, settings: Settings, described: Any) -> Found:
    """Read everything, from where it lies."""
    s3 = _client("s3")
    return Found(
        evaluation=objects.document(s3, inputs.evaluation),
        dataset=objects.document(s3, inputs.dataset),
        model=objects.hashed(s3, inputs.model_uri),
        floor_policy=objects.hashed(s3, settings.floor_policy),
        inference_image=_image(settings.inference_image),
        training_image=_image(settings.training_image),
        containers=tuple(described["InferenceSpecification"]["Containers"]),
        report=_report(inputs),
        # Last: what was replaced before it was read is seen then.
        jobs=tuple(_ran(job) for job in expected_jobs(inputs, settings)),
    )


def _ran(job: Expected) -> Ran:
    sagemaker = _client("sagemaker")
    described = (
        sagemaker.describe_processing_job(ProcessingJobName=job.name)
        if job.kind == "Processing"
        else sagemaker.describe_training_job(TrainingJobName=job.name)
    )
    written = [objects.written_below(_client("s3"), uri) for uri in job.outputs.values()]
    return Ran(expected=job, described=described, written={uri: at for each in written for uri, at in each.items()})


def _report(inputs: Inputs) -> bytes:
    page = objects.read_if_there(_client("s3"), *objects.split(inputs.report))
    if page is None:
        raise DossierError(f"{inputs.report} is gone; run the pipeline again")
    return page


def _image(uri: str) -> Resource:
    try:
        return Resource(uri=uri, sha256=image_digest(_client("ecr"), uri))
    except ImageError as error:
        raise DossierError(str(error)) from error


def _page(report: bytes, inputs: Inputs, execution: Execution, described: Any) -> bytes:
    """The report, with what is known of the version only now."""
    slots = {
        "version": f"{described['ModelPackageGroupName']} version {inputs.version}",
        "registered": executions.moment(described["CreationTime"]),
        "execution": execution.told,
        "author": execution.started_by,
        "purpose": execution.description,
    }
    return fill(report, slots)


def _card(inputs: Inputs, found: Found, verdict: Verdict, execution: Execution, report: str) -> str:
    """The content of the version's model card."""
    version = RegisteredVersion(
        arn=inputs.model_package_arn,
        model_uri=inputs.model_uri,
        execution_arn=inputs.execution_arn,
        report_uri=report,
        dataset_uri=inputs.metadata_uri,
        training_image=f"{found.training_image.uri}@{found.training_image.sha256}",
        inference_image=f"{found.inference_image.uri}@{found.inference_image.sha256}",
        author=execution.started_by,
        purpose=execution.description,
        champion_arn="" if verdict.champion_arn == "none" else verdict.champion_arn,
        # Those of an execution of chosen steps were not those of the training.
        hyperparameters={} if execution.selected else execution.parameters,
    )
    return str(model_card_content(found.evaluation.content, found.dataset.content, version))


def _show(described: Any, verdict: Verdict, shown: dict[str, str], card: str) -> None:
    """Write onto the version what its readers look for; whoever deploys believes none of it.

    The approval is left alone: only people approve. The version's containers get the runtime and precision that were
    measured, so that whoever deploys it by hand serves what the gate has seen. A card that is written for the first
    time is a draft.
    """
    specification = described["InferenceSpecification"]
    measured = {"MAPGATE_RUNTIME": verdict.runtime, "MAPGATE_PRECISION": verdict.precision}
    for container in specification["Containers"]:
        container["Environment"] = {**container.get("Environment", {}), **measured}
    _client("sagemaker").update_model_package(
        ModelPackageArn=described["ModelPackageArn"],
        CustomerMetadataProperties=shown,
        InferenceSpecification=specification,
        ModelCard={"ModelCardContent": card, "ModelCardStatus": "Draft"},
    )


@cache
def _client(service: str) -> Any:
    make: Any = boto3.client
    return make(service)


@cache
def _table(name: str) -> Any:
    return boto3.resource("dynamodb").Table(name)
