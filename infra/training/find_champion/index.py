# SPDX-License-Identifier: Apache-2.0
"""FindChampion: tell the pipeline which version production serves, so that the challenger is measured against it."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

NONE = "none"


def handler(event: dict[str, Any], context: object) -> dict[str, str]:  # noqa: ARG001
    """Answer the Lambda step.

    Args:
        event: The step's inputs `model_package_group` and `endpoint_name`.
        context: Unused.
    """
    return find_champion(_table(os.environ["TABLE"]), os.environ["BUCKET"], event["endpoint_name"])


def find_champion(table: Table, bucket: str, endpoint_name: str) -> dict[str, str]:
    """Return the champion as the deployer recorded it; Approved alone does not make one.

    Args:
        table: The deployment records.
        bucket: Holds `defaults/none/`, the input that stands for "no champion".
        endpoint_name: The production endpoint.
    """
    item: dict[str, Any] = (
        table.get_item(Key={"EndpointName": endpoint_name, "Record": "endpoint"}, ConsistentRead=True).get("Item") or {}
    )
    champion = item.get("Champion")
    if not champion:
        return {
            "ChampionModelPackageArn": NONE,
            "ChampionModelUri": f"s3://{bucket}/defaults/none/",
            "ChampionRuntime": NONE,
        }
    return {
        "ChampionModelPackageArn": champion["ModelPackageArn"],
        "ChampionModelUri": champion["ModelUri"],
        "ChampionRuntime": champion["Runtime"],
    }


@cache
def _table(name: str) -> Table:
    return boto3.resource("dynamodb").Table(name)
