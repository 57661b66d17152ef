# SPDX-License-Identifier: Apache-2.0
"""`mapgate models`: the versions in the model registry, and what is decided on them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipelines.client import registry
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.commands.terminal import Json, console, print_json

app = typer.Typer(
    name="models", no_args_is_help=True, help="Versions in the model registry: list, show, approve, reject."
)

Number = Annotated[int, typer.Argument(metavar="VERSION", help="The version's number in the registry.")]
Reason = Annotated[str | None, typer.Option(help="Kept in the registry.")]


@app.command("list")
def list_models(context: typer.Context, as_json: Json = False) -> None:
    """Every version, newest first."""
    connection: Connection = context.obj
    listed = registry.versions(connection, Deployment.find(connection).model_package_group)
    if as_json:
        print_json([version.as_json() for version in listed])
        return
    table = Table("version", "approval", "mAP", "mAP_50", "runtime", "created")
    for version in listed:
        metrics = [version.dossier.get(key, "") for key in ("mAP", "mAP_50", "runtime")]
        table.add_row(str(version.number), version.approval, *metrics, f"{version.created:%Y-%m-%d %H:%M:%S}")
    console.print(table)


@app.command("show")
def show_model(
    context: typer.Context,
    version: Annotated[int | None, typer.Argument(metavar="VERSION", help="The newest where left out.")] = None,
    report: Annotated[Path | None, typer.Option(help="Save the version's report.html here.")] = None,
    as_json: Json = False,
) -> None:
    """A version's dossier."""
    found = _version(context.obj, version)
    if report:
        registry.save_report(context.obj, found, report)
    if as_json:
        print_json(found.as_json())
        return
    console.print(f"version {found.number} {found.approval}\n{found.arn}")
    table = Table(show_header=False)
    for key, value in sorted(found.dossier.items()):
        table.add_row(key, value)
    console.print(table)


@app.command("approve")
def approve_model(context: typer.Context, version: Number, reason: Reason = None) -> None:
    """Approve a version; production follows by itself."""
    _decide(context.obj, version, "Approved", reason)


@app.command("reject")
def reject_model(context: typer.Context, version: Number, reason: Reason = None) -> None:
    """Reject a version."""
    _decide(context.obj, version, "Rejected", reason)


def _decide(connection: Connection, number: int, decision: registry.Decision, reason: str | None) -> None:
    found = _version(connection, number)
    registry.decide(connection, found.arn, decision, reason)
    console.print(f"version {found.number} is {decision}")


def _version(connection: Connection, number: int | None) -> registry.Version:
    return registry.version(connection, Deployment.find(connection).model_package_group, number)
