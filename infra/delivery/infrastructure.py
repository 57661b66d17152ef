# SPDX-License-Identifier: Apache-2.0
"""The delivery's stack: the deployer, what wakes it, what it remembers and whom it tells.

Endpoints, their configurations and models are the deployer's and not CloudFormation's: they follow approvals, not
deployments of this app. The custom resource makes the deployer remove them when the stack goes.
"""

from typing import Any

import aws_cdk as cdk
from constructs import Construct

from infra.delivery.deployer_function import Deployer
from infra.delivery.endpoint_alarms import EndpointAlarms
from infra.delivery.model_role import ModelRole
from infra.delivery.notifications import Notifications
from infra.delivery.triggers import Triggers
from infra.foundation.infrastructure import FoundationStack
from infra.registry.infrastructure import RegistryStack
from infra.settings import Settings
from infra.ssm_parameters import publish

# The id that CDK leaves out of logical ids: tables, queues and rules keep theirs, and with them what they hold.
SAME_IDS = "Default"


class DeliveryStack(cdk.Stack):
    """Everything between an approval and an answering endpoint.

    Attributes:
        endpoint_name: Of the production endpoint, which the deployer makes.
        notifications: Whom people subscribe to.
        endpoint_alarms: On the production endpoint, for people.
        deployer: The reconciling function with its records and queues.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        foundation: FoundationStack,
        registry: RegistryStack,
        **options: Any,
    ) -> None:
        super().__init__(scope, construct_id, description="mapgate: deployer, records, notifications", **options)
        self.endpoint_name = settings.prefix
        self.notifications = Notifications(self, "Notifications", settings=settings, key=foundation.key)
        self.endpoint_alarms = EndpointAlarms(self, "EndpointAlarms", settings=settings, topic=self.notifications)
        model_role = ModelRole(self, "Model", settings=settings, foundation=foundation).role
        self.deployer = Deployer(
            self,
            SAME_IDS,
            settings=settings,
            foundation=foundation,
            registry=registry,
            notifications=self.notifications,
            model_role=model_role,
        )
        Triggers(self.deployer, SAME_IDS, settings=settings, registry=registry, deployer=self.deployer)
        self.add_stack_dependency(registry)  # versions go before their group
        publish(
            self,
            settings,
            {
                "endpoint-name": self.endpoint_name,
                "deployment-table": self.deployer.table.table_name,
                "notification-topic-arn": self.notifications.topic_arn,
                "deployer-function": self.deployer.function.function_name,
            },
        )
