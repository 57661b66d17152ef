# SPDX-License-Identifier: Apache-2.0
"""What `mapgate` declares and what the training image's commands take are the same."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
import typer

from pipelines.cli import app
from pipelines.commands.training_commands import handed_on
from training_src import command_line

HANDED_ON = {
    "architectures": ["architectures"],
    "check": ["data", "check"],
    "convert": ["data", "convert"],
    "preview": ["data", "preview"],
    "info": ["model", "info"],
    "outputs": ["model", "outputs"],
    "export": ["model", "export"],
}


@pytest.mark.parametrize("name", HANDED_ON)
def test_both_sides_have_the_same_arguments_options_and_choices(name: str) -> None:
    command: Any = typer.main.get_command(app)
    for word in HANDED_ON[name]:
        command = command.commands[word]
    run = import_module(f"training_src.commands.{name}").run
    taken = {action.dest: action for action in command_line.parser_of(run, name)._actions if action.dest != "help"}
    declared = {parameter.name: parameter for parameter in command.params}

    assert declared.keys() == taken.keys()
    for argument, parameter in declared.items():
        action = taken[argument]
        is_option = parameter.param_type_name == "option"
        assert action.option_strings == (parameter.opts if is_option else []), argument
        assert action.required == parameter.required, argument
        assert isinstance(action, argparse._StoreTrueAction) == getattr(parameter, "is_flag", False), argument
        if choices := _choices(get_type_hints(command.callback)[argument]):
            assert choices == set(action.choices or ()), argument


def _choices(hint: Any) -> set[str]:
    return {word for part in (hint, *get_args(hint)) if get_origin(part) is Literal for word in get_args(part)}


def test_what_was_given_is_handed_on_and_what_was_left_out_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        called.append(words[3:])
        return subprocess.CompletedProcess(words, 3)

    monkeypatch.setattr(subprocess, "run", run)
    ends = _ending(handed_on(probe))

    assert ends(folder=Path("-odd"), label_map=None, format_="yolo", count=-3, fix=True, report=False) == 3
    assert ends(folder=None, label_map=Path("m"), format_=None, count=None, fix=False, report=False) == 3
    assert called == [["probe", "--format=yolo", "--count=-3", "--fix", "--", "-odd"], ["probe", "--label-map=m"]]


def probe(
    folder: Annotated[Path | None, typer.Argument()] = None,
    *,
    label_map: Path | None = None,
    format_: str | None = None,
    count: int | None = None,
    fix: bool = False,
    report: bool = False,
) -> None:
    """A command that is nowhere."""


def _ending(command: Callable[..., None]) -> Callable[..., int]:
    def run(**given: object) -> int:
        with pytest.raises(typer.Exit) as ended:
            command(**given)
        return int(ended.value.exit_code)

    return run
