# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.demo.telling import Telling


def test_a_summary_says_what_was_reached_and_how_long_it_took(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("of an earlier telling")
    out = io.StringIO()
    telling = Telling(tmp_path, Console(file=out, width=200))
    assert not (tmp_path / "summary.json").exists()

    with telling.stage("cloud", "The emulated cloud"):
        telling.say("answers [here]")
    telling.summary.mAP = 0.5
    telling.end()

    told = json.loads((tmp_path / "summary.json").read_text())
    assert (told["mAP"], told["endpoint_name"], list(told["seconds"])) == (0.5, None, ["cloud"])
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines[1] == ["answers", "[here]"]
    assert ["mAP", "0.5"] in lines and ["seconds", "cloud", "0,", "in", "all", "0"] in lines
    assert not any(line[:1] == ["endpoint_name"] for line in lines)


def test_a_path_is_on_one_line_however_narrow_the_screen(tmp_path: Path) -> None:
    out = io.StringIO()
    telling = Telling(tmp_path, Console(file=out, width=40, force_terminal=True, color_system=None))
    telling.summary.report = str(tmp_path / ("a-long-name-" * 10))
    telling.end()

    assert any(line.endswith(telling.summary.report) for line in out.getvalue().splitlines())


def test_a_stage_that_failed_has_no_seconds(tmp_path: Path) -> None:
    telling = Telling(tmp_path, Console(file=io.StringIO()))

    with pytest.raises(RuntimeError), telling.stage("deploy", "cdk deploy"):
        raise RuntimeError

    assert telling.summary.seconds == {}
