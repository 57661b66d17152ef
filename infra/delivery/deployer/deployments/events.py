# SPDX-License-Identifier: Apache-2.0
"""What arrives at the deployer, and whom it concerns."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from . import candidate, names, production, removal, trial
from .clients import Clients
from .context import EventContext
from .decisions import Announcement, approved_anew
from .settings import DeployerSettings

_ENDPOINT_EVENTS = frozenset({"SageMaker Endpoint State Change", "SageMaker Endpoint Deployment State Change"})
_PACKAGE_EVENT = "SageMaker Model Package State Change"
_SCHEDULED = "Scheduled Event"
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 60, 900


def route(event: dict[str, Any], clients: Clients | None = None, settings: DeployerSettings | None = None) -> None:
    """Handle one event of any source.

    Args:
        event: An EventBridge event, an SQS batch or a custom-resource request.
        clients: Services other than boto3's own, for tests.
        settings: Settings other than the environment's, for tests.

    Raises:
        Exception: Whatever went wrong, so that Lambda or the queue delivers the event again; that does no harm.
    """
    settings = settings or DeployerSettings.read()
    clients = clients or _clients()
    faults: list[Exception] = []
    for trigger, message, record in _messages(event):
        context = EventContext.begin(settings, clients, trigger)
        fault: Exception | None = None
        try:
            _handle(context, trigger, message)
        except Exception as error:
            fault = error
            faults.append(error)
            _let_it_come_back(context, record)
        context.log.end(fault)
    if faults:
        raise faults[0]


@cache
def _clients() -> Clients:
    return Clients()


def _messages(event: dict[str, Any]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return what triggers, its message, and the queue's record of it, which is empty for what no queue brought."""
    if "RequestType" in event:
        return [("custom resource", event, {})]
    if "Records" in event:
        return [(*_message(record), record) for record in event["Records"]]
    return [(str(event.get("detail-type", "unknown")), dict(event.get("detail") or {}), {})]


def _let_it_come_back(context: EventContext, record: dict[str, Any]) -> None:
    """Let a queue's message that could not be handled come back in minutes, and not after the visibility time-out.

    That is six times the function's time, in which a pipeline would stand still. A doubled pause each time is what SQS
    recommends. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
    """
    queue, receipt = context.settings.callback_queue_url, record.get("receiptHandle")
    if queue is None or receipt is None:
        return
    received = int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))
    pause = min(_LAST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2 ** (received - 1))
    try:
        context.clients.sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=pause)
    except (BotoCoreError, ClientError) as error:
        context.log.tell(f"the message comes back after the queue's own time-out ({error})")


def _message(record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    body = json.loads(record["body"])
    if body.get("token"):  # without one it would be the deployer's own trial of a version that serves
        return "callback", body
    return ("put off", body["request"]) if "request" in body else ("reminder", body)


def _handle(context: EventContext, trigger: str, message: dict[str, Any]) -> None:
    if trigger == "custom resource":
        removal.answer_request(context, message)
    elif trigger == "put off":
        removal.answer_again(context, message)
    elif trigger == "callback":
        candidate.receive(context, _request(message))
    elif trigger == _PACKAGE_EVENT:
        _handle_package(context, message)
    elif trigger in _ENDPOINT_EVENTS:
        _handle_endpoint(context, str(message.get("EndpointName", "")))
    elif trigger == "reminder":
        _handle_endpoint(context, str(message.get("endpoint", "")))
    elif trigger == _SCHEDULED:
        _look(context)
    else:
        context.log.tell("not an event for the deployer")


def _handle_package(context: EventContext, detail: dict[str, Any]) -> None:
    if detail.get("ModelPackageGroupName") != context.settings.model_package_group:
        context.log.tell("a version of another group")
        return
    # Metadata edits of an approved version say Approved, too: only a change of the approval itself is one.
    changed = detail.get("UpdatedModelPackageFields") or []
    approves = detail.get("ModelApprovalStatus") == "Approved" and "ModelApprovalStatus" in changed
    moment = detail.get("LastModifiedTime")
    approved_at = _milliseconds(moment) if approves and moment is not None else None
    production.bring_about(context, Announcement(arn=detail["ModelPackageArn"], approved_at=approved_at))


def _handle_endpoint(context: EventContext, name: str) -> None:
    if name == context.settings.endpoint_name:
        production.bring_about(context)
    elif names.candidate_version(context.settings.prefix, name) is not None:
        candidate.advance(context, name)
        if names.hosting(context.settings.prefix, name) is not None:
            production.bring_about(context)  # which waits for this trial
    else:
        context.log.tell("not an endpoint of the deployer")


def _look(context: EventContext) -> None:
    """Look at every endpoint, whatever was announced: events of SageMaker's come on a best-effort basis.

    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
    """
    production.try_waiting_again(context)
    for announcement in approved_anew(context):
        production.bring_about(context, announcement)
    faults: list[Exception] = []
    named = {*context.hosting.owned_endpoints(), *context.hosting.owned_names(), *trial.under_way(context)}
    candidates = {name for name in named if names.candidate_version(context.settings.prefix, name) is not None}
    for name in (context.settings.endpoint_name, *sorted(candidates)):
        try:
            _handle_endpoint(context, name)
        except Exception as error:
            context.log.tell(f"{name}: {error}")
            faults.append(error)
    if faults:
        raise faults[0]


def _request(message: dict[str, Any]) -> candidate.Request:
    arguments = message["arguments"]
    return candidate.Request(
        token=message["token"],
        execution_arn=message["pipelineExecutionArn"],
        package_arn=arguments["model_package_arn"],
        evaluation_uri=arguments["evaluation_uri"],
        stopping=(message.get("status") or message.get("Status")) == "Stopping",
    )


def _milliseconds(moment: float | str) -> int:
    """Return an event's time in milliseconds since 1970; events give it as text, in seconds or in milliseconds."""
    if isinstance(moment, str):
        text = moment.replace("Z", "+00:00")
        seconds = datetime.fromisoformat(text).timestamp() if "T" in text else float(text)
        return _milliseconds(seconds)
    return round(moment) if moment > 1e11 else round(moment * 1000)
