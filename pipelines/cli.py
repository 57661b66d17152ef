# SPDX-License-Identifier: Apache-2.0
"""The `mapgate` command."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)
from rich.console import Console
from rich.table import Table

from localcloud.cloud import CloudError
from pipelines.client import executions, images, invocation, registry
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.commands import data, model, zoo
from pipelines.commands.training_commands import training_source
from pipelines.errors import BadInputError, MapgateError, WorkFailedError
from pipelines.zoo.architectures import completed

console = Console(highlight=False)
complaints = Console(stderr=True, highlight=False)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="From labelled images to a monitored object-detection endpoint on Amazon SageMaker, gated by measured mAP.",
    epilog="Exit codes: 0 done, 1 the work failed (a gate, a step), 2 bad input. "
    "`mapgate --install-completion` sets up tab completion.",
)
executions_app = typer.Typer(no_args_is_help=True, help="Pipeline executions: list, show, follow, stop, logs.")
images_app = typer.Typer(no_args_is_help=True, help="The training and the inference image.")
models_app = typer.Typer(no_args_is_help=True, help="Versions in the model registry: list, show, approve, reject.")
local_app = typer.Typer(no_args_is_help=True, help="The laptop's cloud: up, down, status.")
app.add_typer(executions_app, name="executions")
app.add_typer(images_app, name="images")
app.add_typer(models_app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(model.app, name="model")
app.add_typer(zoo.app, name="zoo")
app.command("architectures", epilog="Examples: `mapgate architectures` · `mapgate architectures --json`")(
    model.list_architectures
)
app.add_typer(local_app, name="local")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
ExecutionId = Annotated[
    str | None, typer.Argument(metavar="[EXECUTION]", help="ARN, id, or the id's beginning; the newest where left out.")
]
VersionNumber = Annotated[int, typer.Argument(metavar="VERSION", help="The version's number in the registry.")]


def main() -> None:
    """Run the command; every error of ours is one sentence and its exit code."""
    try:
        app(prog_name="mapgate")
    except (MapgateError, CloudError) as error:
        complaints.print(f"[red]mapgate:[/] {_escaped(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except (NoRegionError, NoCredentialsError, ProfileNotFound, EndpointConnectionError) as error:
        way_out = "name --region and --profile, or take --local for the laptop's cloud"
        complaints.print(f"[red]mapgate:[/] {_escaped(str(error))} {way_out}", soft_wrap=True)
        sys.exit(BadInputError.exit_code)
    except (ClientError, BotoCoreError, Boto3Error) as error:
        complaints.print(f"[red]mapgate:[/] {_escaped(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        complaints.print("mapgate: interrupted; what was started goes on, see `mapgate executions list`")
        sys.exit(130)


@app.callback()
def _connect(
    context: typer.Context,
    environment: Annotated[
        str, typer.Option(envvar="MAPGATE_ENVIRONMENT", help="The deployment's environment.")
    ] = "dev",
    project: Annotated[str, typer.Option(envvar="MAPGATE_PROJECT", help="The deployment's project.")] = "mapgate",
    local: Annotated[bool, typer.Option("--local", help="Talk to the laptop's cloud (`mapgate local up`).")] = False,
    endpoint_url: Annotated[
        str | None, typer.Option(envvar="AWS_ENDPOINT_URL", help="Talk to this address instead of AWS's.")
    ] = None,
    profile: Annotated[str | None, typer.Option(envvar="AWS_PROFILE", help="AWS profile.")] = None,
    region: Annotated[str | None, typer.Option(envvar="AWS_REGION", help="AWS region.")] = None,
) -> None:
    if local:
        from localcloud import cloud

        running = cloud.status(home())
        if running is None and context.invoked_subcommand not in ("local", "demo"):
            raise BadInputError("the laptop's cloud is not running: start it with `mapgate local up`")
        endpoint_url = running.endpoint_url if running else None
    context.obj = Connection(f"{project}-{environment}", endpoint_url, profile, region)


def home() -> Path:
    """Where the laptop's cloud keeps its state: `MAPGATE_HOME`, or `.mapgate` in the current folder."""
    return Path(os.environ.get("MAPGATE_HOME", ".mapgate")).resolve()


