# SPDX-License-Identifier: Apache-2.0
"""`mapgate run`: data to the bucket, and an execution of the deployed pipeline on it."""

import re
from typing import Annotated, Any

import typer

from pipelines.client import executions, images, initial_checkpoint, quotas
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.execution_parameters import parameters_for
from pipelines.client.initial_checkpoint import completed as completed_checkpoints
from pipelines.commands.announcement import announce, with_defaults
from pipelines.commands.executions import follow_to_the_end
from pipelines.commands.plan import judge
from pipelines.commands.terminal import Json, console, print_json
from pipelines.commands.zoo import brought
from pipelines.display.transfers import transfer
from pipelines.errors import BadInputError
from pipelines.zoo.architectures import completed

app = typer.Typer()


@app.command(
    epilog="Examples: `mapgate run ./street_images` · `mapgate run s3://bucket/prefix --architecture "
    "ssd_mobilenet_v2_fpnlite_640x640 --training-steps 20000 --no-wait` · "
    "`mapgate run ./more_images --initial-checkpoint champion --description 'Images of the new camera'`"
)
def run(
    context: typer.Context,
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of labelled images, or its S3 URI.")],
    architecture: Annotated[
        str | None, typer.Option(help="An architecture by its zoo name.", autocompletion=completed)
    ] = None,
    pipeline_config: Annotated[str | None, typer.Option(help="Your own pipeline.config: a file or its URI.")] = None,
    label_map: Annotated[str | None, typer.Option(help="Your own label_map.pbtxt: a file or its URI.")] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--initial-checkpoint",
            metavar="VERSION|champion|PATH|URI|NAME|scratch",
            help="What the training starts from: a version's number or ARN, what production serves, a checkpoint's "
            "folder or prefix, a model.tar.gz, an S3 URI, a zoo name, or nothing.",
            autocompletion=completed_checkpoints,
        ),
    ] = None,
    gate_policy: Annotated[
        str | None, typer.Option(help="Gate policy (YAML), a file or its URI; it can only tighten the environment's.")
    ] = None,
    training_steps: Annotated[int | None, typer.Option(min=1, help="Instead of the config's num_steps.")] = None,
    training_settings: Annotated[
        str | None, typer.Option(help='How training goes on, such as "seed=18 early_stopping_patience=5".')
    ] = None,
    training_instance_type: Annotated[str | None, typer.Option(help="Such as ml.g5.xlarge.")] = None,
    map_threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least mAP; it can only tighten the policy.")
    ] = None,
    description: Annotated[
        str | None, typer.Option(help="What this run is for, in one line: kept with the execution and shown with it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Start without asking.")] = False,
    wait: Annotated[bool, typer.Option(help="Follow the execution to its end.")] = True,
    as_json: Json = False,
) -> None:
    """Tell what will be done and what it takes, upload the data, and start an execution of the deployed pipeline."""
    connection: Connection = context.obj
    _require_one_line(description)
    deployment = Deployment.find(connection)
    _require_images(connection, deployment)
    start = initial_checkpoint.find(connection, deployment, checkpoint) if checkpoint is not None else None
    uris = {"PipelineConfigUri": pipeline_config, "LabelMapUri": label_map, "GatePolicyUri": gate_policy}
    values: dict[str, Any] = {
        "Architecture": architecture,
        "TrainingSteps": training_steps,
        "TrainingSettings": training_settings,
        "TrainingInstanceType": training_instance_type,
        "MapThreshold": map_threshold,
    }
    files = {
        "folder": data,
        "config": pipeline_config,
        "label_map": label_map,
        "gate_policy": gate_policy,
    }
    asked = {"architecture": architecture, "training_settings": training_settings, "map_threshold": map_threshold}
    judge(connection, deployment, files, asked, quiet=as_json)
    values = with_defaults(connection, uris, values)
    quotas.refuse_shortages(connection, deployment.pipeline_name, values)
    plan = announce(connection, deployment, data, uris, values, start=start, ask=not yes, quiet=as_json)
    if start:
        bucket = deployment.data_bucket
        uris["InitialCheckpointUri"] = start.source or brought(connection, bucket, start.zoo, quiet=as_json)
    with transfer(console, "uploading", quiet=as_json) as progress:
        parameters = parameters_for(connection, deployment.data_bucket, data, uris, values, progress=progress)
    arn = executions.start(connection, deployment.pipeline_name, parameters, description=description)
    if not as_json:
        console.print(f"started {arn}")
    if wait:
        follow_to_the_end(connection, arn, as_json, plan=plan)
    elif as_json:
        print_json({"arn": arn, "parameters": parameters, "plan": plan})


def _require_one_line(description: str | None) -> None:
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StartPipelineExecution.html
    if description is not None and not re.fullmatch(r".{0,3072}", description):
        raise BadInputError("--description: one line of at most 3,072 characters, says SageMaker")


def _require_images(connection: Connection, deployment: Deployment) -> None:
    for image in images.images_of(deployment):
        if not images.is_pushed(connection, image):
            raise BadInputError(f"{image.uri} has not been pushed yet: run `mapgate images push`")
