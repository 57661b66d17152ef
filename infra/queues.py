# SPDX-License-Identifier: Apache-2.0
"""Queues as every component here has them: encrypted, TLS only, two weeks of patience, and never losing a message."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.permissions import acknowledge
from infra.settings import Settings

MAX_RECEIVES = 5
"""At least five, so that a throttled poller does not use them up.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""


def work_queue(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    settings: Settings,
    key: kms.IKey,
    handler_timeout: cdk.Duration,
    dead_letters: sqs.IQueue,
) -> sqs.Queue:
    """Return a queue whose messages a function handles; after some failures they go to `dead_letters`."""
    return _queue(
        scope,
        construct_id,
        f"{settings.prefix}-{name}",
        key,
        # AWS asks for six times the function's time, so that a throttled message is not handed out twice.
        visibility_timeout=cdk.Duration.seconds(6 * handler_timeout.to_seconds()),
        dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=MAX_RECEIVES),
    )


def dead_letter_queue(
    scope: Construct, construct_id: str, *, name: str, settings: Settings, key: kms.IKey
) -> sqs.Queue:
    """Return a queue for what nobody could handle."""
    queue = _queue(scope, construct_id, f"{settings.prefix}-{name}", key)
    acknowledge(queue, "AwsSolutions-SQS3", reason="This is a dead-letter queue; an alarm watches its depth.")
    return queue


def _queue(
    scope: Construct,
    construct_id: str,
    name: str,
    key: kms.IKey,
    visibility_timeout: cdk.Duration | None = None,
    dead_letter_queue: sqs.DeadLetterQueue | None = None,
) -> sqs.Queue:
    return sqs.Queue(
        scope,
        construct_id,
        queue_name=name,
        encryption=sqs.QueueEncryption.KMS,
        encryption_master_key=key,
        enforce_ssl=True,
        retention_period=cdk.Duration.days(14),
        visibility_timeout=visibility_timeout,
        dead_letter_queue=dead_letter_queue,
    )
