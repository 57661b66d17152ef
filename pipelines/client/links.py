# SPDX-License-Identifier: Apache-2.0
"""The links of a version's chain of evidence: whether each is signed, follows, and agrees with those before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from containers.evidence import envelope, statements
from pipelines.client.deployments import Approval, Verdict

Verify = Callable[[bytes, bytes], bool]
NOTHING = "none"
"""In the deployer's record, in the place of a statement that there is nothing to sign about."""
KINDS = {
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
        unchecked: A sentence for each document that whoever asks may not read, so that nobody compared it.
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
    unchecked: Sequence[str] = ()

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
            "unchecked": list(self.unchecked),
            "statement": dict(self.statement) or None,
        }


@dataclass(frozen=True)
class Recorded:
    """What the deployer's records say of a version, which no approver can edit.

    Attributes:
        verdict: None where there is none, which is of a release that signed no verdicts.
        approval: None of a version that nobody has decided on.
    """

    verdict: Verdict | None = None
    approval: Approval | None = None


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
    order = list(KINDS)
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
        *_wrong_names(kind, statement, before),
        *(_wrong_verdict(digest, statement, verdict) if kind == "verdict" else []),
    ]
    return Link(kind, uri, digest, previous, subject, statement, signed, not broken, [*faults, *broken])


def _wrong_kind(kind: str, statement: Mapping[str, Any]) -> list[str]:
    said = statement.get("predicateType")
    return [] if said == KINDS[kind] else [f"it is no {kind} but {said}"]


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


def _wrong_names(kind: str, statement: Mapping[str, Any], before: Sequence[Link]) -> Iterator[str]:
    """What a statement says of an earlier one's data set, execution and image has to be what that one says."""
    told = {link.kind: link for link in before if link.statement}
    predicate = statement.get("predicate") or {}
    for what, of, theirs, ours in (
        ("document of the data set", "dataset", ("subject", 0, "digest", "sha256"), _DEPENDENCY),
        ("content of the data set", "dataset", ("predicate", "contentSha256"), ("mapgate_datasetSha256",)),
        ("execution", "provenance", ("predicate", *_EXECUTION), ("mapgate_execution",)),
        ("image", "verdict", ("predicate", "mapgate_image", "digest", "sha256"), ("image", "digest", "sha256")),
    ):
        if of not in told or kind not in _NAMES[what]:
            continue
        said, known = _at(predicate, ours), _at(told[of].statement, theirs)
        if said != known:
            yield f"it names the {what} {said}, the {of} before it {known}"


_EXECUTION = ("runDetails", "metadata", "invocationId")
_DEPENDENCY = ("buildDefinition", "resolvedDependencies", 0, "digest", "sha256")
# Which statements name these things of one before.
_NAMES = {
    "document of the data set": ("provenance",),
    "content of the data set": ("verdict",),
    "execution": ("verdict",),
    "image": ("deployment",),
}


def _at(document: Any, path: Sequence[str | int]) -> Any:
    """What stands at a place of a document; None where it has no such place."""
    for step in path:
        try:
            document = document[step]
        except (LookupError, TypeError):
            return None
    return document


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
