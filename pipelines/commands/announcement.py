# SPDX-License-Identifier: Apache-2.0
"""What `mapgate run` will do, told, and on a terminal asked for, before anything is uploaded or started."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import typer

from pipelines.client.connection import Connection, refusals_told
from pipelines.client.deployment import Deployment
from pipelines.client.initial_checkpoint import InitialCheckpoint
from pipelines.commands.terminal import complaints, console
from pipelines.errors import BadInputError
from pipelines.estimates.deployed import Deployed, read_definition
from pipelines.estimates.instance_types import InstanceType, instance_type
from pipelines.estimates.training_estimate import Estimate

# Is fine-tuned within a minute on two cores; an environment's default is chosen for its instances.
LAPTOPS_ARCHITECTURE = "ssd_mobilenet_v2_fpnlite_160x160"
THIS_MACHINE = InstanceType("this machine")
_PICTURES = (".jpg", ".jpeg", ".png")


def with_defaults(connection: Connection, uris: Mapping[str, str | None], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with what this command takes where nothing is said, and the deployment would take something else.

    A pipeline.config of one's own says its steps itself, and so does the small detector that a laptop trains.
    """
    chosen = dict(values)
    own = uris["PipelineConfigUri"] is not None
    small = connection.is_emulated and not own and chosen["Architecture"] in (None, LAPTOPS_ARCHITECTURE)
    if small:
        chosen["Architecture"] = LAPTOPS_ARCHITECTURE
    if chosen["TrainingSteps"] is None and (own or small):
        chosen["TrainingSteps"] = 0
    return chosen


def announce(
    connection: Connection,
    deployment: Deployment,
    data: str,
    uris: Mapping[str, str | None],
    values: Mapping[str, Any],
    *,
    start: InitialCheckpoint | None = None,
    ask: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Tell what an execution will do, take and cost; returns the same for scripts.

    Args:
        data: A folder or an S3 URI.
        uris: Parameter name to a file, a folder or an S3 URI.
        values: Parameter name to a value; None is the deployment's default.
        start: What the training starts from; None is the deployment's default.
        ask: Whether somebody who sits at a terminal is asked whether to start.
        quiet: Whether standard output is for scripts.

    Raises:
        BadInputError: The training cannot fit the memory or the time, with the way out.
        typer.Exit: Who was asked said no.
    """
    deployed = _deployed(connection, deployment)
    chosen = {name: deployed.defaults.get(name) if value is None else value for name, value in values.items()}
    instance = instance_type(str(chosen["TrainingInstanceType"])) if not connection.is_emulated else THIS_MACHINE
    plan = _plan(connection, data, uris, chosen, instance, zoos_checkpoint=start is not None and start.is_zoos)
    if connection.is_emulated and plan:
        instance = replace(instance, speed=plan["cores"] / plan["reference_cores"])
    estimate = Estimate(plan, instance, deployed, connection.is_emulated)
    gate = _gate(deployed, uris["GatePolicyUri"], chosen["MapThreshold"])
    if not quiet:
        begins = start.said if start else _default_start(uris["PipelineConfigUri"])
        told = [("data", _of_data(connection, data, plan)), ("start", begins), ("gate", gate)]
        for subject, sentence in [*told, *estimate.lines()]:
            console.print(f"{subject:<10}{sentence}")
    if refusal := estimate.refusal():
        raise BadInputError(refusal)
    if ask and not quiet and sys.stdin.isatty() and sys.stdout.isatty() and not typer.confirm("start?", default=True):
        complaints.print("mapgate: nothing was uploaded or started")
        raise typer.Exit(1)
    return {**estimate.as_json(), "initial_checkpoint": start.said if start else None, "gate": gate}


def _default_start(pipeline_config: str | None) -> str:
    """What a training starts from where nobody says it."""
    if pipeline_config is not None:
        return "as the config's fine_tune_checkpoint says, from scratch where it names none"
    return "from the training image's own weights where they fit the architecture, else from scratch"


def _gate(deployed: Deployed, own: str | None, map_threshold: object) -> str:
    """By which policy, and on whose test set, the detector will be judged."""
    if not deployed.floor_policy_uri:
        return own or f"the environment's policy in {deployed.defaults['GatePolicyUri']}"
    digest = deployed.floor_policy_uri.rstrip("/").rpartition("/")[2]
    asked = [own] if own is not None else []
    asked += [f"a mAP of at least {map_threshold}"] if float(str(map_threshold or 0)) > 0 else []
    policy = f"the environment's policy {digest[:12]}"
    if asked:
        policy += f", which {' and '.join(asked)} can only tighten: what would loosen it is overruled, and told"
    return policy + (f"; on the environment's test set {deployed.test_set_uri}" if deployed.test_set_uri else "")


def _deployed(connection: Connection, deployment: Deployment) -> Deployed:
    with refusals_told(f"pipeline {deployment.pipeline_name}"):
        told = connection.client("sagemaker").describe_pipeline(PipelineName=deployment.pipeline_name)
    return read_definition(json.loads(told["PipelineDefinition"]))


def _plan(
    connection: Connection,
    data: str,
    uris: Mapping[str, str | None],
    chosen: Mapping[str, Any],
    instance: InstanceType,
    *,
    zoos_checkpoint: bool,
) -> dict[str, Any] | None:
    """As the training source tells it; None where the config lies elsewhere."""
    config, labels = uris["PipelineConfigUri"], uris["LabelMapUri"]
    if config is not None and config.startswith("s3://"):
        return None
    options: dict[str, Any] = {
        "config": config,
        "architecture": None if config else chosen["Architecture"],
        "label-map": labels if labels and not labels.startswith("s3://") else None,
        "training-settings": chosen["TrainingSettings"],
        "training-steps": chosen["TrainingSteps"],
    }
    if not connection.is_emulated:
        options |= {"memory-gib": instance.training_memory_gib or 0, "replicas": max(instance.gpus, 1)}
    words = [f"--{name}={value}" for name, value in options.items() if value is not None]
    words += ["--gpu"] if instance.gpus else []
    words += ["--zoos-checkpoint"] if zoos_checkpoint else []
    words += [] if data.startswith("s3://") else ["--", data]
    command = [sys.executable, "-m", "training_src", "estimate", *words]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise BadInputError(asked.stderr.strip())
    told: dict[str, Any] = json.loads(asked.stdout)
    return told


def _of_data(connection: Connection, data: str, plan: Mapping[str, Any] | None) -> str:
    if plan and plan["images"] is not None:
        classes = plan["classes"] or []
        return f"{plan['images']:,} images in {data}; {len(classes)} classes: {', '.join(classes)}"
    if not data.startswith("s3://"):
        return data
    count = _pictures_under(connection, data)
    return f"about {count:,} images at {data}; PrepareDataset reads their classes"


def _pictures_under(connection: Connection, uri: str) -> int:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    pages = connection.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    with refusals_told(uri):
        return sum(item["Key"].lower().endswith(_PICTURES) for page in pages for item in page.get("Contents", []))
