# SPDX-License-Identifier: Apache-2.0
"""`mapgate check`: a pipeline definition held against SageMaker's own rules."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.terminal import Json, console, left_to_the_shell, print_json
from pipelines.errors import BadInputError

app = typer.Typer()

COMMITTED = Path(__file__).resolve().parents[1] / "definition.json"


@app.command(
    epilog="Examples: `mapgate check` · `aws sagemaker describe-pipeline --pipeline-name mapgate-dev "
    "--query PipelineDefinition --output text > deployed.json && mapgate check deployed.json`"
)
def check(
    definition: Annotated[
        Path | None,
        typer.Argument(
            help="A definition, such as a deployed one; pipelines/definition.json where left out.",
            autocompletion=left_to_the_shell,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold a pipeline definition against SageMaker's own rules."""
    from pipelines.check import check as faults_of  # botocore's model of the service is large

    path = definition or COMMITTED
    try:
        faults = faults_of(json.loads(path.read_text()))
    except (OSError, json.JSONDecodeError) as error:
        raise BadInputError(f"{path}: not a definition that can be read: {error}") from error
    if as_json:
        print_json([str(fault) for fault in faults])
    elif not faults:
        console.print(f"{path}: no fault")
    else:
        for fault in faults:
            console.print(str(fault))
    if faults:
        raise typer.Exit(BadInputError.exit_code)
