# SPDX-License-Identifier: Apache-2.0
"""`mapgate local`: the laptop's cloud, which lives in a package of its own and need not be installed."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipelines.client.connection import EMULATED_REGION
from pipelines.commands.terminal import Json, complaints, console, print_json

app = typer.Typer(
    name="local",
    no_args_is_help=True,
    help="The laptop's cloud: up, down, status. Its state lies in the folder that the variable MAPGATE_HOME names, by "
    "default .mapgate in the current one.",
    epilog="Examples: `mapgate local up` · `MAPGATE_HOME=~/street mapgate local status`",
)

Port = Annotated[
    int | None, typer.Option(min=1024, max=65535, help="A loopback port for the laptop's cloud.", show_default=False)
]


def home() -> Path:
    """Where the laptop's cloud keeps its state: `MAPGATE_HOME`, or `.mapgate` in the current folder."""
    return Path(os.environ.get("MAPGATE_HOME") or ".mapgate").expanduser().resolve()


@app.command("up", epilog="Examples: `mapgate local up` · `mapgate local up --port 4600`")
def local_up(port: Port = None, as_json: Json = False) -> None:
    """Start the laptop's cloud, or find it running."""
    from localcloud import cloud

    with complaints.status("starting the laptop's cloud"):
        running = cloud.up(home(), port)
    if as_json:
        print_json({"endpoint_url": running.endpoint_url, "pid": running.pid, "home": home()})
        return
    console.print(f"the laptop's cloud answers at {running.endpoint_url}; its state lies in {home()}")
    console.print("`mapgate --local …` talks to it; so does any AWS tool with")
    # boto3 reads AWS_DEFAULT_REGION, other tools AWS_REGION.
    region = f"AWS_REGION={EMULATED_REGION} AWS_DEFAULT_REGION={EMULATED_REGION}"
    console.print(f"  export AWS_ENDPOINT_URL={running.endpoint_url} {region}")
    console.print("  export AWS_ACCESS_KEY_ID=emulated AWS_SECRET_ACCESS_KEY=emulated")


@app.command("down", epilog="Example: `mapgate local down`")
def local_down(as_json: Json = False) -> None:
    """Stop the laptop's cloud; its state stays and comes back with the next `up`."""
    from localcloud import cloud

    was_up = cloud.down(home())
    if as_json:
        print_json({"home": home(), "was_running": was_up})
    elif was_up:
        console.print(f"the laptop's cloud is down; its state stays in {home()}")
    else:
        console.print(f"no cloud of {home()} was running")


@app.command("status", epilog="Examples: `mapgate local status` · `mapgate local status --json`")
def local_status(as_json: Json = False) -> None:
    """Whether the laptop's cloud is running; exit code 1 where it is not."""
    from localcloud import cloud

    running = cloud.status(home())
    if as_json:
        url = running.endpoint_url if running else None
        print_json({"running": running is not None, "endpoint_url": url, "home": home()})
    else:
        where = f"running at {running.endpoint_url}" if running else "not running"
        console.print(f"{where}; its state lies in {home()}" if running else f"{where} (of {home()})")
    if running is None:
        raise typer.Exit(1)
