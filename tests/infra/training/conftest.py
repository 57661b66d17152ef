# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest


@pytest.fixture
def table(cloud: Any) -> Any:
    """A table like that of the deployment records."""
    name = f"deployments-{uuid4().hex[:12]}"
    keys = {"EndpointName": "HASH", "Record": "RANGE"}
    return cloud.resource("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture
def bucket(cloud: Any) -> str:
    """A data bucket."""
    name = f"data-{uuid4().hex[:12]}"
    cloud.client("s3").create_bucket(Bucket=name)
    return name
