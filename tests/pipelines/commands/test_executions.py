# SPDX-License-Identifier: Apache-2.0
"""How following an execution ends: well, badly, or because somebody pressed Ctrl-C."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import typer

from pipelines.client.connection import Connection
from pipelines.client.executions import Execution, Step
from pipelines.commands import executions
from pipelines.errors import WorkFailedError

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STEP = Step("TrainDetector", "Failed", BEGAN, BEGAN, "the loss is not finite", cached=False)


def _follow(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    ended = Execution("arn:x/abc", status, BEGAN, "TrainDetector failed" if status == "Failed" else None, [STEP])
    monkeypatch.setattr(executions, "follow", lambda *_: ended)
    executions.follow_to_the_end(Connection(), "arn:x/abc", as_json=True)


def test_the_end_is_told_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _follow(monkeypatch, "Succeeded")

    told = json.loads(capsys.readouterr().out)
    assert (told["arn"], told["status"], told["steps"][0]["name"]) == ("arn:x/abc", "Succeeded", "TrainDetector")


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_an_execution_that_did_not_succeed_is_work_that_failed(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    with pytest.raises(WorkFailedError, match=f"execution abc {status}: "):
        _follow(monkeypatch, status)


def test_who_interrupts_is_told_that_the_execution_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> Execution:
        raise KeyboardInterrupt

    monkeypatch.setattr(executions, "follow", interrupted)
    with pytest.raises(typer.Exit) as ended:
        executions.follow_to_the_end(Connection(), "arn:x/abc", as_json=False)

    assert ended.value.exit_code == 130
    assert " ".join(capsys.readouterr().err.split()) == (
        "mapgate: interrupted; the execution goes on, and `mapgate executions follow` shows it again"
    )
