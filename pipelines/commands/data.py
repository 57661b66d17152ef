# SPDX-License-Identifier: Apache-2.0
"""`mapgate data`: labelled images, before any training cost is spent."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.training_commands import option, training_source

app = typer.Typer(no_args_is_help=True, help="Labelled images, before any training cost is spent.")

Source = Annotated[Path, typer.Argument(help="A folder of labelled images, or a list of several (sources.yaml).")]
Format = Annotated[str | None, typer.Option(help="The layout, where the folder does not show it: coco, yolo, ...")]
LabelMap = Annotated[Path | None, typer.Option(help="Your own label_map.pbtxt.")]


class DecodeCheck(StrEnum):
    """How far images are decoded."""

    FULL = "full"
    REDUCED = "reduced"
    HEADER = "header"


class Layout(StrEnum):
    """What can be written."""

    TFRECORD = "tfrecord"
    COCO = "coco"


@app.command(
    "check", epilog="Example: `mapgate data check ./street_images --fix --output ./sound --report report.html`"
)
def check_data(
    folder: Source,
    config: Annotated[Path | None, typer.Option(help="Your own pipeline.config.")] = None,
    label_map: LabelMap = None,
    format: Format = None,  # noqa: A002 - the option's name
    policy: Annotated[Path | None, typer.Option(help="Data policy, instead of the folder's data_policy.yaml.")] = None,
    decode_check: Annotated[
        DecodeCheck | None,
        typer.Option(help="How far images are decoded: reduced (the default) notices what full notices."),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Clip, drop or turn what is safe, and say so.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the checked data set here, as TFRecords.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write report.html here, faults with their pictures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Check a data set as the pipeline's first step will, a sentence for each fault.

    The folder itself is never changed: what --fix repairs goes to --output.
    """
    options = [
        *option("--config", config),
        *option("--label-map", label_map),
        *option("--format", format),
        *option("--policy", policy),
        *option("--decode-check", decode_check),
        *option("--fix", fix),
        *option("--output", output),
        *option("--report", report),
        *option("--json", as_json),
    ]
    raise typer.Exit(training_source("check", folder, *options))


@app.command("convert", epilog="Example: `mapgate data convert ./from_cvat ./records --to tfrecord`")
def convert_data(
    source: Source,
    destination: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    to: Annotated[Layout, typer.Option(help="The layout to write.")],
    format: Format = None,  # noqa: A002 - the option's name
    label_map: LabelMap = None,
) -> None:
    """Write a data set as TFRecords or COCO; images keep their bytes, boxes their edges, classes their ids."""
    options = [*option("--to", to), *option("--format", format), *option("--label-map", label_map)]
    raise typer.Exit(training_source("convert", source, destination, *options))


@app.command("preview", epilog="Example: `mapgate data preview ./street_images --output sheet.jpg --config my.config`")
def preview_data(
    source: Source,
    output: Annotated[Path, typer.Option(help="The contact sheet to write, a JPEG or PNG.")],
    config: Annotated[Path | None, typer.Option(help="The pipeline.config whose augmentation is shown.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="How many samples.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, other samples.")] = None,
    format: Format = None,  # noqa: A002 - the option's name
) -> None:
    """Draw samples as training will see them, augmented, with their boxes."""
    options = [
        *option("--output", output),
        *option("--config", config),
        *option("--count", count),
        *option("--seed", seed),
        *option("--format", format),
    ]
    raise typer.Exit(training_source("preview", source, *options))
