# SPDX-License-Identifier: Apache-2.0
"""A version that was compared with a champion of before is not deployed as if it had been compared with this one."""

from __future__ import annotations

import importlib
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.delivery.deployer.deployments.approval import Approval
from infra.delivery.deployer.deployments.comparison import again, stale_comparison
from infra.delivery.deployer.deployments.records import Champion, Production
from infra.delivery.deployer.deployments.rivals import Rivals, best_served
from infra.training import find_champion

FIND_CHAMPION = Path(find_champion.__file__).parent

EXECUTION = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev/execution/000000000003"


def package(version: int) -> str:
    return f"arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev/{version}"


JUDGED = SimpleNamespace(champion_arn=package(2), best_arn="none", waiver="", execution_arn=EXECUTION)
"""Of the verdict on v3, which was compared with v2 alone."""
SERVING = Champion(version=2, arn=package(2), model_uri="s3://data/2", runtime="openvino", precision="f32")


def approval(version: int, **known: Any) -> Approval:
    return Approval(version=version, arn=package(version), approved_at=1, announced=True, **known)


@pytest.mark.parametrize(
    ("judged", "rivals", "why"),
    [
        ({}, {}, None),
        ({"champion_arn": package(1)}, {}, "v3 was compared with v1, and v2 serves now."),
        ({"champion_arn": "none"}, {}, "v3 was compared with nothing, and v2 serves now."),
        ({"waiver": "lost in March"}, {"champion_is_there": False}, None),
        (
            {"waiver": "lost in March"},
            {},
            "compared with nothing, as the artifact of v2 was gone, and it is there now.",
        ),
        ({}, {"best_arn": package(1)}, "with nothing besides v2, and the best other version that ever served is v1."),
        ({"best_arn": package(1)}, {}, "with v1 besides v2, and the best other version that ever served is nothing."),
    ],
)
def test_comparison_is_stale_where_a_new_one_would_be_another(
    judged: dict[str, Any], rivals: dict[str, Any], why: str | None
) -> None:
    record: Any = SimpleNamespace(**(vars(JUDGED) | judged))
    now = replace(Rivals(champion_arn=package(2), champion_is_there=True), **rivals)
    read = Production(champion=SERVING, approvals={2: approval(2), 3: approval(3)})
    found = stale_comparison(record, read, approval(3), now, "mapgate-dev")
    assert (found is None) == (why is None)
    if found is not None and why is not None:
        assert why in found
        assert f"`{again('mapgate-dev', EXECUTION)}`" in found


@pytest.mark.parametrize(
    ("read", "judged", "given"),
    [
        (Production(champion=SERVING, approvals={2: approval(2)}), None, approval(3)),
        (Production(), JUDGED, approval(3)),
        (Production(champion=SERVING, approvals={2: approval(2)}), JUDGED, approval(3, served_at=1)),
        (Production(champion=SERVING, approvals={2: approval(2)}), JUDGED, approval(2)),
        (Production(champion=SERVING, approvals={2: approval(2)}), JUDGED, approval(3, reason="override: a recall")),
        (Production(champion=SERVING, approvals={2: approval(2, standing=False)}), JUDGED, approval(3)),
    ],
)
def test_comparison_is_asked_of_no_version_that_needs_none(read: Production, judged: Any, given: Approval) -> None:
    others = Rivals(champion_arn=package(1), champion_is_there=True)
    assert stale_comparison(judged, read, given, others, "mapgate-dev") is None


def test_comparison_is_asked_beside_a_champion_of_which_no_approval_is_known() -> None:
    others = Rivals(champion_arn=package(1), champion_is_there=True)
    judged: Any = JUDGED
    assert stale_comparison(judged, Production(champion=SERVING), approval(3), others, "mapgate-dev") is not None


def compared(world: Any, champion: Any) -> Any:
    """Register a version that was measured against another one, or against nothing."""
    return world.register(recorded={"champion_arn": champion.arn if champion else "none"})


def beside(world: Any, champion: Any, best: Any, **recorded: Any) -> Any:
    """Register a version that was measured against a champion and the best version that ever served."""
    return world.register(recorded={"champion_arn": champion.arn, "best_arn": best.arn if best else "none", **recorded})


def serve(world: Any, version: Any) -> Any:
    world.approve(version, why="looked at every miss")
    world.settle()
    return version


def test_version_that_was_compared_with_what_serves_goes(world: Any) -> None:
    first = serve(world, compared(world, None))
    serve(world, compared(world, first))
    assert (world.champion(), world.topic.faults) == (2, [])


