# SPDX-License-Identifier: Apache-2.0
"""Lambda's event source mappings: queues are polled, and what a function has handled is deleted from them."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any

from botocore.exceptions import ClientError

from localcloud.clients import client_as
from localcloud.context import CloudContext
from localcloud.dispatch import ServiceError, backend, backends, state_lock
from localcloud.functions import actions

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1


def resume(_: CloudContext) -> None:
    """Start polling; messages that were being handled when the server was killed come again."""
    threading.Thread(target=_poll_for_ever, name="event sources", daemon=True).start()


def _poll_for_ever() -> None:
    busy: dict[str, threading.Thread] = {}
    while True:
        time.sleep(POLL_SECONDS)
        try:
            for account, region, mapping in _mappings():
                thread = busy.get(mapping.uuid)
                if (thread is None or not thread.is_alive()) and _has_work(account, region, mapping):
                    thread = threading.Thread(target=_handle_batch, args=(account, region, mapping), daemon=True)
                    busy[mapping.uuid] = thread
                    thread.start()
        except Exception:
            log.exception("event sources")


def _mappings() -> list[tuple[str, str, Any]]:
    with state_lock:
        return [
            (account, region, mapping)
            for account, region, functions_there in backends("lambda")
            for mapping in functions_there._event_source_mappings.values()
            if mapping.enabled and ":sqs:" in mapping.event_source_arn
        ]


def _has_work(account: str, region: str, mapping: Any) -> bool:
    name = mapping.event_source_arn.rsplit(":", 1)[1]
    with state_lock:
        queue = backend("sqs", account, region).queues.get(name)
        return queue is not None and any(message.visible for message in queue.messages)


def _handle_batch(account: str, region: str, mapping: Any) -> None:
    try:
        # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions
        name = mapping.function_arn.split(":")[6]
        sqs = client_as(actions.role_of(account, region, mapping.function_arn), name, "sqs", region)
        url = sqs.get_queue_url(QueueName=mapping.event_source_arn.rsplit(":", 1)[1])["QueueUrl"]
        messages = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(int(mapping.batch_size), 10),
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
            WaitTimeSeconds=0,
        ).get("Messages", [])
        if not messages:
            return
        event = {"Records": [_record(message, mapping.event_source_arn, region) for message in messages]}
        outcome = actions.run(account, region, mapping.function_arn, event, wait=True)
        failed = (
            {message["MessageId"] for message in messages}
            if outcome.error
            else _failed_messages(mapping, messages, outcome.payload)
        )
        handled = [
            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
            for index, message in enumerate(messages)
            if message["MessageId"] not in failed
        ]
        if handled:
            sqs.delete_message_batch(QueueUrl=url, Entries=handled)
    except (ClientError, ServiceError) as error:
        log.warning("%s -> %s: %s", mapping.event_source_arn, mapping.function_arn, error)
        time.sleep(1)


def _failed_messages(mapping: Any, messages: list[dict[str, Any]], payload: str) -> set[str]:
    """Message ids that a function with ReportBatchItemFailures names; all of them where it names none properly.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
    """
    if "ReportBatchItemFailures" not in (getattr(mapping, "function_response_types", None) or []):
        return set()
    answer = json.loads(payload)
    failures = answer.get("batchItemFailures") or [] if isinstance(answer, dict) else []
    named = [failure.get("itemIdentifier") if isinstance(failure, dict) else None for failure in failures]
    proper = {one for one in named if isinstance(one, str) and one}
    return proper if len(proper) == len(set(named)) else {message["MessageId"] for message in messages}


def _record(message: dict[str, Any], queue_arn: str, region: str) -> dict[str, Any]:
    attributes = {
        name: {
            "stringValue": value.get("StringValue"),
            "dataType": value["DataType"],
            "stringListValues": [],
            "binaryListValues": [],
        }
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }
