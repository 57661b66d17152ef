# SPDX-License-Identifier: Apache-2.0
"""Candidates: short-lived endpoints that show, before anybody approves a version, that it comes up and answers.

The pipeline's Callback step sends a message with a token and waits; the endpoint's event brings the moment to test it,
and the answer goes back under the token.
https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps-types.html#step-type-callback
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

from . import errors, names, registry
from .approval import Approval
from .errors import ConflictError, RefusedError
from .places import split
from .reconcile import is_stale
from .records import Candidate, CandidateState
from .smoke import UnfitAnswerError, smoke_test
from .telling import note, tell_untold
from .verdict import evaluation_location, verify

if TYPE_CHECKING:
    from .context import EventContext
    from .smoke import Smoke

_ROUNDS = 8
_REASON_CHARACTERS = 256
_SAMPLE = "sample.jpg"
"""A test image that EvaluateDetector leaves beside its evaluation."""
_PATIENCE = 10
"""Minutes of throttles, failing services and missing permissions that a candidate outlives."""
_PATIENCE_WITH_MODEL = 3
"""The same with a model that fails its requests itself."""

Step = Literal["start", "test", "give up", "delete", "tidy", "ask again", "wait"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A message of the Callback step.

    Attributes:
        stopping: Whether the execution is being stopped and only waits for this step's answer.
    """

    token: str
    execution_arn: str
    package_arn: str
    evaluation_uri: str
    stopping: bool


def receive(context: EventContext, request: Request) -> None:
    """Take a message of the Callback step; the same message twice, or a late one, does nothing."""
    endpoint_name = names.candidate(context.settings.prefix, names.package_version(request.package_arn))
    known = context.records.candidate(endpoint_name)
    if known is None or known.token != request.token:
        known = Candidate(
            endpoint_name=endpoint_name,
            token=request.token,
            execution_arn=request.execution_arn,
            package_arn=request.package_arn,
            evaluation_uri=request.evaluation_uri,
            ordered_at=known.ordered_at if known else 0,  # what an earlier request ordered is as good
            revision=known.revision if known else 0,
        )
        context.records.save_candidate(known)
    if request.stopping and known.state != "answered":
        _answer_failure(context, known, "the execution is being stopped")
    advance(context, endpoint_name)


def advance(context: EventContext, endpoint_name: str) -> None:
    """Do what can be done now for a candidate: start it, test it, answer, take it away."""
    conflict: ConflictError | None = None
    for _ in range(_ROUNDS):
        candidate = context.records.candidate(endpoint_name)
        if candidate is None:
            context.log.tell(f"{endpoint_name} was not asked for by a pipeline")
            return
        endpoint = context.hosting.endpoint(endpoint_name)
        context.log.mark(endpoint=endpoint_name, status=endpoint.status, state=candidate.state)
        settled = not is_stale(
            endpoint.modified_at, ordered_at=candidate.ordered_at, ordered_over=0, now=context.clients.now()
        )
        step = decide(candidate.state, endpoint.status, settled=settled)
        try:
            if _take(context, candidate, step, endpoint.reason):
                return
        except ConflictError as error:
            conflict = error
    if conflict or not context.ask_again({"endpoint": endpoint_name}):
        raise conflict or ConflictError(f"{endpoint_name} does not come to rest; the event is handled once more")


def decide(state: CandidateState, status: str | None, *, settled: bool = True) -> Step:
    """Return the next step of a candidate.

    Args:
        state: Of its record.
        status: Of its endpoint; None where there is none.
        settled: Whether SageMaker has had time enough to describe an endpoint that was created.
    """
    if state == "answered":
        return {None: "tidy", "Deleting": "tidy", "InService": "delete", "Failed": "delete"}.get(status, "wait")  # type: ignore[return-value]
    match status:
        case "InService":
            return "test" if state == "started" else "start"
        case "Deleting":
            return "ask again"
        case None:
            if state == "requested":
                return "start"
            return "give up" if settled else "ask again"
        case "Failed":
            # Before a start it is what an earlier request left behind.
            return "delete" if state == "requested" else "give up"
        case _:
            return "wait" if state == "started" else "start"


