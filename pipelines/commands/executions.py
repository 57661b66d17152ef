# SPDX-License-Identifier: Apache-2.0
"""`mapgate executions`: what the pipeline has done and does."""

from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Table
from rich.text import Text

from pipelines.client import executions
from pipelines.client.connection import Connection
from pipelines.client.curves import curves
from pipelines.client.deployment import Deployment
from pipelines.client.executions import Execution
from pipelines.client.results import Results, origin, results, results_of, save
from pipelines.commands.comparison import KEPT, beside, differing, facts, incomparable, markdown, transposed
from pipelines.commands.completion import execution_ids, steps
from pipelines.commands.ending import reason_of, told_of
from pipelines.commands.terminal import Json, complaints, console, destination, interruptible, print_facts, print_json
from pipelines.display.progress import follow, known_of, log_of
from pipelines.errors import BadInputError, MapgateError, WorkFailedError

app = typer.Typer(
    name="executions",
    no_args_is_help=True,
    help="Pipeline executions: list, show, report, compare, follow, stop, logs.",
    epilog="Examples: `mapgate executions list` · `mapgate executions compare 4nx 7pq --picture curves.png`",
)

ExecutionId = Annotated[
    str | None,
    typer.Argument(
        metavar="EXECUTION",
        help="ARN, id, or the id's beginning; the newest where left out.",
        autocompletion=execution_ids,
    ),
]


@app.command(
    "list", epilog="Examples: `mapgate executions list` · `mapgate executions list --count 50 --markdown > runs.md`"
)
def list_executions(
    context: typer.Context,
    count: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="The table of runs, with what each was asked for and came to.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The newest executions."""
    connection: Connection = context.obj
    deployment = Deployment.find(connection)
    recent = executions.recent(connection, deployment.pipeline_name, at_most=count)
    if as_markdown:
        told = results_of(connection, deployment, [each["PipelineExecutionArn"] for each in recent])
        print(markdown([facts(each) for each in told], KEPT))
        return
    summaries = [_summary(each) for each in recent]
    if as_json:
        print_json(summaries)
        return
    if not summaries:
        console.print(f"no execution yet: `{connection.command} run DATA` starts one")
        return
    table = Table("execution", "status", "started", "for")
    for told_of_one in summaries:
        started = f"{told_of_one['started']:%Y-%m-%d %H:%M:%S}"
        table.add_row(told_of_one["id"], told_of_one["status"], started, told_of_one["description"] or "")
    console.print(table)


@app.command("show", epilog="Examples: `mapgate executions show` · `mapgate executions show 4nx7 --json`")
def show_execution(context: typer.Context, execution: ExecutionId = None, as_json: Json = False) -> None:
    """One execution: what it was asked for, step by step what it did, what came of it, and why it ended."""
    connection: Connection = context.obj
    deployment = Deployment.find(connection)
    told = results(connection, deployment, executions.describe(connection, _arn_of(connection, execution)))
    if as_json:
        print_json({**told.execution.as_json(), **told.as_json()})
        return
    known = facts(told)
    status = known.pop("status")
    console.print(Text.assemble(f"{known.pop('execution')} ", (status, "bold")))
    ended = status in executions.FINISHED
    known["reason"] = console.addressed(reason_of(told)) if ended and status != "Succeeded" else ""
    known |= {f"report of the {report.subject}": report.uri for report in told.reports}
    print_facts({name: value or None for name, value in known.items()})
    console.print(_table_of_steps(told.execution))
    for step in told.execution.steps:
        # Not in the table, whose cells would break addresses.
        if step.failure_reason and step.failure_reason not in known["reason"]:
            console.print(f"{step.name}  {step.failure_reason}")
    remarks = [*(told.evaluation.remarks if told.evaluation else []), *told.notes]
    for remark in remarks:
        console.print(f"note  {remark}")


@app.command(
    "report",
    epilog="Examples: `mapgate executions report --output report.html` · "
    "`mapgate executions report 4nx7 --data --output images.html`",
)
def save_report(
    context: typer.Context,
    execution: ExecutionId = None,
    *,
    output: Annotated[Path, destination("The HTML file to write.")],
    data: Annotated[bool, typer.Option("--data", help="The data set's report and not the model's.")] = False,
    as_json: Json = False,
) -> None:
    """Save an execution's report: the model's, also where the gate did not let it through, else the data set's."""
    connection: Connection = context.obj
    deployment = Deployment.find(connection)
    told = results(connection, deployment, executions.describe(connection, _arn_of(connection, execution)))
    fitting = [report for report in told.reports if not data or report.subject == "data set"]
    if not fitting:
        raise BadInputError(
            f"execution {told.execution.identifier} ({told.execution.status}) has left no "
            f"{'data ' if data else ''}report; `mapgate executions show {told.execution.identifier}` says "
            "how far it came"
        )
    save(connection, fitting[0].uri, output)
    if as_json:
        print_json({"subject": fitting[0].subject, "uri": fitting[0].uri, "path": output})
    else:
        console.print(f"{output}: the report of the {fitting[0].subject}, from {fitting[0].uri}")


@app.command(
    "compare",
    epilog="Examples: `mapgate executions compare 4nx7 7pq2 --picture curves.png` · "
    "`mapgate executions compare 4nx7 7pq2 9ab1 --markdown`",
)
def compare_executions(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="EXECUTION...", help="Two or more: ARN, id, or its beginning.", autocompletion=execution_ids
        ),
    ],
    *,
    picture: Annotated[
        Path | None, destination("Draw the curves of their trainings into this PNG or JPEG file.")
    ] = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table, to paste.")] = False,
    as_json: Json = False,
) -> None:
    """Two or more executions beside each other: what differs, and how their trainings went."""
    connection: Connection = context.obj
    deployment = Deployment.find(connection)
    arns = list(dict.fromkeys(executions.resolve(connection, deployment.pipeline_name, name) for name in names))
    if len(arns) < 2:
        raise BadInputError(f"{' '.join(names)}: that is one execution; name two or more")
    told = results_of(connection, deployment, arns)
    if picture:
        _draw_curves(connection, told, picture)
    columns = [facts(each) for each in told]
    different, same = differing(columns)
    if as_json:
        compared = [{**each.execution.as_json(), **each.as_json()} for each in told]
        print_json({"executions": compared, "different": different, "same": same, "picture": picture})
    elif as_markdown:
        print(transposed(columns, different))
    else:
        _print_comparison(columns, different, same)
    if warning := incomparable(told):
        complaints.print(f"mapgate: {warning}")


