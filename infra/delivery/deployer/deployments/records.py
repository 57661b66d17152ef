# SPDX-License-Identifier: Apache-2.0
"""The deployment records: what was approved, what was tried, what serves.

One DynamoDB table, partition key `EndpointName`, sort key `Record`. Of production's partition the item `endpoint` says
what it serves, `version#000003` how version 3 fared, `verdict#000003` what PublishDossier found of it, and
`event#1790000000123#3` what happened to it then; a candidate's partition has only `endpoint`. Every item carries a
`Revision`, and a write that does not find the revision that was read fails with a ConflictError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from . import errors
from .approval import Approval, Notice
from .verdict_record import VerdictRecord

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

ENDPOINT = "endpoint"
CLAIM_MILLISECONDS = 5 * 60 * 1000
"""How long another event waits for the one that has set out to tell people something."""
CandidateState = Literal["requested", "started", "answered"]


@dataclass(frozen=True, kw_only=True)
class Champion:
    """What production serves; FindChampion hands it to the pipeline.

    Attributes:
        model_uri: What serves: the released copy, or what an older deployer brought up.
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
        ordered_at: When its endpoint was about to be ordered, milliseconds since 1970; 0 where none of it is left.
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
    "decision": "Decision",
    "approved_by": "ApprovedBy",
    "reason": "Reason",
    "rejected_by": "RejectedBy",
    "served_at": "ServedAt",
    "served_until": "ServedUntil",
    "served_image": "ServedImage",
    "candidate": "CandidateToken",
    "approval_statement": "ApprovalStatement",
    "deployment_statement": "DeploymentStatement",
    "stated_at": "StatedAt",
    "shown_until": "ShownUntil",
    "last_notice": "LastNotice",
}
_NOTICE = {"kind": "Kind", "subject": "Subject", "sentence": "Sentence", "command": "Command", "at": "At"}
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


_LOOK = "mapgate endpoints"


@dataclass(frozen=True)
class Claim:
    """Whose it is to tell people a notice, and the item of the history that says so."""

    whose: Literal["mine", "another's", "told"]
    key: str
    item: dict[str, Any]


