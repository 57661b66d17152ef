# SPDX-License-Identifier: Apache-2.0
"""The observability's stack: a sentence for each failed execution, alarms on the machinery, one dashboard."""

from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.delivery.endpoint_alarms import endpoint_metric
from infra.delivery.infrastructure import DeliveryStack
from infra.event_rules import wake
from infra.foundation.infrastructure import FoundationStack
from infra.lambda_function import Function
from infra.permissions import EVERY_OBJECT, OWN_JOBS, allow, sagemaker_arns
from infra.queues import dead_letter_queue
from infra.settings import Settings
from infra.training.infrastructure import TrainingStack


class ObservabilityStack(cdk.Stack):
    """Notifier, alarms and dashboard of an environment."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        foundation: FoundationStack,
        delivery: DeliveryStack,
        training: TrainingStack,
        **options: Any,
    ) -> None:
        super().__init__(scope, construct_id, description="mapgate: notifications, alarms, dashboard", **options)
        self._settings = settings
        self._dead_letters = dead_letter_queue(
            self, "DeadLetters", name="notifier-dead-letters", settings=settings, key=foundation.key
        )
        notifier = self._notifier(foundation, delivery, training)
        self._tell_of_failed_executions(notifier, training)
        alarms = self._alarms(delivery, notifier)
        self._dashboard(delivery, alarms)

    def _notifier(self, foundation: FoundationStack, delivery: DeliveryStack, training: TrainingStack) -> Function:
        notifier = Function(
            self,
            "Notifier",
            name="notifier",
            description="Tells people in one sentence why an execution failed",
            code=Path(__file__).with_name("notifier"),
            settings=self._settings,
            key=foundation.key,
            environment={
                "PREFIX": self._settings.prefix,
                "TOPIC_ARN": delivery.notifications.topic_arn,
                "BUCKET": foundation.bucket.bucket_name,
            },
            timeout=cdk.Duration.minutes(1),
            dead_letters=self._dead_letters,
        )
        allow(
            notifier.role,
            "sagemaker:DescribePipelineExecution",
            "sagemaker:ListPipelineExecutionSteps",
            on=[training.pipeline_arn, f"{training.pipeline_arn}/execution/*"],
            because="Executions of the environment's own pipeline.",
        )
        for kind in ("Processing", "Training"):
            jobs = sagemaker_arns(self, f"{kind.lower()}-job/pipelines-*")
            allow(notifier.role, f"sagemaker:Describe{kind}Job", on=jobs, because=OWN_JOBS)
        allow(notifier.role, "s3:GetObject", on=foundation.data_arns("executions"), because=EVERY_OBJECT)
        allow(notifier.role, "s3:ListBucket", on=foundation.data_arns())
        allow(notifier.role, "sns:Publish", on=[delivery.notifications.topic_arn])
        return notifier

    def _tell_of_failed_executions(self, notifier: Function, training: TrainingStack) -> None:
        """One rule: the notifier finds the failed step itself, so a failure is one message and not two."""
        wake(
            notifier.function,
            self,
            "FailedExecutions",
            name=f"{self._settings.prefix}-failed-executions",
            description="An execution of the pipeline failed, at its gate or elsewhere",
            on=["SageMaker Model Building Pipeline Execution Status Change"],
            detail={"pipelineArn": [training.pipeline_arn], "currentPipelineExecutionStatus": ["Failed"]},
            dead_letters=self._dead_letters,
        )

    def _alarms(self, delivery: DeliveryStack, notifier: Function) -> list[cloudwatch.Alarm]:
        every = cdk.Duration.minutes(5)
        metrics = {
            "deployer-errors": (delivery.deployer.function.metric_errors(period=every), "The deployer failed"),
            "notifier-errors": (notifier.function.metric_errors(period=every), "The notifier failed"),
            "delivery-dead-letters": (
                _depth(delivery.deployer.dead_letters, every),
                "The deployer could not handle an event or a callback, which lies in its dead-letter queue",
            ),
            "notifier-dead-letters": (
                _depth(self._dead_letters, every),
                "A failed execution could not be told of; the event lies in the notifier's dead-letter queue",
            ),
        }
        alarms = []
        for name, (metric, description) in metrics.items():
            alarm = cloudwatch.Alarm(
                self,
                f"{''.join(word.capitalize() for word in name.split('-'))}Alarm",
                alarm_name=f"{self._settings.prefix}-{name}",
                alarm_description=description,
                metric=metric,
                threshold=1,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                evaluation_periods=1,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )
            alarm.add_alarm_action(actions.SnsAction(delivery.notifications))
            alarms.append(alarm)
        return alarms

    def _dashboard(self, delivery: DeliveryStack, alarms: list[cloudwatch.Alarm]) -> None:
        endpoint, counts = delivery.endpoint_name, ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors")
        dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=self._settings.prefix)
        dashboard.add_widgets(
            cloudwatch.AlarmStatusWidget(
                title="Alarms", alarms=[*alarms, *delivery.endpoint_alarms.alarms], width=24, height=3
            )
        )
        dashboard.add_widgets(
            cloudwatch.GraphWidget(
                title="Production: invocations and errors",
                left=[_labelled(endpoint, name, "Sum") for name in counts],
                width=12,
            ),
            cloudwatch.GraphWidget(
                title="Production: model latency, microseconds",
                left=[_labelled(endpoint, "ModelLatency", percentile) for percentile in ("p50", "p90", "p99")],
                width=12,
            ),
        )
        dashboard.add_widgets(
            cloudwatch.GraphWidget(
                title="Deployer",
                left=[delivery.deployer.function.metric_invocations(), delivery.deployer.function.metric_errors()],
                width=12,
            ),
            cloudwatch.GraphWidget(
                title="Callbacks waiting, dead letters",
                left=[
                    delivery.deployer.callback_queue.metric_approximate_number_of_messages_visible(),
                    delivery.deployer.dead_letters.metric_approximate_number_of_messages_visible(),
                ],
                width=12,
            ),
        )


def _labelled(endpoint: str, name: str, statistic: str) -> cloudwatch.Metric:
    return endpoint_metric(endpoint, name, statistic).with_(label=f"{name} {statistic}")


def _depth(queue: sqs.IQueue, period: cdk.Duration) -> cloudwatch.Metric:
    return queue.metric_approximate_number_of_messages_visible(period=period, statistic="Maximum")
