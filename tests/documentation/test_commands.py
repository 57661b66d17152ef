# SPDX-License-Identifier: Apache-2.0
"""docs/commands.md says what the commands say, and they say something of every option."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

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


def test_an_example_is_one_of_its_command() -> None:
    examples = {path: command.epilog for path, command in _commands("mapgate", typer.main.get_command(app))}
    shown = {path: epilog for path, epilog in examples.items() if epilog and path != "mapgate"}

    assert {"mapgate run", "mapgate data check", "mapgate data convert", "mapgate data preview"} <= shown.keys()
    assert {"mapgate model info", "mapgate model outputs", "mapgate model export"} <= shown.keys()
    assert [path for path, epilog in shown.items() if f"`{path}" not in epilog] == []


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands(f"{path} {name}", below)
