# SPDX-License-Identifier: Apache-2.0
"""docs/commands.md says what the commands say, and they say something of every option."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, get_origin

import pytest
import typer
from typer.testing import CliRunner

from pipelines.cli import app
from tests.documentation.commands import PAGE, reference


def test_the_committed_page_is_the_one_that_is_written() -> None:
    assert PAGE.read_text() == reference(), "docs/commands.md is stale: run `make reference`"


def test_every_command_and_every_option_is_explained() -> None:
    silent = [
        f"{path} {parameter.name}"
        for path, command in _commands("mapgate", typer.main.get_command(app))
        for parameter in command.params
        if not (command.help and getattr(parameter, "help", None))
    ]

    assert silent == []


def test_every_command_and_noun_has_examples_of_its_own() -> None:
    silent = [
        path
        for path, command in _commands("mapgate", typer.main.get_command(app))
        if not _is_told_elsewhere(path) and not re.search(rf"`(MAPGATE_\w+=\S+ )?{path} ?[^`]*`", command.epilog or "")
    ]

    assert silent == []


def test_an_example_could_be_typed() -> None:
    """Its words are nouns, commands and options that there are."""
    known = dict(_commands("mapgate", typer.main.get_command(app)))
    for path, command in known.items():
        for example in re.findall(r"`(mapgate [^`]*)`", command.epilog or ""):
            assert [option for option in _options(example) if option not in _options_of(known, example)] == [], path


@pytest.mark.parametrize("help_", ["-h", "--help"])
def test_every_command_and_noun_explains_itself(help_: str) -> None:
    for path, _ in _commands("mapgate", typer.main.get_command(app)):
        result = CliRunner().invoke(app, [*path.split()[1:], help_], prog_name="mapgate")
        assert result.exit_code == 0, path
        assert f"Usage: {path}" in result.stdout


def test_json_has_one_spelling() -> None:
    spelled = {
        (option, parameter.help)
        for _, command in _commands("mapgate", typer.main.get_command(app))
        for parameter in command.params
        for option in parameter.opts
        if "json" in option
    }

    assert spelled == {("--json", "Print JSON for scripts.")}


# What a person writes himself.
FREE = {
    "checksum",
    "description",
    "endpoint_url",
    "mirror",
    "bucket",
    "project",
    "reason",
    "role",
    "training_settings",
}


def test_tab_completes_every_option_and_argument() -> None:
    uncompleted = [
        f"{path} {parameter.name}"
        for path, command in _commands("mapgate", typer.main.get_command(app))
        if not _is_told_elsewhere(path)
        for parameter in command.params
        if parameter.name not in FREE and not _completes(parameter)
    ]

    assert uncompleted == []


def _completes(parameter: Any) -> bool:
    """Whether there is something to complete, or nothing to: a switch, a number."""
    kind = parameter.type_descriptor.annotation
    closed = kind in (bool, int, float) or get_origin(kind) is Literal
    return closed or parameter._custom_shell_complete is not None


def _is_told_elsewhere(path: str) -> bool:
    """The registry's commands are explained with what they show."""
    return path.startswith(("mapgate models", "mapgate endpoints"))


def _options(example: str) -> list[str]:
    return re.findall(r"(?<= )--[a-z-]+", example.split(" && ")[0].split(" > ")[0])


def _options_of(known: dict[str, Any], example: str) -> set[str]:
    """The options of the command that an example types, and those that stand before a noun."""
    typed = f" {example} "
    path = max((path for path in known if f" {path.removeprefix('mapgate ')} " in typed), key=len, default="mapgate")
    parameters = [*known["mapgate"].params, *known[path].params]
    return {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands(f"{path} {name}", below)
