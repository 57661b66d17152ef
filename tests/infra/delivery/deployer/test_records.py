# SPDX-License-Identifier: Apache-2.0
"""The records remember, and refuse what was written over a reading that is no longer true."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from infra.delivery.deployer.deployments.approval import Approval
from infra.delivery.deployer.deployments.errors import ConflictError
from infra.delivery.deployer.deployments.records import Candidate, Champion, Production, Records

NAME = "mapgate-dev"
APPROVAL = Approval(version=3, arn="arn/3", approved_at=1790000000123, announced=True)
FAILED = replace(APPROVAL, outcome="failed", sentence="it broke", approved_by="kim", reason="why").with_notice(
    "refused", "v3 was refused", "it broke", "mapgate models show 3", 5
)
CHAMPION = Champion(version=2, arn="arn/2", model_uri="s3://data/m", runtime="openvino", precision="f32")


def test_nothing_is_known_of_an_endpoint_that_was_never_written(world: Any) -> None:
    records = Records(world.table)
    assert records.production(NAME) == Production()
    assert records.candidate(NAME) is None


def test_what_is_written_is_read_again(world: Any) -> None:
    records = Records(world.table)
    read = records.production(NAME)
    read.champion, read.attempt = CHAMPION, 4
    records.save_endpoint(NAME, read)
    records.save_approval(NAME, read, FAILED)
    again = records.production(NAME)
    assert (again.champion, again.attempt, again.retired) == (CHAMPION, 4, False)
    assert again.approvals == {3: FAILED}
    assert again.revisions == read.revisions == {"endpoint": 1, "version#000003": 1}


def test_write_over_a_stale_reading_is_refused(world: Any) -> None:
    records = Records(world.table)
    first, second = records.production(NAME), records.production(NAME)
    records.save_endpoint(NAME, first)
    with pytest.raises(ConflictError, match="mapgate-dev/endpoint was changed by another event"):
        records.save_endpoint(NAME, second)
    records.save_approval(NAME, first, APPROVAL)
    with pytest.raises(ConflictError):
        records.save_approval(NAME, second, APPROVAL)
    third = records.production(NAME)
    records.save_endpoint(NAME, third)
    with pytest.raises(ConflictError):
        records.save_endpoint(NAME, first)


def test_candidate_is_read_as_written_and_guarded_too(world: Any) -> None:
    records = Records(world.table)
    candidate = Candidate(
        endpoint_name="c",
        token="0123456789",  # noqa: S106
        execution_arn="e",
        package_arn="p/1",
        evaluation_uri="s3://data/e",
    )
    records.save_candidate(candidate)
    assert records.candidate("c") == candidate
    with pytest.raises(ConflictError):
        records.save_candidate(replace(candidate, revision=0))


def test_long_partition_is_read_to_its_end(world: Any) -> None:
    records = Records(world.table)
    read = records.production(NAME)
    for version in range(1, 13):
        records.save_approval(NAME, read, replace(APPROVAL, version=version, sentence="x" * 120_000))
    assert len(records.production(NAME).approvals) == 12


def test_record_of_an_older_deployer_says_what_may_have_served(world: Any) -> None:
    """It knew no more than whether an approval stood, how it ended, and one subject that nobody was told yet."""
    records = Records(world.table)
    older: dict[str, Any] = {
        "EndpointName": NAME,
        "ApprovedAt": 5,
        "Announced": True,
        "Sentence": "it broke",
        "Revision": 1,
    }
    written: list[dict[str, Any]] = [
        {"Standing": True, "Outcome": None, "Untold": ""},
        {"Standing": True, "Outcome": "failed", "Untold": "v2 was not deployed"},
        {"Standing": False, "Outcome": None, "Untold": ""},
        {"Standing": False, "Outcome": None},
    ]
    for version, more in enumerate(written, start=1):
        named = {"Record": f"version#{version:06d}", "Version": version, "ModelPackageArn": f"a/{version}"}
        world.table.put_item(Item=older | more | named)
    champion = {"Version": 4, "ModelPackageArn": "a/4", "ModelUri": "s3://m", "Runtime": "r", "Precision": "p"}
    world.table.put_item(Item={"EndpointName": NAME, "Record": "endpoint", "Revision": 1, "Champion": champion})
    read = records.production(NAME)
    assert {version: bool(each.served_at) for version, each in read.approvals.items()} == {
        1: True, 2: False, 3: False, 4: True,
    }  # fmt: skip
    (notice,) = read.approvals[2].untold
    assert (notice.subject, notice.sentence) == ("v2 was not deployed", "it broke")
    records.save_approval(NAME, read, read.approvals[1])
    assert records.production(NAME).approvals[1] == read.approvals[1]


def test_verdicts_and_history_are_no_approvals(world: Any) -> None:
    world.register()
    item = {"EndpointName": NAME, "Record": "event#0000000000001#1", "Version": 1, "Revision": 1}
    world.table.put_item(Item=item)
    assert Records(world.table).production(NAME).approvals == {}