def stop(context: EventContext, endpoint_name: str, reason: str) -> None:
    """Answer a waiting pipeline that its candidate will not be tested."""
    candidate = context.records.candidate(endpoint_name)
    if candidate is not None and candidate.state != "answered":
        _answer_failure(context, candidate, reason)


def _take(context: EventContext, candidate: Candidate, step: Step, reason: str) -> bool:
    """Take one step; True when the event has to end here."""
    match step:
        case "start":
            return _start(context, candidate)
        case "test":
            return _test(context, candidate)
        case "give up":
            why = reason or "it was deleted before it could be tested"
            _answer_failure(context, candidate, f"{candidate.endpoint_name} did not come up: {why}")
        case "delete":
            return not context.hosting.delete_endpoint(candidate.endpoint_name)
        case "tidy":
            context.hosting.remove(candidate.endpoint_name)
            if candidate.ordered_at:
                candidate.ordered_at = 0
                context.records.save_candidate(candidate)
            context.log.tell(f"{candidate.endpoint_name} is gone")
            return True
        case "ask again":
            if not context.ask_again({"endpoint": candidate.endpoint_name}):
                raise ConflictError(f"{candidate.endpoint_name} is not ready; the message is handled once more")
            return True
        case "wait":
            context.log.tell("its next event continues")
            return True
    return False


def _start(context: EventContext, candidate: Candidate) -> bool:
    name = candidate.endpoint_name
    try:
        package = registry.describe(context.clients.sagemaker, candidate.package_arn)
        if package is None:
            raise RefusedError(f"{candidate.package_arn} is not in the registry")
        approvable = verify(context, package, _known(context, candidate), evaluation_uri=candidate.evaluation_uri)
        context.hosting.prepare(name, approvable, instance_count=1, capture=False)
        _order(context, candidate)
    except RefusedError as refusal:
        _answer_failure(context, candidate, str(refusal))
        return False
    except ClientError as error:
        return _outlive(context, candidate, error)
    candidate.state = "started"
    context.records.save_candidate(candidate)
    context.log.tell(f"{name} is being brought up")
    return False


def _order(context: EventContext, candidate: Candidate) -> None:
    """Create a candidate's endpoint, or see that the one which is there is what an order of before made.

    Recorded first, so that whoever comes in between, or after a death, knows the deployer's endpoint from another. An
    order of before stands until another one is taken: a late description may say that its endpoint is not there.
    """
    name, now = candidate.endpoint_name, context.clients.now()
    if not candidate.ordered_at and context.hosting.endpoint(name).status is None:
        candidate.ordered_at = now
        context.records.save_candidate(candidate)
    try:
        context.hosting.create(name, name)
    except ClientError as error:
        if not errors.is_existing(error):
            raise
        context.hosting.hold_candidate(name, ordered_at=candidate.ordered_at)
    else:
        candidate.ordered_at = now


def _known(context: EventContext, candidate: Candidate) -> Approval | None:
    """Return how the version of a trial of new settings fared: it serves already, and no pipeline waits for it."""
    if candidate.token:
        return None
    read = context.records.production(context.settings.endpoint_name)
    return read.approvals.get(names.package_version(candidate.package_arn))


def _test(context: EventContext, candidate: Candidate) -> bool:
    try:
        package = registry.describe(context.clients.sagemaker, candidate.package_arn)
        if package is None:
            raise RefusedError(f"{candidate.package_arn} is not in the registry")
        context.hosting.hold_candidate(candidate.endpoint_name)
        bucket, key = split(evaluation_location(package, candidate.evaluation_uri))
        key = f"{key.rpartition('/')[0]}/{_SAMPLE}"
        image = context.clients.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        measured = smoke_test(context.clients.runtime, candidate.endpoint_name, image)
    except (RefusedError, UnfitAnswerError) as fault:
        _answer_failure(context, candidate, f"{candidate.endpoint_name}: {fault}")
    except ClientError as error:
        return _outlive(context, candidate, error)
    else:
        _answer_success(context, candidate, measured)
    return False


