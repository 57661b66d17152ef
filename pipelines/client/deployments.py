# SPDX-License-Identifier: Apache-2.0
"""The deployer's records, read: what serves, what was approved by whom, what was judged, what happened when.

One DynamoDB table, partition key `EndpointName`, sort key `Record`. Of production's partition the item `endpoint` says
what serves, `version#000003` how version 3 fared, `verdict#000003` what was judged of it, and `event#...` what
happened. Records of earlier releases have neither verdicts nor events, and do not say who approved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment

NOTHING_COMPARED = "none"


@dataclass(frozen=True, kw_only=True)
class Champion:
    """What production serves.

    Attributes:
        model_uri: Of the archive that serves: the released copy, or what an earlier release brought up.
    """

    version: int
    arn: str
    runtime: str = ""
    precision: str = ""
    instance_type: str = ""
    model_uri: str = ""


@dataclass(frozen=True, kw_only=True)
class Approval:
    """How a version fared.

    Attributes:
        approved_at: When it was approved last; None where it never was.
        approved_by: ARN or principal; empty in a record of an earlier release.
        override: Whether it was approved although the champion that it was compared with no longer served.
        standing: Whether the registry still said Approved at the last look.
        outcome: `failed`, `refused` or `waiting` where its deployment did not end well.
        sentence: Why.
        served_at: When it last began to serve; None where it never did, or nobody recorded it.
        approval_statement: SHA-256 of the signed statement of this approval; empty while there is none.
        deployment_statement: SHA-256 of that of its last deployment.
        is_old: Whether an earlier release wrote the record, and nobody knows for certain whether it served.
    """

    version: int
    approved_at: datetime | None = None
    approved_by: str = ""
    reason: str = ""
    rejected_by: str = ""
    override: bool = False
    standing: bool = True
    outcome: str = ""
    sentence: str = ""
    served_at: datetime | None = None
    approval_statement: str = ""
    deployment_statement: str = ""
    is_old: bool = False

    @property
    def served_since(self) -> datetime | None:
        """When it last began to serve; of an earlier release's record, when it was approved, if it may have served."""
        may_have = self.is_old and self.standing and not self.outcome
        return self.served_at or (self.approved_at if may_have else None)

    @property
    def has_served(self) -> bool:
        """Whether it went to production at some time, as far as anybody knows: the deployer then lets it go again."""
        return self.served_since is not None

    @property
    def is_eligible(self) -> bool:
        """Whether production may go to it when what serves is rejected."""
        return self.standing and not self.outcome


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What PublishDossier recorded of a version, once.

    Attributes:
        champion_arn: The version that it was compared with; `none` where nothing served.
        best_arn: The best version that ever served, with which it was compared besides; `none` where that was nothing.
        mean_ap: mAP, 0 to 1.
        waiver: What an administrator wrote to go on without the champion; empty where nobody did.
        statement_sha256: Of the bytes of the signed verdict.
    """

    version: int
    arn: str = ""
    champion_arn: str = NOTHING_COMPARED
    best_arn: str = NOTHING_COMPARED
    mean_ap: float = 0.0
    waiver: str = ""
    model_uri: str = ""
    model_sha256: str = ""
    evaluation_uri: str = ""
    evaluation_sha256: str = ""
    image: str = ""
    image_digest: str = ""
    floor_policy_sha256: str = ""
    gate_policy_sha256: str = ""
    test_set: str = ""
    dataset_sha256: str = ""
    execution_arn: str = ""
    statement_uri: str = ""
    statement_sha256: str = ""
    published_at: str = ""

    @property
    def champion(self) -> int | None:
        """Number of the version that it was compared with; None where nothing served."""
        return None if self.champion_arn in ("", NOTHING_COMPARED) else int(self.champion_arn.rsplit("/", 1)[-1])


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a version, told to people once.

    Attributes:
        kind: `waits`, `approved`, `rejected`, `serves`, `refused`, `rolled back` or `override`.
    """

    version: int
    kind: str
    sentence: str
    at: datetime


@dataclass(frozen=True)
class Records:
    """All that is known of production.

    Attributes:
        attempt: The version whose deployment is under way.
        events: Oldest first.
        retired: Whether the stack is being deleted, so that nothing is deployed any more.
        unreadable: Why nothing of this is known; None where it was read.
    """

    champion: Champion | None = None
    attempt: int | None = None
    approvals: dict[int, Approval] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    retired: bool = False
    unreadable: str | None = None

    def serves_since(self) -> datetime | None:
        """When the champion began to serve; None where nobody recorded it."""
        if self.champion is None:
            return None
        terms = list(self.served())
        if terms and terms[-1][0] == self.champion.version:
            return terms[-1][1]
        known = self.approvals.get(self.champion.version)
        return known.served_at if known else None

    def served(self) -> Iterator[tuple[int, datetime, datetime | None]]:
        """What served from when to when, oldest first; None is until now.

        That a version goes on serving is told, too, and begins nothing.
        """
        told = [event for event in self.events if event.kind == "serves"]
        before = [None, *(event.version for event in told)]
        begun = [event for event, version in zip(told, before, strict=False) if event.version != version]
        for event, following in zip(begun, [*begun[1:], None], strict=False):
            yield event.version, event.at, following.at if following else None


