# SPDX-License-Identifier: Apache-2.0
"""What tab offers is what there is, and no shell waits for a cloud."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import typer

from pipelines.commands import completion
from training_src.data.formats import FORMAT_NAMES

DEFINITION = json.loads((Path(completion.__file__).parents[1] / "definition.json").read_text())


def test_formats_are_those_that_can_be_read() -> None:
    assert completion.FORMATS == FORMAT_NAMES


def test_steps_are_those_of_the_pipeline() -> None:
    assert set(completion.DEFINED_STEPS) == {name for step in DEFINITION["Steps"] for name in _names(step)}
    assert completion.steps("Eval") == ["EvaluateDetector"]


def test_a_cloud_that_is_silent_or_refuses_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "SECONDS", 0.05)
    context = typer.Context(typer.main.get_command(_app()))

    def silent(_: object) -> list[str]:
        time.sleep(5)
        return ["late"]

    def refuses(_: object) -> list[str]:
        raise ValueError("no")

    began = time.monotonic()
    assert completion._asked(context, silent) == []
    assert completion._asked(context, refuses) == []
    assert time.monotonic() - began < 4
    assert completion._asked(context, lambda _: ["a"]) == ["a"]


def test_regions_and_words_are_completed() -> None:
    assert "eu-central-1" in completion.regions("eu-c")
    assert completion.chosen("cpu", "gpu")("g") == ["gpu"]


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(lambda: None)
    return app


def _names(step: dict[str, Any]) -> list[str]:
    branches = [step.get("Arguments", {}).get(name, []) for name in ("IfSteps", "ElseSteps")]
    return [step["Name"], *(name for branch in branches for inner in branch for name in _names(inner))]
