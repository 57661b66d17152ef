# SPDX-License-Identifier: Apache-2.0
"""An execution as it goes, on a terminal: a line a step, and under it what training says."""

from __future__ import annotations

import re
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipelines.client.connection import Connection
from pipelines.client.executions import Execution, Step, StepLog, watch

TRAINING_LINE = re.compile(r"^step=(?P<step>\d+)/(?P<steps>\d+) (?P<rest>.*)$")
VALIDATION_LINE = re.compile(r"^validation step=\d+ .*mAP=[\d.]+")
MARKS = {
    "Succeeded": ("✔", "green"),
    "Failed": ("✘", "red"),
    "Stopped": ("■", "yellow"),
    "Stopping": ("■", "yellow"),
    "Executing": ("▶", "cyan"),
    "Starting": ("▶", "cyan"),
}


def follow(connection: Connection, arn: str, console: Console) -> Execution:
    """Show the execution until it has ended, and return it.

    On a terminal the lines change in place; elsewhere each change is printed once.
    """
    view = _LiveView(console) if console.is_terminal else _PrintedView(console)
    logs: dict[str, StepLog] = {}
    with view:
        for execution in watch(connection, arn):
            for step in execution.steps:
                if step.job and (step.status in ("Executing", "Stopping") or step.name in logs):
                    log = logs.setdefault(step.name, StepLog(connection, *step.job))
                    for line in log.new_lines():
                        view.logged(step.name, line)
            view.show(execution)
    return execution


def log_of(connection: Connection, step: Step) -> list[str]:
    """The whole log of the step's job; empty where it ran none."""
    return StepLog(connection, *step.job).new_lines() if step.job else []


class _LiveView:
    """A table that is drawn again in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4, transient=False)
        self._training: dict[str, str] = {}
        self._last: dict[str, str] = {}
        self.execution: Execution | None = None

    def __enter__(self) -> _LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def logged(self, step: str, line: str) -> None:
        if found := TRAINING_LINE.match(line):
            self._training = found.groupdict()
        elif VALIDATION_LINE.match(line):
            self._last[step] = line
        elif line.strip() and len(line) < 200:
            self._last.setdefault(step, line.strip())

    def show(self, execution: Execution) -> None:
        table = Table.grid(padding=(0, 2))
        for step in execution.steps:
            mark = Text.assemble("  ", MARKS.get(step.status, " "))
            table.add_row(mark, step.name, _duration(step), self._note(step))
        self._live.update(Group(table), refresh=True)

    def _note(self, step: Step) -> Group | Text | str:
        if step.status == "Failed":
            return Text(step.failure_reason or "", style="red")
        if step.waits_for:
            return Text(waiting(step), style="yellow")
        if step.cached:
            return Text("the same as before: reused", style="dim")
        if step.name == "TrainDetector" and self._training:
            done, total = int(self._training["step"]), int(self._training["steps"])
            lines: list[RenderableType] = [
                Group(ProgressBar(total=total, completed=done, width=40)),
                Text(f"{done}/{total}  {_readable(self._training['rest'])}", style="dim"),
            ]
            if step.name in self._last:
                lines.append(Text(self._last[step.name], style="dim"))
            return Group(*lines)
        return ""


class _PrintedView:
    """A line for each change, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: dict[str, str] = {}
        self._every = 0

    def __enter__(self) -> _PrintedView:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def logged(self, step: str, line: str) -> None:
        if found := TRAINING_LINE.match(line):
            tenth = 10 * int(found["step"]) // max(int(found["steps"]), 1)
            if tenth == self._every and int(found["step"]) > 1:
                return
            self._every = tenth
            self._print(f"  {step}: {found['step']}/{found['steps']}  {_readable(found['rest'])}")
        elif VALIDATION_LINE.match(line):
            self._print(f"  {step}: {line}")

    def show(self, execution: Execution) -> None:
        for step in execution.steps:
            state = "Waiting" if step.waits_for else step.status
            if self._told.get(step.name) == state or state == "Starting":
                continue
            self._told[step.name] = state
            if step.waits_for:
                self._print(f"  {step.name} {waiting(step)}")
            else:
                reason = f": {step.failure_reason}" if step.failure_reason else ""
                reused = " (the same as before: reused)" if step.cached else ""
                self._print(f"  {step.name} {step.status} {_duration(step)}{reused}{reason}")

    def _print(self, line: str) -> None:
        self._console.print(Text(line.rstrip()), soft_wrap=True)


def waiting(step: Step) -> str:
    """What a step waits for, for people."""
    return f"waits: the account's quota of {step.waits_for} is in use"


def _readable(rest: str) -> str:
    """`loss=1.2 learning_rate=0.1 eta_seconds=85` as people say it."""
    values = dict(pair.split("=", 1) for pair in rest.split() if "=" in pair)
    words: list[tuple[str, Callable[[str], str]]] = [
        ("loss", lambda value: f"loss {value}"),
        ("learning_rate", lambda value: f"learning rate {value}"),
        ("images_per_second", lambda value: f"{value} images/s"),
        ("eta_seconds", lambda value: f"{float(value):.0f} s left"),
    ]
    return ", ".join(say(values[key]) for key, say in words if key in values)


def _duration(step: Step) -> str:
    return "" if step.seconds is None else f"{step.seconds:.0f} s"
