# SPDX-License-Identifier: Apache-2.0
"""A version's approval, as the deployer last saw it, and what people are to be told of the version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Outcome = Literal["failed", "refused", "waiting"]
Kind = Literal["waits", "approved", "rejected", "serves", "refused", "rolled back", "override", "noted"]
"""`serves` is the beginning of a service; whatever else is worth a message is `noted`."""

OVERRIDE = "override:"
"""How the description of an approval begins that lets a version go although its champion no longer serves."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One message to people, and one entry of an endpoint's history.

    Attributes:
        subject: A few words that name the version.
        sentence: What happened.
        command: What to do or to look at next, as one types it.
        at: When it happened, milliseconds since 1970; no two notices of a version have the same.
    """

    kind: Kind
    subject: str
    sentence: str
    command: str
    at: int


@dataclass(frozen=True, kw_only=True)
class Approval:
    """What is known of one version: its approval, how its deployment went, whether it has served.

    Attributes:
        approved_at: Milliseconds since 1970; 0 for a version that nobody has approved yet.
        announced: Whether an event said so; otherwise the time is that of the package's last change, perhaps later.
        standing: Whether the registry still says Approved.
        outcome: How its deployment ended, when it ended badly; a new approval starts afresh, and what waits is tried
            again with the next scheduled look.
        sentence: Why.
        decision: What the registry said last: `Approved`, `Rejected`; empty where that was not looked at.
        approved_by: Who approved it, read when the approval was first seen; empty in a record of an older deployer.
        reason: What they wrote.
        rejected_by: Who rejected it, when it was rejected last.
        served_at: When it last began to serve production, milliseconds since 1970; 0 when it never has.
        served_image: By which image it last served production, pinned; empty where nobody recorded it.
        served_until: When another version took over from it; 0 while it serves, or when it never has.
        candidate: Token of the Callback step after whose candidate the version waited for approval.
        approval_statement: SHA-256 of the signed statement of this approval; empty while it has still to be written.
        deployment_statement: SHA-256 of that of its last deployment.
        stated_at: The `served_at` that this statement is about.
        shown_until: The `served_until` that its report shows.
        untold: Notices that have still to go out, oldest first.
        last_notice: Time of the newest notice that there ever was.
    """

    version: int
    arn: str
    approved_at: int
    announced: bool
    standing: bool = True
    outcome: Outcome | None = None
    sentence: str = ""
    decision: str = "Approved"
    approved_by: str = ""
    reason: str = ""
    rejected_by: str = ""
    served_at: int = 0
    served_until: int = 0
    served_image: str = ""
    candidate: str = ""
    approval_statement: str = ""
    deployment_statement: str = ""
    stated_at: int = 0
    shown_until: int = 0
    untold: tuple[Notice, ...] = ()
    last_notice: int = 0

    @property
    def override(self) -> bool:
        """Whether it was approved although the champion that it was compared with no longer serves, and why is said."""
        said = self.reason.strip()
        return said.lower().startswith(OVERRIDE) and len(said) > len(OVERRIDE)

    @property
    def why(self) -> str:
        """What they wrote, without the word that makes it an override."""
        return self.reason.strip()[len(OVERRIDE) :].strip() if self.override else self.reason.strip()

    def with_notice(self, kind: Kind, subject: str, sentence: str, command: str, now: int) -> Approval:
        """Return the same with one more notice, to be recorded together with what it is about."""
        at = max(now, self.last_notice + 1)
        notice = Notice(kind=kind, subject=subject, sentence=sentence, command=command, at=at)
        return replace(self, untold=(*self.untold, notice), last_notice=at)
