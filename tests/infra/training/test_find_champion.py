# SPDX-License-Identifier: Apache-2.0
"""FindChampion reads what production serves from the deployment records."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

INPUTS = {"model_package_group": "mapgate-dev", "endpoint_name": "mapgate-dev"}


@pytest.fixture
def table(cloud: Any) -> Any:
    name = f"deployments-{uuid4().hex[:12]}"
    keys = {"EndpointName": "HASH", "Record": "RANGE"}
    return cloud.resource("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )


def test_no_champion_is_told_as_none(invoke: Any, table: Any) -> None:
    run = invoke("training/find_champion", INPUTS, TABLE=table.name, BUCKET="data")
    assert run.answer == {
        "ChampionModelPackageArn": "none",
        "ChampionModelUri": "s3://data/defaults/none/",
        "ChampionRuntime": "none",
    }


def test_champion_is_what_production_serves(invoke: Any, table: Any) -> None:
    champion = {
        "Version": 3,
        "ModelPackageArn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev/3",
        "ModelUri": "s3://data/models/job/output/model.tar.gz",
        "Runtime": "openvino",
        "Precision": "f32",
    }
    table.put_item(Item={"EndpointName": "mapgate-dev", "Record": "endpoint", "Revision": 4, "Champion": champion})
    run = invoke("training/find_champion", INPUTS, TABLE=table.name, BUCKET="data")
    assert run.answer == {
        "ChampionModelPackageArn": champion["ModelPackageArn"],
        "ChampionModelUri": champion["ModelUri"],
        "ChampionRuntime": "openvino",
    }


def test_endpoint_that_served_nothing_yet_has_no_champion(invoke: Any, table: Any) -> None:
    table.put_item(Item={"EndpointName": "mapgate-dev", "Record": "endpoint", "Revision": 1, "Champion": None})
    run = invoke("training/find_champion", INPUTS, TABLE=table.name, BUCKET="data")
    assert run.answer["ChampionModelPackageArn"] == "none"
