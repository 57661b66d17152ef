# SPDX-License-Identifier: Apache-2.0
"""PublishDossier: write onto a registered version what an approver wants to know, and where the report lies."""

from __future__ import annotations

import json
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

VALUE_CHARACTERS = 256
PROPERTIES = 50
_PUNCTUATION = "_.:/=+-@"
_SPOKEN = {">=": " at least ", "≥": " at least ", "<=": " at most ", "≤": " at most ", ">": " above ", "<": " below "}
_SPOKEN |= {"%": " percent", "\u2013": "-", "\u2014": "-", "(": "- ", ")": " ", ";": ".", ",": " -", "|": "/"}


class DossierError(Exception):
    """The dossier cannot be written; the message says what to do."""


def handler(event: dict[str, Any], context: object) -> dict[str, str]:  # noqa: ARG001
    """Answer the Lambda step.

    Args:
        event: The step's inputs `model_package_arn`, `evaluation_uri` (prefix of the evaluation's output) and
            `execution_arn`.
        context: Unused.
    """
    return publish_dossier(_s3(), _sagemaker(), **event)


def publish_dossier(
    s3: S3Client, sagemaker: SageMakerClient, *, model_package_arn: str, evaluation_uri: str, execution_arn: str
) -> dict[str, str]:
    """Add the dossier to the version's metadata, beside what is there, and return the report's address.

    The version's containers get the runtime and precision that were measured, so that whoever deploys it by hand serves
    what the gate has seen. The approval is left alone: only people approve.

    Raises:
        DossierError: An address is no metadata value, or there would be too many entries.
        botocore.exceptions.ClientError: The evaluation or the version is not there.
    """
    prefix = evaluation_uri.rstrip("/").removesuffix("/evaluation.json")
    location = urlsplit(f"{prefix}/evaluation.json")
    evaluation = json.loads(s3.get_object(Bucket=location.netloc, Key=location.path.lstrip("/"))["Body"].read())
    described = sagemaker.describe_model_package(ModelPackageName=model_package_arn)
    # Sent whole: what a version has already is kept, whether a service merges the entries or replaces them.
    properties = dict(described.get("CustomerMetadataProperties") or {})
    properties |= dossier(evaluation, prefix, execution_arn)
    if len(properties) > PROPERTIES:
        raise DossierError(
            f"{model_package_arn} would have {len(properties)} metadata entries, {PROPERTIES} are allowed"
        )
    specification = described["InferenceSpecification"]
    serving = evaluation["serving"]
    measured = {"MAPGATE_RUNTIME": serving["runtime"], "MAPGATE_PRECISION": serving["precision"]}
    for container in specification["Containers"]:
        container["Environment"] = {**container.get("Environment", {}), **measured}
    sagemaker.update_model_package(
        ModelPackageArn=model_package_arn,
        CustomerMetadataProperties=properties,
        InferenceSpecification=specification,
    )
    return {"ReportUri": properties["report_uri"]}


def dossier(evaluation: dict[str, Any], prefix: str, execution_arn: str) -> dict[str, str]:
    """Return the metadata entries of an evaluation.

    Args:
        evaluation: The parsed evaluation.json.
        prefix: S3 URI under which it and its report lie.
        execution_arn: The pipeline execution that made the version.

    Raises:
        DossierError: An address is no metadata value.
    """
    metrics, serving, gate = evaluation["metrics"], evaluation["serving"], evaluation["gate"]
    waiver = (evaluation.get("champion") or {}).get("waiver")
    return {
        "mAP": _number(metrics.get("mAP")),
        "mAP_50": _number(metrics.get("mAP_50")),
        "dataset_sha256": readable(evaluation["dataset"]["sha256"]),
        "runtime": readable(serving["runtime"]),
        "precision": readable(serving["precision"]),
        "report_uri": _address("report_uri", f"{prefix}/report.html"),
        "evaluation_uri": _address("evaluation_uri", f"{prefix}/evaluation.json"),
        "execution_arn": _address("execution_arn", execution_arn),
        "gate": readable(f"{'passed' if gate['passed'] is True else 'failed'}: {gate['sentence']}"),
        **({"champion_waiver": readable(waiver)} if waiver else {}),
    }


def readable(text: str) -> str:
    """Return a text within the characters that metadata values may have, at most 256 of them.

    Letters, numbers, separators and `_ . : / = + - @` are allowed; what can be said in words is.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateModelPackage.html
    """
    for sign, words in _SPOKEN.items():
        text = text.replace(sign, words)
    kept = "".join(character if _is_allowed(character) else " " for character in text)
    return " ".join(kept.split())[:VALUE_CHARACTERS].rstrip() or "-"


def _is_allowed(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character)[0] in "LNZ"


def _number(estimate: Any) -> str:
    value = estimate.get("value") if isinstance(estimate, dict) else estimate
    return f"{value:.4f}" if isinstance(value, int | float) else "unknown"


def _address(name: str, value: str) -> str:
    if readable(value) != value:
        raise DossierError(
            f"{name} {value!r} is no metadata value: at most {VALUE_CHARACTERS} letters, digits and {_PUNCTUATION}"
        )
    return value


@cache
def _s3() -> S3Client:
    return boto3.client("s3")


@cache
def _sagemaker() -> SageMakerClient:
    return boto3.client("sagemaker")
