# SPDX-License-Identifier: Apache-2.0
"""Executions beside each other: what each was asked for and came to, what differs, and the table that teams keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from pipelines.client.evaluations import Evaluation
from pipelines.client.results import Results

Facts = dict[str, str]

# What stands for "not given"; the checkpoints' prefix is a hash of the others.
NOT_GIVEN = "/defaults/none/"
SILENT = ("CheckpointFingerprint",)
# What a row of the table of runs holds.
KEPT = (
    "execution",
    "started",
    "status",
    "for",
    "data",
    "images",
    "architecture",
    "steps",
    "TrainingSettings",
    "mAP",
    "mAP_50",
    "gate",
    "version",
)


def facts(told: Results) -> Facts:
    """What is known of an execution, by name, in the order in which people ask: what, on what, how, and how good.

    Empty where it is not known, so that executions have the same names.
    """
    execution, evaluation, data = told.execution, told.evaluation, told.dataset or {}
    model = evaluation.model if evaluation else {}
    given = _parameters(told.parameters)
    splits = data.get("splits") or {}
    known = {
        "execution": execution.identifier,
        "started": f"{execution.started:%Y-%m-%d %H:%M}",
        "status": execution.status,
        "for": execution.description,
        "by": execution.author,
        "architecture": model.get("architecture") or given.pop("Architecture", None),
        "data": data.get("sha256", "")[:12],
        "DatasetUri": given.pop("DatasetUri", None),
        "images": ", ".join(f"{split['images']:,} {name}" for name, split in splits.items()),
        "classes": ", ".join(each["name"] for each in data.get("classes") or []),
        "steps": _steps(model),
        "seed": model.get("seed"),
        **given,
        **_measured(evaluation),
        "version": told.version_number,
        "reason": execution.failure_reason,
    }
    known.pop("Architecture", None)
    return {name: "" if value is None else str(value) for name, value in known.items()}


def differing(columns: Sequence[Facts]) -> tuple[list[str], list[str]]:
    """The names of what differs, and of what is the same in all and known, each in order."""
    names = list(dict.fromkeys(name for column in columns for name in column))
    values = {name: {column.get(name, "") for column in columns} for name in names}
    same = [name for name in names if len(values[name]) == 1 and values[name] != {""}]
    return [name for name in names if len(values[name]) > 1], same


def beside(columns: Sequence[Facts], names: Sequence[str]) -> Table:
    """A row for each name, a column for each execution."""
    table = Table("", *(column["execution"] for column in columns))
    for name in names:
        if name != "execution":
            table.add_row(name, *(column.get(name, "") for column in columns))
    return table


def incomparable(told: Sequence[Results]) -> str | None:
    """Why the metrics of the executions may not be held against each other; None where they may."""
    tests = {each.evaluation.test_set for each in told if each.evaluation}
    if len(tests) > 1:
        return "their test images differ, so their metrics cannot be held against each other"
    return None


def markdown(rows: Sequence[Facts], names: Sequence[str]) -> str:
    """A table of GitHub's Markdown, a row for each of `rows`."""
    lines = [names, ["---"] * len(names), *([row.get(name, "") for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def transposed(columns: Sequence[Facts], names: Sequence[str]) -> str:
    """The same with a column for each execution."""
    heads = [column["execution"] for column in columns]
    rows = [
        {"": name} | {column["execution"]: column.get(name, "") for column in columns}
        for name in names
        if name != "execution"
    ]
    return markdown(rows, ["", *heads])


def _parameters(given: Mapping[str, str]) -> Facts:
    """Those that somebody chose, or an environment for him; TrainingSteps 0 and MapThreshold 0 choose nothing."""
    nothing = ("0", "0.0", "")
    return {
        name: value
        for name, value in given.items()
        if name not in SILENT and value not in nothing and not value.endswith(NOT_GIVEN)
    }


def _cell(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())


def _steps(model: dict[str, object]) -> str | None:
    steps, best = model.get("steps"), model.get("best_step")
    if steps is None:
        return None
    return f"{steps}" if best in (None, steps) else f"{steps}, best {best}"


def _measured(evaluation: Evaluation | None) -> dict[str, object]:
    if evaluation is None:
        return dict.fromkeys(("mAP", "mAP_50", "gate"))
    serving, latency = evaluation.serving, evaluation.serving.get("latency_milliseconds") or {}
    speed = serving.get("images_per_second")
    return {
        "mAP": evaluation.mean_ap,
        "mAP_50": evaluation.metrics.get("mAP_50"),
        **{f"AP of {name}": estimate for name, estimate in evaluation.per_class.items()},
        "test images": evaluation.images,
        "test set": evaluation.test_set[:12],
        "test set chosen by": evaluation.chosen_by,
        "mAP beside champion's": None if evaluation.change is None else _signed(evaluation),
        "serves with": " ".join(str(serving[name]) for name in ("runtime", "precision") if serving.get(name)),
        "images a second": None if speed is None else f"{speed:.1f}",
        "latency p99": f"{latency['p99']:.1f} ms" if latency.get("p99") is not None else None,
        "gate": "passed" if evaluation.passed else "failed",
        "failed rules": " ".join(evaluation.failed) or None,
    }


def _signed(evaluation: Evaluation) -> str:
    change = evaluation.change
    assert change is not None
    return str(change) if change.value is None or change.value < 0 else f"+{change}"
