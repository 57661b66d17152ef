# SPDX-License-Identifier: Apache-2.0
"""The deployment records: what was approved, what was tried, what serves.

One DynamoDB table, partition key `EndpointName`, sort key `Record`. Of production's partition the item `endpoint` says
what it serves and `version#000003` how version 3 fared; a candidate's partition has only `endpoint`. Every item carries
a `Revision`, and a write that does not find the revision that was read fails with a ConflictError.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
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
    """What production serves; FindChampion hands it to the pipeline."""

    version: int
    arn: str
    model_uri: str
    runtime: str
    precision: str


@dataclass(kw_only=True)
class Production:
    """One reading of production's records.

    Attributes:
        attempt: The version whose deployment was started and has not been seen to end.
        retired: Whether the stack is being deleted, so that nothing may be deployed any more.
        revisions: Revision by sort key, as read; 0 for an item that is not there.
    """

    champion: Champion | None = None
    attempt: int | None = None
    retired: bool = False
    approvals: dict[int, Approval] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)


@dataclass(kw_only=True)
class Candidate:
    """One request of the pipeline's Callback step."""

    endpoint_name: str
    token: str
    execution_arn: str
    package_arn: str
    evaluation_uri: str
    state: CandidateState = "requested"
    outcome: str = ""
    revision: int = 0


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
                read.champion = _champion(item.get("Champion"))
                read.attempt = int(item["Attempt"]) if item.get("Attempt") is not None else None
                read.retired = bool(item.get("Retired", False))
            else:
                approval = _approval(item)
                read.approvals[approval.version] = approval
        return read

    def save_endpoint(self, endpoint_name: str, read: Production) -> None:
        """Write production's champion, attempt and retirement back."""
        champion = read.champion
        item = {
            "EndpointName": endpoint_name,
            "Record": ENDPOINT,
            "Attempt": read.attempt,
            "Retired": read.retired,
            "Champion": champion
            and {
                "Version": champion.version,
                "ModelPackageArn": champion.arn,
                "ModelUri": champion.model_uri,
                "Runtime": champion.runtime,
                "Precision": champion.precision,
            },
        }
        read.revisions[ENDPOINT] = self._put(item, read.revisions.get(ENDPOINT, 0))

    def save_approval(self, endpoint_name: str, read: Production, approval: Approval) -> None:
        """Write one version's record back."""
        key = f"version#{approval.version:06d}"
        item = {
            "EndpointName": endpoint_name,
            "Record": key,
            "Version": approval.version,
            "ModelPackageArn": approval.arn,
            "ApprovedAt": approval.approved_at,
            "Announced": approval.announced,
            "Standing": approval.standing,
            "Outcome": approval.outcome,
            "Sentence": approval.sentence,
        }
        read.revisions[key] = self._put(item, read.revisions.get(key, 0))
        read.approvals[approval.version] = approval

    def candidate(self, endpoint_name: str) -> Candidate | None:
        """Read a candidate's record."""
        item: dict[str, Any] | None = self._table.get_item(
            Key={"EndpointName": endpoint_name, "Record": ENDPOINT}, ConsistentRead=True
        ).get("Item")
        if item is None:
            return None
        return Candidate(
            endpoint_name=endpoint_name,
            token=item["Token"],
            execution_arn=item["PipelineExecutionArn"],
            package_arn=item["ModelPackageArn"],
            evaluation_uri=item["EvaluationUri"],
            state=item["State"],
            outcome=item["Outcome"],
            revision=int(item["Revision"]),
        )

    def save_candidate(self, candidate: Candidate) -> None:
        """Write a candidate's record back."""
        item = {
            "EndpointName": candidate.endpoint_name,
            "Record": ENDPOINT,
            "Token": candidate.token,
            "PipelineExecutionArn": candidate.execution_arn,
            "ModelPackageArn": candidate.package_arn,
            "EvaluationUri": candidate.evaluation_uri,
            "State": candidate.state,
            "Outcome": candidate.outcome,
        }
        candidate.revision = self._put(item, candidate.revision)

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

    def _put(self, item: dict[str, Any], revision: int) -> int:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(EndpointName)"}
        if revision:
            condition = {"ConditionExpression": "Revision = :read", "ExpressionAttributeValues": {":read": revision}}
        item |= {"Revision": revision + 1, "UpdatedAt": datetime.now(UTC).isoformat(timespec="milliseconds")}
        try:
            self._table.put_item(Item=item, **condition)
        except ClientError as error:
            if errors.code(error) != "ConditionalCheckFailedException":
                raise
            record = f"{item['EndpointName']}/{item['Record']}"
            raise errors.ConflictError(f"{record} was changed by another event after revision {revision}") from error
        return revision + 1


def _champion(item: dict[str, Any] | None) -> Champion | None:
    if not item:
        return None
    return Champion(
        version=int(item["Version"]),
        arn=item["ModelPackageArn"],
        model_uri=item["ModelUri"],
        runtime=item["Runtime"],
        precision=item["Precision"],
    )


def _approval(item: dict[str, Any]) -> Approval:
    return Approval(
        version=int(item["Version"]),
        arn=item["ModelPackageArn"],
        approved_at=int(item["ApprovedAt"]),
        announced=bool(item["Announced"]),
        standing=bool(item["Standing"]),
        outcome=item["Outcome"],
        sentence=item["Sentence"],
    )
