# SPDX-License-Identifier: Apache-2.0
"""What people decide in the registry, brought into the records: who approved or rejected a version, when and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from . import names, registry
from .approval import Approval
from .reconcile import CLOCK_TOLERANCE_MILLISECONDS, choose, observe
from .telling import note, note_once

if TYPE_CHECKING:
    from .approval import Kind
    from .context import EventContext
    from .records import Production
    from .registry import Package


@dataclass(frozen=True)
class Announcement:
    """A model package event.

    Attributes:
        approved_at: LastModifiedTime, milliseconds since 1970, when the event announces an approval.
    """

    arn: str
    approved_at: int | None


def observe_registry(context: EventContext, read: Production, announcement: Announcement | None) -> None:
    """Bring the approvals' records up to date with the registry."""
    sagemaker, settings = context.clients.sagemaker, context.settings
    listed = registry.approved(sagemaker, settings.model_package_group)
    doubtful = {version: arn for version, arn in listed.items() if not _stands(read, version)}
    # A listing may lag behind: a version that is no longer listed is asked for by name before it counts as withdrawn.
    doubtful |= {v: known.arn for v, known in read.approvals.items() if known.standing and v not in listed}
    if announcement is not None:
        doubtful[names.package_version(announcement.arn)] = announcement.arn
    for version, arn in sorted(doubtful.items()):
        package = registry.describe(sagemaker, arn)
        known = read.approvals.get(version)
        announced = announcement.approved_at if announcement is not None and announcement.arn == arn else None
        seen = observe(
            known,
            version=version,
            arn=arn,
            approved=package is not None and package.approved,
            modified_at=package.modified_at if package else 0,
            announced_at=announced,
        )
        seen = decided(known, seen, package, version=version, arn=arn, now=context.clients.now())
        if seen is None:
            context.log.tell(f"v{version} is not approved")
        elif seen.untold and (known is None or seen.last_notice != known.last_notice):
            note(context, read, seen)
        elif seen != known:
            context.records.save_approval(settings.endpoint_name, read, seen)
    _note_withdrawn_champion(context, read)


def approved_anew(context: EventContext) -> list[Announcement]:
    """Return the versions that were approved again after a refusal, for another reason, as far as no event said so.

    Whether an event announces that a version was approved which already was is not documented, and an override is just
    that: the description tells the two approvals apart.
    """
    found = []
    read = context.records.production(context.settings.endpoint_name)
    for known in read.approvals.values():
        if not (known.standing and known.approved_by and known.outcome in ("failed", "refused")):
            continue
        package = registry.describe(context.clients.sagemaker, known.arn)
        if package is not None and package.approved and package.reason != known.reason:
            found.append(Announcement(arn=known.arn, approved_at=package.modified_at))
    return found


def decided(
    known: Approval | None, seen: Approval | None, package: Package | None, *, version: int, arn: str, now: int
) -> Approval | None:
    """Return a version's record with who decided what, and the notice of it, when the decision is a new one.

    Args:
        known: The record so far.
        seen: The record after a look at the registry; None for a version that nobody has approved.
        package: What the registry says; None when the version was deleted.
        version: Its number.
        arn: Its ARN.
        now: Milliseconds since 1970.
    """
    status = package.status if package else ""
    if seen is not None and seen.standing:
        is_new = (
            known is None or not known.standing or seen.approved_at > known.approved_at + CLOCK_TOLERANCE_MILLISECONDS
        )
        return _approved(known, seen, package, now) if is_new and package else seen
    if status == "Rejected" and (known is None or known.decision != "Rejected") and package is not None:
        known = seen or Approval(version=version, arn=arn, approved_at=0, announced=False, standing=False)
        sentence = f"v{version} was rejected by {package.decided_by}{_because(package.reason)}"
        return replace(known, decision="Rejected", rejected_by=package.decided_by).with_notice(
            "rejected", f"v{version} was rejected", sentence, f"mapgate models show {version}", now
        )
    if known is not None and known.standing and seen is not None:
        by = f" by {package.decided_by}" if package else ": it was deleted from the registry"
        return replace(seen, decision=status).with_notice(
            "rejected",
            f"v{version} lost its approval",
            f"v{version}'s approval was withdrawn{by}",
            "mapgate endpoints",
            now,
        )
    return seen


def _approved(known: Approval | None, seen: Approval, package: Package, now: int) -> Approval:
    version = f"v{seen.version}"
    seen = replace(seen, decision="Approved", approved_by=package.decided_by, reason=package.reason)
    before = ""
    if known is not None and known.decision == "Rejected":
        before = f"; it had been rejected by {known.rejected_by or registry.UNKNOWN}"
    how = ", with an override" if seen.override else ""
    sentence = f"{version} was approved by {package.decided_by}{how}{_because(seen.why)}{before}"
    kind: Kind = "override" if seen.override else "approved"
    return seen.with_notice(kind, f"{version} was approved{how}", sentence, "mapgate endpoints", now)


def _because(reason: str) -> str:
    return f": {reason}" if reason else "; no reason was given"


def _stands(read: Production, version: int) -> bool:
    return version in read.approvals and read.approvals[version].standing


def _note_withdrawn_champion(context: EventContext, read: Production) -> None:
    known = read.approvals.get(read.champion.version) if read.champion else None
    if known is None or known.standing or choose(read.approvals.values()) is not None:
        return
    sentence = (
        f"v{known.version} serves production and its approval was withdrawn, but no other approval stands: it keeps "
        "serving; approve a version to replace it, or delete the endpoint"
    )
    note_once(context, read, known, "noted", f"v{known.version} keeps serving", sentence, "mapgate models list")
