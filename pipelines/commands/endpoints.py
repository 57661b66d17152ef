# SPDX-License-Identifier: Apache-2.0
"""`mapgate endpoints`: what serves where since when, and what waits and why."""

import typer
from rich.text import Text

from pipelines.client import deployments, registry, serving
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.serving import Endpoint
from pipelines.commands.terminal import Json, complaints, console, print_json
from pipelines.display.facts import fact_lines, sentence_lines
from pipelines.display.versions import told_time

app = typer.Typer()


@app.command("endpoints", epilog="Examples: `mapgate endpoints` · `mapgate --environment prod endpoints --json`")
def show_endpoints(context: typer.Context, as_json: Json = False) -> None:
    """What serves where since when, what is on its way, and what waits and why."""
    connection: Connection = context.obj
    deployment = Deployment.find(connection)
    records = deployments.read(connection, deployment)
    found = serving.endpoints(connection, deployment, records)
    waiting = serving.waiting(registry.versions(connection, deployment.model_package_group), records)
    if as_json:
        print_json({"endpoints": [one.as_json() for one in found], "waiting": [one.as_json() for one in waiting]})
        return
    for endpoint in found:
        console.print(Text.assemble(f"{endpoint.name} ", (endpoint.status or "no endpoint", "bold")))
        for line in fact_lines(_facts(endpoint), console.width):
            console.print(line)
    if waiting:
        console.print(Text("\nWhat waits", "bold"))
    for one in waiting:
        since = f" (since {told_time(one.since)})" if one.since else ""
        why = complaints.addressed(one.why)
        for line in sentence_lines(f"version {one.version} {why}{since}", console.width):
            console.print(line)


def _facts(endpoint: Endpoint) -> dict[str, object]:
    since = f" since {told_time(endpoint.since)}" if endpoint.since else ""
    return {
        "serves": f"version {endpoint.version}{since}" if endpoint.version is not None else "nothing yet",
        "on its way": f"version {endpoint.on_its_way}" if endpoint.on_its_way is not None else None,
        **{name.replace("_", " "): value for name, value in endpoint.facts.items()},
        "note": endpoint.note or None,
    }