def test_version_that_was_compared_with_a_champion_of_before_is_refused(world: Any) -> None:
    first = serve(world, compared(world, None))
    second, third = compared(world, first), compared(world, first)
    serve(world, second)
    serve(world, third)
    assert (world.champion(), world.record("version#000003")["Outcome"]) == (2, "refused")
    (message,) = world.topic.faults
    assert "v3 was compared with v1, and v2 serves now" in message["Message"]
    assert again("mapgate-dev", EXECUTION) in message["Message"]
    assert "`mapgate models approve 3 --override --reason WHY`" in message["Message"]


def test_version_that_was_compared_with_nothing_is_refused_when_something_serves(world: Any) -> None:
    first, second = compared(world, None), compared(world, None)
    serve(world, first)
    serve(world, second)
    assert world.champion() == 1
    assert "v2 was compared with nothing, and v1 serves now" in world.topic.faults[0]["Message"]


def test_champion_that_changes_while_a_version_waits_its_turn_is_seen(world: Any) -> None:
    first = serve(world, compared(world, None))
    second, third = compared(world, first), compared(world, first)
    world.approve(second, why="")
    world.deliver()
    world.approve(third, why="")
    world.settle()
    assert (world.champion(), world.record("version#000003")["Outcome"]) == (2, "refused")


def test_version_that_was_not_compared_with_the_best_that_ever_served_is_refused(world: Any) -> None:
    """An execution of chosen steps took what FindChampion had said before the best one served."""
    best = serve(world, world.register(recorded={"MeanAP": Decimal("0.9")}))
    champion = serve(world, compared(world, best))
    serve(world, beside(world, champion, None))
    assert (world.champion(), world.record("version#000003")["Outcome"]) == (2, "refused")
    (message,) = world.topic.faults
    assert (
        "v3 was compared with nothing besides v2, and the best other version that ever served is v1"
        in message["Message"]
    )
    assert again("mapgate-dev", EXECUTION) in message["Message"]


def test_version_that_was_compared_with_the_best_that_ever_served_goes(world: Any) -> None:
    best = serve(world, world.register(recorded={"MeanAP": Decimal("0.9")}))
    champion = serve(world, compared(world, best))
    serve(world, beside(world, champion, best))
    assert (world.champion(), world.topic.faults) == (3, [])
    serve(world, champion)  # it has served before, and was never compared with v3
    assert (world.champion(), world.topic.faults) == (2, [])


def test_override_lets_a_version_go_that_was_not_compared_with_the_best(world: Any) -> None:
    best = serve(world, world.register(recorded={"MeanAP": Decimal("0.9")}))
    champion = serve(world, compared(world, best))
    world.approve(beside(world, champion, None), why="override: the best one is of another camera")
    world.settle()
    assert world.champion() == 3


def test_best_version_whose_artifact_is_lost_is_asked_of_nobody(world: Any) -> None:
    best = serve(world, world.register(recorded={"MeanAP": Decimal("0.9")}))
    champion = serve(world, compared(world, best))
    for place in (best.model_uri, world.released(best)):
        world.remove(place)
    serve(world, beside(world, champion, None))
    assert (world.champion(), world.topic.faults) == (3, [])


def test_waiver_is_worth_nothing_once_the_champion_can_be_measured(world: Any) -> None:
    """An execution of chosen steps took it from one of the days when the artifact was lost."""
    champion = serve(world, compared(world, None))
    serve(world, beside(world, champion, None, Waiver="lost in March - admin"))
    assert (world.champion(), world.record("version#000002")["Outcome"]) == (1, "refused")
    assert "as the artifact of v1 was gone, and it is there now" in world.topic.faults[0]["Message"]
    world.remove(world.released(champion))
    serve(world, beside(world, champion, None, Waiver="lost in March - admin"))
    assert world.champion() == 3


def test_deployer_and_find_champion_choose_the_same_best_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FIND_CHAMPION))
    theirs = importlib.import_module("best")
    draw = random.Random(17)
    for _ in range(500):
        drawn = [
            (number, Decimal(str(draw.choice([0.4, 0.5, 0.6]))), draw.choice(["t", "u"]))
            for number in range(1, draw.randint(1, 6))
        ]
        champion = f"arn/{draw.randint(1, 6)}"
        found = best_served([recorded(*each) for each in drawn], champion)
        expected = theirs.best_served(
            [theirs.Served(number, f"arn/{number}", "", "", "", figure, tests) for number, figure, tests in drawn],
            champion,
        )
        assert (found and found.arn) == (expected and expected.arn)


