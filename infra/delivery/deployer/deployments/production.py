# SPDX-License-Identifier: Apache-2.0
"""The production endpoint, brought to what the registry's approvals desire."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from . import attestations, errors, names, registry, trial
from .comparison import stale_comparison
from .decisions import observe_registry
from .errors import ConflictError, RefusedError
from .reconcile import (
    Abandon,
    Action,
    AskAgain,
    Delete,
    Deploy,
    Described,
    Desired,
    Fail,
    Keep,
    Succeed,
    Try,
    choose,
    is_stale,
    reconcile,
)
from .rivals import find_rivals
from .success import end_attempt, succeed
from .telling import TRIED_AGAIN, note_once, tell_untold
from .verdict import verify

if TYPE_CHECKING:
    from .approvable import Approvable
    from .approval import Kind, Outcome
    from .context import EventContext
    from .decisions import Announcement
    from .hosting import Endpoint
    from .records import Production
    from .registry import Package

_SUBJECTS: dict[Outcome, str] = {"failed": "was not deployed", "refused": "was refused", "waiting": "waits"}
_ROUNDS = 12
"""Looks at the world in one event. Each round ends in an action; SageMaker being busy ends the event long before."""


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
                _settle(context)
                return
        except ConflictError as error:
            conflict = error
    name = context.settings.endpoint_name
    raise conflict or ConflictError(f"{name} does not come to rest; the event is handled once more")


def _settle(context: EventContext) -> None:
    """Tell people and sign what the records owe; neither waits for the other, nor a deployment for either."""
    read = context.records.production(context.settings.endpoint_name)
    try:
        tell_untold(context, read)
    finally:
        attestations.settle(context, read)


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
    observe_registry(context, read, announcement)
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
            subject = f"v{serving} keeps its old settings"
            note_once(context, read, chosen, "noted", subject, sentence, "mapgate endpoints")
        _remove_unused(context, endpoint)
        return True
    ended = False
    for action in actions:
        ended |= _perform(context, read, endpoint, action)
    return ended


def _perform(context: EventContext, read: Production, endpoint: Endpoint, action: Action) -> bool:
    """Perform one action; True when the event has to end here."""
    match action:
        case Deploy(version, update):
            return _deploy(context, read, endpoint, version, update)
        case Succeed(version):
            succeed(context, read, endpoint, version)
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
            end_attempt(context, read)
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
        approvable = _approvable(context, read, package)
        hosting.prepare(config, approvable, instance_count=settings.instance_count, capture=True)
        # Recorded first, so that whoever comes in between, or after a death, knows a description of before the order.
        read.ordered_at, read.ordered_over = context.clients.now(), endpoint.modified_at
        context.records.save_endpoint(settings.endpoint_name, read)
        if update:
            hosting.update(settings.endpoint_name, endpoint, config)
        else:
            hosting.create(settings.endpoint_name, config)
    except RefusedError as refusal:
        if names.production_version(settings.prefix, endpoint.config) == version:
            _keep(context, read, version, str(refusal))  # it serves, and refused are its new settings
        else:
            _fail(context, read, version, "refused", str(refusal))
        return False
    except ClientError as error:
        return _explain(context, read, package, error)
    context.log.tell(f"v{version} is being {'rolled out' if update else 'brought up'} ({approvable.verdict.runtime})")
    read.attempt, read.attempt_hosting = version, hosting.fingerprint
    context.records.save_endpoint(settings.endpoint_name, read)
    return False


def _approvable(context: EventContext, read: Production, package: Package) -> Approvable:
    """Return what a version is served from, verified anew and compared with what serves.

    Raises:
        RefusedError: It must not be deployed.
    """
    known = read.approvals[package.version]
    approvable = verify(context, package, known)
    rivals = find_rivals(context, read)
    stale = stale_comparison(approvable.record, read, known, rivals, context.settings.prefix)
    if stale:
        raise RefusedError(stale)
    for caveat in approvable.caveats:
        subject, command = f"v{package.version} goes back all the same", f"mapgate models show {package.version}"
        note_once(context, read, read.approvals[package.version], "noted", subject, caveat, command)
    return approvable


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
        known, subject = read.approvals[package.version], f"v{package.version} waits"
        note_once(context, read, known, "waits", subject, f"{sentence}{TRIED_AGAIN}", "mapgate endpoints")
        return True
    if names.production_version(context.settings.prefix, present) == package.version:
        _keep(context, read, package.version, sentence)
    else:
        _fail(context, read, package.version, "failed", sentence)
    return False


def _keep(context: EventContext, read: Production, version: int, sentence: str) -> None:
    """Let production serve a version as it did before its settings changed, and tell people why."""
    if read.attempt == version:
        end_attempt(context, read)
        context.records.save_endpoint(context.settings.endpoint_name, read)
    trial.overrule(context, version, sentence)


def _fail(context: EventContext, read: Production, version: int, outcome: Outcome, sentence: str) -> None:
    known = read.approvals.get(version)
    if known is not None:
        told = sentence + TRIED_AGAIN if outcome == "waiting" else sentence
        failed = replace(known, outcome=outcome, sentence=told)
        if outcome != "waiting" or told != known.sentence:
            kind = _kind(outcome, attempted=read.attempt == version)
            subject, command = f"v{version} {_SUBJECTS[outcome]}", f"mapgate models show {version}"
            failed = failed.with_notice(kind, subject, told, command, context.clients.now())
        context.records.save_approval(context.settings.endpoint_name, read, failed)
    if read.attempt == version:
        end_attempt(context, read)
        context.records.save_endpoint(context.settings.endpoint_name, read)
    context.log.tell(sentence)


def _kind(outcome: Outcome, *, attempted: bool) -> Kind:
    if outcome == "waiting":
        return "waits"
    return "rolled back" if attempted else "refused"


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
