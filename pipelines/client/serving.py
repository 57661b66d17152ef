# SPDX-License-Identifier: Apache-2.0
"""What serves where since when, and what waits and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from pipelines.client import registry
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.deployments import Records

UNKNOWN = "unknown"
"""The status of an endpoint that whoever asks may not describe."""


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of the deployment.

    Attributes:
        status: As SageMaker spells it; None where there is no such endpoint.
        version: That it serves.
        since: When that version began to serve; None where nobody recorded it.
        on_its_way: The version that is being rolled out.
        facts: Runtime, instance type and artifact of what serves.
        note: Why something is not known.
    """

    name: str
    status: str | None
    version: int | None = None
    since: datetime | None = None
    on_its_way: int | None = None
    facts: dict[str, str] = field(default_factory=dict)
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """The endpoint as plain JSON values."""
        return {
            "name": self.name,
            "status": self.status,
            "version": self.version,
            "since": self.since.isoformat() if self.since else None,
            "on_its_way": self.on_its_way,
            **self.facts,
            "note": self.note or None,
        }


@dataclass(frozen=True)
class Waiting:
    """A version that somebody or something keeps from production."""

    version: int
    why: str
    since: datetime | None

    def as_json(self) -> dict[str, Any]:
        """The version as plain JSON values."""
        return {"version": self.version, "why": self.why, "since": self.since.isoformat() if self.since else None}


def endpoints(connection: Connection, deployment: Deployment, records: Records) -> list[Endpoint]:
    """Production's endpoint, then those of candidates, which live for the minutes of a test."""
    production = _production(connection, deployment.endpoint_name, records)
    return [production, *_candidates(connection, deployment.endpoint_name)]


def waiting(versions: list[registry.Version], records: Records) -> list[Waiting]:
    """The versions that wait for a decision, or for what the account lacks, and those whose deployment ended badly.

    Args:
        versions: Newest first.
        records: The deployer's.
    """
    found = []
    for version in versions:
        known = records.approvals.get(version.number)
        if version.approval == "PendingManualApproval":
            why = f"for a decision: `mapgate models approve {version.number}` shows what it would do"
            found.append(Waiting(version.number, why, version.created))
        elif version.approval == "Approved" and known is not None and known.outcome:
            found.append(Waiting(version.number, f"{known.outcome}: {known.sentence}", known.approved_at))
    return found


def _production(connection: Connection, name: str, records: Records) -> Endpoint:
    status, note, config = None, records.unreadable or "", ""
    try:
        described = connection.client("sagemaker").describe_endpoint(EndpointName=name)
        status, config = described["EndpointStatus"], described["EndpointConfigName"]
    except ClientError as error:
        message = error.response["Error"]["Message"]
        if "Could not find" not in message:
            status, note = UNKNOWN, note or message
    champion = records.champion
    if champion is None:
        return Endpoint(name, status, on_its_way=records.attempt, facts=_facts(config=config), note=note)
    facts = _facts(
        runtime=f"{champion.runtime} ({champion.precision})",
        instance_type=champion.instance_type,
        artifact=champion.model_uri,
        config=config,
    )
    return Endpoint(name, status, champion.version, records.serves_since(), records.attempt, facts, note)


def _candidates(connection: Connection, name: str) -> list[Endpoint]:
    pages = connection.client("sagemaker").get_paginator("list_endpoints")
    try:
        listed = [one for page in pages.paginate(NameContains=f"{name}-candidate-") for one in page["Endpoints"]]
    except ClientError:  # who may not list endpoints sees production alone
        return []
    return [
        Endpoint(one["EndpointName"], one["EndpointStatus"], _number(one["EndpointName"], name), one["CreationTime"])
        for one in listed
        if one["EndpointName"].startswith(f"{name}-candidate-")
    ]


def _number(candidate: str, name: str) -> int | None:
    said = candidate.removeprefix(f"{name}-candidate-").split("-")[0]
    return int(said) if said.isdigit() else None


def _facts(**facts: str) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value}
