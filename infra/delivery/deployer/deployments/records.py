# SPDX-License-Identifier: Apache-2.0
"""The deployment records: what was approved, what was tried, what serves.

One DynamoDB table, partition key `EndpointName`, sort key `Record`. Of production's partition the item `endpoint` says
what it serves and `version#000003` how version 3 fared; a candidate's partition has only `endpoint`. Every item carries
a `Revision`, and a write that does not find the revision that was read fails with a ConflictError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from . import errors
from .reconcile import Approval

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

ENDPOINT = "endpoint"
CandidateState = Literal["requested", "started", "answered"]


@dataclass(frozen=True, kw_only=True)
class Champion:
    """What production serves; FindChampion hands it to the pipeline.

    Attributes:
        instance_type: On which it serves.
        measured_on: Instance type on which MeasureServing measured it.
    """

    version: int
    arn: str
    model_uri: str
    runtime: str
    precision: str
    instance_type: str = ""
    measured_on: str = ""


@dataclass(kw_only=True)
class Production:
    """One reading of production's records.

    Attributes:
        attempt: The version whose deployment was started and has not been seen to end.
        attempt_hosting: Hash of the hosting settings that it was started with.
        ordered_at: When it was about to be ordered to change, milliseconds since 1970; 0 when no order is open.
        ordered_over: LastModifiedTime of the endpoint before that order; 0 where there was none.
        retired: Whether the stack is being deleted, so that nothing may be deployed any more.
        revisions: Revision by sort key, as read; 0 for an item that is not there.
    """

    champion: Champion | None = None
    attempt: int | None = None
    attempt_hosting: str | None = None
    ordered_at: int = 0
    ordered_over: int = 0
    retired: bool = False
    approvals: dict[int, Approval] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)


@dataclass(kw_only=True)
class Candidate:
    """One request of the pipeline's Callback step, or the deployer's own trial of new hosting settings.

    Attributes:
        token: Of the step; empty where no pipeline waits.
        asked_at: Time of the approval that a trial belongs to; 0 for a pipeline's.
        passed: Whether it answered as it should.
        ordered_at: When its endpoint was created, milliseconds since 1970.
        faults: How often a call failed that may well work later.
    """

    endpoint_name: str
    token: str
    execution_arn: str
    package_arn: str
    evaluation_uri: str
    state: CandidateState = "requested"
    outcome: str = ""
    asked_at: int = 0
    passed: bool = False
    ordered_at: int = 0
    faults: int = 0
    revision: int = 0


# An item's attributes by the fields that they hold.
_CHAMPION = {
    "version": "Version",
    "arn": "ModelPackageArn",
    "model_uri": "ModelUri",
    "runtime": "Runtime",
    "precision": "Precision",
    "instance_type": "InstanceType",
    "measured_on": "MeasuredInstanceType",
}
_APPROVAL = {
    "version": "Version",
    "arn": "ModelPackageArn",
    "approved_at": "ApprovedAt",
    "announced": "Announced",
    "standing": "Standing",
    "outcome": "Outcome",
    "sentence": "Sentence",
    "untold": "Untold",
}
_CANDIDATE = {
    "endpoint_name": "EndpointName",
    "token": "Token",
    "execution_arn": "PipelineExecutionArn",
    "package_arn": "ModelPackageArn",
    "evaluation_uri": "EvaluationUri",
    "state": "State",
    "outcome": "Outcome",
    "asked_at": "AskedAt",
    "passed": "Passed",
    "ordered_at": "OrderedAt",
    "faults": "Faults",
    "revision": "Revision",
}


class Records:
    """The table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def production(self, endpoint_name: str) -> Production:
        """Read all that is known of the production endpoint."""
        read = Production()
        for item in self._partition(endpoint_name):
            read.revisions[item["Record"]] = int(item["Revision"])
            if item["Record"] == ENDPOINT:
                read.champion = Champion(**_fields(item["Champion"], _CHAMPION)) if item.get("Champion") else None
                read.attempt = int(item["Attempt"]) if item.get("Attempt") is not None else None
                read.attempt_hosting = item.get("AttemptHosting")
                read.ordered_at, read.ordered_over = (int(item.get(name, 0)) for name in ("OrderedAt", "OrderedOver"))
                read.retired = bool(item.get("Retired", False))
            else:
                approval = Approval(**_fields(item, _APPROVAL))
                read.approvals[approval.version] = approval
        return read

    def save_endpoint(self, endpoint_name: str, read: Production) -> None:
        """Write production's champion, attempt and retirement back."""
        item = {
            "EndpointName": endpoint_name,
            "Attempt": read.attempt,
            "AttemptHosting": read.attempt_hosting,
            "OrderedAt": read.ordered_at,
            "OrderedOver": read.ordered_over,
            "Retired": read.retired,
            "Champion": read.champion and _attributes(read.champion, _CHAMPION),
        }
        read.revisions[ENDPOINT] = self._put(ENDPOINT, item, read.revisions.get(ENDPOINT, 0))

    def save_approval(self, endpoint_name: str, read: Production, approval: Approval) -> None:
        """Write one version's record back."""
        key = f"version#{approval.version:06d}"
        item = {"EndpointName": endpoint_name, **_attributes(approval, _APPROVAL)}
        read.revisions[key] = self._put(key, item, read.revisions.get(key, 0))
        read.approvals[approval.version] = approval

    def candidate(self, endpoint_name: str) -> Candidate | None:
        """Read a candidate's record."""
        item: dict[str, Any] | None = self._table.get_item(
            Key={"EndpointName": endpoint_name, "Record": ENDPOINT}, ConsistentRead=True
        ).get("Item")
        return Candidate(**_fields(item, _CANDIDATE)) if item else None

    def save_candidate(self, candidate: Candidate) -> None:
        """Write a candidate's record back."""
        candidate.revision = self._put(ENDPOINT, _attributes(candidate, _CANDIDATE), candidate.revision)

    def _partition(self, endpoint_name: str) -> list[dict[str, Any]]:
        query: dict[str, Any] = {
            "KeyConditionExpression": "EndpointName = :name",
            "ExpressionAttributeValues": {":name": endpoint_name},
            "ConsistentRead": True,
        }
        items: list[dict[str, Any]] = []
        while True:
            page = self._table.query(**query)
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return items
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _put(self, key: str, item: dict[str, Any], revision: int) -> int:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(EndpointName)"}
        if revision:
            condition = {"ConditionExpression": "Revision = :read", "ExpressionAttributeValues": {":read": revision}}
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        item |= {"Record": key, "Revision": revision + 1, "UpdatedAt": now}
        try:
            self._table.put_item(Item=item, **condition)
        except ClientError as error:
            if errors.code(error) != "ConditionalCheckFailedException":
                raise
            record = f"{item['EndpointName']}/{key}"
            raise errors.ConflictError(f"{record} was changed by another event after revision {revision}") from error
        return revision + 1


def _attributes(record: Champion | Approval | Candidate, names: Mapping[str, str]) -> dict[str, Any]:
    """What an item says of a record."""
    return {attribute: getattr(record, name) for name, attribute in names.items()}


def _fields(item: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """What a record is made of; an older one lacks what came later, and DynamoDB's numbers are whole ones here."""
    found = {name: item[attribute] for name, attribute in names.items() if attribute in item}
    return {name: int(value) if isinstance(value, Decimal) else value for name, value in found.items()}
