# SPDX-License-Identifier: Apache-2.0
"""What the commands share of their terminal: a console for results, one for complaints, JSON for scripts."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console

console = Console(highlight=False)
complaints = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def print_json(value: Any) -> None:
    """Print a value for scripts; dates and paths become strings."""
    print(json.dumps(value, indent=2, default=str))
