# SPDX-License-Identifier: Apache-2.0
"""EventBridge: events find the rules of a bus, and the rules' targets are called, later and at least once."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localcloud.authorisation.enforcement import service_may, service_may_use_key
from localcloud.clients import client, client_as
from localcloud.context import CloudContext
from localcloud.definitions.expressions import ExpressionError, select
from localcloud.dispatch import Call, ServiceError, add_check, backend, replace_action, state_lock
from localcloud.events.patterns import EventPattern, PatternError
from localcloud.functions import actions as functions
from localcloud.home import Home, private_directory, read_json, write_json
from localcloud.logs import write_lines
from localcloud.moto_patches import send_events_through

log = logging.getLogger(__name__)

SERVICE = "events.amazonaws.com"
RETRY_SECONDS = (0.2, 1.0)
"""Pauses before the second and third attempt at a target; AWS tries for a day."""

_home: Home
_workers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="event")


class DeliveryError(Exception):
    """A target did not take the event."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


def install(context: CloudContext) -> None:
    """Deliver what rules match, by patterns that EventBridge takes, to targets that moto does not know too."""
    global _home
    _home = Home(context.home)
    send_events_through(_deliver_to_targets)
    add_check("events", _check_pattern)
    replace_action("events", "TestEventPattern", _test_pattern)


def resume(_: CloudContext) -> None:
    """Take up the deliveries that were not done when the server was killed."""
    for file in sorted(_queue().glob("*.json")):
        _workers.submit(_work_off, file)


def announce(account: str, region: str, detail_type: str, detail: dict[str, Any], resources: list[str]) -> None:
    """Send an event of SageMaker's to every matching rule of the account's default bus.

    Returns as soon as the deliveries are written down; they survive a kill of the server. What goes wrong with rules
    and targets, which are other people's, is written to the cloud's log.

    Args:
        account: 12-digit account id.
        region: Region name.
        detail_type: Without the leading "SageMaker ".
        detail: JSON-serialisable.
        resources: ARNs.
    """
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": f"SageMaker {detail_type}",
        "source": "aws.sagemaker",
        "account": account,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": resources,
        "detail": json.loads(json.dumps(detail, default=str)),
    }
    try:
        with state_lock:
            for rule in list(backend("events", account, region).event_buses["default"].rules.values()):
                rule.send_to_targets(event)
    except Exception:
        log.exception("%s of %s", detail_type, resources)


def _check_pattern(action: str, call: Call) -> None:
    """Refuse a rule whose pattern EventBridge does not take.

    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
    """
    text = call.parameters.get("EventPattern")
    if action == "PutRule" and text:
        _pattern(text)


def _test_pattern(call: Call) -> dict[str, Any]:
    try:
        event = json.loads(call.parameters["Event"])
    except ValueError as error:
        raise ServiceError("ValidationException", f"Parameter Event is not valid. Reason: {error}") from None
    return {"Result": _pattern(call.parameters["EventPattern"]).matches(event)}


def _pattern(text: str) -> EventPattern:
    try:
        return EventPattern(text)
    except PatternError as refused:
        raise ServiceError("InvalidEventPatternException", str(refused)) from None


