# SPDX-License-Identifier: Apache-2.0
"""How a training went, from what it printed: the lines that SageMaker's metric definitions read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipelines.client.connection import Connection
from pipelines.client.executions import Execution, StepLog
from pipelines.client.results import origin

TRAINING = re.compile(r"^step=(\d+)/\d+ (.*)$")
VALIDATION = re.compile(r"^validation step=(\d+) (.*)$")

Points = list[tuple[int, float]]
"""Step and value."""


@dataclass(frozen=True)
class Curves:
    """A training's losses and rates by step, and its validation's.

    Attributes:
        training: By name: `loss`, `learning_rate`, ...
        validation: By name: `mAP`, `mAP_50`, `loss`.
    """

    training: dict[str, Points] = field(default_factory=dict)
    validation: dict[str, Points] = field(default_factory=dict)

    @classmethod
    def read(cls, lines: Iterable[str]) -> Curves:
        """Read a training's log; a step that was trained again, after an interruption, counts as it was last."""
        found: dict[str, dict[str, dict[int, float]]] = {"training": {}, "validation": {}}
        for line in lines:
            for kind, expression in (("training", TRAINING), ("validation", VALIDATION)):
                if told := expression.match(line.strip()):
                    for name, value in _numbers(told[2]):
                        found[kind].setdefault(name, {})[int(told[1])] = value
        return cls(
            **{kind: {name: sorted(by_step.items()) for name, by_step in each.items()} for kind, each in found.items()}
        )


def curves(connection: Connection, execution: Execution) -> Curves:
    """The curves of an execution's training, of an earlier execution where that was reused; empty without a log."""
    step = execution.step("TrainDetector")
    if step is None:
        return Curves()
    job = step.job or origin(connection, execution, step)[1].job
    return Curves.read(StepLog(connection, *job).new_lines()) if job else Curves()


def _numbers(pairs: str) -> Iterable[tuple[str, float]]:
    for pair in pairs.split():
        name, _, value = pair.partition("=")
        try:
            yield name, float(value)
        except ValueError:
            continue
