# SPDX-License-Identifier: Apache-2.0
"""The records remember, and refuse what was written over a reading that is no longer true."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from infra.delivery.deployer.deployments.errors import ConflictError
from infra.delivery.deployer.deployments.reconcile import Approval
from infra.delivery.deployer.deployments.records import Candidate, Champion, Production, Records

NAME = "mapgate-dev"
APPROVAL = Approval(version=3, arn="arn/3", approved_at=1790000000123, announced=True)
CHAMPION = Champion(version=3, arn="arn/3", model_uri="s3://data/m", runtime="openvino", precision="f32")


def test_nothing_is_known_of_an_endpoint_that_was_never_written(world: Any) -> None:
    records = Records(world.table)
    assert records.production(NAME) == Production()
    assert records.candidate(NAME) is None


def test_what_is_written_is_read_again(world: Any) -> None:
    records = Records(world.table)
    read = records.production(NAME)
    read.champion, read.attempt = CHAMPION, 4
    records.save_endpoint(NAME, read)
    records.save_approval(NAME, read, replace(APPROVAL, outcome="failed", sentence="it broke"))
    again = records.production(NAME)
    assert (again.champion, again.attempt, again.retired) == (CHAMPION, 4, False)
    assert again.approvals == {3: replace(APPROVAL, outcome="failed", sentence="it broke")}
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
