# SPDX-License-Identifier: Apache-2.0
"""What tab completes from a deployment: executions, steps, versions. A shell waits for nobody.

Whoever does not answer within two seconds, has no deployment or refuses is passed over in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import typer
from botocore.config import Config

from pipelines.client import executions
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.initial_checkpoint import completed as checkpoints
from pipelines.estimates.instance_types import known

SECONDS = 2.0
PATIENCE = Config(connect_timeout=1, read_timeout=SECONDS, retries={"total_max_attempts": 1})
DEFINED_STEPS = (
    "PrepareDataset",
    "CheckPlan",
    "TrainDetector",
    "FindChampion",
    "MeasureServing",
    "EvaluateDetector",
    "CheckQuality",
    "RegisterDetector",
    "PublishDossier",
    "DeployCandidate",
    "QualityGateFailed",
)
FORMATS = (
    "sagemaker_builtin",
    "mxnet_builtin",
    "coco",
    "ground_truth",
    "pascal_voc",
    "bbox_label_tool",
    "yolo",
    "csv",
    "tfrecord",
    "sources",
)
ENVIRONMENTS = Path(__file__).resolve().parents[2] / "infra" / "environments"

Answer = TypeVar("Answer")


def execution_ids(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of the newest executions, with how each ended and when it began."""

    def ask(connection: Connection) -> list[tuple[str, str]]:
        recent = executions.recent(connection, Deployment.find(connection).pipeline_name)
        told = [(each["PipelineExecutionArn"].rsplit("/", 1)[-1], each) for each in recent]
        return [(name, f"{each['PipelineExecutionStatus']} {each['StartTime']:%Y-%m-%d %H.%M}") for name, each in told]

    return [(name, told) for name, told in _asked(context, ask) if name.startswith(incomplete)]


def version_numbers(context: typer.Context, incomplete: str) -> list[str]:
    """Numbers of the registry's versions, newest first."""

    def ask(connection: Connection) -> list[str]:
        answer = connection.client("sagemaker").list_model_packages(
            ModelPackageGroupName=Deployment.find(connection).model_package_group,
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=50,
        )
        return [each["ModelPackageArn"].rsplit("/", 1)[-1] for each in answer["ModelPackageSummaryList"]]

    return [number for number in _asked(context, ask) if number.startswith(incomplete)]


def endpoint_names(context: typer.Context, incomplete: str) -> list[str]:
    """Endpoints of this account and region."""

    def ask(connection: Connection) -> list[str]:
        answer = connection.client("sagemaker").list_endpoints(SortBy="CreationTime", MaxResults=50)
        return [each["EndpointName"] for each in answer["Endpoints"]]

    return [name for name in _asked(context, ask) if name.startswith(incomplete)]


def initial_checkpoints(context: typer.Context, incomplete: str) -> list[str]:
    """What `--initial-checkpoint` takes by name, and the versions' numbers."""
    versions = version_numbers(context, incomplete) if incomplete == "" or incomplete.isdigit() else []
    return [*checkpoints(incomplete), *versions]


def steps(incomplete: str) -> list[str]:
    """The pipeline's steps."""
    return [name for name in DEFINED_STEPS if name.startswith(incomplete)]


def environments(incomplete: str) -> list[str]:
    """Those that this checkout has settings of."""
    return sorted(path.stem for path in ENVIRONMENTS.glob("*.yaml") if path.stem.startswith(incomplete))


def profiles(incomplete: str) -> list[str]:
    """AWS profiles of this machine."""
    import botocore.session

    return sorted(name for name in botocore.session.Session().available_profiles if name.startswith(incomplete))


def regions(incomplete: str) -> list[str]:
    """Regions that have SageMaker."""
    import botocore.session

    known = botocore.session.Session().get_available_regions("sagemaker")
    return sorted(name for name in known if name.startswith(incomplete))


def instance_types(incomplete: str) -> list[str]:
    """Those of which this command knows what they cost and hold; others may be named, too."""
    return [name for name in known() if name.startswith(incomplete)]


def chosen(*words: str) -> Callable[[str], list[str]]:
    """Completes one of these words."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def _asked(context: typer.Context, ask: Callable[[Connection], list[Answer]]) -> list[Answer]:
    """What a deployment answers in time, else nothing."""
    # While words are completed no command runs, so nothing has connected yet.
    root = context.find_root()
    answers: list[Answer] = []

    def try_it() -> None:
        with suppress(Exception):  # whatever went wrong, a shell is told nothing
            answers.extend(ask(_connection(root.params)))

    # The process does not wait for it to end.
    asking = Thread(target=try_it, daemon=True)
    asking.start()
    asking.join(SECONDS)
    return answers


def _connection(given: Mapping[str, Any]) -> Connection:
    from pipelines.commands.local import home

    endpoint_url = given.get("endpoint_url")
    if given.get("use_local"):
        from localcloud import cloud

        running = cloud.status(home())
        if running is None:
            raise LookupError("the laptop's cloud is not running")
        endpoint_url = running.endpoint_url
    name = f"{given.get('project') or 'mapgate'}-{given.get('environment') or 'dev'}"
    return Connection(name, endpoint_url, given.get("profile"), given.get("region"), given.get("role"), config=PATIENCE)
