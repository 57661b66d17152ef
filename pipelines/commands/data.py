# SPDX-License-Identifier: Apache-2.0
"""`mapgate data`: labelled images, before any training cost is spent."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.commands.completion import FORMATS, chosen
from pipelines.commands.terminal import Json, destination, left_to_the_shell, makeable, new_folder
from pipelines.commands.training_commands import handed_on
from pipelines.zoo.architectures import completed

# What an environment is deployed with, unless somebody changed it there.
DEFAULT_GATE_POLICY = Path(__file__).resolve().parents[2] / "infra" / "training" / "defaults" / "gate_policy.yaml"

app = typer.Typer(
    name="data",
    no_args_is_help=True,
    help="Labelled images, before any training cost is spent: check, convert, preview.",
    epilog="Examples: `mapgate data check ./street_images --report report.html` · "
    "`mapgate data preview ./street_images --output sheet.jpg`",
)

Source = Annotated[
    Path,
    typer.Argument(
        help="A folder of labelled images, or a list of several (sources.yaml).", autocompletion=left_to_the_shell
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="The layout, where the folder does not show it: coco, yolo, ...",
        autocompletion=chosen(*FORMATS),
    ),
]
LabelMap = Annotated[Path | None, typer.Option(help="Your own label_map.pbtxt.", autocompletion=left_to_the_shell)]


@app.command(epilog="Example: `mapgate data check ./street_images --fix --output ./sound --report report.html`")
@handed_on
def check(
    folder: Source,
    *,
    architecture: Annotated[
        str | None,
        typer.Option(help="Bundled, with whose anchors --report compares the boxes.", autocompletion=completed),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Your own pipeline.config.", autocompletion=left_to_the_shell)
    ] = None,
    label_map: LabelMap = None,
    format_: Format = None,
    policy: Annotated[
        Path | None,
        typer.Option(help="Data policy, instead of the folder's data_policy.yaml.", autocompletion=left_to_the_shell),
    ] = None,
    gate_policy: Annotated[
        Path,
        typer.Option(
            help="Gate policy: whether the test split is enough for it is judged, too.",
            show_default="the bundled one",
            autocompletion=left_to_the_shell,
        ),
    ] = DEFAULT_GATE_POLICY,
    decode_check: Annotated[
        Literal["full", "reduced", "header"] | None,
        typer.Option(help="How far images are decoded: reduced (the default) notices what full notices."),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Clip, drop or turn what is safe, and say so.")] = False,
    output: Annotated[
        Path | None, new_folder("Write the checked data set into this new or empty folder, as TFRecords.")
    ] = None,
    report: Annotated[Path | None, destination("Write report.html here, faults with their pictures.")] = None,
    json_: Json = False,
) -> None:
    """Check a data set as the pipeline's first step will, a sentence for each fault.

    The folder itself is never changed: what --fix repairs goes to --output.
    """


@app.command(epilog="Example: `mapgate data convert ./from_cvat ./records --to tfrecord`")
@handed_on
def convert(
    source: Source,
    destination: Annotated[
        Path, typer.Argument(help="A new or empty folder.", autocompletion=left_to_the_shell, callback=makeable)
    ],
    *,
    to: Annotated[Literal["tfrecord", "coco"], typer.Option(help="The layout to write.")],
    format_: Format = None,
    label_map: LabelMap = None,
) -> None:
    """Write a data set as TFRecords or COCO; images keep their bytes, boxes their edges, classes their ids.

    Images that EXIF turns are written upright, with their boxes.
    """


@app.command(epilog="Example: `mapgate data preview ./street_images --output sheet.jpg --config my.config`")
@handed_on
def preview(
    source: Source,
    *,
    output: Annotated[Path, destination("The contact sheet to write, a JPEG or PNG.")],
    config: Annotated[
        str | None,
        typer.Option(
            help="The pipeline.config, or an architecture's name, whose augmentation is shown.",
            autocompletion=completed,
        ),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="How many samples.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, other samples.")] = None,
    format_: Format = None,
) -> None:
    """Draw samples as training will see them, augmented, with their boxes."""
