# SPDX-License-Identifier: Apache-2.0
"""`mapgate executions`: what the pipeline has done and does."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from pipelines.client import executions
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.commands.terminal import Json, complaints, console, print_json
from pipelines.display.progress import follow, log_of
from pipelines.errors import BadInputError, WorkFailedError

app = typer.Typer(name="executions", no_args_is_help=True, help="Pipeline executions: list, show, follow, stop, logs.")

ExecutionId = Annotated[
    str | None, typer.Argument(metavar="EXECUTION", help="ARN, id, or the id's beginning; the newest where left out.")
]


@app.command("list")
def list_executions(context: typer.Context, as_json: Json = False) -> None:
    """The newest executions."""
    connection: Connection = context.obj
    summaries = executions.recent(connection, Deployment.find(connection).pipeline_name)
    if as_json:
        print_json(summaries)
        return
    table = Table("execution", "status", "started")
    for summary in summaries:
        identifier = summary["PipelineExecutionArn"].rsplit("/", 1)[-1]
        table.add_row(identifier, summary["PipelineExecutionStatus"], f"{summary['StartTime']:%Y-%m-%d %H:%M:%S}")
    console.print(table)


@app.command("show")
def show_execution(context: typer.Context, execution: ExecutionId = None, as_json: Json = False) -> None:
    """One execution, step by step."""
    told = executions.describe(context.obj, _arn_of(context.obj, execution))
    if as_json:
        print_json(told.as_json())
        return
    console.print(Text.assemble(f"{told.identifier} ", (told.status, "bold"), f" {told.failure_reason or ''}"))
    table = Table("step", "status", "seconds", "reused", "failure")
    for step in told.steps:
        seconds = "" if step.seconds is None else f"{step.seconds:.1f}"
        table.add_row(step.name, step.status, seconds, "yes" if step.cached else "", step.failure_reason or "")
    console.print(table)


@app.command("follow")
def follow_execution(context: typer.Context, execution: ExecutionId = None, as_json: Json = False) -> None:
    """Watch an execution until it ends; exit code 1 where it fails."""
    follow_to_the_end(context.obj, _arn_of(context.obj, execution), as_json)


@app.command("stop")
def stop_execution(context: typer.Context, execution: ExecutionId = None) -> None:
    """Stop an execution; a training job first writes a checkpoint."""
    arn = _arn_of(context.obj, execution)
    executions.stop(context.obj, arn)
    console.print(f"stopping {arn}")


@app.command("logs")
def execution_logs(
    context: typer.Context,
    step: Annotated[str, typer.Argument(help="A step's name, such as TrainDetector.")],
    execution: ExecutionId = None,
) -> None:
    """The log of a step."""
    told = executions.describe(context.obj, _arn_of(context.obj, execution))
    found = told.step(step)
    if found is None:
        begun = ", ".join(one.name for one in told.steps)
        raise BadInputError(f"execution {told.identifier} has begun no step {step}, only {begun}")
    for line in log_of(context.obj, found):
        print(line.rstrip())


def follow_to_the_end(connection: Connection, arn: str, as_json: bool, **further: Any) -> None:
    """Show an execution as it goes.

    Args:
        further: Told beside the execution where scripts read.

    Raises:
        WorkFailedError: It did not succeed.
    """
    try:
        execution = follow(connection, arn, complaints if as_json else console)
    except KeyboardInterrupt:
        complaints.print("mapgate: interrupted; the execution goes on, and `mapgate executions follow` shows it again")
        raise typer.Exit(130) from None
    if as_json:
        print_json({**execution.as_json(), **further})
    if execution.status != "Succeeded":
        raise WorkFailedError(f"execution {execution.identifier} {execution.status}: {execution.failure_reason or ''}")


def _arn_of(connection: Connection, identifier: str | None) -> str:
    return executions.resolve(connection, Deployment.find(connection).pipeline_name, identifier)
