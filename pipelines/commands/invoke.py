# SPDX-License-Identifier: Apache-2.0
"""`mapgate invoke`: one image to the endpoint, or to a model that lies here; its detections as a table or drawn."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipelines.client import invocation
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.invocation import Detection
from pipelines.commands.completion import chosen, endpoint_names
from pipelines.commands.inference_commands import answers_of
from pipelines.commands.local import home
from pipelines.commands.terminal import Json, complaints, console, destination, left_to_the_shell, print_json
from pipelines.commands.zoo import fetched_pretrained
from pipelines.errors import BadInputError
from pipelines.zoo import pretrained
from pipelines.zoo.served import served

app = typer.Typer()

OPEN_IMAGES = "open-images"


@app.command(
    epilog="Examples: `mapgate invoke street.jpg --model open-images --output street_detections.png` · "
    "`mapgate invoke cells.jpg --model ./model.tar.gz --json` · `mapgate invoke street.jpg --least-score 0.5`"
)
def invoke(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(help="A JPEG or PNG file.", autocompletion=left_to_the_shell)],
    model: Annotated[
        str | None,
        typer.Option(
            metavar=f"{OPEN_IMAGES}|ARCHIVE",
            help="Serve a model on this machine for this one image, without any cloud: a pre-trained detector of 23 "
            "classes such as Person, Car and Bicycle, or a model.tar.gz or its folder.",
            autocompletion=chosen(OPEN_IMAGES),
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="Instead of the deployment's production endpoint.", autocompletion=endpoint_names),
    ] = None,
    least_score: Annotated[float, typer.Option(min=0, max=1, help="Leave out what scores less.")] = 0.3,
    output: Annotated[Path | None, destination("Draw the detections into this picture, a PNG or JPEG.")] = None,
    as_json: Json = False,
) -> None:
    """Send an image to the endpoint, or to a model of this machine, and print its detections."""
    body = _bytes_of(image)
    if model is None:
        found = _from_endpoint(context.obj, endpoint, body, least_score)
    else:
        _refuse_options_of_clouds(context, endpoint)
        found = _from_model(model, image, body, least_score)
    if output:
        from pipelines.display import pictures  # OpenCV is slow to import, and most commands draw nothing

        labels = sorted({detection.label for detection in found})
        pictures.write(output, pictures.draw(pictures.decode(body, str(image)), found, labels))
    if as_json:
        print_json([detection.as_json() for detection in found])
        return
    table = Table("label", "score", "xmin", "ymin", "xmax", "ymax")
    for detection in found:
        table.add_row(detection.label, f"{detection.score:.3f}", *(f"{side:.3f}" for side in detection.box))
    console.print(table)


def _bytes_of(image: Path) -> bytes:
    try:
        return image.read_bytes()
    except OSError as error:
        raise BadInputError(f"{image}: cannot be read ({error.strerror}); name a JPEG or PNG file") from error


def _from_endpoint(connection: Connection, endpoint: str | None, body: bytes, least_score: float) -> list[Detection]:
    endpoint = endpoint or Deployment.find(connection).endpoint_name
    return invocation.detect(connection, endpoint, body, least_score=least_score)


def _from_model(model: str, image: Path, body: bytes, least_score: float) -> list[Detection]:
    from pipelines.display import pictures

    # Before anything is fetched for it.
    pictures.decode(body, str(image))
    if model != OPEN_IMAGES and not Path(model).exists():
        raise BadInputError(f"--model {model}: neither {OPEN_IMAGES} nor a model.tar.gz or its folder")
    (found,) = found_by(_open_images() if model == OPEN_IMAGES else Path(model), [image], least_score)
    return found


def found_by_pretrained(images: Sequence[Path], least_score: float) -> list[list[Detection]]:
    """What the pre-trained detector finds in images; it is fetched and exported the first time."""
    return found_by(_open_images(), images, least_score)


def found_by(model: Path, images: Sequence[Path], least_score: float) -> list[list[Detection]]:
    """What a model of this machine finds in images, from a score on."""
    with complaints.status("asking the model's server"):
        answers = answers_of(model, images)
    return [invocation.read_answer(answer, least_score=least_score) for answer in answers]


def _open_images() -> Path:
    """The folder of the pre-trained detector as a server takes it, brought here the first time."""
    source = pretrained.pinned()
    with ExitStack() as shown:
        return served(
            source.name,
            home() / "models",
            lambda: fetched_pretrained(source).path,
            lambda text: shown.enter_context(complaints.status(text)),
        )


def _refuse_options_of_clouds(context: typer.Context, endpoint: str | None) -> None:
    """A model of this machine needs no cloud, so whoever names one means something else."""
    assert context.parent is not None
    sources = {
        each.opts[0]: context.parent.get_parameter_source(each.name or "") for each in context.parent.command.params
    }
    typed = [option for option, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if endpoint is not None:
        typed.append("--endpoint")
    if typed:
        raise BadInputError(f"--model serves on this machine and asks no cloud: leave {', '.join(typed)} out")
