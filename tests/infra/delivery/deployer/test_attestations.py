# SPDX-License-Identifier: Apache-2.0
"""Approval and deployment are signed, follow the verdict by digest, and stand in the version's report."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from containers.evidence import statements
from containers.evidence.envelope import digest, open_envelope
from containers.evidence.signing import verifier
from tests.infra.delivery.deployer.conftest import APPROVER, BUCKET


def written(world: Any, kind: str, version: int = 1) -> list[bytes]:
    """The envelopes of a kind, in the order of their names."""
    prefix = f"evidence/v{version:06d}/{kind}-"
    listed = world.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [world.get(f"s3://{BUCKET}/{each['Key']}") for each in listed]


def opened(world: Any, envelope: bytes) -> dict[str, Any]:
    return open_envelope(envelope, verifier(world.kms, world.settings.signing_key_arn))


def test_chain_goes_on_from_the_verdict_to_what_serves(world: Any) -> None:
    version = world.register()
    world.approve(version, why="looked at every miss")
    world.settle()
    (approval,), (deployment,) = written(world, "approval"), written(world, "deployment")
    said, done = opened(world, approval), opened(world, deployment)
    assert statements.previous_of(said) == world.record("verdict#000001")["StatementSha256"]
    assert statements.previous_of(done) == digest(approval)
    assert (said["predicate"]["approvedBy"], said["predicate"]["reason"]) == (APPROVER, "looked at every miss")
    assert (said["predicate"]["override"], said["predicate"]["status"]) == (False, "Approved")
    assert done["predicate"]["endpointConfig"] == world.named(1)
    assert done["subject"][0]["uri"] == world.released(version)
    record = world.record("version#000001")
    assert (record["ApprovalStatement"], record["DeploymentStatement"]) == (digest(approval), digest(deployment))
    page = world.get(f"s3://{BUCKET}/evidence/v000001/report.html").decode()
    assert f"Approved by {APPROVER} at 2026-09-21T" in page
    assert "looked at every miss</dd>" in page
    assert "Serves production since 2026-09-21T" in page


def test_each_approval_and_each_deployment_is_a_statement_of_its_own(world: Any) -> None:
    first, second = world.register(), world.register()
    for version in (first, second, first):
        world.approve(version)
        world.settle()
    assert [len(written(world, kind, 1)) for kind in ("approval", "deployment")] == [2, 2]
    assert [len(written(world, kind, 2)) for kind in ("approval", "deployment")] == [1, 1]
    assert statements.previous_of(opened(world, written(world, "deployment")[1])) == digest(
        written(world, "approval")[1]
    )


def test_reason_that_somebody_writes_stays_text(world: Any) -> None:
    world.approve(world.register(), why="<script>alert(1)</script>")
    world.settle()
    assert b"<script>" not in world.get(f"s3://{BUCKET}/evidence/v000001/report.html")


def test_key_that_cannot_be_used_holds_no_deployment_up(world: Any) -> None:
    world.approve(world.register(), why="")

    def refuse(operation: str) -> None:
        if operation == "sign":
            raise ClientError({"Error": {"Code": "DisabledException", "Message": "no"}}, "Sign")

    world.sagemaker.before_call = refuse
    with pytest.raises(ClientError, match="Disabled"):
        world.handle(world.sagemaker.events[-1])
    world.sagemaker.before_call = print
    assert world.sagemaker.endpoints["mapgate-dev"].config == world.named(1)
    assert written(world, "approval") == []
    world.settle()
    assert [len(written(world, kind)) for kind in ("approval", "deployment")] == [1, 1]


@pytest.mark.parametrize("calls", range(24))
def test_function_that_dies_anywhere_leaves_one_chain(world: Any, calls: int) -> None:
    world.approve(world.register(), why="")
    world.handle(world.sagemaker.events[-1])
    world.sagemaker.progress("mapgate-dev")
    left = calls

    def die(operation: str) -> None:  # noqa: ARG001
        nonlocal left
        left -= 1
        if left == -1:
            raise RuntimeError("the function timed out")

    world.sagemaker.before_call = die
    with contextlib.suppress(RuntimeError):
        world.handle(world.sagemaker.events[-1])
    world.sagemaker.before_call = print
    world.settle()
    world.look()
    world.settle()
    (approval,), (deployment,) = written(world, "approval"), written(world, "deployment")
    assert statements.previous_of(opened(world, deployment)) == digest(approval)
    record = world.record("version#000001")
    assert (record["ApprovalStatement"], record["DeploymentStatement"]) == (digest(approval), digest(deployment))
    assert record["ServedAt"] == record["StatedAt"]
    assert (world.champion(), [each["Kind"] for each in world.history()]) == (1, ["approved", "serves"])
    assert len(world.topic.sent) <= 3


def test_version_without_a_verdict_is_deployed_unsigned(world: Any) -> None:
    version = world.register()
    world.approve(version)
    world.settle()
    world.forget_verdict(version)
    for envelope in ("approval", "deployment"):
        assert len(written(world, envelope)) == 1
    world.approve(world.register())
    world.settle()
    world.approve(version)
    world.settle()
    assert (world.champion(), world.record("version#000001")["ApprovalStatement"]) == (1, "none")
    assert len(written(world, "approval")) == 1