def read(connection: Connection, deployment: Deployment) -> Records:
    """Read production's records; where they may not be read, the result says so instead of failing.

    Permissions to read them came with the release that signs verdicts, so that an approver's may lack them.
    """
    if not deployment.deployment_table:
        return Records(unreadable="the deployment publishes no table of records: deploy it again")
    try:
        items = list(_items(connection, deployment.deployment_table, deployment.endpoint_name))
    except ClientError as error:
        return Records(unreadable=f"the deployer's records cannot be read: {error.response['Error']['Message']}")
    return _records(items)


def _items(connection: Connection, table: str, endpoint: str) -> Iterator[dict[str, Any]]:
    plain = TypeDeserializer().deserialize
    pages = connection.client("dynamodb").get_paginator("query")
    for page in pages.paginate(
        TableName=table,
        KeyConditionExpression="EndpointName = :name",
        ExpressionAttributeValues={":name": {"S": endpoint}},
    ):
        for item in page["Items"]:
            yield {name: _whole(plain(value)) for name, value in item.items()}


def _records(items: list[dict[str, Any]]) -> Records:
    by_key = {str(item["Record"]): item for item in items}
    endpoint = by_key.get("endpoint", {})
    champion, attempt = endpoint.get("Champion"), endpoint.get("Attempt")
    approvals = [_approval(item) for key, item in by_key.items() if key.startswith("version#")]
    verdicts = [_taken(Verdict, item) for key, item in by_key.items() if key.startswith("verdict#")]
    events = [_event(key, item) for key, item in by_key.items() if key.startswith("event#")]
    return Records(
        champion=_taken(Champion, champion) if champion else None,
        attempt=int(attempt) if attempt is not None else None,
        approvals={one.version: one for one in approvals},
        verdicts={one.version: one for one in verdicts},
        events=sorted(events, key=lambda event: (event.at, event.version)),
        retired=bool(endpoint.get("Retired", False)),
    )


_ATTRIBUTES = {
    "version": "Version",
    "arn": "ModelPackageArn",
    "runtime": "Runtime",
    "precision": "Precision",
    "instance_type": "InstanceType",
    "model_uri": "ModelUri",
    "champion_arn": "ChampionArn",
    "best_arn": "BestArn",
    "mean_ap": "MeanAP",
    "waiver": "Waiver",
    "model_sha256": "ModelSha256",
    "evaluation_uri": "EvaluationUri",
    "evaluation_sha256": "EvaluationSha256",
    "image": "Image",
    "image_digest": "ImageDigest",
    "floor_policy_sha256": "FloorPolicySha256",
    "gate_policy_sha256": "GatePolicySha256",
    "test_set": "TestSet",
    "dataset_sha256": "DatasetSha256",
    "execution_arn": "PipelineExecutionArn",
    "statement_uri": "StatementUri",
    "statement_sha256": "StatementSha256",
    "published_at": "PublishedAt",
}


def _taken(kind: type[Any], item: Mapping[str, Any]) -> Any:
    """A record of what an item has of its fields; an older item lacks what came later."""
    named = {name: _ATTRIBUTES[name] for name in kind.__dataclass_fields__}
    return kind(**{name: item[attribute] for name, attribute in named.items() if item.get(attribute) is not None})


def _approval(item: Mapping[str, Any]) -> Approval:
    reason = str(item.get("Reason") or "")
    return Approval(
        version=int(item["Version"]),
        approved_at=_moment(item.get("ApprovedAt")),
        approved_by=str(item.get("ApprovedBy") or ""),
        reason=reason,
        rejected_by=str(item.get("RejectedBy") or ""),
        override=bool(item.get("Override", False)),
        standing=bool(item.get("Standing", True)),
        outcome=str(item.get("Outcome") or ""),
        sentence=str(item.get("Sentence") or ""),
        served_at=_moment(_last(item.get("ServedAt"))),
        approval_statement=str(item.get("ApprovalStatement") or ""),
        deployment_statement=str(item.get("DeploymentStatement") or ""),
        is_old="ApprovedBy" not in item,
    )


def _event(key: str, item: Mapping[str, Any]) -> Event:
    """An event; its key is `event#<milliseconds>#<version>`."""
    _, moment, version = key.split("#")[:3]
    return Event(
        version=int(item.get("Version", version)),
        kind=str(item.get("Kind") or item.get("kind") or "event"),
        sentence=str(item.get("Sentence") or ""),
        at=_moment(item.get("At")) or _moment(int(moment)) or datetime.fromtimestamp(0, UTC),
    )


def _last(told: Any) -> Any:
    return (told[-1] if told else None) if isinstance(told, list) else told


def _moment(told: Any) -> datetime | None:
    """A time that stands as milliseconds since 1970 or as text; None for none, and for the 0 that stands for none."""
    if not told:
        return None
    if isinstance(told, str) and not told.isdigit():
        return datetime.fromisoformat(told.replace("Z", "+00:00"))
    return datetime.fromtimestamp(int(told) / 1000, UTC)


def _whole(value: Any) -> Any:
    """DynamoDB's numbers are whole ones here, but for mAP."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, list) else value
