# SPDX-License-Identifier: Apache-2.0
"""The decisions, as a pure function."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.delivery.deployer.deployments.approval import Approval, Notice
from infra.delivery.deployer.deployments.reconcile import (
    Abandon,
    Action,
    AskAgain,
    Delete,
    Deploy,
    Described,
    Desired,
    Fail,
    Keep,
    Succeed,
    Try,
    choose,
    is_stale,
    observe,
    reconcile,
)

STATUSES = [
    None,
    "OutOfService",
    "Creating",
    "Updating",
    "SystemUpdating",
    "RollingBack",
    "InService",
    "Deleting",
    "Failed",
    "UpdateRollbackFailed",
]
versions = st.none() | st.integers(1, 3)
hashes = st.sampled_from([None, "a1b2c3", "d4e5f6"])
desires = st.builds(
    Desired,
    version=versions,
    attempt=versions,
    champion=versions,
    hosting=hashes,
    attempt_hosting=hashes,
    trial=st.sampled_from([None, "under way", "passed", "failed"]),
)
descriptions = st.builds(
    Described, status=st.sampled_from(STATUSES), version=versions, hosting=hashes, reason=st.just("")
)


def approval(version: int, at: int, **changes: object) -> Approval:
    return Approval(version=version, arn=f"arn/{version}", approved_at=at, announced=True, **changes)  # type: ignore[arg-type]


@given(desires, descriptions)
def test_busy_endpoint_is_left_alone(desired: Desired, described: Described) -> None:
    if described.status in {"OutOfService", "Creating", "Updating", "SystemUpdating", "RollingBack"}:
        assert reconcile(desired, described) == []


@given(desires, descriptions)
def test_only_a_failed_endpoint_is_deleted(desired: Desired, described: Described) -> None:
    deleted = any(isinstance(action, Delete) for action in reconcile(desired, described))
    assert deleted == (described.status == "Failed")


@given(desires, descriptions)
def test_nothing_but_the_desired_version_is_deployed(desired: Desired, described: Described) -> None:
    for action in reconcile(desired, described):
        if isinstance(action, Deploy):
            assert action.version == desired.version
            assert action.version != described.version or described.status is None or desired.trial == "passed"
            assert action.update == (described.status is not None)


@given(desires, descriptions)
def test_only_what_serves_is_tried_with_other_settings_and_none_of_it_fails(
    desired: Desired, described: Described
) -> None:
    for action in reconcile(desired, described):
        if isinstance(action, Try):
            assert (action.version, described.status) == (described.version, "InService")
            assert desired.hosting != described.hosting
        if isinstance(action, Keep):
            assert action.version == desired.attempt == described.version


@given(desires, descriptions)
def test_champion_is_what_is_in_service(desired: Desired, described: Described) -> None:
    for action in reconcile(desired, described):
        if isinstance(action, Succeed):
            assert described.status == "InService"
            assert action.version == described.version


@given(desires, descriptions)
def test_only_an_attempt_can_fail(desired: Desired, described: Described) -> None:
    for action in reconcile(desired, described):
        if isinstance(action, Fail):
            assert action.version == desired.attempt
            assert f"v{action.version}" in action.sentence


rolled_back = Fail(
    2,
    "v2 was rolled back by SageMaker, production serves what it served before; the endpoint's alarms and log tell why",
)


kept = Keep(2, "SageMaker rolled it back to the old settings: slow")
stuck = Keep(2, "the new settings could be neither rolled out nor rolled back: no reason given")
OTHER = Desired(version=2, champion=2, hosting="new")
TRYING = replace(OTHER, attempt=2, attempt_hosting="new")


@pytest.mark.parametrize(
    ("desired", "described", "actions"),
    [
        (Desired(version=None), Described(status=None), []),
        (Desired(version=2), Described(status=None), [Deploy(2, update=False)]),
        (Desired(version=2, champion=1), Described(status="InService", version=1), [Deploy(2, update=True)]),
        (Desired(version=2, attempt=2, champion=1), Described(status="InService", version=2), [Succeed(2)]),
        (Desired(version=2, attempt=2, champion=2), Described(status="InService", version=2), [Succeed(2)]),
        (Desired(version=2, champion=1), Described(status="InService", version=2), [Succeed(2)]),
        (Desired(version=2, champion=2), Described(status="InService", version=2), []),
        (Desired(version=None, champion=2), Described(status="InService", version=2), []),
        (Desired(version=3, attempt=2, champion=1), Described(status="InService", version=2), [Succeed(2)]),
        (Desired(version=2), Described(status="InService", version=None), [Deploy(2, update=True)]),
        (Desired(version=2, champion=2), Described(status="Failed", version=2), [Delete()]),
        (Desired(version=2, attempt=1), Described(status=None), [Abandon()]),
        (Desired(version=2), Described(status="Deleting"), [AskAgain()]),
        (Desired(version=None), Described(status="Deleting"), []),
        (Desired(version=3, champion=2), Described(status="UpdateRollbackFailed", version=2), [Deploy(3, update=True)]),
        (Desired(version=2, champion=2), Described(status="UpdateRollbackFailed", version=2), []),
        (Desired(version=None, champion=2), Described(status="UpdateRollbackFailed", version=2), []),
        (Desired(version=2, attempt=2), Described(status="InService", version=None), [rolled_back]),
        (OTHER, Described(status="InService", version=2, hosting="old"), [Try(2)]),
        (replace(OTHER, trial="under way"), Described(status="InService", version=2, hosting="old"), []),
        (replace(OTHER, trial="failed"), Described(status="InService", version=2, hosting="old"), []),
        (replace(OTHER, trial="passed"), Described(status="InService", version=2, hosting="old"), [Deploy(2, True)]),
        (replace(OTHER, trial="passed"), Described(status="InService", version=2, hosting="new"), []),
        (OTHER, Described(status="UpdateRollbackFailed", version=2, hosting="old"), [Try(2)]),
        (
            replace(OTHER, trial="passed"),
            Described(status="UpdateRollbackFailed", version=2, hosting="old"),
            [Deploy(2, update=True)],
        ),
        (replace(OTHER, trial="failed"), Described(status="UpdateRollbackFailed", version=2, hosting="old"), []),
        (OTHER, Described(status="InService", version=1, hosting="old"), [Succeed(1)]),
        (TRYING, Described(status="InService", version=2, hosting="new"), [Succeed(2)]),
        (TRYING, Described(status="InService", version=2, hosting="old", reason="slow"), [kept]),
        (TRYING, Described(status="UpdateRollbackFailed", version=2, hosting="old"), [stuck]),
    ],
)
def test_next_step(desired: Desired, described: Described, actions: list[Action]) -> None:
    assert reconcile(desired, described) == actions


@pytest.mark.parametrize(
    ("described", "sentence"),
    [
        (Described(status="Failed", reason="no image"), "v2 did not come up: no image"),
        (
            Described(status="Failed"),
            "v2 did not come up: SageMaker gave no reason; read the endpoint's log",
        ),
        (
            Described(status="UpdateRollbackFailed", version=1, reason="no host"),
            "v2 could be neither rolled out nor rolled back: no host",
        ),
        (
            Described(status="UpdateRollbackFailed", version=1),
            "v2 could be neither rolled out nor rolled back: no reason given",
        ),
        (
            Described(status="InService", version=1, reason="errors"),
            "v2 was rolled back by SageMaker, production serves v1: errors",
        ),
    ],
)
def test_failed_attempt_says_sagemakers_reason(described: Described, sentence: str) -> None:
    actions = reconcile(Desired(version=2, attempt=2, champion=1), described)
    assert actions[0] == Fail(2, sentence)
    assert actions[1:] == ([Delete()] if described.status == "Failed" else [])


def test_rolled_back_attempt_fails_with_what_serves() -> None:
    (action,) = reconcile(Desired(version=2, attempt=2, champion=1), Described(status="InService", version=1))
    assert action == Fail(
        2, "v2 was rolled back by SageMaker, production serves v1; the endpoint's alarms and log tell why"
    )


def test_newest_standing_approval_is_chosen() -> None:
    approvals = [
        approval(1, 30),
        approval(2, 40, standing=False),
        approval(3, 50, outcome="failed"),
        approval(4, 60, outcome="refused"),
        approval(5, 20),
    ]
    assert choose(approvals) == approvals[0]
    assert choose([]) is None
    assert choose([approval(1, 30), approval(2, 30)]) == approval(2, 30)


def test_order_and_repetition_of_announcements_do_not_matter() -> None:
    moments = [10_000, 20_000, 30_000]
    ends = set()
    for order in itertools.permutations([*moments, None, moments[1]]):
        known = None
        for announced in order:
            known = observe(known, version=1, arn="arn/1", approved=True, modified_at=90_000, announced_at=announced)
        assert known is not None
        ends.add((known.approved_at, known.announced, known.standing))
    assert ends == {(30_000, True, True)}


def test_failure_is_forgotten_only_by_a_new_approval() -> None:
    failed = approval(1, 10_000, outcome="failed", sentence="broke")

    def seen(announced_at: int | None, known: Approval = failed) -> Approval | None:
        return observe(known, version=1, arn="arn/1", approved=True, modified_at=99_000, announced_at=announced_at)

    assert seen(None) == seen(10_000) == seen(11_000) == seen(5_000) == failed
    assert seen(11_001) == approval(1, 11_001)


def test_time_of_the_package_gives_way_to_that_of_its_announcement() -> None:
    seen = observe(None, version=1, arn="arn/1", approved=True, modified_at=10_500, announced_at=None)
    assert seen == Approval(version=1, arn="arn/1", approved_at=10_500, announced=False, standing=True)
    announced = observe(seen, version=1, arn="arn/1", approved=True, modified_at=99_000, announced_at=10_000)
    assert announced == approval(1, 10_000)


def test_withdrawn_approval_stands_again_only_when_the_registry_says_so() -> None:
    known = approval(1, 10_000)
    withdrawn = observe(known, version=1, arn="arn/1", approved=False, modified_at=20_000, announced_at=10_000)
    assert withdrawn is not None
    assert not withdrawn.standing
    assert observe(None, version=1, arn="arn/1", approved=False, modified_at=1, announced_at=10_000) is None
    back = observe(withdrawn, version=1, arn="arn/1", approved=True, modified_at=30_000, announced_at=None)
    assert back is not None
    assert (back.standing, back.approved_at) == (True, 30_000)


@given(desires, descriptions)
def test_stale_description_decides_nothing(desired: Desired, described: Described) -> None:
    assert reconcile(desired, replace(described, stale=True)) == [AskAgain()]


@pytest.mark.parametrize(
    ("modified_at", "now", "stale"),
    [(500, 2_000, True), (500, 300_999, True), (500, 301_000, False), (1_500, 2_000, False), (0, 2_000, False)],
)
def test_description_from_before_an_order_is_stale_until_it_had_time_to_settle(
    modified_at: int, now: int, stale: bool
) -> None:
    assert is_stale(modified_at, ordered_at=1_000, ordered_over=500, now=now) is stale


def test_no_approval_is_later_than_the_registrys_last_change() -> None:
    seen = observe(None, version=1, arn="arn/1", approved=True, modified_at=10_000, announced_at=4_102_444_800_000)
    assert seen == approval(1, 11_000)
    assert observe(seen, version=1, arn="arn/1", approved=True, modified_at=10_000, announced_at=10**13) == seen


def test_what_a_version_did_and_what_is_still_to_be_told_outlive_a_new_approval() -> None:
    notice = Notice(kind="refused", subject="v1 was refused", sentence="broke", command="look", at=5)
    lasting: dict[str, object] = {"served_at": 3, "stated_at": 3, "deployment_statement": "d", "candidate": "token"}
    lasting |= {"rejected_by": "jo", "untold": (notice,), "last_notice": 5}
    owed = approval(1, 10_000, **lasting)
    failed = replace(owed, outcome="failed", sentence="broke", approved_by="kim", reason="why", approval_statement="a")
    again = observe(failed, version=1, arn="arn/1", approved=True, modified_at=30_000, announced_at=30_000)
    assert again == replace(owed, approved_at=30_000)
