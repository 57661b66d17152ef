# SPDX-License-Identifier: Apache-2.0
"""What SNS refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from moto.core.utils import camelcase_to_underscores

from localcloud.dispatch import Call
from localcloud.refusals.refusal import parameter, recorded

_TESTS = "sns/test_sns.py"
_PROTOCOLS = frozenset({"application", "email", "email-json", "firehose", "http", "https", "lambda", "sms", "sqs"})
_MAX_MESSAGE = 262_144
_ARN_PARTS = 6
_TYPE = re.compile(r"(String|Number|Binary)(\..+)?")
_OF_TOPICS = "DeleteTopic GetTopicAttributes ListSubscriptionsByTopic Publish SetTopicAttributes Subscribe"


@recorded("sns", f"{_OF_TOPICS} Unsubscribe", "InvalidParameter", _TESTS)
def _no_arn(call: Call) -> str:
    for name in ("TopicArn", "SubscriptionArn"):
        arn = parameter(call, name)
        if arn and (count := len(arn.split(":"))) < _ARN_PARTS:
            return f"Invalid parameter: {name} Reason: An ARN must have at least {_ARN_PARTS} elements, not {count}"
    return ""


@recorded("sns", "Unsubscribe", "InvalidParameter", _TESTS)
def _topic_in_place_of_a_subscription(call: Call) -> str:
    parts = len(parameter(call, "SubscriptionArn").split(":"))
    return "Invalid parameter: SubscriptionId" if parts == _ARN_PARTS else ""


@recorded("sns", _OF_TOPICS, "InvalidParameter", _TESTS)
def _topic_of_another_region(call: Call) -> str:
    arn = parameter(call, "TopicArn")
    return "Invalid parameter: TopicArn" if arn and arn.split(":")[3] != call.region else ""


@recorded("sns", "CreateTopic", "InvalidParameter", _TESTS)
def _other_topic_of_that_name(call: Call) -> str:
    arn = f"arn:aws:sns:{call.region}:{call.account}:{call.parameters['Name']}"
    topic = call.backend("sns").topics.get(arn)
    if topic is None:
        return ""
    tags = {tag["Key"]: tag["Value"] for tag in call.parameters.get("Tags") or ()}
    if tags.items() - topic._tags.items():
        return "Invalid parameter: Tags Reason: Topic already exists with different tags"
    for name, value in (call.parameters.get("Attributes") or {}).items():
        has = getattr(topic, camelcase_to_underscores(name), "")
        if (str(has).lower() if isinstance(has, bool) else has) != value:
            return "Invalid parameter: Attributes Reason: Topic already exists with different attributes"
    return ""


@recorded("sns", "SetTopicAttributes", "InvalidParameter", _TESTS)
def _topic_of_another_kind(call: Call) -> str:
    return "Invalid parameter: AttributeName" if call.parameters["AttributeName"] == "FifoTopic" else ""


@recorded("sns", "CreateTopic", "InvalidParameter", _TESTS)
def _key_given_twice(call: Call) -> str:
    keys = [tag["Key"] for tag in call.parameters.get("Tags") or ()]
    return "Invalid parameter: Duplicated keys are not allowed." if len(keys) != len(set(keys)) else ""


@recorded("sns", "Subscribe", "InvalidParameter", _TESTS)
def _unknown_protocol(call: Call) -> str:
    protocol = call.parameters["Protocol"]
    if protocol in _PROTOCOLS:
        return ""
    return f"Invalid parameter: Amazon SNS does not support this protocol string: {protocol}"


@recorded("sns", "Subscribe", "InvalidParameter", _TESTS)
def _odd_attributes(call: Call) -> str:
    given = call.parameters.get("Attributes") or {}
    raw = given.get("RawMessageDelivery", "true")
    if str(raw).lower() not in ("true", "false"):
        return (
            f"Invalid parameter: Attributes Reason: RawMessageDelivery: Invalid value [{raw}]. Must be true or false."
        )
    if policy := given.get("FilterPolicy"):
        try:
            json.loads(policy)
        except ValueError as error:
            return f"Invalid parameter: Attributes Reason: FilterPolicy: failed to parse JSON. {error}"
    return ""


@recorded("sns", "Subscribe", "InvalidParameter", _TESTS)
def _other_subscription_of_that_endpoint(call: Call) -> str:
    where = [call.parameters["TopicArn"], parameter(call, "Endpoint"), call.parameters["Protocol"]]
    given = call.parameters.get("Attributes") or {}
    for known in list(call.backend("sns").subscriptions.values()):
        if [known.topic.arn, known.endpoint, known.protocol] != where:
            continue
        has = {name: str(value).lower() for name, value in known.attributes.items()}
        defaults = {"FilterPolicyScope": "messageattributes", "FilterPolicy": ""}
        if any(has.get(name, defaults.get(name)) != str(value).lower() for name, value in given.items()):
            return "Invalid parameter: Attributes Reason: Subscription already exists with different attributes"
    return ""


@recorded("sns", "Publish", "InvalidParameter", _TESTS)
def _odd_message(call: Call) -> str:
    message = call.parameters["Message"]
    if message == "":
        return "Invalid parameter: Empty message"
    if call.parameters.get("Subject") == "":
        return "Invalid parameter: Subject"
    if parameter(call, "TopicArn").endswith(".fifo") and not call.parameters.get("MessageGroupId"):
        return "Invalid parameter: The MessageGroupId parameter is required for FIFO topics"
    return "Invalid parameter: Message too long" if _size(call.parameters) > _MAX_MESSAGE else ""


@recorded("sns", "Publish", "ParameterValueInvalid", _TESTS)
def _odd_message_attributes(call: Call) -> str:
    for name, attribute in (call.parameters.get("MessageAttributes") or {}).items():
        for sentence in (*_odd_name(name), *_odd_value(name, attribute)):
            return sentence
    return ""


def _odd_name(name: str) -> Iterator[str]:
    if len(name.encode()) > 256:
        yield "Length of message attribute name must be less than 256 bytes."
    if odd := re.search(r"[^A-Za-z0-9_.-]", name):
        yield (
            f"Invalid non-alphanumeric character '#x{ord(odd[0]):X}' was found in the message attribute name. "
            "Can only include alphanumeric characters, hyphens, underscores, or dots."
        )
    for end, is_there in (("starting", name.startswith(".")), ("ending", name.endswith("."))):
        if is_there:
            yield f"Invalid message attribute name {end} with character '.' was found."
    if ".." in name:
        yield "Message attribute name can not have successive '.' character."


def _odd_value(name: str, attribute: dict[str, Any]) -> Iterator[str]:
    kind = _TYPE.fullmatch(str(attribute.get("DataType") or ""))
    if not kind:
        allowed = "the set of supported type prefixes is Binary, Number, and String."
        yield f"The message attribute '{name}' has an invalid message attribute type, {allowed}"
        return
    field, other = ("Binary", "String") if kind[1] == "Binary" else ("String", "Binary")
    if attribute.get(f"{other}Value"):
        yield f"The message attribute '{name}' with type '{kind[0]}' must use field '{field}'."
    if not attribute.get(f"{field}Value"):
        value = f"must contain non-empty message attribute value for message attribute type '{kind[0]}'."
        yield f"The message attribute '{name}' {value}"


def _size(message: dict[str, Any]) -> int:
    size = len(message["Message"].encode())
    for name, attribute in (message.get("MessageAttributes") or {}).items():
        value = attribute.get("StringValue") or attribute.get("BinaryValue") or ""
        parts = (name, attribute.get("DataType") or "", value)
        size += sum(len(part if isinstance(part, bytes) else part.encode()) for part in parts)
    return size
