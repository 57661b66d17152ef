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
from .chain import Keeper, Kept, write_chain
from .errors import DossierError
from .execution import Execution
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
    keeper = Keeper(_client("s3"), _client("kms"), settings.bucket, settings.signing_key_arn, folder)
    now = executions.moment(datetime.now(UTC))
    kept = write_chain(keeper, inputs, settings, found, verdict, execution, now)
    save(_table(settings.table), item(inputs, settings, found, verdict, kept))
    report = _write_report(inputs, settings, f"{folder}/report.html", execution, described)
    _show(inputs, found, verdict, execution, kept, report, described)
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
    )


def _image(uri: str) -> Resource:
    try:
        return Resource(uri=uri, sha256=image_digest(_client("ecr"), uri))
    except ImageError as error:
        raise DossierError(str(error)) from error


def _write_report(inputs: Inputs, settings: Settings, key: str, execution: Execution, described: Any) -> str:
    """Keep the report with what is known of it only now; one that is there may have been filled further since."""
    s3, bucket = _client("s3"), settings.bucket
    source, name = objects.split(inputs.report)
    page = objects.read_if_there(s3, source, name)
    if page is None:
        raise DossierError(f"{inputs.report} is gone; run the pipeline again")
    slots = {
        "version": f"{described['ModelPackageGroupName']} version {inputs.version}",
        "registered": executions.moment(described["CreationTime"]),
        "execution": execution.arn.rpartition("/")[2],
        "author": execution.started_by,
        "purpose": execution.description,
    }
    objects.put_if_free(s3, bucket, key, fill(page, slots), "text/html; charset=utf-8")
    return f"s3://{bucket}/{key}"


def _show(
    inputs: Inputs, found: Found, verdict: Verdict, execution: Execution, kept: Kept, report: str, described: Any
) -> None:
    """Write onto the version what its readers look for; whoever deploys believes none of it.

    The approval is left alone: only people approve. The version's containers get the runtime and precision that were
    measured, so that whoever deploys it by hand serves what the gate has seen.
    """
    specification = described["InferenceSpecification"]
    measured = {"MAPGATE_RUNTIME": verdict.runtime, "MAPGATE_PRECISION": verdict.precision}
    for container in specification["Containers"]:
        container["Environment"] = {**container.get("Environment", {}), **measured}
    card = model_card_content(
        found.evaluation.content,
        found.dataset.content,
        RegisteredVersion(
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
            hyperparameters=execution.parameters,
        ),
    )
    _client("sagemaker").update_model_package(
        ModelPackageArn=inputs.model_package_arn,
        CustomerMetadataProperties=properties(
            inputs, found, verdict, kept, report, described.get("CustomerMetadataProperties") or {}
        ),
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
