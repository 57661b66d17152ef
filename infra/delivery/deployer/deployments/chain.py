# SPDX-License-Identifier: Apache-2.0
"""The chain of evidence up to a verdict: data set, provenance and verdict, signed, each naming the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from containers.evidence import statements
from containers.evidence.envelope import EvidenceError, digest, open_envelope
from containers.evidence.signing import verifier

from . import errors
from .errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

    from .verdict_record import VerdictRecord

_FILES = (
    ("verdict.json", statements.VERDICT),
    ("provenance.json", statements.PROVENANCE),
    ("dataset.json", statements.DATASET),
)
"""From the last statement to the first."""


def folder(version: int) -> str:
    """Return the prefix of a version's evidence."""
    return f"evidence/v{version:06d}"


def verify_chain(s3: S3Client, kms: KMSClient, *, bucket: str, key_arn: str, record: VerdictRecord) -> None:
    """See that the statements say what was recorded, were signed by the environment's key, and follow one another.

    Raises:
        RefusedError: A statement is gone, changed, signed by another key or about something else.
        botocore.exceptions.ClientError: S3 or KMS refused to answer.
    """
    prefix = folder(record.version)
    expected: str | None = record.statement_sha256
    said: dict[str, dict[str, Any]] = {}
    if record.statement_uri != f"s3://{bucket}/{prefix}/{_FILES[0][0]}":
        raise RefusedError(f"v{record.version}: its verdict lies at {record.statement_uri}, not in {prefix}/")
    for name, kind in _FILES:
        place = f"v{record.version}: s3://{bucket}/{prefix}/{name}"
        envelope = _read(s3, bucket, f"{prefix}/{name}", place)
        if digest(envelope) != expected:
            raise RefusedError(
                f"{place} was changed (its sha256 begins with {digest(envelope)[:12]}, "
                f"{str(expected)[:12]} was recorded); {_WAY_OUT}"
            )
        said[kind] = statement = _open(envelope, verifier(kms, key_arn), place)
        if statement.get("predicateType") != kind:
            raise RefusedError(f"{place} is a statement of another kind, {statement.get('predicateType')}; {_WAY_OUT}")
        expected = statements.previous_of(statement)
    if expected is not None:
        raise RefusedError(f"v{record.version}: its data set names a statement before it, {expected[:12]}; {_WAY_OUT}")
    _compare(record, said)


def _compare(record: VerdictRecord, said: dict[str, dict[str, Any]]) -> None:
    """Hold what was signed against what was recorded."""
    verdict, provenance = said[statements.VERDICT], said[statements.PROVENANCE]
    judged = verdict["predicate"]
    stated = {
        "artifact": (_subject(verdict), record.model_sha256),
        "artifact of the provenance": (_subject(provenance), record.model_sha256),
        "data set": (said[statements.DATASET]["predicate"].get("contentSha256"), record.dataset_sha256),
        "execution": (provenance["predicate"]["runDetails"]["metadata"]["invocationId"], record.execution_arn),
        "result": (judged.get("verificationResult"), "PASSED"),
        "version": (judged.get("resourceUri"), record.arn),
        "execution of the verdict": (judged.get("mapgate_execution"), record.execution_arn),
        "evaluation": (_sha256(judged.get("mapgate_evaluation")), record.evaluation_sha256),
        "floor": (_sha256(judged.get("policy")), record.floor_policy_sha256),
        "image": (_sha256(judged.get("mapgate_image")), record.image_digest.removeprefix("sha256:")),
        "champion": (judged.get("mapgate_champion"), record.champion_arn),
        "best version": (judged.get("mapgate_best"), record.best_arn),
        "runtime": (judged.get("mapgate_runtime"), record.runtime),
        "precision": (judged.get("mapgate_precision"), record.precision),
    }
    for name, (signed, recorded) in stated.items():
        if signed != recorded:
            raise RefusedError(
                f"v{record.version}: the signed statements name the {name} {signed}, and {recorded} was recorded; "
                f"{_WAY_OUT}"
            )


def _open(envelope: bytes, verify: Callable[[bytes, bytes], bool], place: str) -> dict[str, Any]:
    try:
        return open_envelope(envelope, verify)
    except EvidenceError as error:
        raise RefusedError(f"{place}: {error}; {_WAY_OUT}") from error


def _read(s3: S3Client, bucket: str, key: str, place: str) -> bytes:
    try:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if not errors.is_absent(error):
            raise
        raise RefusedError(f"{place} is gone; {_WAY_OUT}") from error


def _sha256(descriptor: Any) -> str:
    return str(((descriptor or {}).get("digest") or {}).get("sha256", ""))


def _subject(statement: dict[str, Any]) -> str:
    """What a statement is about; what is about more than one thing says nothing that was judged."""
    return " and ".join(map(_sha256, statement["subject"]))


_WAY_OUT = "run the pipeline again and approve the new version"
