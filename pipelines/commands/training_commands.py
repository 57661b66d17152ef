# SPDX-License-Identifier: Apache-2.0
"""The training image's commands, run here as a process of their own: `mapgate` needs none of their libraries."""

import functools
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import typer


def run_training_command(name: str, *words: str | Path, quiet: bool = False) -> int:
    """Run `python -m training_src NAME WORDS` on this terminal, or with its complaints alone; returns its exit code."""
    command = [sys.executable, "-m", "training_src", name, *words]
    return subprocess.run(command, stdout=subprocess.DEVNULL if quiet else None, check=False).returncode


def handed_on(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose work the training image's command of the same name does.

    Only its signature is used: what may be given by position stands without a name there too, what is keyword-only
    has the same option, a bool is a switch.
    """

    @functools.wraps(command)
    def run(**given: object) -> None:
        raise typer.Exit(run_training_command(command.__name__, *_words(command, given)))

    return run


def _words(command: Callable[..., None], given: dict[str, object]) -> list[str]:
    options, places = [], []
    for name, parameter in inspect.signature(command).parameters.items():
        value = given[name]
        if value is None or value is False:
            continue
        if parameter.kind is not parameter.KEYWORD_ONLY:
            places.append(str(value))
        else:
            option = "--" + name.strip("_").replace("_", "-")
            options.append(option if value is True else f"{option}={value}")
    return [*options, *(["--", *places] if places else [])]
