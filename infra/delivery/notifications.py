# SPDX-License-Identifier: Apache-2.0
"""Whom the environment tells: a topic that people subscribe to and that the account's alarms may write to."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.settings import Settings


class Notifications(sns.Topic):
    """The topic, encrypted and TLS only, with the settings' address as its first subscriber."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, key: kms.IKey) -> None:
        super().__init__(
            scope,
            construct_id,
            topic_name=f"{settings.prefix}-notifications",
            display_name=f"{settings.prefix} notifications",
            master_key=key,
            enforce_ssl=True,
        )
        # A topic policy of its own replaces the default one, which let the account's alarms in.
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AllowAlarms",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.env.account}},
            )
        )
        if settings.delivery.email:
            self.add_subscription(subscriptions.EmailSubscription(settings.delivery.email))
