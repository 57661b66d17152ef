# SPDX-License-Identifier: Apache-2.0
"""Steps, where they stand, and what waits for what."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from localcloud.definitions.graph import circle, needs, own_arguments, places, walk


def step(name: str, *after: str, reads: str = "") -> dict[str, Any]:
    arguments = {"x": {"Get": f"Steps.{reads}.TrainingJobName"}} if reads else {}
    return {"Name": name, "Type": "Training", "Arguments": arguments, "DependsOn": list(after)}


def condition(name: str, then: list[dict[str, Any]], otherwise: list[dict[str, Any]], reads: str) -> dict[str, Any]:
    conditions = [{"Type": "Equals", "LeftValue": {"Get": f"Steps.{reads}.X"}, "RightValue": 1}]
    arguments = {"Conditions": conditions, "IfSteps": then, "ElseSteps": otherwise}
    return {"Name": name, "Type": "Condition", "Arguments": arguments}


INNER = condition("Inner", [step("Deep", reads="Prepare")], [], "Train")
STEPS = [step("Prepare"), step("Train", "Prepare"), condition("Check", [INNER], [step("Bad")], "Train")]


def test_the_walk_enters_conditions_after_them() -> None:
    assert [each["Name"] for each in walk(STEPS)] == ["Prepare", "Train", "Check", "Inner", "Deep", "Bad"]


def test_a_step_inside_a_condition_has_the_nearest_one_as_its_place() -> None:
    assert places(STEPS) == {"Inner": ("Check", "True"), "Deep": ("Inner", "True"), "Bad": ("Check", "False")}


def test_a_condition_waits_for_what_it_compares_not_for_what_its_branches_read() -> None:
    assert needs(STEPS[2]) == {"Train"}
    assert list(own_arguments(STEPS[2])) == ["Conditions"]


def test_a_function_that_a_step_names_by_an_expression_is_waited_for() -> None:
    lambda_ = {"Name": "F", "Type": "Lambda", "FunctionArn": {"Get": "Steps.Make.OutputParameters['Arn']"}}
    assert needs(lambda_) == {"Make"}


def test_a_circle_names_its_steps_in_the_order_of_waiting() -> None:
    assert circle(STEPS) == []
    found = circle([step("A", reads="B"), step("B", "C"), step("C", "A")])
    assert found[0] == found[-1]
    assert set(pairwise(found)) == {("A", "B"), ("B", "C"), ("C", "A")}


def test_waiting_for_what_is_inside_an_own_condition_is_a_circle() -> None:
    assert set(circle([step("Train", "Inside"), condition("Check", [step("Inside")], [], "Train")])) == {
        "Train",
        "Inside",
        "Check",
    }
