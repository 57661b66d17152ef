# SPDX-License-Identifier: Apache-2.0
"""A version's chain of evidence: data set, execution, image, model, verdict, approval and deployment.

Each is a signed statement under `evidence/v000003/` that names the envelope before it by digest. What is checked: the
signature, by the environment's key; that the statement before is the one that it names; that all speak of the same
artifact; that the verdict is the one in the deployer's record, which no approver can edit; and that the documents that
they name still hold what was signed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from botocore.exceptions import ClientError

from containers.evidence import envelope, signing
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.links import KINDS, Link, Recorded, Verify, examine

OLD = "registered before verdicts were signed"
_HASHED = 1 << 20


@dataclass(frozen=True)
class Chain:
    """A version's statements in the order in which they were made.

    Attributes:
        notes: What there is to know besides, such as that a version is of a release that signed nothing.
    """

    version: int
    links: list[Link]
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether there is a chain, and every link of it holds."""
        return bool(self.links) and all(link.holds for link in self.links)

    def as_json(self) -> dict[str, Any]:
        """The chain as plain JSON values."""
        links = [link.as_json() for link in self.links]
        return {"version": self.version, "holds": self.holds, "links": links, "notes": self.notes}


def chain(
    connection: Connection, deployment: Deployment, number: int, recorded: Recorded, *, with_artifact: bool = False
) -> Chain:
    """Read a version's statements and hold them against one another.

    Args:
        connection: The cloud.
        deployment: Whose bucket and key.
        number: The version's.
        recorded: What the deployer's records say of it.
        with_artifact: Whether the model's archive is read and hashed, too.
    """
    prefix = f"evidence/v{number:06d}/"
    store = Store(connection, deployment.data_bucket)
    try:
        found = store.statements(prefix)
    except ClientError as error:
        reason = error.response["Error"]["Message"]
        return Chain(number, [], [f"s3://{deployment.data_bucket}/{prefix} cannot be read: {reason}"])
    if not found and recorded.verdict is None:
        return Chain(number, [], [f"Version {number} was {OLD}: nothing can be proven of it."])
    envelopes = [(_kind_of(key), store.uri(key), body) for key, body in found]
    links = examine(envelopes, _verifier(connection, deployment), recorded, prefix=store.uri(prefix))
    return Chain(number, [_with_documents(store, link, with_artifact) for link in links])


def _kind_of(key: str) -> str:
    return key.rsplit("/", 1)[-1].removesuffix(".json").split("-")[0]


def _verifier(connection: Connection, deployment: Deployment) -> Verify:
    if deployment.signing_key:
        return signing.verifier(connection.client("kms"), deployment.signing_key)

    def nobody_can(_: bytes, __: bytes) -> bool:
        raise envelope.EvidenceError(
            "the deployment publishes no signing key, so nobody can verify it: deploy it again"
        )

    return nobody_can


def _with_documents(store: Store, link: Link, with_artifact: bool) -> Link:
    """The link, held against what lies at the addresses that it names."""
    named: list[tuple[str, str]] = []
    if link.kind == "dataset" and link.subject:
        named.append((link.subject["uri"], link.subject["sha256"]))
    if link.kind == "verdict":
        told = link.statement.get("predicate", {})
        for descriptor in (told.get("mapgate_evaluation"), told.get("policy"), told.get("mapgate_gatePolicy")):
            if descriptor:
                named.append((str(descriptor.get("uri")), str(descriptor.get("digest", {}).get("sha256"))))
    if with_artifact and link.kind in ("provenance", "deployment") and link.subject:
        named.append((link.subject["uri"], link.subject["sha256"]))
    faults, unchecked = [], []
    for uri, sha256 in named:
        try:
            faults += [fault] if (fault := store.differs(uri, sha256)) else []
        except PermissionError as error:
            unchecked.append(str(error))
    linked = link.linked and not faults
    return replace(link, linked=linked, faults=[*link.faults, *faults], unchecked=unchecked)


@dataclass(frozen=True)
class Store:
    """The objects that a chain consists of and speaks of."""

    connection: Connection
    bucket: str

    def uri(self, key: str) -> str:
        """An object's address."""
        return f"s3://{self.bucket}/{key}"

    def statements(self, prefix: str) -> list[tuple[str, bytes]]:
        """Keys and bytes of a version's envelopes: the three of PublishDossier, then decisions and deployments by time.

        Raises:
            ClientError: They may not be read.
        """
        s3 = self.connection.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        ours = [key for key in keys if key.endswith(".json") and _kind_of(key) in KINDS]
        return [(key, s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()) for key in sorted(ours, key=_made_at)]

    def differs(self, uri: str, sha256: str) -> str | None:
        """Why an object is not what was signed; None where it is.

        Raises:
            PermissionError: Whoever asks may not read it.
        """
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        digest = hashlib.sha256()
        try:
            body = self.connection.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
            for chunk in body.iter_chunks(_HASHED):
                digest.update(chunk)
        except ClientError as error:
            told = f"{uri} cannot be read: {error.response['Error']['Message']}"
            if error.response["Error"]["Code"] in ("AccessDenied", "403"):
                raise PermissionError(told) from error
            return told
        if digest.hexdigest() == sha256:
            return None
        return f"{uri} is not what was signed: its sha256 is {digest.hexdigest()}, that of what was signed {sha256}"


def _made_at(key: str) -> tuple[int, int, int]:
    """Where a statement stands: `approval-<milliseconds>.json` after the three that have no time, by its time."""
    kind, _, moment = key.rsplit("/", 1)[-1].removesuffix(".json").partition("-")
    rank = list(KINDS).index(kind)
    return (min(rank, list(KINDS).index("approval")), int(moment) if moment.isdigit() else 0, rank)
