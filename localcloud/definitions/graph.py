# SPDX-License-Identifier: Apache-2.0
"""The steps of a definition as a graph: which there are, where they stand, and what waits for what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from localcloud.definitions.expressions import referred_steps

Step = Mapping[str, Any]

BRANCHES = {"IfSteps": "True", "ElseSteps": "False"}
"""A condition's lists of steps, and the outcome that chooses each."""


def walk(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield every step, those inside conditions after their condition."""
    for step in steps:
        yield step
        for _, branch in branches(step):
            yield from walk(branch)


def branches(step: Step) -> list[tuple[str, Sequence[Step]]]:
    """Return outcomes and the steps that each chooses; none for any step but a condition."""
    if step["Type"] != "Condition":
        return []
    arguments = step.get("Arguments", {})
    return [(outcome, arguments.get(name) or []) for name, outcome in BRANCHES.items()]


def places(steps: Sequence[Step]) -> dict[str, tuple[str, str]]:
    """Return the condition and the outcome by which each step inside one is chosen."""
    return {
        inner["Name"]: (step["Name"], outcome)
        for step in walk(steps)
        for outcome, branch in branches(step)
        for inner in branch
    }


def own_arguments(step: Step) -> dict[str, Any]:
    """Return a step's arguments without the steps inside it."""
    inside = BRANCHES if step["Type"] == "Condition" else ()
    return {name: value for name, value in step.get("Arguments", {}).items() if name not in inside}


def depends_on(step: Step) -> list[str]:
    """Return the names in a step's DependsOn."""
    return [each if isinstance(each, str) else str(each.get("Step")) for each in step.get("DependsOn") or []]


def needs(step: Step) -> set[str]:
    """Return the names that a step waits for: those in DependsOn, and those whose properties it refers to."""
    return set(depends_on(step)) | referred_steps({**step, "Arguments": own_arguments(step)})


def circle(steps: Sequence[Step]) -> list[str]:
    """Return steps of which each waits for the next, the first again as the last; none where all can run.

    A step inside a condition waits for the condition, too.
    """
    waits = {step["Name"]: needs(step) for step in walk(steps)}
    for name, (condition, _) in places(steps).items():
        waits[name].add(condition)
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []
