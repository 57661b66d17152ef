# SPDX-License-Identifier: Apache-2.0
"""The `mapgate` command: its nouns, the options that all of them share, and how errors are told."""

import errno
import io
import shlex
import sys
from importlib.metadata import version
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
from rich.text import Text

from pipelines.client.connection import Connection
from pipelines.commands import (
    architectures,
    check,
    completion,
    data,
    demo,
    doctor,
    endpoints,
    executions,
    images,
    invoke,
    local,
    model,
    models,
    run,
    zoo,
)
from pipelines.commands.terminal import complaints, console
from pipelines.errors import BadInputError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From labelled images to a monitored object-detection endpoint on Amazon SageMaker, gated by measured mAP.",
    epilog="Examples: `mapgate demo` · `mapgate --environment staging run ./street_images` · `mapgate --local models "
    "list`. Exit codes: 0 done, 1 the work failed (a gate, a step), 2 bad input, 130 interrupted. Variables: "
    "MAPGATE_HOME, the folder of the laptop's cloud and of what was downloaded (default `.mapgate` in the current "
    "folder). `mapgate --install-completion` sets up tab completion.",
)
for noun in (
    run,
    invoke,
    check,
    demo,
    doctor,
    architectures,
    executions,
    images,
    models,
    endpoints,
    data,
    model,
    zoo,
    local,
):
    app.add_typer(noun.app)


def _tell_version(asked: bool) -> None:
    if asked:
        console.print(f"mapgate {version('mapgate')}")
        raise typer.Exit


@app.callback()
def _connect(
    context: typer.Context,
    environment: Annotated[
        str,
        typer.Option(
            envvar="MAPGATE_ENVIRONMENT",
            help="The deployment's environment.",
            autocompletion=completion.environments,
        ),
    ] = "dev",
    project: Annotated[str, typer.Option(envvar="MAPGATE_PROJECT", help="The deployment's project.")] = "mapgate",
    use_local: Annotated[
        bool, typer.Option("--local", help="Talk to the laptop's cloud (`mapgate local up`).")
    ] = False,
    endpoint_url: Annotated[
        str | None, typer.Option(envvar="AWS_ENDPOINT_URL", help="Talk to this address instead of AWS's.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(envvar="AWS_PROFILE", help="AWS profile.", autocompletion=completion.profiles)
    ] = None,
    role: Annotated[
        str | None, typer.Option(help="With --local: act as this role, by name or ARN, and not as administrator.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(envvar="AWS_REGION", help="AWS region.", autocompletion=completion.regions),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Show mapgate's version and exit.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    if use_local:
        from localcloud import cloud

        running = cloud.status(local.home())
        if running is None and context.invoked_subcommand not in ("local", "demo"):
            raise BadInputError(
                f"the laptop's cloud of {local.home()} is not running: start it with `mapgate local up` from the same "
                "folder, or with the same MAPGATE_HOME"
            )
        endpoint_url = running.endpoint_url if running else None
    elif role:
        raise BadInputError("--role goes with --local; on AWS, name a --profile that assumes the role")
    console.command = complaints.command = command = _typed(context)
    context.obj = Connection(f"{project}-{environment}", endpoint_url, profile, region, role, command)


def _typed(context: typer.Context) -> str:
    """The command line up to its noun, without what variables say: whoever repeats it has these still."""
    words = ["mapgate"]
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source is not None and source.name == "COMMANDLINE":
            value = context.params.get(option.name or "")
            words += [option.opts[0]] if value is True else [option.opts[0], shlex.quote(str(value))]
    return " ".join(words)


def main() -> None:
    """Run the command; what a caller can do something about is one sentence and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # What a screen's encoding has no sign for is a question mark, and no traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        ended = app(prog_name="mapgate", standalone_mode=False)
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        sentence, ended = told
    else:
        sentence = ""
    if sentence:
        complaints.print(Text.assemble(("mapgate:", "red"), f" {complaints.addressed(sentence)}"))
    sys.exit(ended if isinstance(ended, int) else 0)


def _told(error: Exception) -> tuple[str, int] | None:
    """An error's sentence and exit code; None where it is a fault of this program."""
    # Ours have it, and so have the laptop's cloud's, which may not be installed, and typer's of what was typed.
    if isinstance(code := getattr(error, "exit_code", None), int):
        return _of_typing(error) if hasattr(error, "format_message") else str(error), code
    if isinstance(error, ModuleNotFoundError) and error.name == "localcloud":
        way_out = "run `make setup` in the checkout, or `pip install ./localcloud` there"
        return f"this needs the package localcloud, which is not installed here: {way_out}", BadInputError.exit_code
    if isinstance(error, OSError) and error.strerror and error.errno != errno.EPIPE:
        return _of_system(error), BadInputError.exit_code
    if isinstance(error, (NoRegionError, NoCredentialsError, ProfileNotFound, EndpointConnectionError)):
        way_out = "name --region and --profile, or take --local for the laptop's cloud"
        return f"{str(error).rstrip('.')}: {way_out}", BadInputError.exit_code
    if isinstance(error, (ClientError, BotoCoreError, Boto3Error)):
        return str(error), 1
    return None


def _of_typing(error: Any) -> str:
    """What is wrong with the words that were typed; nothing where none were, and the help was shown."""
    message = str(error.format_message()).strip().rstrip(".")
    path = error.ctx.command_path if error.ctx else "mapgate"
    return f"{message}; `{path} --help` explains it" if message else ""


# What the system refuses, and the way out.
WAYS_OUT = {
    errno.ENOSPC: "make room, or name a place on another disk",
    errno.EDQUOT: "make room, or name a place on another disk",
    errno.EROFS: "name another folder; MAPGATE_HOME says where this command keeps what it needs",
    errno.EACCES: "name another folder; MAPGATE_HOME says where this command keeps what it needs",
    errno.EPERM: "name another folder; MAPGATE_HOME says where this command keeps what it needs",
    errno.ENOTDIR: "a part of this path is a file; name another",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
}


def _of_system(error: OSError) -> str:
    """A system's refusal: the place, the reason in its own words, and the way out."""
    place = f"{error.filename}: " if error.filename else ""
    way_out = WAYS_OUT.get(error.errno or 0)
    return f"{place}{error.strerror}{f'; {way_out}' if way_out else ''}"


if __name__ == "__main__":
    main()
