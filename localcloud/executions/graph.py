# SPDX-License-Identifier: Apache-2.0
"""The steps of a definition as a graph: what depends on what, and what may run next. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from localcloud.executions.expressions import referred_steps

STEP_TYPES = (
    "Processing", "Training", "Condition", "RegisterModel", "Model", "Lambda", "Callback", "Fail", "EndpointConfig",
    "Endpoint",
)  # fmt: skip
"""What the emulated cloud runs."""


class DefinitionError(ValueError):
    """A definition that cannot be executed; the message names the step."""


class Graph:
    """Steps and their dependencies.

    Args:
        steps: The definition's `Steps`.

    Raises:
        DefinitionError: A type that does not run here, a name used twice, an unknown or circular dependency.
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        self.steps: dict[str, Mapping[str, Any]] = {}
        self._branch: dict[str, tuple[str, str] | None] = {}
        for step, branch in _walk(steps, None):
            name = step["Name"]
            if name in self.steps:
                raise DefinitionError(f"The step name {name} is used more than once")
            if step["Type"] not in STEP_TYPES:
                raise DefinitionError(
                    f"Step {name} is of type {step['Type']}, which the emulated cloud does not run; it runs "
                    f"{', '.join(STEP_TYPES)}"
                )
            self.steps[name] = step
            self._branch[name] = branch
        self._dependencies = {name: _dependencies(step) for name, step in self.steps.items()}
        for name, needed in self._dependencies.items():
            unknown = sorted(needed - set(self.steps))
            if unknown:
                raise DefinitionError(f"Step {name} depends on {unknown[0]}, which is no step of this pipeline")
        self._refuse_cycles()

    def ready(self, statuses: Mapping[str, str], outcomes: Mapping[str, str]) -> list[str]:
        """Names of the steps that may start now, in the definition's order.

        Args:
            statuses: Status of every step that has started.
            outcomes: "True" or "False" of every Condition step that has succeeded.
        """
        return [
            name
            for name in self.steps
            if name not in statuses
            and self._chosen(name, outcomes)
            and all(self._done(needed, statuses, outcomes) for needed in self._dependencies[name])
        ]

    def _chosen(self, name: str, outcomes: Mapping[str, str]) -> bool:
        branch = self._branch[name]
        return branch is None or outcomes.get(branch[0]) == branch[1]

    def _done(self, name: str, statuses: Mapping[str, str], outcomes: Mapping[str, str]) -> bool:
        """Whether a dependency is met; one on a Condition step also waits for the branch that it chose."""
        if statuses.get(name) != "Succeeded":
            return False
        inside = [each for each, branch in self._branch.items() if branch == (name, outcomes.get(name))]
        return all(self._done(each, statuses, outcomes) for each in inside)

    def _refuse_cycles(self) -> None:
        met: set[str] = set()
        left = set(self.steps)
        while left:
            free = {name for name in left if self._dependencies[name] <= met and self._parent(name) <= met}
            if not free:
                raise DefinitionError(f"The steps {sorted(left)} depend on each other in a circle")
            met |= free
            left -= free

    def _parent(self, name: str) -> set[str]:
        branch = self._branch[name]
        return {branch[0]} if branch else set()


def _walk(
    steps: Sequence[Mapping[str, Any]], branch: tuple[str, str] | None
) -> Iterator[tuple[Mapping[str, Any], tuple[str, str] | None]]:
    for step in steps:
        yield step, branch
        if step["Type"] == "Condition":
            yield from _walk(step["Arguments"].get("IfSteps") or (), (step["Name"], "True"))
            yield from _walk(step["Arguments"].get("ElseSteps") or (), (step["Name"], "False"))


def _dependencies(step: Mapping[str, Any]) -> set[str]:
    arguments = {key: value for key, value in step.get("Arguments", {}).items() if key not in ("IfSteps", "ElseSteps")}
    rest = {key: value for key, value in step.items() if key not in ("Arguments", "DependsOn")}
    explicit = step.get("DependsOn") or ()
    if not all(isinstance(each, str) for each in explicit):
        raise DefinitionError(f"Step {step['Name']} has a DependsOn that is no step name: {explicit}")
    return referred_steps(arguments) | referred_steps(rest) | set(explicit)
