# SPDX-License-Identifier: Apache-2.0
"""The evaluation's verdict, read again before anything is deployed.

An approval is a click; the gate is a measurement. A version goes to an endpoint only when the evaluation that was
registered with it passed its gate and is an evaluation of this very artifact.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from . import errors
from .errors import RefusedError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from .registry import Package

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the evaluation allows to be served.

    Attributes:
        runtime: The runtime whose detections were judged, such as `openvino`.
        precision: Its precision, such as `f32`.
        artifact_sha256: Of the model.tar.gz that was judged.
        sentence: The gate's own.
    """

    runtime: str
    precision: str
    artifact_sha256: str
    sentence: str


def verify(s3: S3Client, package: Package, evaluation_uri: str | None = None) -> Verdict:
    """Read the verdict of a version and see that its artifact is there.

    Args:
        s3: Client.
        package: The registered version.
        evaluation_uri: Where the pipeline says that the evaluation lies; needed only when none was registered.

    Raises:
        RefusedError: The version must not be deployed; the message says why and what to do.
    """
    uri = evaluation_location(package, evaluation_uri)
    evaluation = _read_json(s3, uri, package)
    verdict = judge(evaluation, package, uri)
    _check_artifact(s3, verdict.artifact_sha256, package)
    return verdict


def evaluation_location(package: Package, evaluation_uri: str | None = None) -> str:
    """Return the S3 URI of a version's evaluation.json.

    What was registered with the version cannot be changed afterwards and therefore wins; metadata that points elsewhere
    was edited.

    Raises:
        RefusedError: There is none, or two that disagree.
    """
    given = package.metadata.get("evaluation_uri") or evaluation_uri
    stated = given and (given if given.endswith(".json") else f"{given.rstrip('/')}/evaluation.json")
    uri = package.statistics_uri or stated
    if not uri:
        raise RefusedError(f"v{package.version} has no evaluation; register it through the pipeline")
    if stated and stated != uri:
        raise RefusedError(
            f"v{package.version} was registered with {uri}, its metadata names {stated}; somebody edited evaluation_uri"
        )
    return uri


def judge(evaluation: Any, package: Package, uri: str) -> Verdict:
    """Return the verdict of an evaluation, failing closed: what is absent or odd is a refusal.

    Args:
        evaluation: The parsed evaluation.json.
        package: The version that is to be deployed.
        uri: Where the evaluation was read, for messages.

    Raises:
        RefusedError: The gate did not pass, or the evaluation is not of this version.
    """
    version = f"v{package.version}"
    gate = _part(evaluation, "gate", version, uri)
    sentence = str(gate.get("sentence") or "the gate gave no sentence")
    if gate.get("passed") is not True:
        raise RefusedError(f"{version} did not pass its gate: {sentence}")
    measured = gate.get("mAP")
    if not isinstance(measured, int | float) or not math.isfinite(measured) or measured < 0:
        raise RefusedError(f"{version}: {uri} has no measured mAP in its gate; evaluate it again")
    evaluated = str(_part(evaluation, "model", version, uri).get("sha256") or "")
    if not evaluated:
        raise RefusedError(f"{version}: {uri} does not say which artifact it evaluated; evaluate it again")
    serving = _part(evaluation, "serving", version, uri)
    chosen = {name: str(serving.get(name) or "") for name in ("runtime", "precision")}
    for name, value in chosen.items():
        if not value:
            raise RefusedError(f"{version}: {uri} does not say with which {name} it was judged; evaluate it again")
        if package.metadata.get(name, value) != value:
            raise RefusedError(
                f"{version} was judged with {name} {value}, its metadata says {package.metadata[name]}; "
                "put the metadata right, or evaluate again what should serve"
            )
    return Verdict(
        runtime=chosen["runtime"],
        precision=chosen["precision"],
        artifact_sha256=evaluated,
        sentence=sentence,
    )


def split(uri: str) -> tuple[str, str]:
    """Return bucket and key of an S3 URI."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")


def _part(evaluation: Any, name: str, version: str, uri: str) -> dict[str, Any]:
    part = evaluation.get(name) if isinstance(evaluation, dict) else None
    if not isinstance(part, dict):
        raise RefusedError(f'{version}: {uri} has no "{name}"; evaluate it again')
    return part


def _read_json(s3: S3Client, uri: str, package: Package) -> Any:
    bucket, key = split(uri)
    try:
        return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if not is_absent(error):
            raise
        raise RefusedError(f"v{package.version}: its evaluation {uri} is gone; run the pipeline again") from error
    except ValueError as error:
        raise RefusedError(f"v{package.version}: {uri} is not JSON ({error}); run the pipeline again") from error


def _check_artifact(s3: S3Client, evaluated: str, package: Package) -> None:
    bucket, key = split(package.model_uri)
    digest = hashlib.sha256()
    try:
        for chunk in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(_CHUNK_BYTES):
            digest.update(chunk)
    except ClientError as error:
        if not is_absent(error):
            raise
        raise RefusedError(
            f"v{package.version}: its artifact {package.model_uri} is gone; "
            "run the pipeline again and approve the new version"
        ) from error
    if digest.hexdigest() != evaluated:
        raise RefusedError(
            f"v{package.version}: {package.model_uri} is not the artifact that was evaluated (its sha256 begins with "
            f"{digest.hexdigest()[:12]}, the evaluated one's with {evaluated[:12]}); run the pipeline again"
        )


def is_absent(error: ClientError) -> bool:
    """Whether an object or its bucket is not there."""
    return errors.code(error) in {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}
