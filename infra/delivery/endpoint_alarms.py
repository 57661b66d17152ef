# SPDX-License-Identifier: Apache-2.0
"""Alarms on the production endpoint, which tell people how it fares.

What rolls an update back are the deployer's own alarms on the new fleet (`deployer/deployments/rollback.py`).
"""

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
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, topic: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        slowest = settings.delivery.latency_alarm_milliseconds
        errors = cloudwatch.Alarm(
            self,
            "Errors",
            alarm_name=f"{settings.prefix}-endpoint-errors",
            alarm_description="The production endpoint answers with server errors",
            metric=endpoint_metric(settings.prefix, "Invocation5XXErrors", "Sum").with_(period=cdk.Duration.minutes(1)),
            threshold=5,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=2,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        latency = cloudwatch.Alarm(
            self,
            "Latency",
            alarm_name=f"{settings.prefix}-endpoint-latency",
            alarm_description=f"The model takes more than {slowest} ms for one in ten images",
            metric=endpoint_metric(settings.prefix, "ModelLatency", "p90").with_(period=cdk.Duration.minutes(1)),
            threshold=slowest * 1000,  # microseconds
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=3,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        self.alarms = [errors, latency]
        for alarm in self.alarms:
            alarm.add_alarm_action(actions.SnsAction(topic))


def endpoint_metric(endpoint: str, name: str, statistic: str) -> cloudwatch.Metric:
    """Return what SageMaker measures of an endpoint."""
    return cloudwatch.Metric(
        namespace="AWS/SageMaker",
        metric_name=name,
        statistic=statistic,
        dimensions_map={"EndpointName": endpoint, "VariantName": VARIANT},
    )