@app.command("follow", epilog="Examples: `mapgate executions follow` · `mapgate executions follow 4nx7 --json`")
def follow_execution(context: typer.Context, execution: ExecutionId = None, as_json: Json = False) -> None:
    """Watch an execution until it ends, and say what came of it; exit code 1 where it fails."""
    follow_to_the_end(context.obj, _arn_of(context.obj, execution), as_json)


@app.command("stop", epilog="Examples: `mapgate executions stop` · `mapgate executions stop 4nx7`")
def stop_execution(context: typer.Context, execution: ExecutionId = None, as_json: Json = False) -> None:
    """Stop an execution; a training job first writes a checkpoint."""
    arn = _arn_of(context.obj, execution)
    executions.stop(context.obj, arn)
    if as_json:
        print_json({"arn": arn, "status": "Stopping"})
    else:
        console.print(f"stopping {arn}")


@app.command(
    "logs", epilog="Examples: `mapgate executions logs TrainDetector` · `mapgate executions logs CheckPlan 4nx7`"
)
def execution_logs(
    context: typer.Context,
    step: Annotated[str, typer.Argument(help="A step's name, such as TrainDetector.", autocompletion=steps)],
    execution: ExecutionId = None,
    as_json: Json = False,
) -> None:
    """The log of a step's job; of a step that runs none, what is known of it."""
    connection: Connection = context.obj
    told = executions.describe(connection, _arn_of(connection, execution))
    found = told.step(step)
    if found is None:
        begun = ", ".join(one.name for one in told.steps) or "none so far"
        raise BadInputError(f"execution {told.identifier} has begun no step {step}, only {begun}")
    ran_in, ran = origin(connection, told, found) if found.cached and found.job is None else (told, found)
    lines = [line.rstrip() for line in log_of(connection, ran)]
    if as_json:
        print_json({"step": step, "status": found.status, "log": lines, "known": known_of(ran)})
        return
    if ran_in is not told:
        complaints.print(f"mapgate: {step} was reused from execution {ran_in.identifier}, whose log this is")
    for line in lines or known_of(ran):
        print(line)


