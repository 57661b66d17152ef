# SPDX-License-Identifier: Apache-2.0
"""What commands print is what they were told, whole; and where they write is known before they work."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.table import Table
from rich.text import Text

from pipelines.commands.terminal import Terminal, destination, print_facts, print_json
from pipelines.display.transfers import transfer
from pipelines.errors import BadInputError

Mapgate = Callable[..., subprocess.CompletedProcess[str]]
ADDRESS = "s3://mapgate-dev-data/" + "a-long-name/" * 20 + "report.html"
# The first is a tag that rich would eat, the second a closing one that it would die of.
BRACKETS = "no quota of [ml.g5.xlarge], see [/opt/ml/output] and [bold]this[/]"
PIPELINES = Path(__file__).resolve().parents[3] / "pipelines"


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def _printed(*shown: object, to: io.StringIO | None = None) -> str:
    file = to or io.StringIO()
    Terminal(file=file).print(*shown)
    return file.getvalue()


@pytest.mark.parametrize("text", [BRACKETS, ADDRESS, "a :smile: 0x10"])
def test_text_is_printed_as_it_is_and_on_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert _printed(text) == f"{text}\n"
    assert _printed(text, to=_Screen()).count("\n") == 1


def test_a_table_that_goes_elsewhere_than_to_a_screen_is_as_wide_as_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as CI systems set it
    table = Table("step", "failure")
    table.add_row("TrainDetector", f"{BRACKETS} {ADDRESS}")

    assert f"{BRACKETS} {ADDRESS}" in _printed(table)


def test_nothing_is_drawn_in_place_where_only_colours_are_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)

    assert not Terminal(file=io.StringIO()).is_terminal
    assert Terminal(file=_Screen()).is_terminal


def test_a_rule_and_a_heading_are_no_wider_than_a_page() -> None:
    file = io.StringIO()
    Terminal(file=file).rule("The [data] set")

    assert "The [data] set" in file.getvalue()
    assert len(file.getvalue().rstrip()) <= 80


def test_what_steers_a_terminal_is_shown_and_not_obeyed() -> None:
    table = Table("reason")
    table.add_row("all good\x1b[2K\r\x07")

    reason = "all good\x1b[2K\x07"
    for told in (_printed(reason), _printed(table), _printed(Text(reason)), _printed(Text.assemble("x", reason))):
        assert "\x1b" not in told
        assert "\x07" not in told
        assert "all good" in told


def test_facts_stand_under_each_other_with_their_addresses_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_facts({"report": ADDRESS, "architecture": "ssd", "nothing": None, "reason": BRACKETS})

    assert capsys.readouterr().out.splitlines() == [
        f"report        {ADDRESS}",
        "architecture  ssd",
        f"reason        {BRACKETS}",
    ]


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nowhere/report.html", "--output {folder}/nowhere/report.html: there is no folder {folder}/nowhere; make it"),
        ("", "--output {folder}: a folder; name a file in it"),
        ("file/report.html", "there is no folder {folder}/file"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_refused(tmp_path: Path, place: str, told: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError) as refused:
        _given(tmp_path / place)

    assert told.format(folder=tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_place_that_is_not_ours_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # who runs the tests may be root
    with pytest.raises(BadInputError, match="cannot be written into"):
        _given(tmp_path / "report.html")


def test_a_place_that_is_good_is_taken(tmp_path: Path) -> None:
    assert _given(tmp_path / "report.html") == tmp_path / "report.html"
    assert _given(Path("report.html")) == Path("report.html")


def _given(path: Path) -> Path:
    option = destination("Save it here.")
    assert option.callback is not None
    given = option.callback(SimpleNamespace(opts=["--output"]), path)
    assert isinstance(given, Path)
    return given


@pytest.mark.parametrize("hidden", ["\x9b2K", "\u202e", "\u2066", "\u2028", "\x85"])
def test_what_turns_or_takes_away_text_is_shown_instead(hidden: str) -> None:
    """CSI as one character (ECMA-48, C1), and Unicode's overrides of direction (https://www.unicode.org/reports/tr9/)."""
    told = _printed(f"gate failed{hidden}dessap")
    assert hidden[0] not in told
    assert told == f"gate failed\ufffd{hidden[1:]}dessap\n"


def test_a_file_on_its_way_is_named_as_it_is() -> None:
    screen = _Screen()
    with transfer(Terminal(file=screen, force_terminal=True, width=120), f"uploading {BRACKETS}") as progress:
        progress(1, 2)

    assert BRACKETS in screen.getvalue()


def test_dates_and_paths_are_told_to_scripts_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"at": datetime(2026, 1, 2, 3, tzinfo=UTC), "path": Path("a/b")})

    assert json.loads(capsys.readouterr().out) == {"at": "2026-01-02T03:00:00+00:00", "path": "a/b"}


def test_nothing_in_this_room_reads_text_as_markup() -> None:
    """The consoles print text as it is; who escapes it would show backslashes, who marks it up would show brackets."""
    marked = [
        f"{file.relative_to(PIPELINES)}: {word}"
        for file in sorted(PIPELINES.rglob("*.py"))
        for word in ("rich.markup", "[bold]", "[/]", "[red]", "[link=", "from_markup", "markup=True")
        if word in file.read_text() and file.name != "terminal.py"
    ]

    assert marked == []