@app.command(
    epilog="Examples: `mapgate run ./street_images` · `mapgate run s3://bucket/prefix --architecture "
    "ssd_mobilenet_v2_fpnlite_640x640 --training-steps 20000 --no-wait`"
)
def run(
    context: typer.Context,
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of labelled images, or its S3 URI.")],
    architecture: Annotated[
        str | None, typer.Option(help="An architecture by its zoo name.", autocompletion=completed)
    ] = None,
    pipeline_config: Annotated[str | None, typer.Option(help="Your own pipeline.config: a file or its URI.")] = None,
    label_map: Annotated[str | None, typer.Option(help="Your own label_map.pbtxt: a file or its URI.")] = None,
    checkpoint: Annotated[str | None, typer.Option(help="Initial checkpoint: a folder or its URI.")] = None,
    gate_policy: Annotated[str | None, typer.Option(help="Gate policy (YAML): a file or its URI.")] = None,
    training_steps: Annotated[int | None, typer.Option(min=1, help="Instead of the config's num_steps.")] = None,
    training_settings: Annotated[
        str | None, typer.Option(help='How training goes on, such as "seed=18 early_stopping_patience=5".')
    ] = None,
    training_instance_type: Annotated[str | None, typer.Option(help="Such as ml.g5.xlarge.")] = None,
    map_threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least mAP; it can only tighten the policy.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the execution to its end.")] = True,
    as_json: Json = False,
) -> None:
    """Upload the data and start an execution of the deployed pipeline."""
    from pipelines.client.execution_parameters import parameters_for

    connection: Connection = context.obj
    deployment = Deployment.find(connection)
    _require_images(connection, deployment)
    uris = {
        "PipelineConfigUri": pipeline_config,
        "LabelMapUri": label_map,
        "InitialCheckpointUri": checkpoint,
        "GatePolicyUri": gate_policy,
    }
    values = {
        "Architecture": architecture,
        "TrainingSteps": training_steps,
        "TrainingSettings": training_settings,
        "TrainingInstanceType": training_instance_type,
        "MapThreshold": map_threshold,
    }
    parameters = parameters_for(
        connection, deployment.data_bucket, data, uris, values, console=None if as_json else console
    )
    arn = executions.start(connection, deployment.pipeline_name, parameters)
    if not as_json:
        console.print(f"started {arn}", soft_wrap=True)
    if wait:
        _follow(connection, arn, as_json)
    elif as_json:
        _print_json({"arn": arn, "parameters": parameters})


@executions_app.command("list")
def list_executions(context: typer.Context, as_json: Json = False) -> None:
    """The newest executions."""
    connection: Connection = context.obj
    summaries = executions.recent(connection, Deployment.find(connection).pipeline_name)
    if as_json:
        _print_json(summaries)
        return
    table = Table("execution", "status", "started")
    for summary in summaries:
        identifier = summary["PipelineExecutionArn"].rsplit("/", 1)[-1]
        table.add_row(identifier, summary["PipelineExecutionStatus"], f"{summary['StartTime']:%Y-%m-%d %H:%M:%S}")
    console.print(table)


@executions_app.command("show")
def show_execution(context: typer.Context, execution: ExecutionId = None, as_json: Json = False) -> None:
    """One execution, step by step."""
    told = executions.describe(context.obj, _execution_arn(context.obj, execution))
    if as_json:
        _print_json(told.as_json())
        return
    console.print(f"{told.identifier} [bold]{told.status}[/] {_escaped(told.failure_reason or '')}", soft_wrap=True)
    table = Table("step", "status", "seconds", "reused", "failure")
    for step in told.steps:
        seconds = "" if step.seconds is None else f"{step.seconds:.1f}"
        table.add_row(step.name, step.status, seconds, "yes" if step.cached else "", step.failure_reason or "")
    console.print(table)


@executions_app.command("follow")
def follow_execution(context: typer.Context, execution: ExecutionId = None, as_json: Json = False) -> None:
    """Watch an execution until it ends; exit code 1 where it fails."""
    _follow(context.obj, _execution_arn(context.obj, execution), as_json)


@executions_app.command("stop")
def stop_execution(context: typer.Context, execution: ExecutionId = None) -> None:
    """Stop an execution; a training job first writes a checkpoint."""
    arn = _execution_arn(context.obj, execution)
    executions.stop(context.obj, arn)
    console.print(f"stopping {arn}", soft_wrap=True)


