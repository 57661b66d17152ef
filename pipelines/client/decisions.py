# SPDX-License-Identifier: Apache-2.0
"""What will happen when a version is approved or rejected: what the deployer does by its records, foretold.

Production serves the newest approval that stands and did not fail. A version goes there only when it was compared with
what serves now and with the best that ever served, or an approver overrides that, or it has served before; rejecting
what serves rolls production back to the newest approval that is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pipelines.client.deployments import Approval, Records
from pipelines.client.refusals import refusal
from pipelines.client.registry import Version
from pipelines.client.surroundings import Surroundings

UNSIGNED = "registered before verdicts were signed, or outside the pipeline"
OVERRIDE = "override: "
"""How the description of an approval begins that lets a version go although its champion no longer serves."""
REASON_CHARACTERS = 1024
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateModelPackage.html, ApprovalDescription"""
NOTHING_AROUND = Surroundings()
Refuses = Callable[[int], str | None]


def nothing_refused(_: int) -> str | None:
    """Where nobody looked at what production would go back to."""
    return None


_HELD = (
    "First the deployer holds evidence, artifact, image and gate policy against what was signed; what it finds is told "
    "as a message and by `mapgate models history`."
)
_CANARY = (
    "a part of the traffic first, then all of it; while it rolls out, alarms on errors and latency roll it back by "
    "themselves"
)


@dataclass(frozen=True)
class Outlook:
    """What a decision will bring about.

    Attributes:
        sentences: What happens, in the order in which it does.
        refusal: Why the deployer will not deploy the version; None where nothing speaks against it.
        changes: Whether production will change.
    """

    sentences: list[str] = field(default_factory=list)
    refusal: str | None = None
    changes: bool = False

    def as_json(self) -> dict[str, Any]:
        """The outlook as plain JSON values."""
        return {"changes_production": self.changes, "refusal": self.refusal, "sentences": self.sentences}


def approval(version: Version, records: Records, *, override: bool, around: Surroundings = NOTHING_AROUND) -> Outlook:
    """What approving a version will bring about, as far as the records tell.

    Args:
        version: As the registry has it.
        records: The deployer's.
        override: Whether the approver lets it go although the champion that it was compared with no longer serves.
        around: What there is to look at besides.
    """
    told = []
    if version.approval == "Rejected":
        why = f": {version.reason}" if version.reason else ""
        by = f" by {version.decided_by}" if version.decided_by else ""
        told.append(f"Version {version.number} was Rejected{by}{why}. Approving it lets it go to production after all.")
    if records.unreadable:
        return Outlook([*told, f"What production will do is not known here: {records.unreadable}."])
    if records.retired:
        return Outlook(told, "the stack is being deleted, so nothing is deployed any more")
    serves = records.champion.version if records.champion else None
    if serves == version.number and version.approval == "Approved":
        return Outlook([*told, f"Production serves version {serves} already: nothing changes."])
    if serves == version.number:
        return Outlook([*told, f"Production serves version {serves} already, and goes on doing so."])
    if refused := refusal(version, records, around, override=override):
        return Outlook([*told, _stays(serves)], refused)
    if records.attempt not in (None, version.number):
        told.append(f"The rollout of version {records.attempt}, which is under way, ends first.")
    if serves is None:
        told.append(f"Nothing serves yet: version {version.number} is brought up on a new endpoint.")
    else:
        told.append(f"Production goes from version {serves} to version {version.number}: {_CANARY}.")
    told.append(_HELD)
    return Outlook(told, changes=True)


def rejection(version: Version, records: Records, refuses: Refuses = nothing_refused) -> Outlook:
    """What rejecting a version will bring about.

    Args:
        version: As the registry has it.
        records: The deployer's.
        refuses: Why the deployer will refuse to go back to a version; None where nothing speaks against it.
    """
    if records.unreadable:
        return Outlook([f"What production will do is not known here: {records.unreadable}."])
    serves = records.champion.version if records.champion else None
    told, next_one = _next(version.number, records, refuses if version.number == serves else nothing_refused)
    if version.number == records.attempt and version.number != serves:
        after = f"production then serves {_named(next_one.version if next_one else serves)}"
        return Outlook([f"Its rollout is under way and ends first; {after}."], changes=True)
    if version.number != serves:
        return Outlook([_stays(serves)])
    if next_one is None:
        return Outlook(
            [
                *told,
                f"Version {serves} serves production, and no other approval stands: it keeps serving, because an empty "
                "endpoint helps nobody. Approve another version to replace it, or delete the endpoint.",
            ]
        )
    back = f"Production rolls back from version {serves} to version {next_one.version}: {_CANARY}."
    return Outlook([*told, back], changes=True)


def reason_of(reason: str | None, *, override: bool) -> str | None:
    """The description that the registry keeps with a decision, one line.

    Raises:
        ValueError: It is too long, or says that it overrides where nobody asked for that, or the other way round.
    """
    said = " ".join((reason or "").split())
    if override and not said:
        raise ValueError("--override needs a --reason: it is recorded with the approval")
    if not override and said.lower().startswith(OVERRIDE.strip()):
        raise ValueError(f'a --reason that begins with "{OVERRIDE.strip()}" is what --override writes; take that')
    told = OVERRIDE + said if override else said
    if len(told) > REASON_CHARACTERS:
        raise ValueError(f"the --reason has {len(told)} characters, the registry keeps {REASON_CHARACTERS}; shorten it")
    return told or None


def _next(rejected: int, records: Records, refuses: Refuses) -> tuple[list[str], Approval | None]:
    """To what production goes back, after a sentence for each that will be refused before it."""
    told: list[str] = []
    left = {number: one for number, one in records.approvals.items() if number != rejected}
    while (next_one := newest(replace(records, approvals=left))) is not None:
        if (why := refuses(next_one.version)) is None:
            break
        told.append(f"Version {next_one.version} will be refused: {why}.")
        del left[next_one.version]
    return told, next_one


def newest(records: Records) -> Approval | None:
    """The newest approval that stands and did not fail, to which production goes; None where there is none."""
    eligible = [one for one in records.approvals.values() if one.is_eligible]
    never = datetime.fromtimestamp(0, UTC)
    return max(eligible, key=lambda one: (one.approved_at or never, one.version), default=None)


def _stays(serves: int | None) -> str:
    return "Nothing serves, and nothing will." if serves is None else f"Production goes on serving version {serves}."


def _named(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"
