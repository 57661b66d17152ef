# SPDX-License-Identifier: Apache-2.0
"""Custom resources: a function is told what to make, and answers by PUT to a URL of this server."""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

from localcloud.clients import client
from localcloud.context import CloudContext

PATH = "/mapgate/custom-resource/"
SECONDS_AFTER_THE_END = 20.0
"""How long an answer may come after the function ended without having given one. AWS would wait an hour."""

_waiting: dict[str, _Waiting] = {}
_endpoint_url = ""


class CustomResourceError(Exception):
    """The function answered FAILED, failed, or never answered."""


class _Waiting:
    def __init__(self) -> None:
        self.answered = threading.Event()
        self.answer: dict[str, Any] = {}


def install(context: CloudContext) -> None:
    """Remember the address that functions answer to."""
    global _endpoint_url
    _endpoint_url = context.endpoint_url


def ask(account: str, region: str, service_token: str, request: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Send a custom resource's request to its function and wait for the answer.

    Args:
        account: The stack's account.
        region: The stack's region.
        service_token: ARN of the function.
        request: As CloudFormation sends it, without ResponseURL.
        seconds: How long to wait at most.

    Returns:
        The answer: PhysicalResourceId, Data, ...

    Raises:
        CustomResourceError: With the function's reason.
    """
    token = uuid.uuid4().hex
    waiting = _waiting[token] = _Waiting()
    try:
        event = {**request, "ResponseURL": f"{_endpoint_url}{PATH}{token}"}
        outcome = client("lambda", account, region).invoke(FunctionName=service_token, Payload=json.dumps(event))
        error = outcome["Payload"].read().decode() if outcome.get("FunctionError") else ""
        grace = 0.0 if error else min(seconds, SECONDS_AFTER_THE_END)
        if not waiting.answered.wait(grace):
            why = f"its function failed: {error[:900]}" if error else "its function ended without answering ResponseURL"
            raise CustomResourceError(f"{request['RequestType']} of {request['LogicalResourceId']}: {why}")
        if waiting.answer.get("Status") != "SUCCESS":
            reason = waiting.answer.get("Reason", "no reason given")
            raise CustomResourceError(
                f"Received response status [FAILED] from custom resource. Message returned: {reason}"
            )
        return waiting.answer
    finally:
        del _waiting[token]


def receive(token: str, body: bytes) -> bool:
    """Take the answer that a function PUT; False when nobody waits for it."""
    waiting = _waiting.get(token)
    if waiting is None:
        return False
    waiting.answer = json.loads(body)
    waiting.answered.set()
    return True