@executions_app.command("logs")
def execution_logs(
    context: typer.Context,
    step: Annotated[str, typer.Argument(help="A step's name, such as TrainDetector.")],
    execution: ExecutionId = None,
) -> None:
    """The log of a step."""
    from pipelines.commands.progress import log_of

    told = executions.describe(context.obj, _execution_arn(context.obj, execution))
    found = told.step(step)
    if found is None:
        begun = ", ".join(one.name for one in told.steps)
        raise BadInputError(f"execution {told.identifier} has begun no step {step}, only {begun}")
    for line in log_of(context.obj, found):
        print(line.rstrip())


@images_app.command("push")
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
    for image in images.images_of(Deployment.find(connection)):
        there = images.is_pushed(connection, image)
        if not there:
            images.push(connection, image, accelerator=accelerator, home=home())
        pushed.append({"name": image.name, "uri": image.uri, "pushed": not there})
        if not as_json:
            console.print(f"{'was there' if there else 'pushed'}  {image.uri}", soft_wrap=True)
    if as_json:
        _print_json(pushed)


@models_app.command("list")
def list_models(context: typer.Context, as_json: Json = False) -> None:
    """Every version, newest first."""
    connection: Connection = context.obj
    listed = registry.versions(connection, Deployment.find(connection).model_package_group)
    if as_json:
        _print_json([version.as_json() for version in listed])
        return
    table = Table("version", "approval", "mAP", "mAP_50", "runtime", "created")
    for version in listed:
        told = version.dossier
        metrics = [told.get(key, "") for key in ("mAP", "mAP_50", "runtime")]
        table.add_row(str(version.number), version.approval, *metrics, f"{version.created:%Y-%m-%d %H:%M:%S}")
    console.print(table)


@models_app.command("show")
def show_model(
    context: typer.Context,
    version: Annotated[int | None, typer.Argument(metavar="[VERSION]", help="The newest where left out.")] = None,
    report: Annotated[Path | None, typer.Option(help="Save the version's report.html here.")] = None,
    as_json: Json = False,
) -> None:
    """A version's dossier."""
    connection: Connection = context.obj
    found = registry.version(connection, Deployment.find(connection).model_package_group, version)
    if report:
        registry.save_report(connection, found, report)
    if as_json:
        _print_json(found.as_json())
        return
    console.print(f"version {found.number} [bold]{found.approval}[/]\n{found.arn}", soft_wrap=True)
    table = Table(show_header=False)
    for key, value in sorted(found.dossier.items()):
        table.add_row(key, value)
    console.print(table)


@models_app.command("approve")
def approve_model(
    context: typer.Context,
    version: VersionNumber,
    reason: Annotated[str | None, typer.Option(help="Kept in the registry.")] = None,
) -> None:
    """Approve a version; production follows by itself."""
    _decide(context.obj, version, "Approved", reason)


@models_app.command("reject")
def reject_model(
    context: typer.Context,
    version: VersionNumber,
    reason: Annotated[str | None, typer.Option(help="Kept in the registry.")] = None,
) -> None:
    """Reject a version."""
    _decide(context.obj, version, "Rejected", reason)


@app.command(epilog="Example: `mapgate invoke street.jpg --output street_detections.png`")
def invoke(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(help="A JPEG or PNG file.", exists=True, dir_okay=False)],
    endpoint: Annotated[str | None, typer.Option(help="Instead of the deployment's production endpoint.")] = None,
    least_score: Annotated[float, typer.Option(min=0, max=1, help="Leave out what scores less.")] = 0.3,
    output: Annotated[Path | None, typer.Option(help="Draw the detections into this picture.")] = None,
    as_json: Json = False,
) -> None:
    """Send an image to the endpoint and print its detections."""
    from pipelines import pictures

    connection: Connection = context.obj
    endpoint = endpoint or Deployment.find(connection).endpoint_name
    body = image.read_bytes()
    found = invocation.detect(connection, endpoint, body, least_score=least_score)
    if output:
        labels = sorted({detection.label for detection in found})
        pictures.write(output, pictures.draw(pictures.decode(body, str(image)), found, labels))
    if as_json:
        _print_json([detection.as_json() for detection in found])
        return
    table = Table("label", "score", "xmin", "ymin", "xmax", "ymax")
    for detection in found:
        table.add_row(detection.label, f"{detection.score:.3f}", *(f"{side:.3f}" for side in detection.box))
    console.print(table)


