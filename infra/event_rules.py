# SPDX-License-Identifier: Apache-2.0
"""Event rules as every component here has them: SageMaker's events wake a function, and none is lost."""

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct


def wake(
    function: lambda_.IFunction,
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    description: str,
    on: list[str],
    detail: Mapping[str, Any],
    dead_letters: sqs.IQueue,
) -> None:
    """Call `function` with each of SageMaker's events of the kinds `on` whose `detail` matches."""
    rule = events.Rule(
        scope,
        construct_id,
        rule_name=name,
        description=description,
        event_pattern=events.EventPattern(source=["aws.sagemaker"], detail_type=on, detail=detail),
    )
    rule.add_target(
        targets.LambdaFunction(
            function, dead_letter_queue=dead_letters, retry_attempts=8, max_event_age=cdk.Duration.hours(6)
        )
    )
