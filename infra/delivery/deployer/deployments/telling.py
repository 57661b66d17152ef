# SPDX-License-Identifier: Apache-2.0
"""Notices, each sent once and kept as the endpoint's history.

A notice is recorded together with what it is about, then entered into the history under a claim, sent, marked as told
and struck off. Whatever fails or dies in between leaves it to the next event; only a death between sending and marking
sends it twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .approval import Approval, Kind, Notice
    from .context import EventContext
    from .records import Production

TRIED_AGAIN = "; it stays approved and is tried again with the next scheduled look"


def note(context: EventContext, read: Production, approval: Approval) -> None:
    """Record a version's approval, and with it its newest notice."""
    context.log.tell(approval.untold[-1].sentence)
    context.records.save_approval(context.settings.endpoint_name, read, approval)


def note_once(
    context: EventContext, read: Production, known: Approval, kind: Kind, subject: str, sentence: str, command: str
) -> None:
    """Record what people are to be told of a version, unless it is what they were told last."""
    context.log.tell(sentence)
    if known.sentence != sentence:
        noted = replace(known, sentence=sentence).with_notice(kind, subject, sentence, command, context.clients.now())
        context.records.save_approval(context.settings.endpoint_name, read, noted)


def tell_untold(context: EventContext, read: Production) -> None:
    """Tell people what the records say that nobody has told them yet, oldest first.

    Raises:
        ConflictError: Another event changed a record meanwhile.
        botocore.exceptions.ClientError: The topic or the table refused.
    """
    if read.retired:
        return
    owing = [approval for approval in read.approvals.values() if approval.untold]
    for approval in sorted(owing, key=lambda each: each.untold[0].at):
        left = tuple(notice for notice in approval.untold if not _is_told(context, approval.version, notice))
        if left != approval.untold:
            context.records.save_approval(context.settings.endpoint_name, read, replace(approval, untold=left))


def _is_told(context: EventContext, version: int, notice: Notice) -> bool:
    """Tell one notice unless somebody has, or is at it; True when it can be struck off."""
    records, now = context.records, context.clients.now()
    claim = records.claim(context.settings.endpoint_name, version, notice, now)
    if claim.whose != "mine":
        return claim.whose == "told"
    try:
        context.notify(version, notice)
    except Exception:
        records.end_claim(claim, told_at=0)
        raise
    records.end_claim(claim, told_at=now)
    return True
