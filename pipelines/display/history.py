# SPDX-License-Identifier: Apache-2.0
"""What happened to the versions, oldest first, by the deployer's events, or by what older records tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.client.deployments import Approval, Records
from pipelines.client.registry import Version

APPROVING = ("approved", "override")


@dataclass(frozen=True)
class Happened:
    """Something that happened to a version.

    Attributes:
        by: Who did it, where it was somebody and is known.
    """

    version: int
    at: datetime
    kind: str
    sentences: list[str]
    by: str = ""
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """It as plain JSON values."""
        return {
            "version": self.version,
            "at": self.at.isoformat(),
            "kind": self.kind,
            "by": self.by or None,
            "reason": self.reason or None,
            "sentences": self.sentences,
        }


@dataclass(frozen=True)
class Term:
    """How long a version served; no end is until now."""

    version: int
    begun: datetime
    ended: datetime | None

    def told_end(self) -> str:
        """The end as people read it."""
        return "now" if self.ended is None else f"{self.ended:%Y-%m-%d %H:%M:%S %Z}".rstrip()

    def as_json(self) -> dict[str, Any]:
        """It as plain JSON values."""
        ended = self.ended.isoformat() if self.ended else None
        return {"version": self.version, "from": self.begun.isoformat(), "to": ended}


def happened(versions: Iterable[Version], records: Records) -> list[Happened]:
    """All that is known, oldest first.

    Args:
        versions: As the registry has them, with when they were registered.
        records: The deployer's.
    """
    found = [Happened(one.number, one.created, "registered", _registered(one)) for one in versions]
    # The record knows of the last approval who gave it, and why.
    last = {event.version: event for event in records.events if event.kind in APPROVING}
    for event in records.events:
        known = records.approvals.get(event.version) if last.get(event.version) is event else None
        by, reason = (known.approved_by, known.reason) if known else ("", "")
        told = [event.sentence] if event.sentence else []
        found.append(Happened(event.version, event.at, event.kind, told, by, reason))
    for approval in records.approvals.values():
        if approval.version not in last:
            found += _of_record(approval)
    return sorted(found, key=lambda one: (one.at, one.version))


def terms(records: Records) -> Iterator[Term]:
    """What served from when to when, oldest first."""
    for version, begun, ended in records.served():
        yield Term(version, begun, ended)


def _registered(version: Version) -> list[str]:
    gate = version.dossier.get("gate")
    return [gate] if gate else []


def _of_record(approval: Approval) -> Iterator[Happened]:
    """What a version's record tells where there are no events: of a release that wrote none."""
    if approval.approved_at is None:
        return
    by = approval.approved_by
    who = f"By {by}" if by else "By whom nobody recorded: it was approved under an earlier release"
    why = f"{who}: {approval.reason}" if approval.reason else f"{who}."
    yield Happened(approval.version, approval.approved_at, "approved", [why], by, approval.reason)
    if approval.outcome:
        yield Happened(approval.version, approval.approved_at, approval.outcome, [approval.sentence])
