# SPDX-License-Identifier: Apache-2.0
"""Statements that were changed, exchanged, taken away or signed by somebody else are no evidence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from containers.evidence.envelope import digest, read
from infra.delivery.deployer.deployments.chain import verify_chain
from infra.delivery.deployer.deployments.errors import RefusedError
from infra.delivery.deployer.deployments.verdict_record import VerdictRecord
from tests.infra.delivery.deployer.conftest import BUCKET, refusal

FOLDER = f"s3://{BUCKET}/evidence/v000001"


def verify(world: Any) -> None:
    record = world.context().records.verdict("mapgate-dev", 1)
    verify_chain(world.s3, world.kms, bucket=BUCKET, key_arn=world.settings.signing_key_arn, record=record)


def record(world: Any, **changes: Any) -> None:
    world.table.put_item(Item=world.record("verdict#000001") | changes)


def test_chain_that_nobody_touched_holds(world: Any) -> None:
    world.register()
    verify(world)


@pytest.mark.parametrize("name", ["verdict", "provenance", "dataset"])
def test_changed_statement_is_refused(world: Any, name: str) -> None:
    version = world.register()
    envelope = json.loads(world.get(f"{FOLDER}/{name}.json"))
    world.put(f"{FOLDER}/{name}.json", json.dumps(envelope).encode())
    world.approve(version)
    world.settle()
    assert world.sagemaker.models == {}
    assert f"{name}.json was changed (its sha256 begins with" in world.topic.faults[0]["Message"]


def test_changed_statement_is_told_by_the_beginnings_of_both_digests(world: Any) -> None:
    world.register()
    before = digest(world.get(f"{FOLDER}/provenance.json"))
    changed = json.dumps(json.loads(world.get(f"{FOLDER}/provenance.json"))).encode()
    world.put(f"{FOLDER}/provenance.json", changed)
    with pytest.raises(RefusedError) as refused:
        verify(world)
    assert str(refused.value) == (
        f"v1: {FOLDER}/provenance.json was changed (its sha256 begins with {digest(changed)[:12]}, {before[:12]} was "
        "recorded); run the pipeline again and approve the new version"
    )


@pytest.mark.parametrize("name", ["verdict", "provenance", "dataset"])
def test_statement_that_is_gone_is_refused(world: Any, name: str) -> None:
    world.register()
    world.remove(f"{FOLDER}/{name}.json")
    with pytest.raises(RefusedError, match=rf"{name}\.json is gone"):
        verify(world)


def test_statement_that_may_not_be_read_is_not_taken_for_gone(world: Any) -> None:
    world.register()

    def forbid(called: str) -> None:
        if called == "get_object":
            raise refusal("GetObject", "no", "AccessDenied")

    world.sagemaker.before_call = forbid
    record = world.context().records.verdict("mapgate-dev", 1)
    with pytest.raises(ClientError, match="AccessDenied"):
        verify_chain(world.clients.s3, world.kms, bucket=BUCKET, key_arn="key", record=record)


def test_statement_of_another_kind_is_refused_although_it_is_signed(world: Any) -> None:
    world.register()
    said = read(world.get(f"{FOLDER}/provenance.json"))
    record(world, StatementSha256=world.publisher.put(1, "verdict", said, again=True))
    with pytest.raises(
        RefusedError, match=r"verdict\.json is a statement of another kind, https://slsa.dev/provenance"
    ):
        verify(world)


def test_verdict_that_did_not_pass_is_refused(world: Any) -> None:
    world.register(passed=False)
    with pytest.raises(RefusedError, match="the signed statements name the result FAILED, and PASSED was recorded"):
        verify(world)


@pytest.mark.parametrize("image", [None, {}, {"digest": None}, {"digest": {}}])
def test_verdict_that_names_no_image_is_refused(world: Any, image: Any) -> None:
    world.register()
    verdict = read(world.get(f"{FOLDER}/verdict.json"))
    verdict["predicate"]["mapgate_image"] = image
    record(world, StatementSha256=world.publisher.put(1, "verdict", verdict, again=True))
    with pytest.raises(RefusedError, match=r"the signed statements name the image , and [0-9a-f]{64} was recorded"):
        verify(world)


@pytest.mark.parametrize("place", [0, 1], ids=["first", "too"])
@pytest.mark.parametrize("name", ["verdict", "provenance"])
def test_statement_that_is_about_another_artifact_is_refused(world: Any, name: str, place: int) -> None:
    world.register()
    statement = read(world.get(f"{FOLDER}/{name}.json"))
    statement["subject"].insert(place, {"name": "own.tar.gz", "digest": {"sha256": "0" * 64}})
    signed = world.publisher.put(1, name, statement, again=True)
    if name == "provenance":
        verdict = read(world.get(f"{FOLDER}/verdict.json"))
        verdict["predicate"]["mapgate_previous"] = {"sha256": signed}
        signed = world.publisher.put(1, "verdict", verdict, again=True)
    record(world, StatementSha256=signed)
    with pytest.raises(RefusedError, match="the signed statements name the artifact"):
        verify(world)


def test_statement_that_was_signed_by_another_key_is_refused(world: Any) -> None:
    world.register()
    said = read(world.get(f"{FOLDER}/verdict.json"))
    record(world, StatementSha256=world.publisher.put(1, "verdict", said, key_arn=world.make_key()))
    with pytest.raises(RefusedError, match="the signature is not of this content by the environment's key"):
        verify(world)


def test_statement_with_another_ones_signature_is_refused(world: Any) -> None:
    world.register()
    forged = json.loads(world.get(f"{FOLDER}/verdict.json"))
    forged["signatures"] = json.loads(world.get(f"{FOLDER}/provenance.json"))["signatures"]
    body = json.dumps(forged).encode()
    world.put(f"{FOLDER}/verdict.json", body)
    record(world, StatementSha256=digest(body))
    with pytest.raises(RefusedError, match="the signature is not of this content"):
        verify(world)


def test_verdict_of_another_version_is_refused_although_it_is_signed(world: Any) -> None:
    for _ in range(2):
        world.register()
    for name in ("verdict", "provenance", "dataset"):
        world.put(f"{FOLDER}/{name}.json", world.get(f"s3://{BUCKET}/evidence/v000002/{name}.json"))
    record(world, StatementSha256=digest(world.get(f"{FOLDER}/verdict.json")))
    with pytest.raises(RefusedError, match="the signed statements name the artifact"):
        verify(world)


def test_chain_that_ends_too_early_or_too_late_is_refused(world: Any) -> None:
    world.register()
    opening = read(world.get(f"{FOLDER}/dataset.json"))
    opening["predicate"]["mapgate_previous"] = {"sha256": "0123456789abcdef" * 4}
    relinked(world, opening)
    with pytest.raises(RefusedError, match="its data set names a statement before it, 0123456789ab; run the pipeline"):
        verify(world)
    verdict = read(world.get(f"{FOLDER}/verdict.json"))
    verdict["predicate"]["mapgate_previous"] = None
    record(world, StatementSha256=world.publisher.put(1, "verdict", verdict, again=True))
    with pytest.raises(RefusedError, match=r"provenance\.json was changed"):
        verify(world)


def relinked(world: Any, opening: dict[str, Any]) -> None:
    """Sign a chain anew after another opening, as only who has the key can."""
    before = world.publisher.put(1, "dataset", opening, again=True)
    for name in ("provenance", "verdict"):
        statement = read(world.get(f"{FOLDER}/{name}.json"))
        statement["predicate"]["mapgate_previous"] = {"sha256": before}
        before = world.publisher.put(1, name, statement, again=True)
    record(world, StatementSha256=before)


@pytest.mark.parametrize(
    ("attribute", "value", "name"),
    [
        ("ModelSha256", "0" * 64, "artifact"),
        ("EvaluationSha256", "0" * 64, "evaluation"),
        ("ImageDigest", "sha256:" + "0" * 64, "image"),
        ("FloorPolicySha256", "0" * 64, "floor"),
        ("DatasetSha256", "0" * 64, "data set"),
        ("ChampionArn", "arn/of/another/1", "champion"),
        ("BestArn", "arn/of/another/1", "best version"),
        ("Runtime", "litert", "runtime"),
        ("Precision", "int8", "precision"),
        ("PipelineExecutionArn", "arn/of/another", "execution"),
        ("ModelPackageArn", "arn/of/another/1", "version"),
    ],
)
def test_record_that_says_more_than_was_signed_is_refused(world: Any, attribute: str, value: str, name: str) -> None:
    world.register()
    record(world, **{attribute: value})
    with pytest.raises(RefusedError, match=rf"the signed statements name the {name}"):
        verify(world)


def test_verdict_that_lies_elsewhere_is_refused(world: Any) -> None:
    world.register()
    record(world, StatementUri=f"s3://{BUCKET}/inputs/verdict.json")
    with pytest.raises(RefusedError, match="its verdict lies at s3://mapgate-dev-data/inputs/verdict"):
        verify(world)


def test_record_is_read_as_it_was_written(world: Any) -> None:
    world.register()
    item = world.record("verdict#000001")
    found = VerdictRecord.read(item)
    assert (found.version, found.mean_ap, found.waiver) == (1, 0.7, "")
    del item["ChampionArn"]
    with pytest.raises(KeyError, match="ChampionArn"):
        VerdictRecord.read(item)
