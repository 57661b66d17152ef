# SPDX-License-Identifier: Apache-2.0
"""What `mapgate run` is asked for, judged on this machine before anything is uploaded or paid.

The pipeline's steps judge the same again: PrepareDataset the images, CheckPlan the rest.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import typer
from botocore.exceptions import BotoCoreError, ClientError

from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.commands.training_commands import run_training_command
from pipelines.estimates.deployed import read_definition


def judge(
    connection: Connection,
    deployment: Deployment,
    files: Mapping[str, str | None],
    values: Mapping[str, object],
    *,
    quiet: bool = False,
) -> None:
    """End the command where what it was given cannot come to a good end, after a sentence for each fault.

    Args:
        files: What lies in files, by the option of `python -m training_src plan`; `folder` is the data set. What is an
            S3 URI is judged where it lies, but for the gate policies, which are small: the environment's, and the
            execution's own, which can only tighten it.
        values: The other options.
        quiet: Whether the standard output is for scripts.

    Raises:
        typer.Exit: Something is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="mapgate-") as temporary:
        here = {name: given for name, given in files.items() if given and not given.startswith("s3://")}
        policies = {"floor_policy": _floor_policy(connection, deployment), "gate_policy": files.get("gate_policy")}
        for name, uri in policies.items():
            if uri and uri.startswith("s3://") and (file := _download(connection, uri, Path(temporary) / name)):
                here[name] = str(file)
        folder = here.pop("folder", None)
        given = {**here, **{name: value for name, value in values.items() if value is not None}}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        code = run_training_command("plan", *options, *(["--", folder] if folder else []), quiet=quiet)
    if code:
        raise typer.Exit(code)


def _floor_policy(connection: Connection, deployment: Deployment) -> str | None:
    """Where the environment's gate policy lies, as the deployed pipeline says; None where that cannot be read."""
    try:
        told = connection.client("sagemaker").describe_pipeline(PipelineName=deployment.pipeline_name)
    except (ClientError, BotoCoreError):
        return None
    deployed = read_definition(json.loads(told["PipelineDefinition"]))
    return deployed.floor_policy_uri or str(deployed.defaults["GatePolicyUri"])


def _download(connection: Connection, uri: str, folder: Path) -> Path | None:
    """The one object of a prefix; None where it is not one, or not ours to read: CheckPlan says what is wrong."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    s3 = connection.client("s3")
    try:
        (found,) = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=2).get("Contents", [])
        folder.mkdir()
        file = folder / Path(found["Key"]).name
        s3.download_file(bucket, found["Key"], str(file))
    except (ValueError, ClientError, BotoCoreError):
        return None
    return file
