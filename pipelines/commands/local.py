# SPDX-License-Identifier: Apache-2.0
"""`mapgate local`: the laptop's cloud, which lives in a package of its own and need not be installed."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.terminal import Json, console, print_json

app = typer.Typer(name="local", no_args_is_help=True, help="The laptop's cloud: up, down, status.")


def home() -> Path:
    """Where the laptop's cloud keeps its state: `MAPGATE_HOME`, or `.mapgate` in the current folder."""
    return Path(os.environ.get("MAPGATE_HOME", ".mapgate")).resolve()


@app.command("up")
def local_up(port: Annotated[int | None, typer.Option(help="A loopback port.")] = None, as_json: Json = False) -> None:
    """Start the laptop's cloud, or find it running."""
    from localcloud import cloud

    running = cloud.up(home(), port)
    if as_json:
        print_json({"endpoint_url": running.endpoint_url, "pid": running.pid})
        return
    console.print(f"the laptop's cloud answers at {running.endpoint_url}; its state lies in {home()}")
    console.print("`mapgate --local …` talks to it; so does any AWS tool with")
    console.print(f"  export AWS_ENDPOINT_URL={running.endpoint_url} AWS_REGION=us-east-1")
    console.print("  export AWS_ACCESS_KEY_ID=emulated AWS_SECRET_ACCESS_KEY=emulated")


@app.command("down")
def local_down() -> None:
    """Stop the laptop's cloud; its state stays and comes back with the next `up`."""
    from localcloud import cloud

    cloud.down(home())
    console.print("the laptop's cloud is down")


@app.command("status")
def local_status(as_json: Json = False) -> None:
    """Whether the laptop's cloud is running; exit code 1 where it is not."""
    from localcloud import cloud

    running = cloud.status(home())
    if as_json:
        print_json({"running": running is not None, "endpoint_url": running.endpoint_url if running else None})
    else:
        console.print(f"running at {running.endpoint_url}" if running else "not running")
    if running is None:
        raise typer.Exit(1)
