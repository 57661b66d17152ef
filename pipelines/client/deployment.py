# SPDX-License-Identifier: Apache-2.0
"""What `cdk deploy` left for its users, read from SSM Parameter Store."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields

from pipelines.client.connection import Connection, refusals_told
from pipelines.errors import BadInputError


@dataclass(frozen=True)
class Deployment:
    """The names that a deployment publishes under `/<project>-<environment>/`, a parameter each.

    Attributes:
        deployment_table: Of the deployer's records.
        signing_key: ARN of the key that signs evidence; empty where the deployment is of a release that signed none.
        gate_policy: Folder of the environment's gate policy, which is named by its digest; empty where it is of a
            release that published none.
    """

    data_bucket: str
    pipeline_name: str
    model_package_group: str
    endpoint_name: str
    training_image: str
    inference_image: str
    deployment_table: str = ""
    signing_key: str = ""
    gate_policy: str = ""

    @classmethod
    def find(cls, connection: Connection) -> Deployment:
        """Read the deployment's names.

        Raises:
            BadInputError: Nothing of that name is deployed in this account and region.
        """
        published = _parameters_under(connection, f"/{connection.deployment_name}/")
        wanted = {field.name: field.name.replace("_", "-") for field in fields(cls)}
        needed = [wanted[field.name] for field in fields(cls) if field.default is MISSING]
        missing = [name for name in needed if name not in published]
        if missing:
            where = connection.endpoint_url or f"region {connection.session.region_name}"
            way_out = "run `cdk deploy --all`"
            if connection.is_emulated:
                way_out = "run `mapgate demo`, or `cdk deploy --all` with the variables that `mapgate local up` tells"
            raise BadInputError(
                f"{connection.deployment_name} is not deployed at {where} (no SSM parameter "
                f"/{connection.deployment_name}/{missing[0]}): {way_out}, or name another --environment"
            )
        return cls(**{field: published[name] for field, name in wanted.items() if name in published})


def _parameters_under(connection: Connection, path: str) -> dict[str, str]:
    pages = connection.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True)
    with refusals_told(f"SSM Parameter Store refused to list {path}"):
        return {item["Name"].removeprefix(path): item["Value"] for page in pages for item in page["Parameters"]}
