# SPDX-License-Identifier: Apache-2.0
"""Event rules as every component here has them: SageMaker's events or a clock wake a function, and none is lost."""

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
    pattern = events.EventPattern(source=["aws.sagemaker"], detail_type=on, detail=detail)
    rule = events.Rule(scope, construct_id, rule_name=name, description=description, event_pattern=pattern)
    _call(function, rule, dead_letters)


def look(
    function: lambda_.IFunction,
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    description: str,
    every: cdk.Duration,
    dead_letters: sqs.IQueue,
) -> None:
    """Call `function` at regular intervals, whatever happens."""
    schedule = events.Schedule.rate(every)
    rule = events.Rule(scope, construct_id, rule_name=name, description=description, schedule=schedule)
    _call(function, rule, dead_letters)


def _call(function: lambda_.IFunction, rule: events.Rule, dead_letters: sqs.IQueue) -> None:
    rule.add_target(
        targets.LambdaFunction(
            function, dead_letter_queue=dead_letters, retry_attempts=8, max_event_age=cdk.Duration.hours(6)
        )
    )
