# SPDX-License-Identifier: Apache-2.0
"""docs/commands.md: every command, argument and option, as the commands themselves explain them."""

import re

import typer
from typer.cli import get_docs_for_click

from pipelines.cli import app
from tests.documentation import DOCS

PAGE = DOCS / "commands.md"
HEAD = "<!-- Written by `make reference`: change the commands, not this file. -->\n\n"


def reference() -> str:
    """The page's text, in Markdown."""
    command = typer.main.get_command(app)
    page = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="mapgate"), name="mapgate")
    # The lists of a group's commands cut their sentences off; below them each has a chapter of its own.
    return HEAD + re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n", "", page).rstrip() + "\n"
