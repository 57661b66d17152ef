# SPDX-License-Identifier: Apache-2.0
"""A version's chain of evidence: data set, execution, image, model, verdict, approval and deployment.

Each is a signed statement under `evidence/v000003/` that names the envelope before it by digest. What is checked: the
signature, by the environment's key; that the statement before is the one that it names; that all speak of the same
artifact; that the verdict is the one in the deployer's record, which no approver can edit; and that the documents that
they name still hold what was signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from containers.evidence import envelope, signing, statements
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.deployments import Approval, Verdict

Verify = Callable[[bytes, bytes], bool]
OLD = "registered before verdicts were signed"
NOTHING = "none"
"""In the deployer's record, in the place of a statement that there is nothing to sign about."""
_KINDS = {
    "dataset": statements.DATASET,
    "provenance": statements.PROVENANCE,
    "verdict": statements.VERDICT,
    "approval": statements.APPROVAL,
    "deployment": statements.DEPLOYMENT,
}
# What may stand before a statement; the data set's begins the chain.
_BEFORE = {
    "dataset": (),
    "provenance": ("dataset",),
    "verdict": ("provenance",),
    "approval": ("verdict", "approval"),
    # An earlier release saw the approval and signed nothing.
    "deployment": ("approval", "verdict"),
}
_HASHED = 1 << 20


@dataclass(frozen=True)
class Link:
    """One statement of the chain, and whether it holds.

    Attributes:
        kind: `dataset`, `provenance`, `verdict`, `approval` or `deployment`.
        uri: Where its envelope lies.
        digest: SHA-256 of the envelope's bytes.
        previous: Digest of the one before, as it says.
        subject: What it is about: address and sha256.
        statement: As it was signed; empty where it cannot be read.
        signed: Whether the signature is the environment's.
        linked: Whether all that it names is what is there.
        faults: A sentence for each thing that does not hold.
    """

    kind: str
    uri: str
    digest: str = ""
    previous: str | None = None
    subject: Mapping[str, str] = field(default_factory=dict)
    statement: Mapping[str, Any] = field(default_factory=dict)
    signed: bool = False
    linked: bool = False
    faults: Sequence[str] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.signed and self.linked

    def as_json(self) -> dict[str, Any]:
        """The link as plain JSON values."""
        return {
            "kind": self.kind,
            "uri": self.uri,
            "sha256": self.digest or None,
            "previous_sha256": self.previous,
            "subject": dict(self.subject) or None,
            "signed": self.signed,
            "linked": self.linked,
            "faults": list(self.faults),
            "statement": dict(self.statement) or None,
        }


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


@dataclass(frozen=True)
class Recorded:
    """What the deployer's records say of a version, which no approver can edit.

    Attributes:
        verdict: None where there is none, which is of a release that signed no verdicts.
        approval: None of a version that nobody has decided on.
    """

    verdict: Verdict | None = None
    approval: Approval | None = None


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


def examine(
    envelopes: Sequence[tuple[str, str, bytes]], verify: Verify, recorded: Recorded, *, prefix: str = ""
) -> list[Link]:
    """Hold statements against one another.

    Args:
        envelopes: Kind, address and bytes of each, in the order in which they were made.
        verify: Whether a message has a signature by the environment's key.
        recorded: What the deployer's records say of the version.
        prefix: Where statements of the version lie, for those that are missing.
    """
    links: list[Link] = []
    for kind, uri, body in envelopes:
        links.append(_examined(kind, uri, body, verify, links, recorded.verdict))
    links += _missing({kind for kind, _, _ in envelopes}, {link.digest for link in links}, recorded, prefix)
    order = list(_KINDS)
    return sorted(links, key=lambda link: min(order.index(link.kind), order.index("approval")))


def _missing(kinds: set[str], digests: set[str], recorded: Recorded, prefix: str) -> Iterator[Link]:
    """A link for each statement that should be there and is not."""
    if recorded.verdict is not None:
        for kind in ("dataset", "provenance", "verdict"):
            if kind not in kinds:
                fault = "it is missing: somebody removed it, or PublishDossier did not end"
                yield Link(kind, f"{prefix}{kind}.json", faults=[fault])
    known = recorded.approval
    for kind, digest in (
        ("approval", known.approval_statement if known else ""),
        ("deployment", known.deployment_statement if known else ""),
    ):
        if digest not in ("", NOTHING) and digest not in digests:
            fault = f"it is missing: the deployer's record names one of sha256 {digest}"
            yield Link(kind, f"{prefix}{kind}-*.json", faults=[fault])


