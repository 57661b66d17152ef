# SPDX-License-Identifier: Apache-2.0
"""The deployer's records are read as this release writes them, and as the one before did."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeSerializer
from moto import mock_aws

from infra.delivery.deployer.deployments import records as deployer
from infra.delivery.deployer.deployments.approval import Approval
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
        _make_table(connection)
        for item in items:
            told = {"EndpointName": "mapgate-dev", "Revision": 1, **item}
            serialized = {name: TypeSerializer().serialize(value) for name, value in told.items()}
            connection.client("dynamodb").put_item(TableName="records", Item=serialized)
        return deployments.read(connection, DEPLOYMENT)


def _make_table(connection: Connection) -> None:
    names = {"EndpointName": "HASH", "Record": "RANGE"}
    connection.client("dynamodb").create_table(
        TableName="records",
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in names.items()],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        BillingMode="PAY_PER_REQUEST",
    )


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
        {"Record": "event#0000000003000#2", "Version": 2, "Kind": "serves", "Sentence": "v2 keeps serving", "At": 3000},
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
    assert [(event.version, event.kind) for event in found.events] == [(2, "serves"), (2, "serves"), (3, "serves")]
    second, ninth = datetime.fromtimestamp(2, UTC), datetime.fromtimestamp(9, UTC)
    assert found.serves_since() == second  # of the record, since production is told to serve another
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


def test_what_the_deployer_writes_is_what_is_read() -> None:
    with mock_aws():
        connection = Connection(region="us-east-1")
        _make_table(connection)
        table = connection.session.resource("dynamodb").Table("records")
        written = deployer.Records(table)
        production = written.production("mapgate-dev")
        approval = Approval(
            version=2,
            arn=f"{ARN}/2",
            approved_at=1000,
            announced=True,
            approved_by="ana",
            reason="override: v1 is gone",
            served_at=2000,
            approval_statement="a" * 64,
        ).with_notice("serves", "v2 serves", "v2 serves production [now]", "mapgate endpoints", 2000)
        written.save_approval("mapgate-dev", production, approval)
        written.claim("mapgate-dev", 2, approval.untold[0], 2500)
        production.champion = deployer.Champion(
            version=2, arn=f"{ARN}/2", model_uri="s3://m", runtime="openvino", precision="f32"
        )
        written.save_endpoint("mapgate-dev", production)
        found = deployments.read(connection, DEPLOYMENT)
    assert found.champion == deployments.Champion(
        version=2, arn=f"{ARN}/2", runtime="openvino", precision="f32", model_uri="s3://m"
    )
    assert found.approvals[2] == deployments.Approval(
        version=2,
        approved_at=datetime.fromtimestamp(1, UTC),
        approved_by="ana",
        reason="override: v1 is gone",
        override=True,
        served_at=datetime.fromtimestamp(2, UTC),
        approval_statement="a" * 64,
    )
    assert [(event.kind, event.sentence, event.at) for event in found.events] == [
        ("serves", "v2 serves production [now]", datetime.fromtimestamp(2, UTC))
    ]
    assert found.serves_since() == datetime.fromtimestamp(2, UTC)


def test_nothing_deployed_is_no_record_at_all() -> None:
    assert read() == Records()


def test_records_that_may_not_be_read_are_told_and_not_fatal() -> None:
    with mock_aws():
        found = deployments.read(Connection(region="us-east-1"), DEPLOYMENT)
    assert found.unreadable is not None
    assert found.unreadable.startswith("the deployer's records cannot be read: ")
    without = Deployment("data", "p", "g", "e", "t", "i")
    assert "deploy it again" in (deployments.read(Connection(region="us-east-1"), without).unreadable or "")
