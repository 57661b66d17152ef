# SPDX-License-Identifier: Apache-2.0
"""A function's signature as a command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from tests.conftest import CHECKOUT
from training_src.__main__ import main
from training_src.command_line import call
from training_src.errors import DataError, TrainingError

NAMES = ("coco", "yolo")
called: list[dict[str, Any]] = []


def command(
    folder: Path,
    name: str | None = None,
    *,
    label_map: Path | None = None,
    count: int = 6,
    format_: Annotated[str | None, NAMES] = None,
    shade: Literal["light", "dark"] | None = None,
    fix: bool = False,
) -> int:
    """Keep what was given."""
    called.append(locals())
    return 7


def needing(*, output: Path) -> int:
    raise DataError(f"{output} is full.", "And so is the other.")


def failing() -> int:
    raise TrainingError("the loss is not finite")


def test_words_become_what_the_signature_says() -> None:
    called.clear()
    code = call(
        command, "keep", ["--label-map", "m", "data", "x", "--count=3", "--format", "yolo", "--shade", "dark", "--fix"]
    )
    left_out = call(command, "keep", ["data"])

    assert (code, left_out) == (7, 7)
    assert called == [
        {
            "folder": Path("data"),
            "name": "x",
            "label_map": Path("m"),
            "count": 3,
            "format_": "yolo",
            "shade": "dark",
            "fix": True,
        },
        {
            "folder": Path("data"),
            "name": None,
            "label_map": None,
            "count": 6,
            "format_": None,
            "shade": None,
            "fix": False,
        },
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "folder"),
        (["a", "b", "c"], "unrecognized arguments: c"),
        (["a", "--count", "many"], "argument --count: invalid int value: 'many'"),
        (["a", "--format", "voc"], "argument --format: invalid choice: 'voc'"),
        (["a", "--shade", "grey"], "argument --shade: invalid choice: 'grey'"),
        (["a", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_words_that_are_no_line_are_one_sentence(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(command, "keep", words)

    assert ended.value.code == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("python -m training_src keep: ") and told in sentence


def test_an_option_without_a_default_must_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call(needing, "need", [])
    assert "--output" in capsys.readouterr().err


def test_errors_of_ours_are_sentences_and_their_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(needing, "need", ["--output", "o"]) == 2
    assert capsys.readouterr().err == "o is full.\nAnd so is the other.\n"
    assert call(failing, "fail", []) == 1
    assert capsys.readouterr().err == "the loss is not finite\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError(2, "No such file", "nope.config"), "nope.config: No such file; name another"),
        (OSError(28, "No space left on device"), "draw: No space left on device; make room"),
    ],
)
def test_a_file_that_cannot_be_read_or_written_is_one_sentence(
    capsys: pytest.CaptureFixture[str], error: OSError, told: str
) -> None:
    def draw() -> int:
        raise error

    assert call(draw, "draw", []) == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.splitlines()) == 1


def test_who_stops_reading_is_told_nothing() -> None:
    command = [sys.executable, "-m", "training_src", "architectures"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=CHECKOUT) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


def test_an_unknown_name_lists_the_jobs_and_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cheque"]) == main([]) == 2
    first, _ = capsys.readouterr().err.splitlines()
    assert first == (
        'There is no command "cheque"; give one of train, prepare, join, evaluate, '
        "architectures, check, configs, convert, estimate, export, import_litert, info, outputs, plan, preview."
    )