def _examined(
    kind: str, uri: str, body: bytes, verify: Verify, before: Sequence[Link], verdict: Verdict | None
) -> Link:
    digest, faults, signed = envelope.digest(body), [], False
    try:
        statement = envelope.read(body)
        envelope.open_envelope(body, verify)
        signed = True
    except envelope.EvidenceError as error:
        faults.append(str(error))
    except (ClientError, BotoCoreError) as error:
        faults.append(f"its signature could not be verified: {error}")
    try:
        statement = envelope.read(body)
        subject, previous = _subject(statement), statements.previous_of(statement)
    except (envelope.EvidenceError, LookupError, TypeError, AttributeError) as error:
        return Link(kind, uri, digest, faults=[*faults, f"it is no statement of ours ({error})"])
    broken = [
        *_wrong_kind(kind, statement),
        *_wrong_previous(kind, previous, before, verdict),
        *_wrong_subject(kind, subject, before, verdict),
        *(_wrong_verdict(digest, statement, verdict) if kind == "verdict" else []),
    ]
    return Link(kind, uri, digest, previous, subject, statement, signed, not broken, [*faults, *broken])


def _wrong_kind(kind: str, statement: Mapping[str, Any]) -> list[str]:
    said = statement.get("predicateType")
    return [] if said == _KINDS[kind] else [f"it is no {kind} but {said}"]


def _wrong_previous(kind: str, previous: str | None, before: Sequence[Link], verdict: Verdict | None) -> list[str]:
    candidates = [link.digest for link in before if link.kind in _BEFORE[kind] and link.digest]
    if kind == "deployment" and (approvals := [link.digest for link in before if link.kind == "approval"]):
        candidates = approvals
    if not _BEFORE[kind]:
        return ["it names a statement before it, and it is the first"] if previous else []
    if previous is None:
        return [] if verdict is None and not candidates else ["it names no statement before it"]
    if previous in candidates:
        return []
    return [f"it names a {' or '.join(_BEFORE[kind])} before it that is not there, of sha256 {previous}"]


def _wrong_subject(kind: str, subject: Mapping[str, str], before: Sequence[Link], verdict: Verdict | None) -> list[str]:
    """All but the data set's are about one artifact; a released copy has another address and the same content."""
    if kind == "dataset":
        return []
    judged = verdict.model_sha256 if verdict and verdict.model_sha256 else ""
    known = judged or next((link.subject.get("sha256", "") for link in before if link.kind != "dataset"), "")
    if known and subject["sha256"] != known:
        return [f"it is about another artifact, of sha256 {subject['sha256']}; the version's is {known}"]
    return []


def _wrong_verdict(digest: str, statement: Mapping[str, Any], verdict: Verdict | None) -> list[str]:
    if verdict is None:
        return ["the deployer's records have no verdict of this version"]
    told = statement.get("predicate", {})
    faults = []
    if digest != verdict.statement_sha256:
        faults.append(f"the deployer's record names another verdict, of sha256 {verdict.statement_sha256}")
    evaluated = (told.get("mapgate_evaluation") or {}).get("digest", {}).get("sha256")
    if evaluated != verdict.evaluation_sha256:
        faults.append(f"the deployer's record names another evaluation, of sha256 {verdict.evaluation_sha256}")
    if told.get("verificationResult") != "PASSED":
        faults.append("its gate did not pass")
    return faults


def _subject(statement: Mapping[str, Any]) -> dict[str, str]:
    (subject,) = statement["subject"]
    return {"uri": str(subject.get("uri") or subject["name"]), "sha256": str(subject["digest"]["sha256"])}


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
    faults = [fault for uri, sha256 in named if (fault := store.differs(uri, sha256))]
    if not faults:
        return link
    return Link(**{**vars(link), "linked": False, "faults": [*link.faults, *faults]})


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
        ours = [key for key in keys if key.endswith(".json") and _kind_of(key) in _KINDS]
        return [(key, s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()) for key in sorted(ours, key=_made_at)]

    def differs(self, uri: str, sha256: str) -> str | None:
        """Why an object is not what was signed; None where it is."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        digest = hashlib.sha256()
        try:
            body = self.connection.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
            for chunk in body.iter_chunks(_HASHED):
                digest.update(chunk)
        except ClientError as error:
            return f"{uri} cannot be read: {error.response['Error']['Message']}"
        if digest.hexdigest() == sha256:
            return None
        return f"{uri} is not what was signed: its sha256 is {digest.hexdigest()}, that of what was signed {sha256}"


def _made_at(key: str) -> tuple[int, int, int]:
    """Where a statement stands: `approval-<milliseconds>.json` after the three that have no time, by its time."""
    kind, _, moment = key.rsplit("/", 1)[-1].removesuffix(".json").partition("-")
    rank = list(_KINDS).index(kind)
    return (min(rank, list(_KINDS).index("approval")), int(moment) if moment.isdigit() else 0, rank)
