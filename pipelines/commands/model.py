# SPDX-License-Identifier: Apache-2.0
"""`mapgate model`: what a pipeline.config and a checkpoint make, without a cloud; a version's files for the edge."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.client import registry
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.edge import EdgeFiles, fetch
from pipelines.commands.completion import version_numbers
from pipelines.commands.terminal import Json, console, destination, left_to_the_shell, new_folder, print_json
from pipelines.commands.training_commands import handed_on
from pipelines.zoo.architectures import completed

app = typer.Typer(
    name="model",
    no_args_is_help=True,
    help="Detectors from a pipeline.config and a checkpoint: info, configs, outputs, export; of a version what edge "
    "devices run: edge.",
    epilog="Examples: `mapgate model info --architecture efficientdet_d1_640x640` · `mapgate model export --checkpoint "
    "./checkpoint/ckpt-0 --output ./exported`",
)

PipelineConfig = Annotated[
    Path, typer.Option(help="A pipeline.config, of TensorFlow 1 or 2.", autocompletion=left_to_the_shell)
]
Checkpoint = Annotated[
    str,
    typer.Option(
        metavar="PREFIX",
        help="Its path without .index, its folder, or a .tar.gz of the zoo.",
        autocompletion=left_to_the_shell,
    ),
]
# As the OD API's exporter names them.
InputType = Literal["image_tensor", "float_image_tensor", "encoded_image_string_tensor", "tf_example"]
Form = Literal["saved_model", "tflite"]


@app.command(
    epilog="Examples: `mapgate model info --architecture efficientdet_d1_640x640 --num-classes 20` · "
    "`mapgate model info --pipeline-config ./pipeline.config --json`",
)
@handed_on
def info(
    *,
    pipeline_config: Annotated[
        Path | None, typer.Option(help="A pipeline.config, of TensorFlow 1 or 2.", autocompletion=left_to_the_shell)
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="A zoo name instead.", autocompletion=completed)] = None,
    num_classes: Annotated[int | None, typer.Option(min=1, help="With --architecture; 90 where left out.")] = None,
    json_: Json = False,
) -> None:
    """Layers, parameters, FLOPs, and the anchors of each level."""


@app.command(
    epilog="Examples: `mapgate model configs ./models/research/object_detection` · "
    "`mapgate model configs ./models --paths configs.jsonl --json`",
)
@handed_on
def configs(
    folder: Annotated[
        Path,
        typer.Argument(help="Where *.config files are, at any depth.", autocompletion=left_to_the_shell),
    ],
    *,
    paths: Annotated[
        Path | None,
        typer.Option(help="Of these only: JSON lines with a `path` below FOLDER.", autocompletion=left_to_the_shell),
    ] = None,
    build: Annotated[bool, typer.Option("--build", help="Build each detector too, which takes seconds.")] = False,
    json_: Json = False,
) -> None:
    """How many pipeline.configs of a folder can be trained, and why the others cannot."""


@app.command(
    epilog="Examples: `mapgate model outputs --pipeline-config ./pipeline.config --checkpoint ./checkpoint/ckpt-0 "
    "--images images.npz --output outputs.npz` · `… --training --groundtruth images.npz`",
)
@handed_on
def outputs(
    *,
    pipeline_config: PipelineConfig,
    checkpoint: Checkpoint,
    images: Annotated[
        Path,
        typer.Option(
            help=".npz with image_0, image_1, ...: uint8, height x width x 3.", autocompletion=left_to_the_shell
        ),
    ],
    output: Annotated[Path, destination("The .npz to write.")],
    training: Annotated[bool, typer.Option("--training", help="Targets, losses and gradient norms too.")] = False,
    groundtruth: Annotated[
        Path | None,
        typer.Option(
            help="With --training: .npz with groundtruth_boxes_0 (ymin, xmin, ymax, xmax, normalised), "
            "groundtruth_classes_0 (from 0), ...",
            autocompletion=left_to_the_shell,
        ),
    ] = None,
) -> None:
    """Every number of a detector that can be compared with another implementation's.

    Preprocessed images, raw predictions and detections, under the OD API's names; with --training also what one
    training step computes, as `train_` with the batch's statistics and as `frozen_` with batch norms' moving averages.
    """


@app.command(
    epilog="Examples: `mapgate model export --pipeline-config ./pipeline.config --checkpoint ./checkpoint/ckpt-0 "
    "--label-map ./label_map.pbtxt --output ./exported` · `mapgate model export --checkpoint "
    ".mapgate/zoo/ssd_mobilenet_v2_300x300_open_images --output ./served --artifact` · `mapgate model export "
    "--checkpoint ./checkpoint/ckpt-0 --to tflite --calibration ./prepared/train --output ./edge`",
)
@handed_on
def export(
    *,
    checkpoint: Checkpoint,
    output: Annotated[Path, new_folder("A new or empty folder.")],
    pipeline_config: Annotated[
        Path | None,
        typer.Option(
            help="A pipeline.config, of TensorFlow 1 or 2; the one beside the checkpoint where left out.",
            autocompletion=left_to_the_shell,
        ),
    ] = None,
    label_map: Annotated[
        Path | None,
        typer.Option(
            help="A label_map.pbtxt: only its ids are detected; every class where left out.",
            autocompletion=left_to_the_shell,
        ),
    ] = None,
    input_type: Annotated[InputType, typer.Option(help="What the SavedModel takes.")] = "image_tensor",
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="A prepared split (*.tfrecord): write OpenVINO's int8 too, or with --to tflite the int8 file.",
            autocompletion=left_to_the_shell,
        ),
    ] = None,
    artifact: Annotated[
        bool,
        typer.Option(
            "--artifact",
            help="Write what a training's model.tar.gz holds instead, which `mapgate invoke --model` serves; "
            "the label map beside the checkpoint is taken where none is given.",
        ),
    ] = False,
    to: Annotated[
        Form,
        typer.Option(
            help="tflite: write float16 and, with --calibration, int8 files for edge devices instead; SSD detectors."
        ),
    ] = "saved_model",
    max_detections: Annotated[
        int | None,
        typer.Option(min=1, help="With --to tflite: boxes of a picture, in place of max_total_detections."),
    ] = None,
) -> None:
    """Write the SavedModel with the eight outputs of the OD API's exporter, and checkpoint and config beside it."""


