# SPDX-License-Identifier: Apache-2.0
"""The registry's stack: the group whose versions people approve."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.removal import removal_policy
from infra.settings import Settings
from infra.ssm_parameters import publish


class RegistryStack(cdk.Stack):
    """The model package group of an environment.

    Attributes:
        group_name: Of the model package group.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, **options: Any) -> None:
        super().__init__(scope, construct_id, description="mapgate: model registry", **options)
        self.group_name = settings.prefix
        group = sagemaker.CfnModelPackageGroup(
            self,
            "Group",
            model_package_group_name=self.group_name,
            model_package_group_description="Detectors that passed the quality gate; approving one deploys it",
        )
        # A group with versions in it cannot be deleted, and versions are the record of what served.
        group.apply_removal_policy(removal_policy(settings))
        publish(self, settings, {"model-package-group": self.group_name})