@app.command(epilog="Example: `mapgate check cdk.out/bound_definition.json`")
def check(
    definition: Annotated[
        Path | None, typer.Argument(help="A bound definition; the committed one where left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold a pipeline definition against SageMaker's own rules."""
    from pipelines.check import check as faults_of

    path = definition or Path(__file__).with_name("definition.json")
    try:
        faults = faults_of(json.loads(path.read_text()))
    except (OSError, json.JSONDecodeError) as error:
        raise BadInputError(f"{path}: not a definition that can be read: {error}") from error
    if as_json:
        _print_json([str(fault) for fault in faults])
    elif not faults:
        console.print(f"{path}: no fault")
    else:
        for fault in faults:
            console.print(_escaped(str(fault)), soft_wrap=True)
    if faults:
        raise typer.Exit(2)


@local_app.command("up")
def local_up(port: Annotated[int | None, typer.Option(help="A loopback port.")] = None, as_json: Json = False) -> None:
    """Start the laptop's cloud, or find it running."""
    from localcloud import cloud

    running = cloud.up(home(), port)
    if as_json:
        _print_json({"endpoint_url": running.endpoint_url, "pid": running.pid})
        return
    console.print(f"the laptop's cloud answers at {running.endpoint_url}; its state lies in {home()}", soft_wrap=True)
    console.print("`mapgate --local …` talks to it; so does any AWS tool with")
    console.print(f"  export AWS_ENDPOINT_URL={running.endpoint_url} AWS_REGION=us-east-1", soft_wrap=True)
    console.print("  export AWS_ACCESS_KEY_ID=emulated AWS_SECRET_ACCESS_KEY=emulated")


@local_app.command("down")
def local_down() -> None:
    """Stop the laptop's cloud; its state stays and comes back with the next `up`."""
    from localcloud import cloud

    cloud.down(home())
    console.print("the laptop's cloud is down")


@local_app.command("status")
def local_status(as_json: Json = False) -> None:
    """Whether the laptop's cloud is running; exit code 1 where it is not."""
    from localcloud import cloud

    running = cloud.status(home())
    if as_json:
        _print_json({"running": running is not None, "endpoint_url": running.endpoint_url if running else None})
    else:
        console.print(f"running at {running.endpoint_url}" if running else "not running")
    if running is None:
        raise typer.Exit(1)


@app.command(
    epilog="Examples: `mapgate demo` · `mapgate demo --data ./street_images` · `mapgate demo --training-steps 2` "
    "(shows a gate that does not pass)"
)
def demo(
    data: Annotated[Path | None, typer.Option(help="Your own folder of labelled images.")] = None,
    training_steps: Annotated[int | None, typer.Option(min=1, help="Instead of the config's num_steps.")] = None,
    port: Annotated[int | None, typer.Option(help="A loopback port for the laptop's cloud.")] = None,
) -> None:
    """Tell the whole story on the laptop's cloud, from images to an approved model that answers."""
    from pipelines.demo.run import tell

    if data is not None and (code := training_source("check", data)):
        raise typer.Exit(code)
    tell(home(), data=data, training_steps=training_steps, port=port, console=console)


def _follow(connection: Connection, arn: str, as_json: bool) -> None:
    from pipelines.commands.progress import follow

    execution = follow(connection, arn, complaints if as_json else console)
    if as_json:
        _print_json(execution.as_json())
    if execution.status != "Succeeded":
        raise WorkFailedError(f"execution {execution.identifier} {execution.status}: {execution.failure_reason or ''}")


def _require_images(connection: Connection, deployment: Deployment) -> None:
    for image in images.images_of(deployment):
        if not images.is_pushed(connection, image):
            raise BadInputError(f"{image.uri} has not been pushed yet: run `mapgate images push`")


def _execution_arn(connection: Connection, identifier: str | None) -> str:
    return executions.resolve(connection, Deployment.find(connection).pipeline_name, identifier)


def _decide(connection: Connection, number: int, decision: registry.Decision, reason: str | None) -> None:
    found = registry.version(connection, Deployment.find(connection).model_package_group, number)
    registry.decide(connection, found.arn, decision, reason)
    console.print(f"version {found.number} is {decision}")


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
