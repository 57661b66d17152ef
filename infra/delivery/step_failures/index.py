# SPDX-License-Identifier: Apache-2.0
"""Fails the Callback steps whose messages the deployer could not handle: a step that nobody answers waits for ever.

It shares nothing with the deployer, whatever broke there must not break here.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_SendPipelineExecutionStepFailure.html
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

_NOT_WAITED_FOR = frozenset({"ResourceNotFound", "ValidationException"})


def handler(event: dict[str, Any], context: object) -> None:  # noqa: ARG001
    """Receive dead letters of the Callback queue.

    Raises:
        ValueError: A message is none that answers itself; after some attempts it lies where people look.
        botocore.exceptions.ClientError: SageMaker did not take the answer.
    """
    for record in event["Records"]:
        outcome = answer(_sagemaker(), json.loads(record["body"]), os.environ["DEPLOYER_LOG"])
        print(json.dumps({"message": record["messageId"], "outcome": outcome}), flush=True)


def answer(sagemaker: SageMakerClient, message: dict[str, Any], log_group: str) -> str:
    """Answer the step that a message comes from with a failure, and say what became of it."""
    if set(message) == {"endpoint"}:
        return "a reminder, which the next scheduled look makes up for"
    if "token" not in message:
        raise ValueError(f"neither a callback nor a reminder: {sorted(message)}")
    reason = f"The deployer could not handle this step's message; its log {log_group} tells why"
    try:
        sagemaker.send_pipeline_execution_step_failure(CallbackToken=message["token"], FailureReason=reason[:256])
    except ClientError as error:
        if error.response["Error"]["Code"] not in _NOT_WAITED_FOR:
            raise
        return f"nobody waits for the answer any more ({error.response['Error'].get('Message', '')})"
    return f"{message.get('pipelineExecutionArn', 'the execution')} was told that its step failed"


@cache
def _sagemaker() -> SageMakerClient:
    return boto3.client("sagemaker")