class Records:
    """The table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def production(self, endpoint_name: str) -> Production:
        """Read all that is known of the production endpoint."""
        read = Production()
        item = self._item(endpoint_name, ENDPOINT)
        if item:
            read.revisions[ENDPOINT] = int(item["Revision"])
            read.champion = Champion(**_fields(item["Champion"], _CHAMPION)) if item.get("Champion") else None
            read.attempt = int(item["Attempt"]) if item.get("Attempt") is not None else None
            read.attempt_hosting = item.get("AttemptHosting")
            read.ordered_at, read.ordered_over = (int(item.get(name, 0)) for name in ("OrderedAt", "OrderedOver"))
            read.retired = bool(item.get("Retired", False))
        for item in self._versions(endpoint_name):
            read.revisions[item["Record"]] = int(item["Revision"])
            approval = _approval(item)
            read.approvals[approval.version] = approval
        if read.champion and (known := read.approvals.get(read.champion.version)) and not known.served_at:
            # An older deployer brought it up, and its approval was withdrawn since.
            moment = max(1, known.approved_at)
            read.approvals[known.version] = replace(known, served_at=moment, stated_at=moment)
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
        item = {"EndpointName": endpoint_name, **_attributes(approval, _APPROVAL), "Override": approval.override}
        item["Untold"] = [_attributes(notice, _NOTICE) for notice in approval.untold]
        read.revisions[key] = self._put(key, item, read.revisions.get(key, 0))
        read.approvals[approval.version] = approval

    def candidate(self, endpoint_name: str) -> Candidate | None:
        """Read a candidate's record."""
        item = self._item(endpoint_name, ENDPOINT)
        return Candidate(**_fields(item, _CANDIDATE)) if item else None

    def save_candidate(self, candidate: Candidate) -> None:
        """Write a candidate's record back."""
        candidate.revision = self._put(ENDPOINT, _attributes(candidate, _CANDIDATE), candidate.revision)

    def verdict(self, endpoint_name: str, version: int) -> VerdictRecord | None:
        """Read what PublishDossier recorded of a version's verdict; None where it recorded nothing."""
        item = self._item(endpoint_name, f"verdict#{version:06d}")
        return VerdictRecord.read(item) if item else None

    def claim(self, endpoint_name: str, version: int, notice: Notice, now: int) -> Claim:
        """Enter a notice into the endpoint's history and set out to tell it, unless another event did.

        Args:
            endpoint_name: The endpoint.
            version: Which the notice is about.
            notice: What has still to be told.
            now: Milliseconds since 1970.

        Returns:
            Whose the notice is; only a claim that is `mine` is to be told.
        """
        key = f"event#{notice.at:013d}#{version}"
        item = {"EndpointName": endpoint_name, "Version": version, **_attributes(notice, _NOTICE)}
        item |= {"ClaimedAt": now, "ToldAt": 0}
        known = self._item(endpoint_name, key)
        if known and known["ToldAt"]:
            return Claim("told", key, known)
        if known and now - int(known["ClaimedAt"]) < CLAIM_MILLISECONDS:
            return Claim("another's", key, known)
        item["Revision"] = self._put(key, item, int(known["Revision"]) if known else 0)
        return Claim("mine", key, item)

    def end_claim(self, claim: Claim, *, told_at: int) -> None:
        """Record that a notice was told, or, by a 0, that whoever comes next is to tell it."""
        item = {**claim.item, "ToldAt": told_at, "ClaimedAt": claim.item["ClaimedAt"] if told_at else 0}
        self._put(claim.key, item, int(claim.item["Revision"]))

    def _item(self, endpoint_name: str, key: str) -> dict[str, Any] | None:
        found = self._table.get_item(Key={"EndpointName": endpoint_name, "Record": key}, ConsistentRead=True)
        item: dict[str, Any] | None = found.get("Item")
        return item

    def _versions(self, endpoint_name: str) -> list[dict[str, Any]]:
        query: dict[str, Any] = {
            "KeyConditionExpression": "EndpointName = :name AND begins_with(#record, :version)",
            "ExpressionAttributeNames": {"#record": "Record"},
            "ExpressionAttributeValues": {":name": endpoint_name, ":version": "version#"},
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


def _approval(item: Mapping[str, Any]) -> Approval:
    """Read a version's record, an older deployer's too.

    That one knew neither who approved nor what has served: an approval that stands and did not fail may have served,
    and is what a rejection rolls back to. Its one untold notice was a subject, with the sentence as its text.
    """
    found = _fields(item, _APPROVAL)
    untold = item.get("Untold") or []
    if isinstance(untold, str):
        notice = Notice(
            kind="refused", subject=untold, sentence=found["sentence"], command=_LOOK, at=found["approved_at"]
        )
        return Approval(**found, untold=(notice,), last_notice=notice.at, **_before(item, found))
    notices = tuple(Notice(**_fields(each, _NOTICE)) for each in untold)
    return Approval(**found, untold=notices, **_before(item, found))


def _before(item: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """What an older deployer's record means for the fields that it lacks."""
    if "ApprovedBy" in item:
        return {}
    served = found["approved_at"] if found.get("standing", True) and found.get("outcome") is None else 0
    decision = "Approved" if found.get("standing", True) else ""
    return {"served_at": served, "stated_at": served, "decision": decision}


def _attributes(record: Champion | Approval | Candidate | Notice, names: Mapping[str, str]) -> dict[str, Any]:
    """What an item says of a record."""
    return {attribute: getattr(record, name) for name, attribute in names.items()}


def _fields(item: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """What a record is made of; an older one lacks what came later, and DynamoDB's numbers are whole ones here."""
    found = {name: item[attribute] for name, attribute in names.items() if attribute in item}
    return {name: int(value) if isinstance(value, Decimal) else value for name, value in found.items()}