def follow_to_the_end(connection: Connection, arn: str, as_json: bool, **further: Any) -> None:
    """Show an execution as it goes, and at its end what came of it.

    Args:
        further: Told beside the execution where scripts read.

    Raises:
        WorkFailedError: It did not succeed, or nobody could go on asking.
    """
    identifier = arn.rsplit("/", 1)[-1]
    goes_on = (
        f"execution {identifier} goes on: `{connection.command} executions follow {identifier}` shows it again, "
        f"`{connection.command} executions stop {identifier}` stops it"
    )
    with interruptible(goes_on):
        try:
            execution = follow(connection, arn, complaints if as_json else console)
        except (ClientError, BotoCoreError) as error:  # credentials that expire within a day, a network that goes
            raise WorkFailedError(f"following was cut off ({str(error).rstrip('.')}); {goes_on}") from error
    told = _came_to(connection, execution)
    if as_json:
        print_json({**execution.as_json(), **told.as_json(), **further})
    else:
        print_facts(told_of(told, connection.command))
    for note in told.notes:
        complaints.print(f"mapgate: {note}")
    if execution.status != "Succeeded":
        ended = {"Failed": "failed", "Stopped": "was stopped"}.get(execution.status, execution.status)
        raise WorkFailedError(f"execution {execution.identifier} {ended}: {reason_of(told)}")


def _came_to(connection: Connection, execution: Execution) -> Results:
    """What an ended execution left; what cannot be read is a note, since the end itself is the news."""
    try:
        return results(connection, Deployment.find(connection), execution)
    except (MapgateError, ClientError, BotoCoreError) as error:
        return Results(execution, {}, notes=[f"what it left could not be read: {error}"])


def _summary(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "arn": told["PipelineExecutionArn"],
        "id": told["PipelineExecutionArn"].rsplit("/", 1)[-1],
        "status": told["PipelineExecutionStatus"],
        "started": told["StartTime"],
        "description": told.get("PipelineExecutionDescription"),
        "name": told.get("PipelineExecutionDisplayName"),
        "failure_reason": told.get("PipelineExecutionFailureReason"),
    }


def _table_of_steps(execution: Execution) -> Table:
    table = Table("step", "status", "seconds", "reused")
    for step in execution.steps:
        seconds = "" if step.seconds is None else f"{step.seconds:.1f}"
        table.add_row(step.name, step.status, seconds, "yes" if step.cached else "")
    return table


def _print_comparison(columns: list[dict[str, str]], different: list[str], same: list[str]) -> None:
    """What differs as a table, and below it, a line each, addresses that nobody could copy from a cell."""
    addresses = [name for name in different if any("s3://" in column.get(name, "") for column in columns)]
    console.print(beside(columns, [name for name in different if name not in addresses]))
    for name in addresses:
        console.print(name)
        print_facts({f"  {column['execution']}": column.get(name) or "-" for column in columns})
    if same:
        console.print("the same in all")
        print_facts({f"  {name}": columns[0][name] for name in same})


def _draw_curves(connection: Connection, told: list[Results], picture: Path) -> None:
    from pipelines.display import curves as drawing  # OpenCV is slow to import
    from pipelines.display import pictures

    named = {}
    for each in told:
        mean_ap = f", mAP {each.evaluation.mean_ap}" if each.evaluation else ""
        named[f"{each.execution.identifier}{mean_ap}"] = curves(connection, each.execution)
    drawn = drawing.draw(named)
    if drawn is None:
        raise BadInputError(f"--picture {picture}: none of the executions has a training's log to draw curves of")
    pictures.write(picture, drawn)


def _arn_of(connection: Connection, identifier: str | None) -> str:
    return executions.resolve(connection, Deployment.find(connection).pipeline_name, identifier)