@app.command(epilog="Examples: `mapgate model edge 3` · `mapgate model edge 3 --output ./edge --json`")
def edge(
    context: typer.Context,
    version: Annotated[
        int,
        typer.Argument(metavar="VERSION", help="The version's number in the registry.", autocompletion=version_numbers),
    ],
    output: Annotated[
        Path | None, new_folder("A new or empty folder; edge-vVERSION in the current one where left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch a version's `.tflite` files, labels, parity figures and example, which its training was asked for."""
    connection: Connection = context.obj
    found = registry.version(connection, Deployment.find(connection).model_package_group, version)
    fetched = fetch(connection, found, output or Path(f"edge-v{found.number}"))
    if as_json:
        told = {"uri": fetched.uri, "folder": fetched.folder, "files": fetched.sizes, "parity": fetched.parity}
        print_json({"version": found.number, **told})
        return
    _tell(fetched)


def _tell(fetched: EdgeFiles) -> None:
    console.print(f"fetched   {fetched.uri}")
    for name, size in fetched.sizes.items():
        console.print(f"          {fetched.folder / name}, {size / 1e6:.2f} MB{_figures(fetched.parity.get(name))}")
    if "example.py" in fetched.sizes:
        console.print(f"run it    cd {shlex.quote(str(fetched.folder))} && python example.py PICTURE")


def _figures(parity: object) -> str:
    """Of a parity check that anybody could have written; "" where it has none."""
    known = parity if isinstance(parity, dict) else {}
    values = [known.get(name) for name in ("map", "map_float32")]
    if not all(isinstance(value, (int, float)) for value in values):
        return ""
    return f": mAP {values[0]:.4f}, float32's is {values[1]:.4f}"
