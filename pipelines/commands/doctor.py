# SPDX-License-Identifier: Apache-2.0
"""`mapgate doctor`: what a first deployment needs, looked at before it is tried."""

from dataclasses import asdict

import typer
from rich.text import Text

from pipelines.client.connection import Connection
from pipelines.client.readiness import findings
from pipelines.commands.terminal import Json, complaints, console, print_json

app = typer.Typer()

MARKS = {"good": ("✔", "green"), "wrong": ("✘", "red"), "unknown": ("?", "yellow")}


@app.command(epilog="Examples: `mapgate doctor` · `mapgate --environment prod --profile shop doctor --json`")
def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Whether all is there that a deployment needs: credentials, region, bootstrap, quotas, docker, node, images."""
    connection: Connection = context.obj
    assert context.parent is not None
    found = []
    for finding in findings(connection, context.parent.params["environment"]):
        found.append(finding)
        if not as_json:
            console.print(
                Text.assemble(MARKS[finding.verdict], f" {finding.thing}: {complaints.addressed(finding.told)}")
            )
    if as_json:
        print_json([asdict(finding) for finding in found])
    if any(finding.verdict == "wrong" for finding in found):
        raise typer.Exit(1)
