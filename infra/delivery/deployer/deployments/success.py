# SPDX-License-Identifier: Apache-2.0
"""A version serves production: what is recorded of it, and what people are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import names, registry
from .records import Champion
from .telling import TRIED_AGAIN, note_once

if TYPE_CHECKING:
    from .approval import Approval
    from .context import EventContext
    from .hosting import Endpoint
    from .records import Production


def succeed(context: EventContext, read: Production, endpoint: Endpoint, version: int) -> None:
    """Record a version as the champion, and that it serves.

    The version's record comes first, under the time at which the endpoint came to rest: whoever dies before the
    champion is recorded leaves the next event to do the same again, and nobody is told twice.
    """
    served = context.hosting.served(str(endpoint.config))
    package = registry.describe(context.clients.sagemaker, read.approvals[version].arn)
    measured_on = package.measured_on if package else ""
    _record_serving(context, read, endpoint, version, served.image)
    end_attempt(context, read)
    read.champion = Champion(
        version=version,
        arn=read.approvals[version].arn,
        model_uri=served.model_uri,
        runtime=served.runtime,
        precision=served.precision,
        instance_type=served.instance_type,
        measured_on=measured_on,
    )
    context.records.save_endpoint(context.settings.endpoint_name, read)
    context.log.tell(f"v{version} serves production")
    if measured_on not in ("", served.instance_type):
        sentence = (
            f"v{version} serves on {served.instance_type} and was measured on {measured_on}: its latency there is not "
            "that of the report; run the pipeline again to measure it"
        )
        subject = f"v{version} serves on another instance type"
        note_once(context, read, read.approvals[version], "noted", subject, sentence, f"mapgate models show {version}")


def end_attempt(context: EventContext, read: Production) -> None:
    """Forget an attempt in what was read, and remove the alarms that watched it."""
    if read.attempt is not None and read.attempt_hosting is not None:
        context.hosting.end_update(names.production(context.settings.prefix, read.attempt, read.attempt_hosting))
    read.attempt, read.attempt_hosting, read.ordered_at = None, None, 0


def _record_serving(context: EventContext, read: Production, endpoint: Endpoint, version: int, image: str) -> None:
    known = read.approvals[version]
    sentence = "" if known.sentence.endswith(TRIED_AGAIN) else known.sentence
    serving = replace(
        known, sentence=sentence, served_at=endpoint.modified_at, served_until=0, shown_until=0, served_image=image
    )
    if known.served_at != endpoint.modified_at and (read.champion is None or read.champion.version != version):
        told, subject = _news(read, known), f"v{version} serves production"
        serving = serving.with_notice("serves", subject, told, "mapgate endpoints", context.clients.now())
        _end_service(context, read, endpoint.modified_at)
    if serving != known:
        context.records.save_approval(context.settings.endpoint_name, read, serving)


def _end_service(context: EventContext, read: Production, moment: int) -> None:
    """Write down until when the version of before has served; that it has, an older deployer's record does not say."""
    before = read.approvals.get(read.champion.version) if read.champion else None
    if before is not None and before.served_until != moment:
        ended = replace(before, served_until=moment)
        context.records.save_approval(context.settings.endpoint_name, read, ended)


def _news(read: Production, known: Approval) -> str:
    """Return the sentence that tells that a version serves now, and after what."""
    version = f"v{known.version}"
    before = read.approvals.get(read.champion.version) if read.champion else None
    if before is None:
        return f"{version} serves production"
    if before.standing and before.outcome is None:
        return f"{version} serves production, after v{before.version}"
    why = before.sentence if before.standing else f"the approval of v{before.version} was withdrawn"
    return f"production was rolled back to {version}: {why}"
