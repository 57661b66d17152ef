# SPDX-License-Identifier: Apache-2.0
"""Which steps of a definition may run next. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from localcloud.definitions.graph import circle, needs, places, walk

STEP_TYPES = (
    "Processing", "Training", "Condition", "RegisterModel", "Model", "Lambda", "Callback", "Fail", "EndpointConfig",
    "Endpoint", "Transform",
)  # fmt: skip
"""What the emulated cloud runs."""


class DefinitionError(ValueError):
    """A definition that cannot be executed; the message names the step."""


class Schedule:
    """The steps of a definition, and when each may run.

    Args:
        steps: The definition's `Steps`.

    Raises:
        DefinitionError: A type that does not run here, a name used twice, an unknown or circular dependency.
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        self.steps: dict[str, Mapping[str, Any]] = {}
        for step in walk(steps):
            _refuse_unless_runnable(step)
            if step["Name"] in self.steps:
                raise DefinitionError(f"The step name {step['Name']} is used more than once")
            self.steps[step["Name"]] = step
        self._places = places(steps)
        self._needs = {name: needs(step) for name, step in self.steps.items()}
        for name, needed in self._needs.items():
            unknown = sorted(needed - set(self.steps))
            if unknown:
                raise DefinitionError(f"Step {name} depends on {unknown[0]}, which is no step of this pipeline")
        if found := circle(steps):
            raise DefinitionError(f"The steps {' -> '.join(found)} depend on each other in a circle")

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
            and all(self._done(needed, statuses, outcomes) for needed in self._needs[name])
        ]

    def _chosen(self, name: str, outcomes: Mapping[str, str]) -> bool:
        condition, outcome = self._places.get(name, ("", None))
        return outcomes.get(condition) == outcome

    def _done(self, name: str, statuses: Mapping[str, str], outcomes: Mapping[str, str]) -> bool:
        """Whether a dependency is met; one on a Condition step also waits for the branch that it chose."""
        if statuses.get(name) != "Succeeded":
            return False
        inside = [each for each, place in self._places.items() if place == (name, outcomes.get(name))]
        return all(self._done(each, statuses, outcomes) for each in inside)


def _refuse_unless_runnable(step: Mapping[str, Any]) -> None:
    if step["Type"] not in STEP_TYPES:
        raise DefinitionError(
            f"Step {step['Name']} is of type {step['Type']}, which the emulated cloud does not run; it runs "
            f"{', '.join(STEP_TYPES)}"
        )
    if not all(isinstance(each, str) for each in step.get("DependsOn") or ()):
        raise DefinitionError(f"Step {step['Name']} has a DependsOn that is no step name: {step['DependsOn']}")