def recorded(number: int, figure: Decimal, test_set: str) -> Any:
    return SimpleNamespace(version=number, arn=f"arn/{number}", mean_ap=float(figure), test_set=test_set)


def test_override_with_a_reason_is_recorded_and_lets_it_go(world: Any) -> None:
    first = serve(world, compared(world, None))
    second, third = compared(world, first), compared(world, first)
    serve(world, second)
    serve(world, third)
    world.approve(third, why="override: a recall of the camera's maker")
    world.settle()
    record = world.record("version#000003")
    assert world.champion() == 3
    assert (record["Override"], record["Reason"]) == (True, "override: a recall of the camera's maker")
    (told,) = [each for each in world.history() if each["Kind"] == "override"]
    assert "with an override: a recall of the camera's maker" in told["Sentence"]


@pytest.mark.parametrize("why", ["override:", "Override:  ", "override: \n"])
def test_override_without_a_reason_is_none(world: Any, why: str) -> None:
    first = serve(world, compared(world, None))
    second, third = compared(world, first), compared(world, first)
    serve(world, second)
    world.approve(third, why=why)
    world.settle()
    assert (world.champion(), world.record("version#000003")["Override"]) == (2, False)
    assert "v3 was compared with v1, and v2 serves now" in world.topic.faults[0]["Message"]


def test_override_that_no_event_announced_is_found_by_the_next_look(world: Any) -> None:
    first = serve(world, compared(world, None))
    second, third = compared(world, first), compared(world, first)
    serve(world, second)
    serve(world, third)
    world.look()
    world.settle()
    assert world.champion() == 2
    world.approve(third, why="override: a recall of the camera's maker")
    world.sagemaker.events.clear()
    world.look()
    world.settle()
    assert (world.champion(), world.record("version#000003")["Override"]) == (3, True)


def test_override_waives_nothing_else(world: Any) -> None:
    world.approve(world.register(passed=False), why="override: I know better")
    world.settle()
    assert world.sagemaker.endpoints == {}
    world.approve(world.register(recorded={"floor": "0" * 64}), why="override: I know better")
    world.settle()
    assert world.sagemaker.endpoints == {}


def test_version_that_has_served_goes_back_whatever_serves(world: Any) -> None:
    first = serve(world, compared(world, None))
    serve(world, compared(world, first))
    serve(world, first)
    assert (world.champion(), world.topic.faults) == (1, [])


def test_what_a_rejection_rolls_back_to_goes_through(world: Any) -> None:
    first = serve(world, compared(world, None))
    second, third = compared(world, first), compared(world, first)
    world.approve(second, why="")
    world.approve(third, why="")
    world.settle()
    assert world.champion() == 3
    world.reject(third)
    world.settle()
    assert world.champion() == 2
    told = world.history()[-1]
    assert (told["Kind"], told["Version"]) == ("serves", 2)
    assert told["Sentence"] == "production was rolled back to v2: the approval of v3 was withdrawn"


def test_version_of_an_older_release_that_serves_or_has_served_goes(world: Any) -> None:
    """Its records know neither who approved nor what has served, and PublishDossier recorded no verdict."""
    versions = [world.register() for _ in range(3)]
    for version in versions[:2]:
        serve(world, version)
        world.approve(version)
        world.settle()
    for version in versions:
        world.forget_verdict(version)
    for number in (1, 2):
        item = world.record(f"version#{number:06d}")
        new = ("ApprovedBy", "Reason", "Override", "ServedAt", "Decision", "RejectedBy", "LastNotice", "StatedAt")
        world.table.put_item(Item={name: value for name, value in item.items() if name not in new} | {"Untold": ""})
    world.reject(versions[1])
    world.settle()
    assert world.champion() == 1
    world.approve(versions[1])
    world.settle()
    assert world.champion() == 2
    world.approve(versions[2])
    world.settle()
    assert (world.champion(), world.record("version#000003")["Outcome"]) == (2, "refused")


def test_version_that_goes_back_under_another_floor_is_told_once(world: Any) -> None:
    first = serve(world, compared(world, None))
    serve(world, compared(world, first))
    world.settings = replace(world.settings, floor_policy_sha256="0" * 64)
    serve(world, first)
    world.look()
    world.settle()
    assert world.champion() == 1
    (message,) = world.topic.faults
    assert message["Subject"] == "mapgate-dev: v1 goes back all the same"
    assert message["Message"].startswith(
        "v1 was judged under the gate policy ffffffffffff, and the environment's is 0000"
    )
