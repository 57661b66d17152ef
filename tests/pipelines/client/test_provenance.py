# SPDX-License-Identifier: Apache-2.0
"""A chain of evidence holds as it was signed; whatever is changed, exchanged or removed breaks the link that it is."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from containers.evidence import envelope
from pipelines.client import provenance
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.deployments import Approval, Verdict
from pipelines.client.links import Link, Recorded, examine
from pipelines.client.provenance import Chain
from tests.pipelines.registered import APPROVED_AT, chain_of, sign, verify

DOCUMENTS = {
    "s3://data/executions/e/metadata/dataset.json": b"{}",
    "s3://data/executions/e/evaluation/evaluation.json": b'{"gate": {}}',
    "s3://data/defaults/gate-policy/f/gate_policy.yaml": b"schema_version: 2",
    "s3://data/models/job/output/model.tar.gz": b"an archive",
}
DEPLOYED = f"deployment-{APPROVED_AT + 60_000}.json"
APPROVED = f"approval-{APPROVED_AT}.json"


def recorded(made: dict[str, bytes]) -> Recorded:
    """What the deployer recorded of these statements."""

    def sha256(name: str) -> str:
        return hashlib.sha256(next(body for uri, body in DOCUMENTS.items() if uri.endswith(name))).hexdigest()

    verdict = Verdict(
        version=3,
        statement_sha256=envelope.digest(made["verdict.json"]),
        model_sha256=sha256("model.tar.gz"),
        evaluation_sha256=sha256("evaluation.json"),
    )
    approval = Approval(
        version=3,
        approval_statement=envelope.digest(made[APPROVED]),
        deployment_statement=envelope.digest(made[DEPLOYED]),
    )
    return Recorded(verdict, approval)


def examined(made: dict[str, bytes], known: Recorded) -> dict[str, Link]:
    """The first link of each kind."""
    envelopes = [(name.split(".")[0].split("-")[0], f"s3://data/{name}", body) for name, body in made.items()]
    links: dict[str, Link] = {}
    for link in examine(envelopes, verify, known):
        links.setdefault(link.kind, link)
    return links


@pytest.fixture
def made() -> dict[str, bytes]:
    return chain_of(DOCUMENTS)


def test_chain_as_it_was_signed_holds(made: dict[str, bytes]) -> None:
    links = examined(made, recorded(made))
    assert list(links) == ["dataset", "provenance", "verdict", "approval", "deployment"]
    assert all(link.holds and not link.faults for link in links.values())
    assert links["verdict"].previous == links["provenance"].digest
    assert links["deployment"].subject["uri"] == "s3://data/released/a/model.tar.gz"


def test_changed_statement_is_told_by_its_signature_and_by_what_follows_it(made: dict[str, bytes]) -> None:
    read = json.loads(made["provenance.json"])
    payload = base64.b64decode(read["payload"]).replace(b"bikes at night", b"bikes at noon!")
    changed = json.dumps(read | {"payload": base64.b64encode(payload).decode()}).encode()
    links = examined(made | {"provenance.json": changed}, recorded(made))
    assert not links["provenance"].signed
    assert "changed, or forged" in links["provenance"].faults[0]
    assert links["verdict"].signed and not links["verdict"].linked
    assert "a provenance before it that is not there" in links["verdict"].faults[0]
    assert links["approval"].holds


def test_verdict_signed_anew_is_not_the_recorded_one(made: dict[str, bytes]) -> None:
    known = recorded(made)
    statement = envelope.read(made["verdict.json"])
    statement["predicate"]["mapgate_evaluation"]["digest"]["sha256"] = "0" * 64
    made["verdict.json"] = envelope.seal(statement, sign, "the very key")
    faults = " ".join(examined(made, known)["verdict"].faults)
    assert "the deployer's record names another verdict" in faults
    assert "the deployer's record names another evaluation" in faults


def test_statement_about_another_artifact_does_not_hold(made: dict[str, bytes]) -> None:
    statement = envelope.read(made[DEPLOYED])
    statement["subject"][0]["digest"]["sha256"] = "0" * 64
    made[DEPLOYED] = envelope.seal(statement, sign, "a key")
    (fault,) = examined(made, recorded(made))["deployment"].faults
    assert fault.startswith(f"it is about another artifact, of sha256 {'0' * 64}")


@pytest.mark.parametrize(
    ("name", "place", "told"),
    [
        ("provenance.json", ("buildDefinition", "resolvedDependencies", 0, "digest", "sha256"), "document of the data"),
        ("verdict.json", ("mapgate_datasetSha256",), "content of the data set"),
        ("verdict.json", ("mapgate_execution",), "execution"),
        (DEPLOYED, ("image", "digest", "sha256"), "image"),
    ],
)
def test_statement_that_names_another_thing_than_the_one_before_does_not_hold(
    made: dict[str, bytes], name: str, place: tuple[str | int, ...], told: str
) -> None:
    statement = envelope.read(made[name])
    *path, last = place
    part: Any = statement["predicate"]
    for step in path:
        part = part[step]
    part[last] = "another"
    made[name] = envelope.seal(statement, sign, "a key")
    link = examined(made, recorded(made))[name.split(".")[0].split("-")[0]]
    assert link.signed and not link.linked
    assert any(fault.startswith(f"it names the {told}") and "another" in fault for fault in link.faults)


def test_verdict_of_a_failed_gate_does_not_hold(made: dict[str, bytes]) -> None:
    statement = envelope.read(made["verdict.json"])
    statement["predicate"]["verificationResult"] = "FAILED"
    made["verdict.json"] = envelope.seal(statement, sign, "a key")
    assert "its gate did not pass" in examined(made, recorded(made))["verdict"].faults


@pytest.mark.parametrize("name", ["dataset.json", "provenance.json", "verdict.json", APPROVED, DEPLOYED])
def test_removed_statement_is_missed(made: dict[str, bytes], name: str) -> None:
    known = recorded(made)
    del made[name]
    link = examined(made, known)[name.split(".")[0].split("-")[0]]
    assert not link.holds
    assert link.faults[0].startswith("it is missing")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"payload": "!", "payloadType": "x"}'])
def test_what_is_no_envelope_is_told(made: dict[str, bytes], body: bytes) -> None:
    link = examined(made | {APPROVED: body}, recorded(made))["approval"]
    assert not link.holds
    assert "it is no DSSE envelope" in link.faults[0]


def test_signature_that_cannot_be_verified_does_not_hold(made: dict[str, bytes]) -> None:
    with mock_aws():
        chain = stored(made, recorded(made))
    assert not chain.holds
    assert "publishes no signing key" in chain.links[0].faults[0]


def stored(
    made: dict[str, bytes], known: Recorded, *, with_artifact: bool = False, edited: dict[str, bytes] | None = None
) -> Chain:
    """The chain of what lies in a bucket."""
    connection = Connection(region="us-east-1")
    s3 = connection.client("s3")
    s3.create_bucket(Bucket="data")
    for uri, body in (DOCUMENTS | {"s3://data/released/a/model.tar.gz": b"an archive"} | (edited or {})).items():
        s3.put_object(Bucket="data", Key=uri.removeprefix("s3://data/"), Body=body)
    for name, body in made.items():
        s3.put_object(Bucket="data", Key=f"evidence/v000003/{name}", Body=body)
    s3.put_object(Bucket="data", Key="evidence/v000003/report.html", Body=b"<html>")
    deployment = Deployment("data", "p", "mapgate-dev", "mapgate-dev", "t", "i")
    return provenance.chain(connection, deployment, 3, known, with_artifact=with_artifact)


def test_documents_that_a_chain_names_are_held_against_it(
    made: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "_verifier", lambda *_: verify)
    with mock_aws():
        chain = stored(made, recorded(made), with_artifact=True)
    assert chain.holds
    assert [link.kind for link in chain.links] == ["dataset", "provenance", "verdict", "approval", "deployment"]

    with mock_aws():
        edited = {"s3://data/executions/e/evaluation/evaluation.json": b'{"gate": {"passed": true}}'}
        chain = stored(made, recorded(made), edited=edited)
    (broken,) = [link for link in chain.links if not link.holds]
    assert broken.kind == "verdict"
    assert "evaluation.json is not what was signed" in broken.faults[0]

    with mock_aws():
        edited = {"s3://data/released/a/model.tar.gz": b"another"}
        chain = stored(made, recorded(made), with_artifact=True, edited=edited)
    assert [link.kind for link in chain.links if not link.holds] == ["deployment"]
    with mock_aws():
        chain = stored(made, recorded(made), edited=edited)  # an archive is read only where that is asked for
    assert chain.holds


def test_document_that_may_not_be_read_breaks_nothing_and_is_told(
    made: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    differs = provenance.Store.differs

    def refused(store: provenance.Store, uri: str, sha256: str) -> str | None:
        if "gate-policy" in uri:
            raise PermissionError(f"{uri} cannot be read: Access Denied")
        return differs(store, uri, sha256)

    monkeypatch.setattr(provenance, "_verifier", lambda *_: verify)
    monkeypatch.setattr(provenance.Store, "differs", refused)
    with mock_aws():
        chain = stored(made, recorded(made))
    assert chain.holds
    (told,) = [link.unchecked for link in chain.links if link.unchecked]
    assert told == ["s3://data/defaults/gate-policy/f/gate_policy.yaml cannot be read: Access Denied"]


def test_version_of_before_has_nothing_to_prove_it() -> None:
    with mock_aws():
        chain = stored({}, Recorded())
    assert not chain.holds
    assert chain.notes == ["Version 3 was registered before verdicts were signed: nothing can be proven of it."]


def test_later_decisions_follow_by_their_time(made: dict[str, bytes]) -> None:
    """Approved, deployed, approved once more: each follows what stood there before."""
    statement = envelope.read(made[APPROVED])
    statement["predicate"] |= {"reason": "again", "mapgate_previous": {"sha256": envelope.digest(made[APPROVED])}}
    again = envelope.seal(statement, sign, "a key")
    known = recorded(made)
    approval = replace(known.approval or Approval(version=3), approval_statement=envelope.digest(again))
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "_verifier", lambda *_: verify)
        chain = stored(made | {f"approval-{APPROVED_AT + 90_000}.json": again}, Recorded(known.verdict, approval))
    assert chain.holds, [link.faults for link in chain.links]
    assert [link.kind for link in chain.links][-3:] == ["approval", "deployment", "approval"]
