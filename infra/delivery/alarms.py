# SPDX-License-Identifier: Apache-2.0
"""Alarms on the production endpoint. SageMaker rolls an update back when one of them goes off while it bakes."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.settings import Settings

VARIANT = "AllTraffic"


class EndpointAlarms(Construct):
    """Server errors and slow answers of the production endpoint, whichever version serves.

    Attributes:
        alarms: The two.
        names: Of the alarms, for the deployer's roll-back configuration.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, topic: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        dimensions = {"EndpointName": settings.prefix, "VariantName": VARIANT}
        errors = cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name="Invocation5XXErrors",
            dimensions_map=dimensions,
            statistic="Sum",
            period=cdk.Duration.minutes(1),
        )
        latency = cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name="ModelLatency",  # microseconds
            dimensions_map=dimensions,
            statistic="p90",
            period=cdk.Duration.minutes(1),
        )
        alarms = {
            "endpoint-errors": cloudwatch.Alarm(
                self,
                "Errors",
                alarm_name=f"{settings.prefix}-endpoint-errors",
                alarm_description="The production endpoint answers with server errors",
                metric=errors,
                threshold=5,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                evaluation_periods=2,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            ),
            "endpoint-latency": cloudwatch.Alarm(
                self,
                "Latency",
                alarm_name=f"{settings.prefix}-endpoint-latency",
                alarm_description=(
                    f"The model takes more than {settings.delivery.latency_alarm_milliseconds} ms for one in ten images"
                ),
                metric=latency,
                threshold=settings.delivery.latency_alarm_milliseconds * 1000,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                evaluation_periods=3,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            ),
        }
        for alarm in alarms.values():
            alarm.add_alarm_action(actions.SnsAction(topic))
        self.alarms = list(alarms.values())
        self.names = [f"{settings.prefix}-{name}" for name in alarms]
