# SPDX-License-Identifier: Apache-2.0
"""What SNS sends to people and functions: mail goes to files under `.mapgate/outbox`."""

from __future__ import annotations

import logging
import re
import time
from email.message import EmailMessage
from typing import Any

from localcloud.authorisation.enforcement import service_may
from localcloud.context import CloudContext
from localcloud.dispatch import ServiceError
from localcloud.functions import actions as functions
from localcloud.home import Home, write_whole
from localcloud.moto_patches import invoke_functions_through, mail_through

log = logging.getLogger(__name__)

_SERVICES = {"aws:sns": "sns.amazonaws.com", "aws:s3": "s3.amazonaws.com"}


def install(context: CloudContext) -> None:
    """Write mail to the outbox, and run functions that topics and buckets trigger."""
    outbox = Home(context.home).outbox

    def mail(topic_arn: str, address: str, message: str, subject: str | None) -> None:
        letter = EmailMessage()
        letter["From"] = "no-reply@sns.amazonaws.com"
        letter["To"] = address
        letter["Subject"] = re.sub(r"\s+", " ", subject or "AWS Notification Message")
        letter.set_content(f"{message}\n\n--\n{topic_arn}\n")
        write_whole(outbox / f"{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 10**9:09d}.eml", bytes(letter))

    mail_through(mail)
    invoke_functions_through(_invoke)


def _invoke(account: str, region: str, function_arn: str, event: Any) -> None:
    """Queue the run that a topic or a bucket asks for, if the function's policy lets them."""
    record = (event.get("Records") or [{}])[0]
    service = _SERVICES.get(record.get("EventSource") or record.get("eventSource") or "")
    try:
        policy = functions.policy(account, region, function_arn)
    except ServiceError as error:
        log.warning("%s: %s", function_arn, error)
        return
    context = {"aws:SourceArn": _source_of(record), "aws:SourceAccount": account}
    if service is None or service_may(service, "lambda:InvokeFunction", function_arn, policy, context):
        functions.invoke_later(account, region, function_arn, event)
    else:
        log.warning("%s: its policy does not let %s invoke it", function_arn, service)


def _source_of(record: dict[str, Any]) -> str:
    """The ARN of the topic or bucket that tells of something."""
    topic = record.get("Sns", {}).get("TopicArn")
    return str(topic or record.get("s3", {}).get("bucket", {}).get("arn", ""))
