# SPDX-License-Identifier: Apache-2.0
"""What to do next with the production endpoint: a pure function of what is desired and what SageMaker describes.

Production serves the newest approval that stands, and whose deployment did not fail. So an older version approved
later goes (back) to production, and rejecting what serves rolls production back to the newest approval that is left;
when none is left, production keeps serving what it has, because an empty endpoint helps nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from .approval import Approval
from .errors import speaks_of_lack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .approval import Outcome

Trial = Literal["under way", "passed", "failed"]

CLOCK_TOLERANCE_MILLISECONDS = 1000
"""How far the times that an event and an API call give for one and the same approval may lie apart."""
SETTLING_MILLISECONDS = 5 * 60 * 1000
"""How long DescribeEndpoint may go on describing what was before an order."""


@dataclass(frozen=True, kw_only=True)
class Desired:
    """What should be served, and what the deployer has set out to do.

    Attributes:
        version: The version that production should serve; None when no approval stands.
        attempt: The version whose deployment was started and has not been seen to end.
        champion: The version that production was last seen to serve.
        hosting: Hash of the hosting settings with which it should be served.
        attempt_hosting: Hash of those with which the attempt was started.
        trial: What a candidate with these settings showed, where production serves the version with others.
    """

    version: int | None
    attempt: int | None = None
    champion: int | None = None
    hosting: str | None = None
    attempt_hosting: str | None = None
    trial: Trial | None = None


@dataclass(frozen=True, kw_only=True)
class Described:
    """What SageMaker says of the production endpoint.

    Attributes:
        status: EndpointStatus as the API spells it (`InService`); None when there is no endpoint.
        version: The version in the name of its endpoint configuration; None for a foreign one.
        hosting: The hash of hosting settings in that name; None for an old or a foreign one.
        reason: FailureReason, when given.
        stale: Whether it may still describe the endpoint from before the last order.
    """

    status: str | None
    version: int | None = None
    hosting: str | None = None
    reason: str = ""
    stale: bool = False


@dataclass(frozen=True)
class Deploy:
    """Bring this version up, on a new endpoint or by an update of the present one."""

    version: int
    update: bool


@dataclass(frozen=True)
class Succeed:
    """Record this version as the champion."""

    version: int


@dataclass(frozen=True)
class Fail:
    """Record that this version's deployment failed, or waits for what the account lacks, and tell people."""

    version: int
    sentence: str
    outcome: Outcome = "failed"


@dataclass(frozen=True)
class Try:
    """Bring a candidate of this version up with the new hosting settings, and test it."""

    version: int


@dataclass(frozen=True)
class Keep:
    """Record that this version goes on serving with its old hosting settings, and tell people why."""

    version: int
    sentence: str


@dataclass(frozen=True)
class Abandon:
    """Forget an attempt whose endpoint somebody deleted."""


@dataclass(frozen=True)
class Delete:
    """Delete the endpoint, which can do nothing else any more."""


@dataclass(frozen=True)
class AskAgain:
    """Come back in a minute: no event is promised for what is awaited."""


Action = Deploy | Succeed | Fail | Try | Keep | Abandon | Delete | AskAgain


def reconcile(desired: Desired, described: Described) -> list[Action]:
    """Return what brings the endpoint nearer to what is desired; nothing when it is there, or when SageMaker is busy.

    The caller performs the actions, looks again and asks again until nothing is left. SageMaker announces the end of
    everything that it is busy with by an event, except that a deleted endpoint is gone.
    """
    if described.stale:
        return [AskAgain()]
    match described.status:
        case None:
            return _when_absent(desired)
        case "InService":
            return _when_in_service(desired, described)
        case "Failed":
            return _when_failed(desired, described)
        case "UpdateRollbackFailed":
            return _when_stuck_between(desired, described)
        case "Deleting":
            return [AskAgain()] if desired.version is not None else []
        case _:
            return []


def is_stale(modified_at: int, *, ordered_at: int, ordered_over: int, now: int) -> bool:
    """Whether a description is that of the endpoint before the last order, which would read as a roll-back.

    SageMaker promises no consistent reading. An order changes LastModifiedTime, so a description that still has the one
    from before is not believed until it has had time enough to settle. All in milliseconds since 1970.

    Args:
        modified_at: LastModifiedTime as described now; 0 where no endpoint is described.
        ordered_at: When the endpoint was last ordered to change; 0 when no order is open.
        ordered_over: LastModifiedTime before that order; 0 where there was no endpoint.
        now: The present.
    """
    return modified_at == ordered_over and now - ordered_at < SETTLING_MILLISECONDS


def _when_absent(desired: Desired) -> list[Action]:
    if desired.attempt is not None:
        return [Abandon()]
    if desired.version is None:
        return []
    return [Deploy(desired.version, update=False)]


def _when_in_service(desired: Desired, described: Described) -> list[Action]:
    if desired.attempt is not None and desired.attempt != described.version:
        return [_failure(desired.attempt, _rolled_back(desired.attempt, described), described)]
    if desired.attempt is not None and desired.attempt_hosting != described.hosting:
        return [Keep(desired.attempt, f"SageMaker rolled it back to the old settings{_why(described)}")]
    if described.version is not None and (desired.attempt is not None or desired.champion != described.version):
        return [Succeed(described.version)]
    if desired.version is None:
        return []
    if desired.version == described.version:
        return _when_settings_differ(desired.version, desired, described)
    return [Deploy(desired.version, update=True)]


def _when_settings_differ(version: int, desired: Desired, described: Described) -> list[Action]:
    # A version that serves is never failed for settings that do not suit it: nothing else was tested with them either.
    if desired.hosting == described.hosting:
        return []
    match desired.trial:
        case None:
            return [Try(version)]
        case "passed":
            return [Deploy(version, update=True)]
        case _:
            return []


def _when_failed(desired: Desired, described: Described) -> list[Action]:
    # A failed endpoint takes only DeleteEndpoint. Without an attempt it is a champion that broke: it is built anew.
    if desired.attempt is None:
        return [Delete()]
    reason = described.reason or "SageMaker gave no reason; read the endpoint's log"
    return [_failure(desired.attempt, f"v{desired.attempt} did not come up: {reason}", described), Delete()]


def _when_stuck_between(desired: Desired, described: Described) -> list[Action]:
    # Neither the update nor its roll-back went through: the fleet is a mix that serves, so it is mended, never deleted.
    if desired.attempt is not None:
        reason = described.reason or "no reason given"
        if desired.attempt == desired.champion == described.version:
            return [Keep(desired.attempt, f"the new settings could be neither rolled out nor rolled back: {reason}")]
        sentence = f"v{desired.attempt} could be neither rolled out nor rolled back: {reason}"
        return [_failure(desired.attempt, sentence, described)]
    if desired.version is None:
        return []
    if desired.version == described.version:
        return _when_settings_differ(desired.version, desired, described)
    return [Deploy(desired.version, update=True)]


def _failure(attempt: int, sentence: str, described: Described) -> Fail:
    # A missing permission, quota or instance says nothing about the version.
    return Fail(attempt, sentence, "waiting" if speaks_of_lack(described.reason) else "failed")


def _rolled_back(attempt: int, described: Described) -> str:
    serving = f"v{described.version}" if described.version is not None else "what it served before"
    return f"v{attempt} was rolled back by SageMaker, production serves {serving}{_why(described)}"


def _why(described: Described) -> str:
    return f": {described.reason}" if described.reason else "; the endpoint's alarms and log tell why"


def choose(approvals: Iterable[Approval]) -> Approval | None:
    """Return the newest approval that stands and did not fail; of two at the same time the higher version."""
    eligible = [approval for approval in approvals if approval.standing and approval.outcome is None]
    return max(eligible, key=lambda approval: (approval.approved_at, approval.version), default=None)


def observe(
    known: Approval | None, *, version: int, arn: str, approved: bool, modified_at: int, announced_at: int | None
) -> Approval | None:
    """Return what is known of a version after a look at the registry.

    The registry's present word decides, so that duplicates and late events do no harm; an event only tells when a
    version that counts as approved was approved again. No approval can be later than the registry's last change.

    Args:
        known: The record so far.
        version: The model package's version.
        arn: The model package's ARN.
        approved: Whether the registry says Approved now.
        modified_at: The package's LastModifiedTime, milliseconds since 1970.
        announced_at: The LastModifiedTime of an event that announced an approval of this version; None without one.
    """
    if not approved:
        return replace(known, standing=False) if known else None
    if announced_at is not None:
        announced_at = min(announced_at, modified_at + CLOCK_TOLERANCE_MILLISECONDS)
    at = modified_at if announced_at is None else announced_at
    fresh = Approval(version=version, arn=arn, approved_at=at, announced=announced_at is not None)
    if known is not None:
        fresh = _lasting(known, fresh)
    if known is None or not known.standing:
        return fresh
    if announced_at is None:
        return known
    if announced_at > known.approved_at + CLOCK_TOLERANCE_MILLISECONDS:
        return fresh
    return known if known.announced else replace(known, approved_at=announced_at, announced=True)


def _lasting(known: Approval, fresh: Approval) -> Approval:
    """Return a new approval with what outlives the one before: what the version did, and what is still to be told."""
    return replace(
        fresh,
        rejected_by=known.rejected_by,
        served_at=known.served_at,
        served_until=known.served_until,
        served_image=known.served_image,
        candidate=known.candidate,
        deployment_statement=known.deployment_statement,
        stated_at=known.stated_at,
        shown_until=known.shown_until,
        untold=known.untold,
        last_notice=known.last_notice,
    )
