# SPDX-License-Identifier: Apache-2.0
"""`mapgate demo`: the whole story on the laptop's cloud."""

from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.data import DEFAULT_GATE_POLICY
from pipelines.commands.images import pretrained_or_none
from pipelines.commands.invoke import found_by_pretrained
from pipelines.commands.local import Port, home
from pipelines.commands.terminal import console, interruptible, left_to_the_shell
from pipelines.commands.training_commands import run_training_command

app = typer.Typer()


@app.command(
    epilog="Examples: `mapgate demo` · `mapgate demo --data ./street_images` · `mapgate demo --training-steps 2` "
    "(shows a gate that does not pass)"
)
def demo(
    data: Annotated[
        Path | None, typer.Option(help="Your own folder of labelled images.", autocompletion=left_to_the_shell)
    ] = None,
    training_steps: Annotated[int | None, typer.Option(min=1, help="Instead of the config's num_steps.")] = None,
    training_settings: Annotated[
        str | None, typer.Option(help='How training goes on, such as "seed=18 early_stopping_patience=5".')
    ] = None,
    port: Port = None,
) -> None:
    """Tell the whole story on the laptop's cloud, from images to an approved model that answers."""
    from pipelines.demo.pretrained import PretrainedDetector
    from pipelines.demo.run import tell

    if data is not None and (code := run_training_command("check", data, "--gate-policy", DEFAULT_GATE_POLICY)):
        raise typer.Exit(code)
    training = {"TrainingSteps": training_steps, "TrainingSettings": training_settings}
    # The story asks for it twice; a machine that cannot fetch it is told so once.
    pretrained = PretrainedDetector(cache(pretrained_or_none), found_by_pretrained)
    goes_on = "the laptop's cloud and what runs in it go on; the same command takes the story up where it is"
    with interruptible(goes_on):
        tell(home(), data=data, training=training, pretrained=pretrained, port=port, console=console)
