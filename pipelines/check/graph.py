# SPDX-License-Identifier: Apache-2.0
"""The steps as a graph: names, what waits for what, and that it ends."""

import re
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pipelines.check.expressions import expressions
from pipelines.check.fault import Fault

Step = Mapping[str, Any]


def walk(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield every step, those inside conditions after their condition."""
    for step in steps:
        yield step
        for branch in branches(step):
            yield from walk(branch)


def branches(step: Step) -> list[Sequence[Step]]:
    """Return the lists of steps that a condition chooses from; none for any other step."""
    if not isinstance(step, Mapping) or step.get("Type") != "Condition":
        return []
    arguments = step.get("Arguments", {})
    return [arguments.get(name, []) for name in ("IfSteps", "ElseSteps")]


def own_arguments(step: Step) -> Mapping[str, Any]:
    """Return a step's arguments without the steps inside it."""
    return {
        name: value
        for name, value in step.get("Arguments", {}).items()
        if step["Type"] != "Condition" or name not in ("IfSteps", "ElseSteps")
    }


def graph_faults(definition: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield duplicate names, dependencies on nothing, and circles."""
    steps = list(walk(definition["Steps"]))
    names = {step["Name"] for step in steps}
    seen: set[str] = set()
    for step in steps:
        if step["Name"] in seen:
            yield Fault(step["Name"], "Name", step["Name"], "is the name of another step")
        seen.add(step["Name"])
        for index, needed in enumerate(step.get("DependsOn", [])):
            if _name_of(needed) not in names:
                yield Fault(step["Name"], f"DependsOn[{index}]", _name_of(needed), "is no step of this pipeline")
    try:
        TopologicalSorter(_dependencies(definition["Steps"], names)).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        yield Fault(error.args[1][0], "DependsOn", circle, "steps must not wait for one another in a circle")


def _dependencies(steps: Sequence[Step], names: set[str]) -> dict[str, set[str]]:
    """Return what each step waits for: DependsOn, what its arguments refer to, and the condition that it stands in."""
    needs: dict[str, set[str]] = {}
    for step in steps:
        own = needs.setdefault(step["Name"], set())
        own |= {_name_of(needed) for needed in step.get("DependsOn", [])}
        own |= {name for name in _referred(own_arguments(step)) if name in names}
        for branch in branches(step):
            for name, inner in _dependencies(branch, names).items():
                needs.setdefault(name, set()).update(inner | {step["Name"]})
    return needs


def _referred(value: Any) -> Iterator[str]:
    for _, expression in expressions(value):
        found = re.match(r"Steps\.([^.\[]+)", str(expression.get("Get", "")))
        if found:
            yield found[1]


def _name_of(dependency: str | Mapping[str, Any]) -> str:
    return dependency if isinstance(dependency, str) else str(dependency.get("Step"))
