# SPDX-License-Identifier: Apache-2.0
"""A deployment into which checkpoints are put."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from localcloud import cloud as local_cloud
from pipelines.client.deployment import Deployment


@dataclass(frozen=True)
class Deployed:
    """A deployment's names and bucket in a cloud of its own."""

    url: str
    bucket: str
    client: Callable[[str], Any]


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Deployed]:
    home = tmp_path_factory.mktemp("cloud") / ".mapgate"
    url = local_cloud.up(home, free_port()).endpoint_url

    def client(service: str) -> Any:
        session = boto3.Session("test", "test", region_name="us-east-1")
        return session.client(service, endpoint_url=url)  # type: ignore[call-overload]

    client("s3").create_bucket(Bucket="mapgate-dev-data")
    for name in Deployment.__dataclass_fields__:
        value = "mapgate-dev-data" if name == "data_bucket" else "named"
        client("ssm").put_parameter(Name=f"/mapgate-dev/{name.replace('_', '-')}", Value=value, Type="String")
    yield Deployed(url, "mapgate-dev-data", client)
    local_cloud.down(home)
