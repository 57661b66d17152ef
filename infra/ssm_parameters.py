# SPDX-License-Identifier: Apache-2.0
"""What a deployment tells its users: SSM parameters under `/<project>-<environment>/`."""

from collections.abc import Mapping

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.settings import Settings


def publish(scope: Construct, settings: Settings, values: Mapping[str, str]) -> None:
    """Write `/<prefix>/<name>` for each name and value."""
    folder = Construct(scope, "Published")
    for name, value in values.items():
        ssm.StringParameter(folder, name, parameter_name=f"/{settings.prefix}/{name}", string_value=value)
