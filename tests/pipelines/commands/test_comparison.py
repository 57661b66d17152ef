# SPDX-License-Identifier: Apache-2.0
"""Executions beside each other."""

from __future__ import annotations

import json
from typing import Any

from pipelines.client.evaluations import Evaluation
from pipelines.client.executions import Execution
from pipelines.client.results import Results
from pipelines.commands.comparison import beside, differing, facts, incomparable, markdown, transposed
from tests.pipelines.commands.test_executions import evaluation
from tests.pipelines.display.test_progress import BEGAN


def _results(name: str, *, test_set: str = "c83d", **parameters: Any) -> Results:
    read = Evaluation.read(json.loads(evaluation(2, 0.4663, passed=True, test_set=test_set)), "e")
    return Results(Execution(f"arn:x/{name}", "Succeeded", BEGAN, None, []), parameters, evaluation=read)


def test_what_was_not_chosen_is_not_told() -> None:
    given = {"InitialCheckpointUri": "s3://b/defaults/none/", "MapThreshold": "0.0", "CheckpointFingerprint": "7a"}
    told = facts(_results("a", **given, TrainingSteps="0", TrainingSettings="seed=18"))

    assert told["TrainingSettings"] == "seed=18"
    assert not told.keys() & {*given, "TrainingSteps"}


def test_what_differs_and_what_is_the_same_are_told_apart() -> None:
    columns = [facts(_results("a", TrainingSettings="seed=18")), facts(_results("b", Architecture="x"))]

    different, same = differing(columns)

    assert different == ["execution", "TrainingSettings"]
    assert {"status", "mAP", "architecture"} <= set(same)
    assert "for" not in same  # nobody said it
    assert [column.header for column in beside(columns, different).columns] == ["", "a", "b"]


def test_metrics_of_other_test_images_are_not_held_against_each_other() -> None:
    assert incomparable([_results("a"), _results("b")]) is None
    assert incomparable([_results("a"), _results("b", test_set="other")])


def test_markdown_holds_what_would_break_its_table() -> None:
    text = markdown([{"a": "x|y", "b": "<b>\nline"}], ["a", "b", "c"])

    assert text.splitlines() == ["| a | b | c |", "| --- | --- | --- |", "| x\\|y | &lt;b> line |  |"]
    columns = [{"execution": "1", "mAP": "0.5"}, {"execution": "2", "mAP": "0.6"}]
    assert transposed(columns, ["execution", "mAP"]).splitlines()[2] == "| mAP | 0.5 | 0.6 |"