def _deliver_to_targets(rule: Any, event: Mapping[str, Any]) -> None:
    """Deliver an event to the targets of a rule that matches."""
    plain = {key: value for key, value in event.items() if key != "ingestion-time"}
    if isinstance(plain.get("time"), int | float):
        plain["time"] = datetime.fromtimestamp(plain["time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    pattern = rule.event_pattern.dump()
    if rule.state != "ENABLED" or not pattern or not EventPattern(pattern).matches(plain):
        return
    deliver(rule, plain)


def deliver(rule: Any, event: dict[str, Any]) -> None:
    """Write a delivery of an event down for each target of a rule."""
    for target in rule.targets:
        delivery = {
            "account": rule.account_id,
            "region": rule.region_name,
            "rule": rule.arn,
            "target": target,
            "body": _input(target, event),
            "event": event,
        }
        file = _queue() / f"{time.time_ns()}-{uuid.uuid4().hex}.json"
        write_json(file, delivery)
        _workers.submit(_work_off, file)


def _input(target: Mapping[str, Any], event: dict[str, Any]) -> str:
    """What the target is given: the event, a part of it, a constant, or a template filled from it."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(_at(event, target["InputPath"]))
    transformer = target.get("InputTransformer")
    if not transformer:
        return json.dumps(event)
    text = transformer["InputTemplate"]
    for name, path in transformer.get("InputPathsMap", {}).items():
        value = _at(event, path)
        bare = value if isinstance(value, str) else json.dumps(value)
        text = text.replace(f'"<{name}>"', json.dumps(value) if isinstance(value, str) else bare)
        text = text.replace(f"<{name}>", bare)
    reserved = {"aws.events.event": event, "aws.events.event.json": event}
    for name, value in reserved.items():
        text = text.replace(f"<{name}>", json.dumps(value))
    return str(text)


def _at(event: Any, path: str) -> Any:
    """The value at a path like `$.detail.items[0].name`; None where there is none."""
    try:
        return select(event, path)
    except ExpressionError:
        return None


def _work_off(file: Path) -> None:
    """Deliver with two retries; then to the target's dead-letter queue."""
    try:
        delivery = read_json(file)
        if delivery is None:
            return
        for pause in (*RETRY_SECONDS, None):
            try:
                _send(delivery)
                break
            except DeliveryError as error:
                if pause is not None and error.code != "NO_PERMISSIONS":
                    time.sleep(pause)
                    continue
                log.warning("%s: %s did not take an event: %s", delivery["rule"], delivery["target"]["Arn"], error)
                _bury(delivery, error)
                break
        file.unlink(missing_ok=True)
    except Exception:
        log.exception("delivery %s", file.name)


def _send(delivery: dict[str, Any]) -> None:
    target, body = delivery["target"], delivery["body"]
    arn = target["Arn"]
    _, _, service, region, account, *rest = arn.split(":")
    try:
        if service == "lambda":
            _require_permission(functions.policy(account, region, arn), "lambda:InvokeFunction", delivery)
            functions.invoke_later(account, region, arn, json.loads(body))
        elif service == "sqs":
            _send_to_queue(account, region, rest[-1], target, delivery)
        elif service == "sns":
            sns = client("sns", account, region)
            attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
            _require_permission(attributes.get("Policy"), "sns:Publish", delivery)
            # "not supported for EventBridge-to-encrypted topics" are conditions on the source, in the policy of a key:
            # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
            _require_key(attributes.get("KmsMasterKeyId"), account, region, {})
            sns.publish(TopicArn=arn, Message=body)
        elif service == "states":
            _as_target_role(target, "stepfunctions", region).start_execution(stateMachineArn=arn, input=body)
        elif service == "sagemaker" and rest[-1].startswith("pipeline/"):
            parameters = target.get("SageMakerPipelineParameters", {}).get("PipelineParameterList", [])
            _as_target_role(target, "sagemaker", region).start_pipeline_execution(
                PipelineName=rest[-1].split("/", 1)[1],
                PipelineParameters=parameters,
                ClientRequestToken=str(uuid.uuid4()),
            )
        elif service == "logs":
            group = rest[1] if rest[0] == "log-group" else rest[-1]
            logs, stream = client("logs", account, region), uuid.uuid4().hex
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
            write_lines(logs, group, stream, [body])
        else:
            raise DeliveryError("UNSUPPORTED", f"the emulated cloud knows no target {arn}")
    except ClientError as error:
        raise DeliveryError(error.response["Error"]["Code"], str(error)) from error
    except ServiceError as error:
        raise DeliveryError(error.code, error.message) from error


def _as_target_role(target: Mapping[str, Any], service: str, region: str) -> Any:
    """A client of the role by which a target without a policy of its own is called.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html
    """
    if not target.get("RoleArn"):
        raise DeliveryError("NO_PERMISSIONS", f"the target {target['Arn']} has no RoleArn")
    return client_as(target["RoleArn"], "EventBridge", service, region)


def _send_to_queue(account: str, region: str, name: str, target: Mapping[str, Any], delivery: dict[str, Any]) -> None:
    sqs = client("sqs", account, region)
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]).get("Attributes", {})
    _require_permission(attributes.get("Policy"), "sqs:SendMessage", delivery)
    _require_key(attributes.get("KmsMasterKeyId"), account, region, _source_of(delivery))
    group = target.get("SqsParameters", {}).get("MessageGroupId")
    sqs.send_message(QueueUrl=url, MessageBody=delivery["body"], **({"MessageGroupId": group} if group else {}))


def _require_permission(policy: Any, action: str, delivery: dict[str, Any], resource: str = "") -> None:
    arn = resource or delivery["target"]["Arn"]
    if not service_may(SERVICE, action, arn, policy, _source_of(delivery)):
        raise DeliveryError("NO_PERMISSIONS", f"the policy of {arn} does not let {SERVICE} do {action}")


def _require_key(key: str | None, account: str, region: str, source: Mapping[str, str]) -> None:
    """A queue's or topic's key must let EventBridge encrypt with it, which none of AWS's own does.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-troubleshooting.html#eb-sqs-encrypted
    """
    if key and not service_may_use_key(SERVICE, key, account, region, source):
        raise DeliveryError("NO_PERMISSIONS", f"the policy of the key {key} does not let {SERVICE} use it")


def _source_of(delivery: dict[str, Any]) -> dict[str, str]:
    return {"aws:SourceArn": delivery["rule"], "aws:SourceAccount": delivery["account"]}


def _bury(delivery: dict[str, Any], error: DeliveryError) -> None:
    arn = delivery["target"].get("DeadLetterConfig", {}).get("Arn")
    if not arn:
        return
    _, _, _, region, account, name = arn.split(":")
    attributes = {
        "RULE_ARN": delivery["rule"],
        "TARGET_ARN": delivery["target"]["Arn"],
        "ERROR_CODE": error.code,
        "ERROR_MESSAGE": str(error)[:1000],
    }
    sqs = client("sqs", account, region)
    try:
        queue = sqs.get_queue_attributes(
            QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], AttributeNames=["All"]
        ).get("Attributes", {})
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html#eb-dlq-perms
        _require_permission(queue.get("Policy"), "sqs:SendMessage", delivery, arn)
        _require_key(queue.get("KmsMasterKeyId"), account, region, _source_of(delivery))
    except (ClientError, DeliveryError) as refused:
        log.error("the dead-letter queue %s of %s takes nothing: %s", arn, delivery["rule"], refused)
        return
    functions.send(
        lambda service, region: client(service, account, region), arn, json.dumps(delivery["event"]), attributes
    )


def _queue() -> Path:
    return private_directory(_home.state / "deliveries")
