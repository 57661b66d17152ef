# SPDX-License-Identifier: Apache-2.0
"""Signed statements of approvals and deployments, written beside the verdict's, and the report that shows them.

They are owed from the moment that a record says what they are about, and written by whichever event comes next: a key
that cannot be used holds no deployment up. A statement is never written twice, though each signature would differ.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from containers.evidence import statements
from containers.evidence.envelope import digest, open_envelope, seal
from containers.evidence.page import fill
from containers.evidence.signing import signer, verifier
from containers.evidence.statements import Resource

from . import errors
from .chain import folder
from .errors import ConflictError

if TYPE_CHECKING:
    from .approval import Approval
    from .context import EventContext
    from .records import Champion, Production
    from .verdict_record import VerdictRecord

NOTHING = "none"
"""In the place of a statement's digest, of a version without a verdict that it could follow."""


def settle(context: EventContext, read: Production) -> None:
    """Write the statements that the records owe.

    Raises:
        ConflictError: Another event changed a record meanwhile.
        botocore.exceptions.ClientError: S3 or KMS refused.
    """
    if read.retired:
        return
    for approval in list(read.approvals.values()):
        settled = approval
        if _owes_approval(approval) or _owes_deployment(approval, read.champion):
            record = context.records.verdict(context.settings.endpoint_name, approval.version)
            settled = _stated(context, approval, record, read.champion)
        if settled != approval:
            context.records.save_approval(context.settings.endpoint_name, read, settled)


def _owes_approval(approval: Approval) -> bool:
    return approval.standing and bool(approval.approved_by) and not approval.approval_statement


def _owes_deployment(approval: Approval, champion: Champion | None) -> bool:
    serves = champion is not None and champion.version == approval.version
    return serves and approval.served_at != approval.stated_at


def _stated(
    context: EventContext, approval: Approval, record: VerdictRecord | None, champion: Champion | None
) -> Approval:
    """Write what is owed of one version; returns its record with the digests."""
    if record is None:
        context.log.tell(f"v{approval.version} has no verdict record, so nothing is signed that would follow it")
    if _owes_approval(approval):
        written = _write_approval(context, approval, record) if record else NOTHING
        approval = replace(approval, approval_statement=written)
    if champion is not None and _owes_deployment(approval, champion):
        written = _write_deployment(context, approval, record, champion) if record else NOTHING
        approval = replace(approval, deployment_statement=written, stated_at=approval.served_at)
    if record is not None:
        _fill_report(context, approval, champion)
    return approval


def _write_approval(context: EventContext, approval: Approval, record: VerdictRecord) -> str:
    statement = statements.approval(
        model=Resource(uri=record.model_uri, sha256=record.model_sha256),
        version=approval.version,
        model_package_arn=approval.arn,
        status="Approved",
        approved_by=approval.approved_by,
        approved_at=_moment(approval.approved_at),
        reason=approval.reason,
        override=approval.override,
        previous=record.statement_sha256,
    )
    return _write_once(context, f"{folder(approval.version)}/approval-{approval.approved_at}.json", statement)


def _write_deployment(context: EventContext, approval: Approval, record: VerdictRecord, champion: Champion) -> str:
    described = context.hosting.endpoint(context.settings.endpoint_name)
    statement = statements.deployment(
        model=Resource(uri=champion.model_uri, sha256=record.model_sha256),
        version=approval.version,
        model_package_arn=approval.arn,
        endpoint_name=context.settings.endpoint_name,
        endpoint_config_name=str(described.config),
        image=Resource(uri=record.image, sha256=record.image_digest),
        runtime=champion.runtime,
        precision=champion.precision,
        deployed_at=_moment(approval.served_at),
        previous=_before(approval, record),
    )
    return _write_once(context, f"{folder(approval.version)}/deployment-{approval.served_at}.json", statement)


def _before(approval: Approval, record: VerdictRecord) -> str:
    """The approval's statement; the verdict's where an older deployer saw the approval and signed nothing."""
    return approval.approval_statement if approval.approval_statement not in ("", NOTHING) else record.statement_sha256


def _write_once(context: EventContext, key: str, statement: dict[str, Any]) -> str:
    """Write a signed statement to a key that is free, and return its digest, or that of the one which is there."""
    s3, settings = context.clients.s3, context.settings
    envelope = seal(statement, signer(context.clients.kms, settings.signing_key_arn), settings.signing_key_arn)
    try:
        s3.put_object(Bucket=settings.bucket, Key=key, Body=envelope, ContentType="application/json", IfNoneMatch="*")
    except ClientError as error:
        if errors.code(error) in errors.RACING:
            raise ConflictError(f"{key} is being written by another event") from error
        if errors.code(error) not in errors.TAKEN:
            raise
        envelope = s3.get_object(Bucket=settings.bucket, Key=key)["Body"].read()
        # Whoever died after writing it said the same: only what the environment's key signed is taken for it.
        open_envelope(envelope, verifier(context.clients.kms, settings.signing_key_arn))
    return digest(envelope)


def _fill_report(context: EventContext, approval: Approval, champion: Champion | None) -> None:
    """Put who approved and what serves into the version's report, where there is one."""
    s3, bucket, key = context.clients.s3, context.settings.bucket, f"{folder(approval.version)}/report.html"
    try:
        page = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if not errors.is_absent(error):
            raise
        return
    slots = {}
    if approval.approved_by:
        how = ", with an override" if approval.override else ""
        why = f": {approval.why}" if approval.why else ""
        slots["approval"] = f"Approved by {approval.approved_by} at {_moment(approval.approved_at)}{how}{why}"
    if approval.served_at:
        serves = champion is not None and champion.version == approval.version
        slots["serving"] = f"{'Serves' if serves else 'Served'} production since {_moment(approval.served_at)}"
    filled = fill(page, slots)
    if filled != page:
        s3.put_object(Bucket=bucket, Key=key, Body=filled, ContentType="text/html; charset=utf-8")


def _moment(milliseconds: int) -> str:
    """RFC 3339, to the second."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
