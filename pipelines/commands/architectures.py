# SPDX-License-Identifier: Apache-2.0
"""`mapgate architectures`: the detectors that can be built, by their zoo names."""

from typing import Annotated

import typer

from pipelines.commands.terminal import Json
from pipelines.commands.training_commands import handed_on
from pipelines.zoo.architectures import completed

app = typer.Typer()


@app.command(epilog="Examples: `mapgate architectures` · `mapgate architectures --json`")
@handed_on
def architectures(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Only this one, by any of the zoo's names.", autocompletion=completed),
    ] = None,
    *,
    json_: Json = False,
) -> None:
    """The names that --architecture takes: input size, parameters, and the zoo's COCO mAP and speed."""
