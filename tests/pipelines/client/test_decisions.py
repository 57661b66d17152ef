# SPDX-License-Identifier: Apache-2.0
"""What approving or rejecting will do is foretold as the deployer will do it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.client import decisions
from pipelines.client.deployments import Approval, Champion, Records, Verdict
from pipelines.client.registry import Version
from pipelines.client.surroundings import Surroundings

GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev"
BEGAN = datetime(2026, 11, 30, tzinfo=UTC)


def version(number: int = 3, approval: str = "PendingManualApproval", **further: Any) -> Version:
    registered: dict[str, Any] = {"evaluation_uri": "s3://data/evaluation.json"}
    return Version(number, f"{GROUP}/{number}", approval, BEGAN, "", {}, **(registered | further))


def approved(number: int, **further: Any) -> Approval:
    return Approval(version=number, approved_at=BEGAN + timedelta(hours=number), approved_by="ana", **further)


def served(number: int, **further: Any) -> Approval:
    return approved(number, served_at=BEGAN + timedelta(hours=number, minutes=9), **further)


def records(
    serves: int | None, *approvals: Approval, compared: dict[int, int | None] | None = None, **more: Any
) -> Records:
    champion = None if serves is None else Champion(version=serves, arn=f"{GROUP}/{serves}")
    verdicts = {
        number: Verdict(
            version=number, arn=f"{GROUP}/{number}", champion_arn="none" if other is None else f"{GROUP}/{other}"
        )
        for number, other in (compared or {}).items()
    }
    return Records(champion, approvals={one.version: one for one in approvals}, verdicts=verdicts, **more)


def test_first_version_is_brought_up_on_a_new_endpoint() -> None:
    outlook = decisions.approval(version(), records(None, compared={3: None}), override=False)
    assert outlook.changes and outlook.refusal is None
    assert outlook.sentences[0] == "Nothing serves yet: version 3 is brought up on a new endpoint."


def test_version_compared_with_what_serves_goes_to_production() -> None:
    outlook = decisions.approval(version(), records(2, served(2), compared={3: 2}), override=False)
    assert outlook.changes and outlook.refusal is None
    goes, held = outlook.sentences
    assert goes.startswith("Production goes from version 2 to version 3: a part of the traffic first")
    assert "alarms" in goes
    assert "holds evidence, artifact, image and gate policy against what was signed" in held


def test_version_compared_with_what_no_longer_serves_is_refused_unless_overridden() -> None:
    known = records(4, served(4), compared={3: 2})
    outlook = decisions.approval(version(), known, override=False, around=Surroundings(pipeline="mapgate-dev"))
    assert not outlook.changes
    assert outlook.sentences == ["Production goes on serving version 4."]
    assert outlook.refusal is not None
    assert outlook.refusal.startswith("v3 was compared with v2, and v4 serves now. ")
    assert "`aws sagemaker start-pipeline-execution --pipeline-name mapgate-dev " in outlook.refusal
    assert "`mapgate models approve 3 --override --reason WHY`" in outlook.refusal
    assert decisions.approval(version(), known, override=True).changes


def test_whatever_takes_the_place_of_a_rejected_champion_may_go() -> None:
    withdrawn = records(4, served(4, standing=False), compared={3: 2})
    assert decisions.approval(version(), withdrawn, override=False).changes
    nothing_serves = records(None, compared={3: 2})
    assert decisions.approval(version(), nothing_serves, override=False).changes


@pytest.mark.parametrize("name", ["model_uri", "image", "evaluation_uri"])
def test_version_that_somebody_edited_is_refused_even_if_it_has_served(name: str) -> None:
    known = records(2, served(2), served(3), compared={3: 2})
    then: dict[str, Any] = {name: "as it was.json"}
    now: dict[str, Any] = {name: "another.json"}
    known = replace(known, verdicts={3: replace(known.verdicts[3], **then)})
    outlook = decisions.approval(version(**now), known, override=True)
    assert outlook.refusal is not None
    assert "another.json, its verdict was about as it was.json; somebody edited it" in outlook.refusal


def test_version_that_has_served_goes_back_whatever_it_was_compared_with() -> None:
    known = records(4, served(4), served(3), compared={3: 2})
    assert decisions.approval(version(approval="Rejected"), known, override=False).changes
    old = approved(3, is_old=True)
    assert decisions.approval(version(), records(4, served(4), old), override=False).refusal is None
    withdrawn = approved(3, is_old=True, standing=False)
    assert decisions.approval(version(approval="Rejected"), records(3, withdrawn), override=False).refusal is None


def test_version_without_a_signed_verdict_is_refused_and_no_override_helps() -> None:
    for override in (False, True):
        outlook = decisions.approval(version(), records(2, served(2)), override=override)
        assert outlook.refusal is not None
        assert "v3 has no verdict record: it was registered by hand, or by an older release" in outlook.refusal
        assert "run the pipeline again" in outlook.refusal


def test_rejected_version_that_is_approved_after_all_is_told() -> None:
    rejected = version(approval="Rejected", decided_by="role/ben", reason="misses bikes")
    outlook = decisions.approval(rejected, records(2, served(2), compared={3: 2}), override=False)
    assert outlook.sentences[0] == (
        "Version 3 was Rejected by role/ben: misses bikes. Approving it lets it go to production after all."
    )


def test_what_serves_already_changes_nothing_and_a_rollout_ends_first() -> None:
    serving = decisions.approval(version(2, "Approved"), records(2, served(2)), override=False)
    assert serving.sentences == ["Production serves version 2 already: nothing changes."]
    busy = records(2, served(2), approved(4), compared={3: 2}, attempt=4)
    assert "The rollout of version 4, which is under way, ends first." in (
        decisions.approval(version(), busy, override=False).sentences
    )


def test_what_is_not_known_is_not_foretold() -> None:
    unreadable = Records(unreadable="the deployer's records cannot be read: no")
    for outlook in (
        decisions.approval(version(), unreadable, override=False),
        decisions.rejection(version(), unreadable),
    ):
        assert not outlook.changes
        assert "not known here: the deployer's records cannot be read: no." in outlook.sentences[0]
    assert decisions.approval(version(), records(2, retired=True), override=False).refusal


def test_rejecting_what_serves_rolls_back_to_the_newest_approval_that_is_left() -> None:
    known = records(5, served(2), served(3), approved(4, outcome="failed"), served(5), served(1, standing=False))
    outlook = decisions.rejection(version(5, "Approved"), known)
    assert outlook.changes
    assert outlook.sentences[0].startswith("Production rolls back from version 5 to version 3: ")


def test_rejecting_the_only_approval_leaves_it_serving() -> None:
    outlook = decisions.rejection(version(2, "Approved"), records(2, served(2)))
    assert not outlook.changes
    assert "no other approval stands: it keeps serving" in outlook.sentences[0]


def test_rejecting_what_does_not_serve_leaves_production_alone() -> None:
    assert decisions.rejection(version(3), records(2, served(2))).sentences == ["Production goes on serving version 2."]
    on_its_way = decisions.rejection(version(3, "Approved"), records(2, served(2), approved(3), attempt=3))
    assert on_its_way.sentences == ["Its rollout is under way and ends first; production then serves version 2."]


@pytest.mark.parametrize(
    ("reason", "override", "kept"),
    [
        (None, False, None),
        ("  Better \n on bikes. ", False, "Better on bikes."),
        ("v2 was withdrawn.", True, "override: v2 was withdrawn."),
    ],
)
def test_reason_is_one_line_and_says_that_it_overrides(reason: str | None, override: bool, kept: str | None) -> None:
    assert decisions.reason_of(reason, override=override) == kept


@pytest.mark.parametrize(
    ("reason", "override", "told"),
    [
        (None, True, "--override needs a --reason"),
        ("  ", True, "--override needs a --reason"),
        ("Override: by hand", False, "take that"),
        ("x" * 1025, False, "1025 characters, the registry keeps 1024"),
        ("x" * 1020, True, "1030 characters"),
    ],
)
def test_reason_that_cannot_be_kept_is_refused(reason: str | None, override: bool, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        decisions.reason_of(reason, override=override)


def test_best_version_is_taken_to_be_there_where_nobody_may_look() -> None:
    """An approver of a release before could list no artifact."""
    known = records(2, served(1), served(2), compared={1: None, 2: 1, 3: 2})
    known.verdicts[1] = replace(known.verdicts[1], mean_ap=0.9)
    told = decisions.approval(version(), known, override=False)
    assert "compared with nothing besides v2, and the best other version that ever served is v1" in str(told.refusal)
    for is_there, refused in ((True, True), (False, False)):
        around = Surroundings(is_there=lambda _, found=is_there: found)  # type: ignore[misc]
        assert bool(decisions.approval(version(), known, override=False, around=around).refusal) is refused


def test_waiver_is_not_said_to_be_spent_where_nobody_may_look() -> None:
    known = records(2, served(2), compared={3: 2})
    known.verdicts[3] = replace(known.verdicts[3], waiver="lost in March")
    assert decisions.approval(version(), known, override=False).refusal is None
    around = Surroundings(is_there=lambda _: True)
    refused = decisions.approval(version(), known, override=False, around=around).refusal
    assert "as the artifact of v2 was gone, and it is there now" in str(refused)
