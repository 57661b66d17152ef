# SPDX-License-Identifier: Apache-2.0
"""What an approver wrote, and what people are still to be told of a version."""

from __future__ import annotations

from typing import Any

import pytest

from infra.delivery.deployer.deployments.approval import Approval, Notice


def approval(**known: Any) -> Approval:
    return Approval(version=3, arn="arn/3", approved_at=1, announced=True, **known)


@pytest.mark.parametrize(
    ("reason", "override", "why"),
    [
        ("", False, ""),
        (" looked at every miss\n", False, "looked at every miss"),
        ("override: another camera", True, "another camera"),
        ("  Override:another camera ", True, "another camera"),
        ("no override: it is better", False, "no override: it is better"),
        ("override", False, "override"),
        ("override:", False, "override:"),
    ],
)
def test_an_override_begins_with_the_word_and_is_told_without_it(reason: str, override: bool, why: str) -> None:
    given = approval(reason=reason)
    assert (given.override, given.why) == (override, why)


def test_an_approval_stands_and_has_done_nothing_yet() -> None:
    fresh = approval()
    assert (fresh.standing, fresh.decision, fresh.outcome) == (True, "Approved", None)
    assert (fresh.served_at, fresh.served_until, fresh.stated_at, fresh.shown_until, fresh.last_notice) == (0,) * 5


def test_notices_are_kept_in_order_and_no_two_have_the_same_time() -> None:
    once = approval().with_notice("approved", "v3 was approved", "by kim", "mapgate models show 3", 1000)
    at_once = once.with_notice("serves", "v3 serves", "since now", "mapgate endpoints", 1000)
    earlier = at_once.with_notice("noted", "v3", "is well", "mapgate endpoints", 7)
    later = earlier.with_notice("rejected", "v3 was rejected", "by lee", "mapgate models show 3", 2000)
    assert [(notice.kind, notice.at) for notice in later.untold] == [
        ("approved", 1000),
        ("serves", 1001),
        ("noted", 1002),
        ("rejected", 2000),
    ]
    assert later.last_notice == 2000
    assert once.untold == (
        Notice(kind="approved", subject="v3 was approved", sentence="by kim", command="mapgate models show 3", at=1000),
    )


def test_a_notice_says_again_nothing_that_has_gone_out() -> None:
    told = approval(last_notice=1000).with_notice("noted", "v3", "is well", "mapgate endpoints", 1000)
    assert [notice.at for notice in told.untold] == [1001]
