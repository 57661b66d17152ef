# SPDX-License-Identifier: Apache-2.0
"""An execution as it goes, on a terminal: a line a step, and under it what training says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from pipelines.client.connection import Connection
from pipelines.client.executions import FINISHED, Execution, Step, StepLog, watch

TRAINING_LINE = re.compile(r"^step=(?P<step>\d+)/(?P<steps>\d+) (?P<rest>.*)$")
VALIDATION_LINE = re.compile(r"^validation step=\d+ .*mAP=[\d.]+")
MARKS = {
    "Succeeded": ("✔", "green"),
    "Failed": ("✘", "red"),
    "Stopped": ("■", "yellow"),
    "Stopping": ("■", "yellow"),
}
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PAGE = 80
INDENT = 5


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


def known_of(step: Step) -> list[str]:
    """What a step that has no log has come to: an outcome, a function's answers, a reason."""
    told = [f"{step.name} {step.status}, {duration(step)}".rstrip(", ")]
    facts: Mapping[str, Any] = step.metadata
    if outcome := facts.get("Condition", {}).get("Outcome"):
        told.append(f"its condition is {outcome.lower()}")
    if arn := facts.get("Lambda", {}).get("Arn"):
        told.append(f"it called {arn}, whose log is CloudWatch's group /aws/lambda/{arn.rsplit(':', 1)[-1]}")
    if queue := facts.get("Callback", {}).get("SqsQueueUrl"):
        answered = "was answered" if step.status == "Succeeded" else "waits for its answer"
        told.append(f"it sent a message to {queue} and {answered}")
    for kind in ("Lambda", "Callback"):
        told += [f"{each['Name']}: {each['Value']}" for each in facts.get(kind, {}).get("OutputParameters", [])]
    if arn := facts.get("RegisterModel", {}).get("Arn"):
        told.append(f"it registered {arn}")
    if message := facts.get("Fail", {}).get("ErrorMessage"):
        told.append(message)
    if step.waits_for:
        told.append(waiting(step))
    if step.job:
        told.append(f"its job {step.job[1]} has written no log, or its log is no longer kept")
    if step.failure_reason and step.failure_reason not in told:
        told.append(step.failure_reason)
    return told


class _LiveView:
    """Lines that are drawn again in place, four times a second: something moves also where nothing is told."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.execution: Execution | None = None
        self._live = Live(console=console, refresh_per_second=4, transient=False, get_renderable=self._drawn)
        self._training: dict[str, str] = {}
        self._validation = ""
        self._newest: dict[str, str] = {}

    def __enter__(self) -> _LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def logged(self, step: str, line: str) -> None:
        if found := TRAINING_LINE.match(line):
            self._training = found.groupdict()
        elif VALIDATION_LINE.match(line):
            self._validation = line.strip()
        elif line.strip():
            self._newest[step] = line.strip()

    def show(self, execution: Execution) -> None:
        self.execution = execution
        self._live.refresh()

    def _drawn(self) -> Group:
        lines: list[RenderableType] = []
        steps = self.execution.steps if self.execution else []
        for step in steps:
            mark = MARKS.get(step.status) or self._turning()
            head = Text.assemble("  ", mark, "  ", f"{step.name:<17} {duration(step):>11}")
            if step.cached:
                head.append("  the same as before: reused", "dim")
            lines.append(head)
            lines += [Padding(note, (0, 0, 0, INDENT)) for note in self.notes(step)]
        if not any(step.status in ("Starting", "Executing") for step in steps) and not self._has_ended():
            begun = "its next step" if steps else "its first step"
            lines.append(Text.assemble("  ", self._turning(), f"  waits for {begun}"))
        return Group(*lines)

    def notes(self, step: Step) -> list[RenderableType]:
        """What is told below a step's line; a reason is as long as it is, what a job says is one line."""
        if step.status == "Failed":
            return [Text(step.failure_reason or "", style="red")]
        if step.waits_for:
            return [Text(waiting(step), style="yellow")]
        if step.status not in ("Starting", "Executing", "Stopping"):
            return []
        room = self._console.width - INDENT
        if step.name != "TrainDetector" or not self._training:
            newest = self._newest.get(step.name)
            return [_dim(newest, room)] if newest else []
        done, total = int(self._training["step"]), int(self._training["steps"])
        told = [
            f"{done}/{total}  {readable(self._training['rest'], room - len(f'{done}/{total}  '))}",
            self._validation,
        ]
        bar = ProgressBar(total=total, completed=done, width=min(40, room))
        return [bar, *(_dim(line, room) for line in told if line)]

    def _turning(self) -> tuple[str, str]:
        return FRAMES[int(8 * self._console.get_time()) % len(FRAMES)], "cyan"

    def _has_ended(self) -> bool:
        return self.execution is not None and self.execution.status in FINISHED


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
            begins = f"  {step}: {found['step']}/{found['steps']}  "
            self._print(begins + readable(found["rest"], PAGE - len(begins)))
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
                self._print(f"  {step.name} {step.status} {duration(step)}{reused}{reason}")

    def _print(self, line: str) -> None:
        self._console.print(Text(line.rstrip()), soft_wrap=True)


def waiting(step: Step) -> str:
    """What a step waits for, for people."""
    return f"waits: the account's quota of {step.waits_for} is in use"


def readable(rest: str, room: int) -> str:
    """`loss=1.2 learning_rate=0.1 eta_seconds=85` as people say it: the time left first, and no more than has room."""
    values = dict(pair.split("=", 1) for pair in rest.split() if "=" in pair)
    said = ""
    for name, before, after in (
        ("eta_seconds", "", " left"),
        ("loss", "loss ", ""),
        ("learning_rate", "rate ", ""),
        ("images_per_second", "", " images/s"),
    ):
        if name in values:
            value = time_of(values[name]) if name == "eta_seconds" else values[name]
            longer = f"{said}{', ' if said else ''}{before}{value}{after}"
            said = longer if len(longer) <= room or not said else said
    return said


def time_of(seconds: str | float) -> str:
    """`5100` as `1 h 25 min`."""
    try:
        whole = round(float(seconds))
    except (ValueError, OverflowError):  # not a number, or without end
        return str(seconds)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def duration(step: Step) -> str:
    """How long a step has run, or ran."""
    return "" if step.seconds is None else time_of(step.seconds)


def _dim(line: str, room: int) -> Text:
    text = Text(line, style="dim", no_wrap=True)
    text.truncate(max(room, 1), overflow="ellipsis")
    return text
