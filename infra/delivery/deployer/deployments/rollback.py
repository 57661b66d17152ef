# SPDX-License-Identifier: Apache-2.0
"""Alarms that roll an update back: on the new fleet alone, made before the update and gone after it.

An alarm that sees the old fleet, too, ends every update of a production that is broken, and so keeps it broken.
https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html

Load is no fault of a version: what a busy server sends away is a 429, which does not count here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from . import errors

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

    from .settings import DeployerSettings

VARIANT = "AllTraffic"
LARGEST_SHARE_OF_ERRORS = 0.05
"""Of a minute's invocations, that may be answered with a 5xx."""
_MINUTE = 60


def alarm_names(config: str) -> tuple[str, str]:
    """Return the names of the alarms on the fleet of an endpoint configuration."""
    return f"{config}-errors", f"{config}-latency"


def put_alarms(cloudwatch: CloudWatchClient, settings: DeployerSettings, config: str) -> None:
    """Make the alarms on the fleet that is about to come up with this endpoint configuration."""
    for request in _alarms(settings, config):
        cloudwatch.put_metric_alarm(**request)


def remove_alarms(cloudwatch: CloudWatchClient, config: str) -> None:
    """Remove the alarms on the fleet of an endpoint configuration, as far as they are there."""
    try:
        cloudwatch.delete_alarms(AlarmNames=list(alarm_names(config)))
    except ClientError as error:
        if not errors.is_missing(error):
            raise


def _alarms(settings: DeployerSettings, config: str) -> list[dict[str, Any]]:
    errors_name, latency_name = alarm_names(config)
    named = {"EndpointName": settings.endpoint_name, "VariantName": VARIANT, "EndpointConfigName": config}
    common = {
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": name, "Value": value} for name, value in named.items()],
        "Period": _MINUTE,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    return [
        # 1 is sent for each 5xx and 0 for each other answer: their average is the share of errors.
        # https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
        common
        | {
            "AlarmName": errors_name,
            "AlarmDescription": f"Rolls back: the new fleet of {config} answers with server errors",
            "MetricName": "Invocation5XXErrors",
            "Statistic": "Average",
            "Threshold": LARGEST_SHARE_OF_ERRORS,
            "EvaluationPeriods": 2,
        },
        # A P90 of fewer than 100 invocations says nothing, and is ignored.
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html
        common
        | {
            "AlarmName": latency_name,
            "AlarmDescription": f"Rolls back: the new fleet of {config} is slow",
            "MetricName": "ModelLatency",
            "ExtendedStatistic": "p90",
            "EvaluateLowSampleCountPercentile": "ignore",
            "Threshold": settings.latency_alarm_milliseconds * 1000,  # microseconds
            "EvaluationPeriods": 3,
        },
    ]
