# SPDX-License-Identifier: Apache-2.0
"""What depends on what, and what may run next."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.executions.schedule import DefinitionError, Schedule


def step(name: str, *, after: tuple[str, ...] = (), reads: str | None = None, kind: str = "Training") -> dict[str, Any]:
    arguments = {"x": {"Get": f"Steps.{reads}.TrainingJobName"}} if reads else {}
    return {"Name": name, "Type": kind, "Arguments": arguments, "DependsOn": list(after)}


def condition(name: str, then: list[dict[str, Any]], otherwise: list[dict[str, Any]], reads: str) -> dict[str, Any]:
    arguments = {"Conditions": [{"Get": f"Steps.{reads}.X"}], "IfSteps": then, "ElseSteps": otherwise}
    return {"Name": name, "Type": "Condition", "Arguments": arguments}


SCHEDULE = Schedule(
    [
        step("Prepare"),
        step("Find"),
        step("Train", reads="Prepare"),
        condition("Check", [step("Register"), step("Publish", reads="Register")], [step("Bad", kind="Fail")], "Train"),
        step("Last", after=("Check",)),
    ]
)


def test_independent_steps_are_ready_together() -> None:
    assert SCHEDULE.ready({}, {}) == ["Prepare", "Find"]


def test_a_reference_is_a_dependency() -> None:
    assert SCHEDULE.ready({"Prepare": "Executing", "Find": "Succeeded"}, {}) == []
    assert SCHEDULE.ready({"Prepare": "Succeeded", "Find": "Succeeded"}, {}) == ["Train"]


def test_only_the_chosen_branch_runs_and_what_follows_waits_for_it() -> None:
    done = dict.fromkeys(("Prepare", "Find", "Train", "Check"), "Succeeded")
    assert SCHEDULE.ready(done, {"Check": "True"}) == ["Register"]
    assert SCHEDULE.ready(done, {"Check": "False"}) == ["Bad"]
    done |= dict.fromkeys(("Register", "Publish"), "Succeeded")
    assert SCHEDULE.ready(done, {"Check": "True"}) == ["Last"]


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ([step("A", kind="Tuning")], "Step A is of type Tuning, which the emulated cloud does not run"),
        ([step("A"), step("A")], "A is used more than once"),
        ([step("A", after=("B",))], "A depends on B, which is no step"),
        ([step("A", reads="B"), step("B", reads="A")], "depend on each other in a circle"),
    ],
)
def test_what_cannot_run_is_refused_with_one_sentence(steps: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(DefinitionError, match=sentence):
        Schedule(steps)
