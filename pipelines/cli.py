# SPDX-License-Identifier: Apache-2.0
"""The `mapgate` command: its nouns, the options that all of them share, and how errors are told."""

import sys
from typing import Annotated

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
from rich.text import Text

from pipelines.client.connection import Connection
from pipelines.commands import (
    architectures,
    check,
    data,
    demo,
    doctor,
    executions,
    images,
    invoke,
    local,
    model,
    models,
    run,
    zoo,
)
from pipelines.commands.terminal import complaints
from pipelines.errors import BadInputError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="From labelled images to a monitored object-detection endpoint on Amazon SageMaker, gated by measured mAP.",
    epilog="Exit codes: 0 done, 1 the work failed (a gate, a step), 2 bad input. "
    "`mapgate --install-completion` sets up tab completion.",
)
for noun in (run, invoke, check, demo, doctor, architectures, executions, images, models, data, model, zoo, local):
    app.add_typer(noun.app)


@app.callback()
def _connect(
    context: typer.Context,
    environment: Annotated[
        str, typer.Option(envvar="MAPGATE_ENVIRONMENT", help="The deployment's environment.")
    ] = "dev",
    project: Annotated[str, typer.Option(envvar="MAPGATE_PROJECT", help="The deployment's project.")] = "mapgate",
    use_local: Annotated[
        bool, typer.Option("--local", help="Talk to the laptop's cloud (`mapgate local up`).")
    ] = False,
    endpoint_url: Annotated[
        str | None, typer.Option(envvar="AWS_ENDPOINT_URL", help="Talk to this address instead of AWS's.")
    ] = None,
    profile: Annotated[str | None, typer.Option(envvar="AWS_PROFILE", help="AWS profile.")] = None,
    role: Annotated[
        str | None, typer.Option(help="With --local: act as this role, by name or ARN, and not as administrator.")
    ] = None,
    region: Annotated[str | None, typer.Option(envvar="AWS_REGION", help="AWS region.")] = None,
) -> None:
    if use_local:
        from localcloud import cloud

        running = cloud.status(local.home())
        if running is None and context.invoked_subcommand not in ("local", "demo"):
            raise BadInputError("the laptop's cloud is not running: start it with `mapgate local up`")
        endpoint_url = running.endpoint_url if running else None
    elif role:
        raise BadInputError("--role goes with --local; on AWS, name a --profile that assumes the role")
    context.obj = Connection(f"{project}-{environment}", endpoint_url, profile, region, role)


def main() -> None:
    """Run the command; what a caller can do something about is one sentence and its exit code."""
    try:
        app(prog_name="mapgate")
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        sentence, exit_code = told
        complaints.print(Text.assemble(("mapgate:", "red"), f" {sentence}"))
        sys.exit(exit_code)


def _told(error: Exception) -> tuple[str, int] | None:
    """An error's sentence and exit code; None where it is a fault of this program."""
    # Ours have it, and so have the laptop's cloud's, which may not be installed.
    if isinstance(code := getattr(error, "exit_code", None), int):
        return str(error), code
    if isinstance(error, ModuleNotFoundError) and error.name == "localcloud":
        way_out = "run `make setup` in the checkout, or `pip install ./localcloud` there"
        return f"this needs the package localcloud, which is not installed here: {way_out}", BadInputError.exit_code
    if isinstance(error, (NoRegionError, NoCredentialsError, ProfileNotFound, EndpointConnectionError)):
        way_out = "name --region and --profile, or take --local for the laptop's cloud"
        return f"{error} {way_out}", BadInputError.exit_code
    if isinstance(error, (ClientError, BotoCoreError, Boto3Error)):
        return str(error), 1
    return None


if __name__ == "__main__":
    main()
