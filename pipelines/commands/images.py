# SPDX-License-Identifier: Apache-2.0
"""`mapgate images`: the training and the inference image, from this checkout to the deployment."""

from typing import Annotated

import typer

from pipelines.client import images
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.commands.local import home
from pipelines.commands.terminal import Json, console, print_json
from pipelines.errors import BadInputError

app = typer.Typer(name="images", no_args_is_help=True, help="The training and the inference image.")


@app.command("push")
def push_images(
    context: typer.Context,
    accelerator: Annotated[str, typer.Option(help="What the training image is built for: cpu or gpu.")] = "gpu",
    as_json: Json = False,
) -> None:
    """Build the deployed tags from this checkout and push those that are missing."""
    if accelerator not in ("cpu", "gpu"):
        raise BadInputError(f"--accelerator {accelerator}: name cpu or gpu")
    connection: Connection = context.obj
    pushed = []
    for image, new in images.push_missing(
        connection, Deployment.find(connection), accelerator=accelerator, home=home()
    ):
        pushed.append({"name": image.name, "uri": image.uri, "pushed": new})
        if not as_json:
            console.print(f"{'pushed' if new else 'was there'}  {image.uri}", soft_wrap=True)
    if as_json:
        print_json(pushed)
