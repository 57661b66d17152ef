# SPDX-License-Identifier: Apache-2.0
"""Trials: a version that serves is brought up beside production with new hosting settings before production gets them.

A trial is a candidate that no pipeline waits for. What it showed is believed for as long as the version's approval
stands; another approval asks anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import candidate, names
from .reconcile import choose
from .records import Candidate

if TYPE_CHECKING:
    from .approval import Approval
    from .context import EventContext
    from .reconcile import Trial


def begin(context: EventContext, approval: Approval) -> None:
    """Bring a version up with the hosting settings of now."""
    endpoint_name = _name(context, approval.version)
    known = context.records.candidate(endpoint_name)
    asked = Candidate(
        endpoint_name=endpoint_name,
        token="",
        execution_arn="",
        package_arn=approval.arn,
        evaluation_uri="",
        asked_at=approval.approved_at,
        ordered_at=known.ordered_at if known else 0,  # what was ordered under an earlier approval is as good
        revision=known.revision if known else 0,
    )
    context.records.save_candidate(asked)
    candidate.advance(context, endpoint_name)


def outcome(context: EventContext, approval: Approval) -> tuple[Trial | None, str]:
    """Return how a version gets on with the hosting settings of now, as far as that is known, and why."""
    known = context.records.candidate(_name(context, approval.version))
    if known is None or known.asked_at != approval.approved_at:
        return None, ""
    if known.state != "answered":
        return "under way", ""
    return ("passed" if known.passed else "failed"), known.outcome


def under_way(context: EventContext) -> set[str]:
    """Return the name of production's trial, while it is not answered: it may be all that is left of it."""
    chosen = choose(context.records.production(context.settings.endpoint_name).approvals.values())
    waiting = chosen is not None and outcome(context, chosen)[0] == "under way"
    return {_name(context, chosen.version)} if chosen is not None and waiting else set()


def overrule(context: EventContext, version: int, sentence: str) -> None:
    """Record that production, where it counts, did not get on with the hosting settings of now."""
    known = context.records.candidate(_name(context, version))
    if known is not None and known.passed:
        known.passed, known.outcome = False, sentence
        context.records.save_candidate(known)


def _name(context: EventContext, version: int) -> str:
    return names.trial(context.settings.prefix, version, context.hosting.fingerprint)
