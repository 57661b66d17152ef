# SPDX-License-Identifier: Apache-2.0
"""The CDK app: `cdk deploy --all -c environment=dev`. It composes the stacks of one environment, no more."""

import os
import sys
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.delivery.infrastructure import DeliveryStack
from infra.foundation.infrastructure import FoundationStack
from infra.observability.infrastructure import ObservabilityStack
from infra.people.infrastructure import PeopleStack
from infra.registry.infrastructure import RegistryStack
from infra.settings import ENVIRONMENTS, Settings, SettingsError
from infra.training.infrastructure import TrainingStack

# Grants and their acknowledgements spell ARNs out, which works only where CDK writes the partition as a word.
NAMED_PARTITIONS = "@aws-cdk/core:enablePartitionLiterals"


def build(app: cdk.App) -> cdk.App:
    """Add the stacks of the environment that the context names, `dev` if it names none.

    Its file lies in the context's folder `environments`, in `infra/environments` if it names none.

    Raises:
        SettingsError: The environment is unknown, its settings are wrong, or the context is not cdk.json's.
    """
    folder = Path(app.node.try_get_context("environments") or ENVIRONMENTS)
    settings = Settings.read(app.node.try_get_context("environment") or "dev", folder)
    where = _where(settings)
    if not app.node.try_get_context(NAMED_PARTITIONS):
        raise SettingsError(
            f"there is no {NAMED_PARTITIONS} in the context, which cdk.json sets: "
            "run `cdk synth` or `cdk deploy` in the checkout"
        )

    foundation = FoundationStack(app, f"{settings.prefix}-foundation", settings=settings, env=where)
    registry = RegistryStack(app, f"{settings.prefix}-registry", settings=settings, env=where)
    delivery = DeliveryStack(
        app, f"{settings.prefix}-delivery", settings=settings, foundation=foundation, registry=registry, env=where
    )
    training = TrainingStack(
        app,
        f"{settings.prefix}-training",
        settings=settings,
        foundation=foundation,
        registry=registry,
        delivery=delivery,
        env=where,
    )
    ObservabilityStack(
        app,
        f"{settings.prefix}-observability",
        settings=settings,
        foundation=foundation,
        delivery=delivery,
        training=training,
        env=where,
    )
    PeopleStack(
        app,
        f"{settings.prefix}-people",
        settings=settings,
        foundation=foundation,
        registry=registry,
        delivery=delivery,
        training=training,
        env=where,
    )

    # Studio groups what belongs together by these two.
    cdk.Tags.of(app).add("sagemaker:project-name", settings.project)
    cdk.Tags.of(app).add("sagemaker:deployment-stage", settings.environment)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


def _where(settings: Settings) -> cdk.Environment:
    """Return the account and region, which names and grants spell out, so a template stands for one place."""
    account = settings.account or os.environ.get("CDK_DEFAULT_ACCOUNT")
    region = settings.region or os.environ.get("CDK_DEFAULT_REGION")
    if not account or not region:
        raise SettingsError(
            f"{settings.prefix}: no account and region; set them in infra/environments/{settings.environment}.yaml, "
            "or call the CDK CLI with credentials of the account to deploy to"
        )
    return cdk.Environment(account=account, region=region)


if __name__ == "__main__":
    try:
        build(cdk.App()).synth()
    except SettingsError as error:
        sys.exit(str(error))
