# SPDX-License-Identifier: Apache-2.0
"""The production endpoint, brought to what the registry's approvals desire."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from . import errors, names, registry, trial
from .errors import ConflictError, RefusedError
from .reconcile import (
    Abandon,
    Action,
    Approval,
    AskAgain,
    Delete,
    Deploy,
    Described,
    Desired,
    Fail,
    Keep,
    Outcome,
    Succeed,
    Try,
    choose,
    is_stale,
    observe,
    reconcile,
)
from .records import Champion
from .verdict import verify

if TYPE_CHECKING:
    from .context import EventContext
    from .hosting import Endpoint
    from .records import Production
    from .registry import Package

_TRIED_AGAIN = "; it stays approved and is tried again with the next scheduled look"
_SUBJECTS: dict[Outcome, str] = {"failed": "was not deployed", "refused": "was refused", "waiting": "waits"}
_ROUNDS = 12
"""Looks at the world in one event. Each round ends in an action; SageMaker being busy ends the event long before."""


@dataclass(frozen=True)
class Announcement:
    """A model package event.

    Attributes:
        approved_at: LastModifiedTime, milliseconds since 1970, when the event announces an approval.
    """

    arn: str
    approved_at: int | None


def bring_about(context: EventContext, announcement: Announcement | None = None) -> None:
    """Do what can be done now to make production serve what it should.

    Idempotent: whatever the event said, the registry, the records and SageMaker decide. When two events are handled at
    the same time, the one that finds a record or a resource changed under its hands looks again.

    Args:
        context: Settings, services and records.
        announcement: The model package event that is at hand, if it is one.

    Raises:
        ConflictError: Others kept changing the records; the event comes again.
    """
    conflict: ConflictError | None = None
    for _ in range(_ROUNDS):
        try:
            if _round(context, announcement):
                _tell_untold(context)
                return
        except ConflictError as error:
            conflict = error
    name = context.settings.endpoint_name
    raise conflict or ConflictError(f"{name} does not come to rest; the event is handled once more")


def try_waiting_again(context: EventContext) -> None:
    """Let the versions that waited for a permission, a quota or instances be deployed as if nothing had been."""
    read = context.records.production(context.settings.endpoint_name)
    for approval in list(read.approvals.values()):
        if approval.outcome == "waiting":
            context.records.save_approval(context.settings.endpoint_name, read, replace(approval, outcome=None))


def _round(context: EventContext, announcement: Announcement | None) -> bool:
    """Look once and act once; True when nothing is left to do."""
    endpoint_name = context.settings.endpoint_name
    read = context.records.production(endpoint_name)
    if read.retired:
        context.log.tell("the stack is being deleted, so nothing is deployed")
        return True
    _observe_registry(context, read, announcement)
    endpoint = context.hosting.endpoint(endpoint_name)
    serving = names.production_version(context.settings.prefix, endpoint.config)
    chosen = choose(read.approvals.values())
    tried, why = trial.outcome(context, chosen) if chosen else (None, "")
    desired = Desired(
        version=chosen.version if chosen else None,
        attempt=read.attempt,
        champion=read.champion.version if read.champion else None,
        hosting=context.hosting.fingerprint,
        attempt_hosting=read.attempt_hosting,
        trial=tried,
    )
    stale = is_stale(
        endpoint.modified_at, ordered_at=read.ordered_at, ordered_over=read.ordered_over, now=context.clients.now()
    )
    described = Described(
        status=endpoint.status,
        version=serving,
        hosting=names.hosting(context.settings.prefix, endpoint.config),
        reason=endpoint.reason,
        stale=stale,
    )
    actions = reconcile(desired, described)
    actions = [
        action for action in actions if not (isinstance(action, Succeed) and action.version not in read.approvals)
    ]
    context.log.mark(
        endpoint=endpoint_name, status=endpoint.status, stale=stale, serving=serving, desired=desired.version
    )
    if not actions:
        _tell_rest(context, endpoint, serving, desired)
        if chosen and chosen.version == serving and tried == "failed" and described.hosting != desired.hosting:
            sentence = f"v{serving} keeps serving with its old settings: {why}; change them again, or approve it anew"
            _note(context, read, chosen, f"v{serving} keeps its old settings", sentence)
        _remove_unused(context, endpoint)
        return True
    ended = False
    for action in actions:
        ended |= _perform(context, read, endpoint, action)
    return ended


def _observe_registry(context: EventContext, read: Production, announcement: Announcement | None) -> None:
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
        if seen is None:
            context.log.tell(f"v{version} is not approved")
            continue
        if seen != known:
            context.records.save_approval(settings.endpoint_name, read, seen)
            context.log.tell(f"v{version} is approved" if seen.standing else f"v{version}'s approval was withdrawn")
    _note_withdrawn_champion(context, read)


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
    _note(context, read, known, f"v{known.version} keeps serving", sentence)


def _note(context: EventContext, read: Production, known: Approval, subject: str, sentence: str) -> None:
    """Record what people are to be told of a version, once."""
    context.log.tell(sentence)
    if known.sentence != sentence:
        noted = replace(known, sentence=sentence, untold=subject)
        context.records.save_approval(context.settings.endpoint_name, read, noted)


def _tell_untold(context: EventContext) -> None:
    """Tell people what the records say that nobody has told them yet.

    A notice is recorded together with what it is about and struck off when it is sent: when that fails, the event
    fails, and whichever comes next tells it.
    """
    read = context.records.production(context.settings.endpoint_name)
    for approval in [] if read.retired else list(read.approvals.values()):
        if approval.untold:
            context.notify(approval.untold, approval.sentence)
            context.records.save_approval(context.settings.endpoint_name, read, replace(approval, untold=""))


def _perform(context: EventContext, read: Production, endpoint: Endpoint, action: Action) -> bool:
    """Perform one action; True when the event has to end here."""
    match action:
        case Deploy(version, update):
            return _deploy(context, read, endpoint, version, update)
        case Succeed(version):
            _succeed(context, read, endpoint, version)
        case Try(version):
            context.log.tell(f"v{version} is tried with changed settings before production gets them")
            trial.begin(context, read.approvals[version])
            return True
        case Keep(version, sentence):
            _keep(context, read, version, sentence)
        case Fail(version, sentence, outcome):
            _fail(context, read, version, outcome, sentence)
        case Abandon():
            context.log.tell(f"the endpoint of v{read.attempt} is gone, somebody deleted it")
            _end_attempt(context, read)
            context.records.save_endpoint(context.settings.endpoint_name, read)
        case Delete():
            context.log.tell("the failed endpoint is deleted")
            return not context.hosting.delete_endpoint(context.settings.endpoint_name)
        case AskAgain():
            deleting = endpoint.status == "Deleting"
            waited_for = (
                "the old endpoint is still being deleted" if deleting else "SageMaker describes the endpoint of before"
            )
            context.log.tell(waited_for)
            if not context.ask_again({"endpoint": context.settings.endpoint_name}):
                raise ConflictError(f"{waited_for}; the event is handled once more")
            return True
    return False


def _deploy(context: EventContext, read: Production, endpoint: Endpoint, version: int, update: bool) -> bool:
    settings, hosting = context.settings, context.hosting
    package = registry.describe(context.clients.sagemaker, read.approvals[version].arn)
    if package is None or not package.approved:
        raise ConflictError(f"v{version} is no longer approved")
    config = names.production(settings.prefix, version, hosting.fingerprint)
    try:
        verdict = verify(context.clients.s3, package)
        hosting.prepare(config, package, verdict, instance_count=settings.instance_count, capture=True)
        # Recorded first, so that whoever comes in between, or after a death, knows a description of before the order.
        read.ordered_at, read.ordered_over = context.clients.now(), endpoint.modified_at
        context.records.save_endpoint(settings.endpoint_name, read)
        if update:
            hosting.update(settings.endpoint_name, endpoint, config)
        else:
            hosting.create(settings.endpoint_name, config)
    except RefusedError as refusal:
        _fail(context, read, version, "refused", str(refusal))
        return False
    except ClientError as error:
        return _explain(context, read, package, error)
    context.log.tell(f"v{version} is being {'rolled out' if update else 'brought up'} ({verdict.runtime})")
    read.attempt, read.attempt_hosting = version, hosting.fingerprint
    context.records.save_endpoint(settings.endpoint_name, read)
    return False


def _explain(context: EventContext, read: Production, package: Package, error: ClientError) -> bool:
    """Tell a refusal that says something about the version from those about the moment or the account."""
    if errors.is_transient(error):
        raise error
    if errors.is_busy(error) or errors.is_existing(error):
        raise ConflictError("another event got there first") from error
    read.ordered_at = 0  # the order was not taken
    context.records.save_endpoint(context.settings.endpoint_name, read)
    if errors.is_missing(error) and "endpoint" in errors.message(error):
        raise ConflictError("another event removed what this one needed") from error
    config = names.production(context.settings.prefix, package.version, context.hosting.fingerprint)
    present = context.hosting.endpoint(context.settings.endpoint_name).config
    if present == config:
        raise ConflictError(f"another event brought v{package.version} up") from error
    sentence = f"v{package.version} could not be deployed: {errors.message(error)} ({error.operation_name})"
    if errors.is_about_account(error):
        _note(
            context,
            read,
            read.approvals[package.version],
            f"v{package.version} waits",
            f"{sentence}{_TRIED_AGAIN}",
        )
        return True
    if names.production_version(context.settings.prefix, present) == package.version:
        _keep(context, read, package.version, sentence)
    else:
        _fail(context, read, package.version, "failed", sentence)
    return False


def _succeed(context: EventContext, read: Production, endpoint: Endpoint, version: int) -> None:
    served = context.hosting.served(str(endpoint.config))
    known = read.approvals[version]
    package = registry.describe(context.clients.sagemaker, known.arn)
    measured_on = package.measured_on if package else ""
    _end_attempt(context, read)
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
    if known.sentence.endswith(_TRIED_AGAIN):
        known = replace(known, sentence="", untold="")
        context.records.save_approval(context.settings.endpoint_name, read, known)
    if measured_on not in ("", served.instance_type):
        sentence = (
            f"v{version} serves on {served.instance_type} and was measured on {measured_on}: its latency there is not "
            "that of the report; run the pipeline again to measure it"
        )
        _note(context, read, known, f"v{version} serves on another instance type", sentence)


def _keep(context: EventContext, read: Production, version: int, sentence: str) -> None:
    """Let production serve a version as it did before its settings changed, and tell people why."""
    if read.attempt == version:
        _end_attempt(context, read)
        context.records.save_endpoint(context.settings.endpoint_name, read)
    trial.overrule(context, version, sentence)


def _end_attempt(context: EventContext, read: Production) -> None:
    """Forget an attempt in what was read, and remove the alarms that watched it."""
    if read.attempt is not None and read.attempt_hosting is not None:
        context.hosting.end_update(names.production(context.settings.prefix, read.attempt, read.attempt_hosting))
    read.attempt, read.attempt_hosting, read.ordered_at = None, None, 0


def _fail(context: EventContext, read: Production, version: int, outcome: Outcome, sentence: str) -> None:
    known = read.approvals.get(version)
    if known is not None:
        subject = f"v{version} {_SUBJECTS[outcome]}"
        told = sentence + _TRIED_AGAIN if outcome == "waiting" else sentence
        again = outcome == "waiting" and told == known.sentence
        failed = replace(known, outcome=outcome, sentence=told, untold=known.untold if again else subject)
        context.records.save_approval(context.settings.endpoint_name, read, failed)
    if read.attempt == version:
        _end_attempt(context, read)
        context.records.save_endpoint(context.settings.endpoint_name, read)
    context.log.tell(sentence)


def _tell_rest(context: EventContext, endpoint: Endpoint, serving: int | None, desired: Desired) -> None:
    if endpoint.status is None:
        context.log.tell("no approval stands, so there is no endpoint")
    elif endpoint.status == "InService":
        context.log.tell(
            f"production serves v{serving}" if serving else "production serves what somebody else deployed"
        )
    else:
        context.log.tell(
            f"the endpoint is {endpoint.status}, its next event continues" if desired.version else "at rest"
        )


def _remove_unused(context: EventContext, endpoint: Endpoint) -> None:
    """Remove the configurations and models that production used before; never while SageMaker moves between two."""
    if endpoint.status not in (None, "InService"):
        return
    settings = context.settings
    owned = context.hosting.owned_names()
    # Read after listing: whatever another event made before that listing, its approval is in the records by now.
    read = context.records.production(settings.endpoint_name)
    chosen = choose(read.approvals.values())
    needed = {endpoint.config}
    if chosen:
        needed.add(names.production(settings.prefix, chosen.version, context.hosting.fingerprint))
    if read.attempt is not None and read.attempt_hosting is not None:
        needed.add(names.production(settings.prefix, read.attempt, read.attempt_hosting))
    for name in sorted(owned - needed):
        if names.production_version(settings.prefix, name) is not None:
            context.hosting.remove(name)
            context.log.tell(f"{name} was removed")
