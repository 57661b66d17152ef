# SPDX-License-Identifier: Apache-2.0
"""Who answers a Callback step when the deployer could not, so that its execution fails instead of waiting for ever."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.delivery.permissions import allow_step_failures
from infra.lambda_function import Function
from infra.queues import work_queue
from infra.settings import Settings

TIMEOUT = cdk.Duration.minutes(1)


class StepFailures(Construct):
    """A queue of the Callback messages that the deployer could not handle, and a function that fails their steps.

    Attributes:
        queue: The Callback queue's dead letters; what fails here, too, goes to those that people look at.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        key: kms.IKey,
        dead_letters: sqs.IQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        self.queue = work_queue(
            self,
            "Queue",
            name="callback-dead-letters",
            settings=settings,
            key=key,
            handler_timeout=TIMEOUT,
            dead_letters=dead_letters,
        )
        failing = Function(
            self,
            "Function",
            name="step-failures",
            description="Fails the Callback steps whose messages the deployer could not handle",
            code=Path(__file__).with_name("step_failures"),
            settings=settings,
            key=key,
            environment={"DEPLOYER_LOG": f"/aws/lambda/{settings.prefix}-deployer"},
            timeout=TIMEOUT,
        )
        allow_step_failures(failing.role, settings)
        failing.function.add_event_source(event_sources.SqsEventSource(self.queue, batch_size=1))
