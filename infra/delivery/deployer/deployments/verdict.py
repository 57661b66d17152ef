# SPDX-License-Identifier: Apache-2.0
"""The verdict on a version, of which nothing is believed that cannot be computed again.

An approval is a click; the gate is a measurement. A version goes to an endpoint only when PublishDossier's record of
its verdict, the signed statements, the evaluation, the artifact and the image are what they were when it was judged,
and when it was judged under the floor of now. A version that has served before is told of another floor, and goes.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from . import errors
from .approvable import Approvable, Verdict
from .chain import verify_chain
from .errors import RefusedError
from .places import split
from .registration import check_registration, image_digest
from .released import release
from .service import hold_against_service

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_s3 import S3Client

    from .approval import Approval
    from .context import EventContext
    from .registry import Package
    from .settings import DeployerSettings
    from .verdict_record import VerdictRecord


def verify(
    context: EventContext, package: Package, known: Approval | None, *, evaluation_uri: str | None = None
) -> Approvable:
    """Verify all that a version's verdict rests on, and release its artifact.

    Args:
        context: Settings, services and records.
        package: The registered version.
        known: How the version fared, by the records; whether it has served is what counts of it. None for a candidate.
        evaluation_uri: Where the pipeline says that the evaluation lies; needed only when none was registered.

    Raises:
        RefusedError: The version must not be deployed; the message says why and what to do.
        ConflictError: Its artifact is being released by another event.
    """
    settings, clients = context.settings, context.clients
    check_registration(package, settings.inference_repository)
    record = context.records.verdict(settings.endpoint_name, package.version)
    caveats = _caveats(record, package, settings, served=bool(known and known.served_at))
    uri = evaluation_location(package, evaluation_uri)
    body, written_at = _read(clients.s3, uri, package)
    if record is not None:
        _hold_against_record(record, package, uri, body)
    verdict = judge(_parse(body, uri, package), package, uri)
    digest = image_digest(clients.ecr, package)
    image = f"{settings.inference_repository}@{digest}"
    if record is None and known is not None:
        hold_against_service(known, uri, written_at=written_at, image=image)
    if record is not None:
        _hold_verdict_against_record(record, verdict, package, digest)
        verify_chain(clients.s3, clients.kms, bucket=settings.bucket, key_arn=settings.signing_key_arn, record=record)
    artifact = release(
        clients.s3,
        settings.bucket,
        source=split(package.model_uri),
        sha256=verdict.artifact_sha256,
        version=package.version,
    )
    return Approvable(
        verdict=verdict,
        image=image,
        artifact_uri=artifact,
        record=record,
        caveats=caveats,
    )


def _caveats(
    record: VerdictRecord | None, package: Package, settings: DeployerSettings, *, served: bool
) -> tuple[str, ...]:
    """Return what is wrong with a version that has served, as far as it goes all the same.

    Raises:
        RefusedError: The version has not served.
    """
    version = f"v{package.version}"
    if record is None:
        wrong = f"{version} has no verdict record: it was registered by hand, or by an older release"
        way_out = "run the pipeline again and approve the version that it registers"
    elif record.floor_policy_sha256 != settings.floor_policy_sha256:
        wrong = (
            f"{version} was judged under the gate policy {record.floor_policy_sha256[:12]}, and the environment's is "
            f"{settings.floor_policy_sha256[:12] or 'unknown'} now"
        )
        way_out = "run the pipeline again, of which all but evaluating comes from the cache, and approve that version"
    else:
        return ()
    if not served:
        raise RefusedError(f"{wrong}; {way_out}")
    return (f"{wrong}; it has served before",)


def _hold_against_record(record: VerdictRecord, package: Package, uri: str, evaluation: bytes) -> None:
    """See that registry and evaluation are those of which the verdict was recorded."""
    version = f"v{package.version}"
    found = {
        "version": (package.arn, record.arn),
        "evaluation": (uri, record.evaluation_uri),
        "artifact": (package.model_uri, record.model_uri),
        "image": (package.image, record.image),
    }
    for name, (now, then) in found.items():
        if now != then:
            raise RefusedError(f"{version} names the {name} {now}, its verdict was about {then}; somebody edited it")
    digest = hashlib.sha256(evaluation).hexdigest()
    if digest != record.evaluation_sha256:
        raise RefusedError(
            f"{version}: {uri} was changed after its verdict (its sha256 begins with {digest[:12]}, the recorded one "
            f"with {record.evaluation_sha256[:12]}); restore the object's first version, or run the pipeline again"
        )


def _hold_verdict_against_record(record: VerdictRecord, verdict: Verdict, package: Package, digest: str) -> None:
    version = f"v{package.version}"
    if digest != record.image_digest:
        raise RefusedError(
            f"{version}: {package.image} is {digest[:19]} now and was {record.image_digest[:19]} when it was measured; "
            "run the pipeline again"
        )
    judged = {
        "artifact": (verdict.artifact_sha256, record.model_sha256),
        "floor": (verdict.floor_sha256, record.floor_policy_sha256),
        "runtime": (verdict.runtime, record.runtime),
        "precision": (verdict.precision, record.precision),
    }
    for name, (evaluated, recorded) in judged.items():
        if evaluated != recorded:
            raise RefusedError(
                f"{version}: its evaluation names the {name} {evaluated or 'nowhere'}, {recorded} was recorded; "
                "run the pipeline again"
            )


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
        floor_sha256=_floor(evaluation),
    )


def _floor(evaluation: dict[str, Any]) -> str:
    policy = evaluation.get("policy")
    floor = policy.get("floor") if isinstance(policy, dict) else None
    return str(floor.get("sha256") or "") if isinstance(floor, dict) else ""


def _part(evaluation: Any, name: str, version: str, uri: str) -> dict[str, Any]:
    part = evaluation.get(name) if isinstance(evaluation, dict) else None
    if not isinstance(part, dict):
        raise RefusedError(f'{version}: {uri} has no "{name}"; evaluate it again')
    return part


def _read(s3: S3Client, uri: str, package: Package) -> tuple[bytes, datetime]:
    """Return an evaluation's bytes, and when S3 took them."""
    bucket, key = split(uri)
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
        return answer["Body"].read(), answer["LastModified"]
    except ClientError as error:
        if not errors.is_absent(error):
            raise
        raise RefusedError(f"v{package.version}: its evaluation {uri} is gone; run the pipeline again") from error


def _parse(body: bytes, uri: str, package: Package) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise RefusedError(f"v{package.version}: {uri} is not JSON ({error}); run the pipeline again") from error
