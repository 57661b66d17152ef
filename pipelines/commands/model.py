# SPDX-License-Identifier: Apache-2.0
"""`mapgate model`: what a pipeline.config and a checkpoint make, looked at without a cloud."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.training_commands import option, training_source
from pipelines.errors import BadInputError
from pipelines.zoo import architectures

app = typer.Typer(
    no_args_is_help=True, help="Detectors from a pipeline.config and a checkpoint: info, outputs, export."
)

PipelineConfig = Annotated[Path, typer.Option(help="A pipeline.config, of TensorFlow 1 or 2.")]
Checkpoint = Annotated[
    str, typer.Option(metavar="PREFIX", help="Its path without .index, its folder, or a .tar.gz of the zoo.")
]


class InputType(StrEnum):
    """As the OD API's exporter names them."""

    IMAGE_TENSOR = "image_tensor"
    FLOAT_IMAGE_TENSOR = "float_image_tensor"
    ENCODED_IMAGE_STRING_TENSOR = "encoded_image_string_tensor"
    TF_EXAMPLE = "tf_example"


Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@app.command(
    "info",
    epilog="Examples: `mapgate model info --architecture efficientdet_d1_640x640 --num-classes 20` · "
    "`mapgate model info --pipeline-config ./pipeline.config --json`",
)
def model_info(
    pipeline_config: Annotated[Path | None, typer.Option(help="A pipeline.config, of TensorFlow 1 or 2.")] = None,
    architecture: Annotated[
        str | None, typer.Option(help="A zoo name instead.", autocompletion=architectures.completed)
    ] = None,
    num_classes: Annotated[int | None, typer.Option(min=1, help="With --architecture; 90 where left out.")] = None,
    as_json: Json = False,
) -> None:
    """Layers, parameters, FLOPs, and the anchors of each level."""
    if (pipeline_config is None) == (architecture is None):
        raise BadInputError("name either --pipeline-config or --architecture")
    if pipeline_config and num_classes:
        raise BadInputError(f"--num-classes goes with --architecture: {pipeline_config} says its own num_classes")
    options = [
        *option("--pipeline-config", pipeline_config),
        *option("--architecture", architecture),
        *option("--num-classes", num_classes),
        *option("--json", as_json),
    ]
    raise typer.Exit(training_source("info", *options))


@app.command(
    "outputs",
    epilog="Examples: `mapgate model outputs --pipeline-config ./pipeline.config --checkpoint ./checkpoint/ckpt-0 "
    "--images images.npz --output outputs.npz` · `… --training --groundtruth images.npz`",
)
def model_outputs(
    pipeline_config: PipelineConfig,
    checkpoint: Checkpoint,
    images: Annotated[Path, typer.Option(help=".npz with image_0, image_1, ...: uint8, height x width x 3.")],
    output: Annotated[Path, typer.Option(help="The .npz to write.")],
    training: Annotated[bool, typer.Option("--training", help="Targets, losses and gradient norms too.")] = False,
    groundtruth: Annotated[
        Path | None,
        typer.Option(
            help="With --training: .npz with groundtruth_boxes_0 (ymin, xmin, ymax, xmax, normalised), "
            "groundtruth_classes_0 (from 0), ..."
        ),
    ] = None,
) -> None:
    """Every number of a detector that can be compared with another implementation's.

    Preprocessed images, raw predictions and detections, under the OD API's names; with --training also what one
    training step computes, as `train_` with the batch's statistics and as `frozen_` with batch norms' moving averages.
    """
    if training != (groundtruth is not None):
        raise BadInputError("--training and --groundtruth go together: name both or neither")
    options = [
        *option("--pipeline-config", pipeline_config),
        *option("--checkpoint", checkpoint),
        *option("--images", images),
        *option("--output", output),
        *option("--training", training),
        *option("--groundtruth", groundtruth),
    ]
    raise typer.Exit(training_source("outputs", *options))


@app.command(
    "export",
    epilog="Example: `mapgate model export --pipeline-config ./pipeline.config --checkpoint ./checkpoint/ckpt-0 "
    "--label-map ./label_map.pbtxt --output ./exported`",
)
def model_export(
    pipeline_config: PipelineConfig,
    checkpoint: Checkpoint,
    output: Annotated[Path, typer.Option(help="A new or empty folder.")],
    label_map: Annotated[
        Path | None, typer.Option(help="A label_map.pbtxt: only its ids are detected; every class where left out.")
    ] = None,
    input_type: Annotated[InputType, typer.Option(help="What the SavedModel takes.")] = InputType.IMAGE_TENSOR,
    calibration: Annotated[
        Path | None, typer.Option(help="A prepared validation split (*.tfrecord): write OpenVINO's int8 too.")
    ] = None,
) -> None:
    """Write the SavedModel with the eight outputs of the OD API's exporter, and checkpoint and config beside it."""
    options = [
        *option("--pipeline-config", pipeline_config),
        *option("--checkpoint", checkpoint),
        *option("--output", output),
        *option("--label-map", label_map),
        *option("--input-type", input_type),
        *option("--calibration", calibration),
    ]
    raise typer.Exit(training_source("export", *options))


def list_architectures(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Only this one, by any of the zoo's names.", autocompletion=architectures.completed
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """The names that --architecture takes: input size, parameters, and the zoo's COCO mAP and speed."""
    raise typer.Exit(training_source("architectures", name, *option("--json", as_json)))
