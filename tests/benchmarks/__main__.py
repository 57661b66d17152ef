# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.benchmarks [NAME ...]`: run them and print a table of ratios."""

from __future__ import annotations

import argparse
import importlib
import json

from rich.console import Console
from rich.table import Table

# Those of the server take how long each of their measurements lasts.
SERVING = ("serving", "arrivals", "overload", "connections")
NAMES = ("data", "evaluation", "intervals", "input_pipeline", "od_api", *SERVING, "training")
# Run only where they are named: they take hours.
LONG = ("od_api_quality",)


def main() -> None:
    """Print each benchmark's rows as they come."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*NAMES, *LONG, []], help="which; where none is named all but those that take hours"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--seconds", type=float, help=f"of each measurement of {', '.join(SERVING)}; else their own")
    parser.add_argument("--only", default="", help="of their cases, MODEL at SIZE, those that contain this")
    options = parser.parse_args()
    rows = []
    for name in options.names or NAMES:
        arguments = {"only": options.only} if name in SERVING else {}
        arguments |= {"seconds": options.seconds} if name in SERVING and options.seconds else {}
        rows += importlib.import_module(f"tests.benchmarks.{name}").run(**arguments)
    if options.json:
        print(json.dumps([row.__dict__ for row in rows], indent=2))
        return
    table = Table("what", "against", "ratio", "is", title="Higher is better where the ratio is of speeds")
    for row in rows:
        table.add_row(row.what, row.against, f"{row.ratio:.2f}", row.means)
    Console().print(table)


if __name__ == "__main__":
    main()
