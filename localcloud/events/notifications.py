# SPDX-License-Identifier: Apache-2.0
"""What SNS sends to people and functions: mail goes to files under `.mapgate/outbox`."""

from __future__ import annotations

import logging
import re
import time
from email.message import EmailMessage
from typing import Any

from localcloud.context import CloudContext
from localcloud.dispatch import ServiceError
from localcloud.functions import actions as functions
from localcloud.home import Home, write_whole
from localcloud.moto_patches import invoke_functions_through, mail_through
from localcloud.resource_policies import permits

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
    records = event.get("Records") or [{}]
    source = records[0].get("EventSource") or records[0].get("eventSource") or ""
    service = _SERVICES.get(source)
    try:
        policy = functions.policy(account, region, function_arn)
    except ServiceError as error:
        log.warning("%s: %s", function_arn, error)
        return
    permitted = service is None or any(
        permits({"Statement": [_without_source(statement)]}, service, "lambda:InvokeFunction", "", account)
        for statement in policy["Statement"]
    )
    if permitted:
        functions.invoke_later(account, region, function_arn, event)
    else:
        log.warning("%s: its policy does not let %s invoke it", function_arn, service)


def _without_source(statement: dict[str, Any]) -> dict[str, Any]:
    """moto does not say which topic or bucket it was: any that the policy names will do."""
    return {key: value for key, value in statement.items() if key != "Condition"}
