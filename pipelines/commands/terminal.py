# SPDX-License-Identifier: Apache-2.0
"""What the commands share of their terminal: how text and addresses come out whole, JSON, and where files may go.

Nothing that is printed here is markup: reasons, paths and names come from outside and may hold brackets. Who wants a
word in bold prints a `rich.text.Text`.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleDimensions
from rich.rule import Rule
from rich.segment import Segment
from rich.text import Text
from typer.models import OptionInfo

from pipelines.errors import BadInputError

# Of what is no screen: nothing is wrapped for it.
UNLIMITED = 1_000_000
PAGE = 80
# Those that talk to a deployment.
_COMMANDS = re.compile(r"`mapgate (?=(run|invoke|doctor|executions|images|models|endpoints|zoo)\b)")
# What would move a cursor, ring or colour is shown as a sign of its own; tabs and line ends stay.
_STEERING = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
# So is what has no sign: control characters of 8 bits, ends of lines and paragraphs, and what turns text round.
_STEERING |= dict.fromkeys([*range(0x80, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)


class Terminal(Console):
    """Prints text as it is: no markup, no control characters, no line broken that somebody may copy.

    Where no screen is behind it, tables are as wide as what they hold.

    Attributes:
        command: How the present command line begins, such as `mapgate --local`.
    """

    command = "mapgate"

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"highlight": False, "markup": False, "emoji": False} | options))

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at it; not so where a variable forces the colours of a pipe, as in CI."""
        if self._force_terminal is not None:
            return self._force_terminal
        return bool(getattr(self.file, "isatty", lambda: False)())

    @property
    def size(self) -> ConsoleDimensions:
        """The screen's columns and rows."""
        return super().size if self.is_terminal else ConsoleDimensions(UNLIMITED, 25)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as `Console.print` does; the lines of text are left to the terminal to wrap."""
        if all(isinstance(each, (str, Text)) for each in objects):
            options.setdefault("soft_wrap", True)
        super().print(*objects, **options)

    def render(self, *of: Any, **options: Any) -> Iterator[Segment]:
        """What is shown, piece by piece; what moves the cursor comes from this program alone."""
        for piece in super().render(*of, **options):
            yield piece if piece.control else Segment(piece.text.translate(_STEERING), piece.style)

    def rule(self, title: Any = "", **options: Any) -> None:
        """A line across the page, with a title."""
        self.print(Rule(title=title, **options), width=min(PAGE, self.width))

    def addressed(self, sentence: str) -> str:
        """The sentence, with the commands that it tells to type meant for the deployment of the present one."""
        return _COMMANDS.sub(f"`{self.command} ", sentence)


console = Terminal()
complaints = Terminal(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def print_json(value: Any) -> None:
    """Print a value for scripts; dates become ISO 8601 strings, paths and others what they say of themselves."""
    print(json.dumps(value, indent=2, default=lambda it: it.isoformat() if isinstance(it, datetime) else str(it)))


def print_facts(facts: Mapping[str, object]) -> None:
    """Print a line for each thing that is known: its name, and what it is, however long. None is left out."""
    known = {name: value for name, value in facts.items() if value is not None}
    width = max(map(len, known), default=0)
    for name, value in known.items():
        console.print(f"{name:<{width}}  {value}")


def destination(told: str, *names: str, **options: Any) -> OptionInfo:
    """An option that names a file to write, refused at once where no file can be written there.

    Args:
        told: Its help.
        names: As it is typed, where the parameter's name is not it.
        options: Further ones of `typer.Option`.
    """
    option = typer.Option(*names, help=told, callback=_writable, autocompletion=left_to_the_shell, **options)
    assert isinstance(option, OptionInfo)
    return option


def new_folder(told: str, *names: str, **options: Any) -> OptionInfo:
    """The same of a folder to make, or to fill where it is empty."""
    option = typer.Option(*names, help=told, callback=makeable, autocompletion=left_to_the_shell, **options)
    assert isinstance(option, OptionInfo)
    return option


def makeable(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    """A folder that can be made, as far as one can see beforehand.

    Raises:
        BadInputError: A file is in its way, or the folder above it may not be written.
    """
    if path is None:
        return None
    named = f"{parameter.opts[0]} {path}"
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir():
        raise BadInputError(f"{named}: {there} is a file; name a folder")
    if not os.access(there, os.W_OK):
        raise BadInputError(f"{named}: nothing can be written into {there}; name another folder")
    return path


@contextmanager
def interruptible(told: str) -> Iterator[None]:
    """Who presses Ctrl-C in this block is told what that means, and the command ends.

    Raises:
        typer.Exit: With 130, as shells say it.
    """
    try:
        yield
    except KeyboardInterrupt:
        complaints.print(f"mapgate: interrupted; {told}")
        raise typer.Exit(130) from None


def left_to_the_shell(incomplete: str) -> list[str]:  # noqa: ARG001
    """No words of ours: shells complete paths themselves, and only where they are given none."""
    return []


def _writable(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    if path is None:
        return None
    named = f"{parameter.opts[0]} {path}"
    if path.is_dir():
        raise BadInputError(f"{named}: a folder; name a file in it")
    if not path.parent.is_dir():
        raise BadInputError(f"{named}: there is no folder {path.parent}; make it, or name another")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise BadInputError(f"{named}: cannot be written into {path.parent}; name another folder")
    return path
