# SPDX-License-Identifier: Apache-2.0
"""Who decided what on a version, when and why, is read at the event and kept where nobody can edit it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.delivery.deployer.conftest import APPROVER

OTHER = "arn:aws:sts::123456789012:assumed-role/approvers/lee"


def sentences(world: Any) -> list[tuple[str, str]]:
    return [(each["Kind"], each["Sentence"]) for each in world.history()]


def test_approval_is_recorded_with_who_when_and_why(world: Any) -> None:
    version = world.register()
    world.approve(version, why="looked at every miss")
    world.settle()
    record = world.record("version#000001")
    assert (record["ApprovedBy"], record["Reason"], record["Override"]) == (APPROVER, "looked at every miss", False)
    assert record["ApprovedAt"] == round(version.modified * 1000)
    assert sentences(world)[0] == ("approved", f"v1 was approved by {APPROVER}: looked at every miss")


def test_who_edits_the_version_later_did_not_approve_it(world: Any) -> None:
    version = world.register()
    world.approve(version, why="looked at every miss")
    world.settle()
    version.modified_by = OTHER
    world.sagemaker.annotate(1)
    world.look()
    world.settle()
    assert world.record("version#000001")["ApprovedBy"] == APPROVER
    assert len(world.history()) == 2


def test_cloud_that_does_not_say_who_is_told_as_that(world: Any) -> None:
    version = world.register()
    world.sagemaker.review(1, "Approved", by="")
    world.settle()
    assert world.record("version#000001")["ApprovedBy"] == "unknown"
    assert sentences(world)[0] == ("approved", "v1 was approved by unknown; no reason was given")
    assert version.approval == "Approved"


def test_rejected_version_that_is_approved_later_is_told(world: Any) -> None:
    world.register()
    world.sagemaker.review(1, "Rejected", "too many false alarms", by=OTHER)
    world.settle()
    assert world.sagemaker.endpoints == {}
    world.sagemaker.review(1, "Approved", "they are duplicates in the test set")
    world.settle()
    assert sentences(world)[:2] == [
        ("rejected", f"v1 was rejected by {OTHER}: too many false alarms"),
        (
            "approved",
            f"v1 was approved by {APPROVER}: they are duplicates in the test set; it had been rejected by {OTHER}",
        ),
    ]


@pytest.mark.parametrize(("status", "kind"), [("Rejected", "rejected"), ("PendingManualApproval", "rejected")])
def test_withdrawal_is_told_once(world: Any, status: str, kind: str) -> None:
    for _ in range(2):
        world.approve(world.register())
        world.settle()
    world.sagemaker.review(2, status, by=OTHER)
    world.sagemaker.events.append(world.sagemaker.events[-1])
    world.settle()
    told = [(each, sentence) for each, sentence in sentences(world) if OTHER in sentence]
    assert [each for each, _ in told] == [kind]
    assert world.champion() == 1


def test_version_that_was_deleted_is_told(world: Any) -> None:
    for _ in range(2):
        world.approve(world.register())
        world.settle()
    del world.sagemaker.packages[2]
    world.look()
    world.settle()
    assert ("rejected", "v2's approval was withdrawn: it was deleted from the registry") in sentences(world)
    assert world.champion() == 1
