# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import asdict, fields

import pytest
from moto import mock_aws

from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.errors import BadInputError

NAMES = [field.name for field in fields(Deployment)]


def _publish(connection: Connection, names: list[str]) -> None:
    for name in names:
        path = f"/{connection.deployment_name}/{name.replace('_', '-')}"
        connection.client("ssm").put_parameter(Name=path, Value=f"the {name}", Type="String")


@mock_aws
def test_a_deployment_is_found_by_what_it_published() -> None:
    connection = Connection("shop-prod", region="us-east-1")
    _publish(Connection("shop-dev", region="us-east-1"), NAMES)
    _publish(connection, NAMES)

    assert asdict(Deployment.find(connection)) == {name: f"the {name}" for name in NAMES}


@mock_aws
def test_what_is_not_deployed_is_named_with_the_way_out() -> None:
    connection = Connection("shop-prod", region="eu-west-1")
    _publish(connection, [name for name in NAMES if name != "endpoint_name"])

    with pytest.raises(BadInputError) as caught:
        Deployment.find(connection)

    assert str(caught.value) == (
        "shop-prod is not deployed at region eu-west-1 (no SSM parameter /shop-prod/endpoint-name): "
        "run `cdk deploy --all`, or name another --environment"
    )