def _outlive(context: EventContext, candidate: Candidate, error: ClientError) -> bool:
    """Come back in a minute after a fault that may pass; True when the event has to end here.

    An execution that trained for hours does not fail for a bad moment: only a fault that stays, or one that says
    something about the version, fails the step.
    """
    sentence = f"{candidate.endpoint_name}: {errors.message(error)} ({error.operation_name})"
    candidate.faults += 1
    if candidate.faults > _patience(error):
        _answer_failure(context, candidate, sentence)
        return False
    context.records.save_candidate(candidate)
    if not context.ask_again({"endpoint": candidate.endpoint_name}):
        raise error
    context.log.tell(f"{sentence}; it is tried again in a minute")
    return True


def _patience(error: ClientError) -> int:
    if errors.is_failing_model(error):
        return _PATIENCE_WITH_MODEL
    return _PATIENCE if errors.is_transient(error) or errors.is_about_account(error) else 0


def _answer_success(context: EventContext, candidate: Candidate, measured: Smoke) -> None:
    outputs = {"LatencyMilliseconds": f"{measured.latency_milliseconds:.1f}", "Detections": str(measured.detections)}
    try:
        if candidate.token:
            context.clients.sagemaker.send_pipeline_execution_step_success(
                CallbackToken=candidate.token,
                OutputParameters=[{"Name": name, "Value": value} for name, value in outputs.items()],
            )
    except ClientError as error:
        _accept_answered(context, error)
    if candidate.token:
        _note_waiting(context, candidate, measured)
    candidate.passed = True
    milliseconds = f"{measured.latency_milliseconds:.0f} ms"
    _close(context, candidate, f"answered in {milliseconds} with {measured.detections} detections")
    if candidate.token:
        tell_untold(context, context.records.production(context.settings.endpoint_name))


def _note_waiting(context: EventContext, candidate: Candidate, measured: Smoke) -> None:
    """Record, once for each request of a pipeline, that a version waits for somebody to decide on it."""
    endpoint_name, version = context.settings.endpoint_name, names.package_version(candidate.package_arn)
    read = context.records.production(endpoint_name)
    unknown = Approval(
        version=version, arn=candidate.package_arn, approved_at=0, announced=False, standing=False, decision=""
    )
    known = read.approvals.get(version, unknown)
    if read.retired or known.candidate == candidate.token or known.decision:
        return
    record = context.records.verdict(endpoint_name, version)
    quality = f" (mAP {record.mean_ap:.3f})" if record else ""
    sentence = (
        f"v{version}{quality} waits for approval; its candidate answered in "
        f"{measured.latency_milliseconds:.0f} ms with {measured.detections} detections"
    )
    command = f"mapgate models show {version}, then mapgate models approve {version} --reason WHY, or reject"
    waiting = replace(known, candidate=candidate.token).with_notice(
        "waits", f"v{version} waits for approval", sentence, command, context.clients.now()
    )
    note(context, read, waiting)


def _answer_failure(context: EventContext, candidate: Candidate, sentence: str) -> None:
    current = context.records.candidate(candidate.endpoint_name)
    if current is not None and current.revision != candidate.revision:
        raise ConflictError(f"{candidate.endpoint_name} was handled by another event meanwhile")
    try:
        if candidate.token:
            context.clients.sagemaker.send_pipeline_execution_step_failure(
                CallbackToken=candidate.token, FailureReason=_shorten(sentence)
            )
    except ClientError as error:
        _accept_answered(context, error)
    _close(context, candidate, sentence)


def _accept_answered(context: EventContext, error: ClientError) -> None:
    """Take it that a token which SageMaker does not accept was answered before, or that its execution has ended."""
    if errors.is_transient(error) or errors.code(error).startswith("AccessDenied"):
        raise error
    context.log.tell(f"the pipeline no longer waits for this answer ({errors.message(error)})")


def _close(context: EventContext, candidate: Candidate, outcome: str) -> None:
    candidate.state, candidate.outcome = "answered", outcome
    context.records.save_candidate(candidate)
    context.log.tell(f"v{names.package_version(candidate.package_arn)}: {outcome}")


def _shorten(sentence: str) -> str:
    return sentence if len(sentence) <= _REASON_CHARACTERS else f"{sentence[: _REASON_CHARACTERS - 1]}…"
