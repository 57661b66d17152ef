# SPDX-License-Identifier: Apache-2.0
"""`mapgate data`: labelled images, before any training cost is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.training_source import option, training_source

app = typer.Typer(no_args_is_help=True, help="Labelled images, before any training cost is spent.")


@app.command("check", epilog="Example: `mapgate data check ./street_images --label-map label_map.pbtxt`")
def check_data(
    folder: Annotated[Path, typer.Argument(help="A folder of labelled images.")],
    config: Annotated[Path | None, typer.Option(help="Your own pipeline.config.")] = None,
    label_map: Annotated[Path | None, typer.Option(help="Your own label_map.pbtxt.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Check a data set as the pipeline's first step will, a sentence for each fault."""
    options = [*option("--config", config), *option("--label-map", label_map), *option("--json", as_json)]
    raise typer.Exit(training_source("check", folder, *options))
