# SPDX-License-Identifier: Apache-2.0
"""One telling of the demo's story: its stages on the console, its clock, and the summary that it leaves."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from pipelines.whole_files import written_whole

_FILES = ("animation", "contact_sheet", "before_and_after", "report")


@dataclass
class Summary:
    """What `.mapgate/demo/summary.json` holds; what the story did not reach is null."""

    mAP: float | None = None  # noqa: N815 - COCO's spelling
    mAP_50: float | None = None  # noqa: N815
    gate_passed: bool = False
    model_package_arn: str | None = None
    endpoint_name: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    training_cpu_seconds: float | None = None
    animation: str | None = None
    contact_sheet: str | None = None
    before_and_after: str | None = None
    report: str | None = None
    execution_arn: str | None = None


class Telling:
    """The console, the folder and the summary of one telling."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder = folder
        self.console = console
        self.summary = Summary()
        self._path = folder / "summary.json"
        self._path.unlink(missing_ok=True)

    @contextmanager
    def stage(self, name: str, title: str) -> Iterator[None]:
        """A stage under its title; the summary keeps its seconds."""
        self.console.rule(Text(title, "bold"), align="left")
        began = time.monotonic()
        yield
        self.summary.seconds[name] = round(time.monotonic() - began, 1)

    def say(self, line: str) -> None:
        """A line below a stage's title, as it is."""
        self.console.print(Text(f"  {line}"), soft_wrap=True)

    def end(self) -> None:
        """Write the summary and show it."""
        told = asdict(self.summary)
        with written_whole(self._path) as beside:
            beside.write_text(json.dumps(told, indent=2) + "\n")
        self.console.rule(Text("Summary", "bold"), align="left")
        table = Table(show_header=False, box=None, padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        seconds = told.pop("seconds")
        for name, value in told.items():
            if value is not None:
                table.add_row(name, _linked(value) if name in _FILES else str(value))
        stages = ", ".join(f"{stage} {spent:.0f}" for stage, spent in seconds.items())
        table.add_row("seconds", f"{stages}, in all {sum(seconds.values()):.0f}")
        table.add_row("summary", _linked(str(self._path)))
        self.console.print(table)
        self.console.print(
            "\n  The cloud goes on: `mapgate --local models list`, `mapgate --local invoke <image>`; "
            "`mapgate local down` stops it."
        )


def _linked(path: str) -> Text:
    return Text(path, Style(link=f"file://{path}"))
