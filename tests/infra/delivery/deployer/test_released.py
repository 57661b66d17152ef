# SPDX-License-Identifier: Apache-2.0
"""What passed is copied once, as it was judged, and served from there."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from infra.delivery.deployer.deployments import released
from infra.delivery.deployer.deployments.errors import ConflictError, RefusedError
from infra.delivery.deployer.deployments.released import release
from tests.infra.delivery.deployer.conftest import BUCKET

BODY = b"judged"
DIGEST = hashlib.sha256(BODY).hexdigest()
SOURCE = (BUCKET, "models/job/output/model.tar.gz")
COPY = f"released/{DIGEST}/model.tar.gz"


def made(world: Any) -> str:
    return release(world.clients.s3, BUCKET, source=SOURCE, sha256=DIGEST, version=1)


def body(world: Any, key: str = COPY) -> bytes:
    return bytes(world.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def count(world: Any) -> dict[str, int]:
    """Count the calls of S3 from now on."""
    calls: dict[str, int] = {}

    def before(operation: str) -> None:
        calls[operation] = calls.get(operation, 0) + 1

    world.sagemaker.before_call = before
    return calls


def test_artifact_is_copied_once_and_read_again_each_time(world: Any) -> None:
    world.s3.put_object(Bucket=BUCKET, Key=SOURCE[1], Body=BODY)
    calls = count(world)
    assert made(world) == f"s3://{BUCKET}/{COPY}"
    assert calls == {"get_object": 3, "copy_object": 1}
    assert (made(world), body(world)) == (f"s3://{BUCKET}/{COPY}", BODY)
    assert calls == {"get_object": 4, "copy_object": 1}


def test_artifact_that_was_replaced_after_its_release_serves_as_it_was(world: Any) -> None:
    version = world.register()
    world.approve(version)
    world.settle()
    world.put(version.model_uri, b"another")
    world.change(instance_count=2)
    world.settle()
    model = world.sagemaker.models[world.serving()]["PrimaryContainer"]
    assert (world.serving(), model["ModelDataUrl"]) == (world.named(1), world.released(version))
    assert world.get(world.released(version)) == b"model 1"


@pytest.mark.parametrize("operation", ["copy_object", "create_multipart_upload"])
def test_artifact_that_is_replaced_between_reading_and_copying_is_copied_as_it_was_read(
    world: Any, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if operation == "create_multipart_upload":
        monkeypatch.setattr(released, "LARGEST_COPY_BYTES", 1)
    world.s3.put_object(Bucket=BUCKET, Key=SOURCE[1], Body=BODY)

    def replace(called: str) -> None:
        if called == operation:
            world.s3.put_object(Bucket=BUCKET, Key=SOURCE[1], Body=b"another")

    world.sagemaker.before_call = replace
    made(world)
    assert body(world) == BODY


def test_copy_that_another_event_made_meanwhile_is_left_alone(world: Any) -> None:
    world.s3.put_object(Bucket=BUCKET, Key=SOURCE[1], Body=BODY)

    def overtake(called: str) -> None:
        if called == "copy_object":
            world.s3.put_object(Bucket=BUCKET, Key=COPY, Body=BODY)

    world.sagemaker.before_call = overtake
    with pytest.raises(ConflictError, match="is being written by another event"):
        made(world)
    world.sagemaker.before_call = print
    assert made(world).endswith(COPY)
    assert len(world.s3.list_object_versions(Bucket=BUCKET, Prefix="released/")["Versions"]) == 1


def test_copy_that_holds_something_else_is_refused_and_never_written_over(world: Any) -> None:
    version = world.register()
    world.put(world.released(version), b"slipped in")
    world.approve(version)
    world.settle()
    assert world.sagemaker.models == {}
    assert "although its name says what it must hold" in world.topic.faults[0]["Message"]
    assert world.get(world.released(version)) == b"slipped in"


def test_copy_says_what_it_holds_where_it_is_not_what_its_name_says(world: Any) -> None:
    world.s3.put_object(Bucket=BUCKET, Key=COPY, Body=b"slipped in")
    with pytest.raises(RefusedError) as refused:
        made(world)
    held = hashlib.sha256(b"slipped in").hexdigest()[:12]
    assert str(refused.value).startswith(f"v1: s3://{BUCKET}/{COPY} holds {held}..., although its name says what it")


def test_copy_that_is_taken_away_at_once_is_no_artifact(world: Any) -> None:
    world.s3.put_object(Bucket=BUCKET, Key=SOURCE[1], Body=BODY)
    reads = []

    def take_away(called: str) -> None:
        if called == "get_object":
            reads.append(called)
        if len(reads) == 3:
            world.s3.delete_object(Bucket=BUCKET, Key=COPY)

    world.sagemaker.before_call = take_away
    with pytest.raises(RefusedError, match=f"v1: s3://{BUCKET}/{COPY} is gone, although its name says"):
        made(world)


def test_what_was_judged_is_served_although_its_source_is_gone(world: Any) -> None:
    world.s3.put_object(Bucket=BUCKET, Key=COPY, Body=BODY)
    assert made(world).endswith(COPY)


def test_source_that_is_not_what_was_judged_is_not_copied(world: Any) -> None:
    world.s3.put_object(Bucket=BUCKET, Key=SOURCE[1], Body=b"another")
    with pytest.raises(RefusedError) as refused:
        made(world)
    found = hashlib.sha256(b"another").hexdigest()[:12]
    assert str(refused.value) == (
        f"v1: s3://{BUCKET}/{SOURCE[1]} is not the artifact that was evaluated (its sha256 begins with {found}, the "
        f"evaluated one's with {DIGEST[:12]}); run the pipeline again"
    )
    assert "Contents" not in world.s3.list_objects_v2(Bucket=BUCKET, Prefix="released/")


def test_artifact_that_is_too_large_for_one_copy_goes_in_parts(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 takes parts of at least 5 MiB, except the last."""
    large = bytes(11 * 1024**2 + 3)
    digest = hashlib.sha256(large).hexdigest()
    monkeypatch.setattr(released, "LARGEST_COPY_BYTES", 1024**2)
    monkeypatch.setattr(released, "PART_BYTES", 5 * 1024**2)
    world.s3.put_object(Bucket=BUCKET, Key=SOURCE[1], Body=large)
    calls = count(world)
    release(world.clients.s3, BUCKET, source=SOURCE, sha256=digest, version=1)
    assert body(world, f"released/{digest}/model.tar.gz") == large
    assert calls["upload_part_copy"] == 3


def test_one_call_copies_as_much_as_s3_lets_it(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are of 5 MiB to 5 GiB: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html."""
    assert released.LARGEST_COPY_BYTES <= 5 * 2**30
    assert 5 * 2**20 <= released.PART_BYTES <= 5 * 2**30
    monkeypatch.setattr(released, "LARGEST_COPY_BYTES", len(BODY))
    world.s3.put_object(Bucket=BUCKET, Key=SOURCE[1], Body=BODY)
    calls = count(world)
    made(world)
    assert calls["copy_object"] == 1
