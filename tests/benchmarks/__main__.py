# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.benchmarks [NAME ...]`: run them and print a table of ratios."""

from __future__ import annotations

import argparse
import importlib
import json

from rich.console import Console
from rich.table import Table

NAMES = ("data", "evaluation", "input_pipeline", "od_api", "serving", "training")
# Run only where they are named: they take hours.
LONG = ("od_api_quality",)


def main() -> None:
    """Print each benchmark's rows as they come."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*NAMES, *LONG, []], help="which; where none is named all but those that take hours"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    options = parser.parse_args()
    rows = []
    for name in options.names or NAMES:
        rows += importlib.import_module(f"tests.benchmarks.{name}").run()
    if options.json:
        print(json.dumps([row.__dict__ for row in rows], indent=2))
        return
    table = Table("what", "against", "ratio", "is", title="Higher is better where the ratio is of speeds")
    for row in rows:
        table.add_row(row.what, row.against, f"{row.ratio:.2f}", row.means)
    Console().print(table)


if __name__ == "__main__":
    main()
