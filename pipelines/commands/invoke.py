# SPDX-License-Identifier: Apache-2.0
"""`mapgate invoke`: one image to the endpoint, its detections as a table or drawn."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipelines.client import invocation
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.commands.terminal import Json, console, print_json

app = typer.Typer()


@app.command(epilog="Example: `mapgate invoke street.jpg --output street_detections.png`")
def invoke(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(help="A JPEG or PNG file.", exists=True, dir_okay=False)],
    endpoint: Annotated[str | None, typer.Option(help="Instead of the deployment's production endpoint.")] = None,
    least_score: Annotated[float, typer.Option(min=0, max=1, help="Leave out what scores less.")] = 0.3,
    output: Annotated[Path | None, typer.Option(help="Draw the detections into this picture.")] = None,
    as_json: Json = False,
) -> None:
    """Send an image to the endpoint and print its detections."""
    connection: Connection = context.obj
    endpoint = endpoint or Deployment.find(connection).endpoint_name
    body = image.read_bytes()
    found = invocation.detect(connection, endpoint, body, least_score=least_score)
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
