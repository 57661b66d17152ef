# SPDX-License-Identifier: Apache-2.0
"""The deployer's records are read as this release writes them, and as the one before did."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeSerializer
from moto import mock_aws

from pipelines.client import deployments
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.deployments import Records

DEPLOYMENT = Deployment("data", "p", "mapgate-dev", "mapgate-dev", "t", "i", deployment_table="records")
ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev"


def read(*items: dict[str, Any]) -> Records:
    """The records of a table that holds these items."""
    with mock_aws():
        connection = Connection(region="us-east-1")
        table = connection.client("dynamodb")
        names = {"EndpointName": "HASH", "Record": "RANGE"}
        table.create_table(
            TableName="records",
            KeySchema=[
                {"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=True)
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            BillingMode="PAY_PER_REQUEST",
        )
        for item in items:
            told = {"EndpointName": "mapgate-dev", "Revision": 1, **item}
            serialized = {name: TypeSerializer().serialize(value) for name, value in told.items()}
            table.put_item(TableName="records", Item=serialized)
        return deployments.read(connection, DEPLOYMENT)


def test_records_of_this_release_are_read() -> None:
    found = read(
        {
            "Record": "endpoint",
            "Champion": {"Version": 2, "ModelPackageArn": f"{ARN}/2", "Runtime": "openvino"},
            "Attempt": 3,
        },
        {"Record": "version#000002", "Version": 2, "ApprovedAt": 1000, "ApprovedBy": "ana", "ServedAt": 2000},
        {
            "Record": "version#000003",
            "Version": 3,
            "ApprovedAt": 5000,
            "ApprovedBy": "ben",
            "Reason": "override: v1 is gone",
            "Override": True,
            "Outcome": "refused",
            "Sentence": "it was edited",
        },
        {"Record": "verdict#000003", "Version": 3, "ChampionArn": f"{ARN}/1", "MeanAP": Decimal("0.4"), "Waiver": ""},
        {"Record": "event#0000000002000#2", "Version": 2, "Kind": "serves", "Sentence": "v2 serves", "At": 2000},
        {"Record": "event#0000000009000#3", "Version": 3, "Kind": "serves", "Sentence": "v3 serves", "At": 9000},
        {"Record": "version#000001", "EndpointName": "mapgate-dev-candidate-1", "Version": 1},
    )
    assert found.unreadable is None
    assert found.champion is not None
    assert (found.champion.version, found.champion.runtime, found.attempt) == (2, "openvino", 3)
    assert set(found.approvals) == {2, 3}
    assert found.approvals[2].has_served and found.approvals[2].is_eligible
    refused = found.approvals[3]
    assert (refused.approved_by, refused.override, refused.outcome) == ("ben", True, "refused")
    assert not refused.has_served and not refused.is_eligible
    assert found.verdicts[3].champion == 1
    assert [(event.version, event.kind) for event in found.events] == [(2, "serves"), (3, "serves")]
    second, ninth = datetime.fromtimestamp(2, UTC), datetime.fromtimestamp(9, UTC)
    assert found.serves_since() == second
    assert list(found.served()) == [(2, second, ninth), (3, ninth, None)]


def test_records_of_the_release_before_are_read() -> None:
    found = read(
        {"Record": "endpoint", "Champion": {"Version": 1, "ModelPackageArn": f"{ARN}/1"}, "Attempt": None},
        {
            "Record": "version#000001",
            "Version": 1,
            "ApprovedAt": 1000,
            "Announced": True,
            "Standing": True,
            "Untold": "",
        },
        {"Record": "version#000002", "Version": 2, "ApprovedAt": 2000, "Standing": True, "Outcome": "failed"},
    )
    assert found.approvals[1].is_old and found.approvals[1].has_served
    assert found.approvals[1].approved_by == ""
    assert not found.approvals[2].has_served
    assert found.verdicts == {} and found.events == []
    assert found.serves_since() is None


def test_nothing_deployed_is_no_record_at_all() -> None:
    assert read() == Records()


def test_records_that_may_not_be_read_are_told_and_not_fatal() -> None:
    with mock_aws():
        found = deployments.read(Connection(region="us-east-1"), DEPLOYMENT)
    assert found.unreadable is not None
    assert found.unreadable.startswith("the deployer's records cannot be read: ")
    without = Deployment("data", "p", "g", "e", "t", "i")
    assert "deploy it again" in (deployments.read(Connection(region="us-east-1"), without).unreadable or "")
