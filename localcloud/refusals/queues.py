# SPDX-License-Identifier: Apache-2.0
"""What SQS refuses."""

from __future__ import annotations

import re
import string
from typing import Any

from localcloud.dispatch import Call
from localcloud.refusals.refusal import recorded

_TESTS = "sqs/test_sqs.py"
_FIFO_ONLY = ("FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit")
_ID = re.compile(rf"[A-Za-z0-9{re.escape(string.punctuation)}]{{1,128}}")
_BATCH_ID = re.compile(r"[\w-]{1,80}", re.ASCII)
_MAX_BATCH = 10


@recorded("sqs", "SendMessage", "MissingParameter", _TESTS)
def _empty_body(call: Call) -> str:
    return "" if call.parameters.get("MessageBody") else "The request must contain the parameter MessageBody."


@recorded("sqs", "SendMessage", "InvalidParameterValue", _TESTS)
def _long_message(call: Call) -> str:
    queue = _queue(call)
    if queue is None or _size(call.parameters) <= int(queue.maximum_message_size):
        return ""
    limit = f"Message must be shorter than {queue.maximum_message_size} bytes."
    return f"One or more parameters are invalid. Reason: {limit}"


@recorded("sqs", "SendMessage", "InvalidParameterValue", _TESTS)
def _odd_ids(call: Call) -> str:
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        given = call.parameters.get(name)
        if given is not None and not _ID.fullmatch(given):
            allowed = f"{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
            return f"Value {given} for parameter {name} is invalid. Reason: {allowed}"
    return ""


@recorded("sqs", "SendMessage", "InvalidParameterValue", _TESTS)
def _empty_attribute(call: Call) -> str:
    for name, attribute in (call.parameters.get("MessageAttributes") or {}).items():
        if attribute.get("StringValue") == "":
            kind = attribute["DataType"]
            return f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
    return ""


@recorded("sqs", "CreateQueue SetQueueAttributes", "InvalidAttributeName", _TESTS)
def _fifo_attribute_of_a_standard_queue(call: Call) -> str:
    given = call.parameters.get("Attributes") or {}
    name = call.parameters.get("QueueName") or call.parameters["QueueUrl"]
    if (str(given.get("FifoQueue", "")).lower() == "true" and "QueueName" in call.parameters) or name.endswith(".fifo"):
        return ""
    for attribute in filter(given.__contains__, _FIFO_ONLY):
        if attribute in ("FifoQueue", "ContentBasedDeduplication"):
            return f"Unknown Attribute {attribute}."
        return f"You can specify the {attribute} only when FifoQueue is set to true."
    return ""


@recorded("sqs", "SetQueueAttributes", "InvalidAttributeValue", _TESTS)
def _queue_of_another_kind(call: Call) -> str:
    if call.parameters["QueueUrl"].endswith(".fifo") and call.parameters["Attributes"].get("FifoQueue") == "false":
        return "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."
    return ""


@recorded("sqs", "DeleteMessageBatch", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", _TESTS)
def _large_batch(call: Call) -> str:
    count = len(call.parameters["Entries"])
    return f"Maximum number of entries per request are 10. You have sent {count}." if count > _MAX_BATCH else ""


@recorded("sqs", "DeleteMessageBatch", "AWS.SimpleQueueService.InvalidBatchEntryId", _TESTS)
def _odd_batch_ids(call: Call) -> str:
    if all(_BATCH_ID.fullmatch(entry["Id"]) for entry in call.parameters["Entries"]):
        return ""
    allowed = "alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."
    return f"A batch entry id can only contain {allowed}"


def _queue(call: Call) -> Any:
    return call.backend("sqs").queues.get(str(call.parameters["QueueUrl"]).rsplit("/", 1)[-1])


def _size(message: dict[str, Any]) -> int:
    """Bytes of body and attributes: each with its name and type."""
    size = len(message["MessageBody"].encode())
    for name, attribute in (message.get("MessageAttributes") or {}).items():
        value = attribute.get("StringValue") or attribute.get("BinaryValue") or ""
        size += sum(
            len(part if isinstance(part, bytes) else part.encode()) for part in (name, attribute["DataType"], value)
        )
    return size
