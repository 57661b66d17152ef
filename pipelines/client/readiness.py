# SPDX-License-Identifier: Apache-2.0
"""What must be there before the first `cdk deploy` and the first `mapgate run`, each thing with its way out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from pipelines.client import images
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.quotas import Need, quotas, shortages
from pipelines.errors import BadInputError

# https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"
LEAST_BOOTSTRAP = 6
# What the CDK's CLI needs: https://docs.aws.amazon.com/cdk/v2/guide/prerequisites.html
LEAST_NODE = 18
SCALING_ROLE = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
SNAPSHOTTER = "io.containerd.snapshotter"

Verdict = Literal["good", "wrong", "unknown"]


@dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Attributes:
        thing: Its name.
        verdict: `unknown` where it may not, or need not, be looked at.
        told: A sentence; of what is wrong, with the way out.
    """

    thing: str
    verdict: Verdict
    told: str


def findings(connection: Connection, environment: str) -> Iterator[Finding]:
    """Yield what is found of each thing that a first deployment of the environment needs, as it is found."""
    settings, found = _settings(environment)
    yield found
    yield region(_region_of(connection), settings, os.environ)
    credentials = _credentials(connection, settings)
    yield credentials
    there = credentials.verdict == "good"
    asked: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("bootstrap", lambda: _bootstrap(connection)),
        ("quotas", lambda: _quotas(connection, settings)),
        ("service-linked roles", lambda: _service_linked_roles(connection)),
        ("images", lambda: _images(connection)),
    )
    for thing, look in asked:
        yield _asked(thing, look) if there else Finding(thing, "unknown", "needs credentials to be looked at")
    yield _docker(connection)
    yield _node()


def needs_of_settings(settings: Mapping[str, Any]) -> list[Need]:
    """What an environment's settings make its jobs and its endpoint need at once, the greatest of each quota.

    An endpoint is replaced by a whole fleet that comes up beside it, while a candidate may be tried on one instance:
    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html
    """
    processing, training, delivery = settings["processing"], settings["training"], settings["delivery"]
    use = "spot training job" if training["spot"] else "training job"
    wanted = [
        Need(
            "PrepareDataset",
            processing["prepare_instance_type"],
            "processing job",
            processing["prepare_instance_count"],
        ),
        *(Need("TrainDetector", kind, use) for kind in training["instance_types"]),
        Need("MeasureServing", delivery["instance_type"], "processing job"),
        Need("EvaluateDetector", processing["evaluate_instance_type"], "processing job"),
        Need(
            "the endpoint, its next fleet and a candidate",
            delivery["instance_type"],
            "endpoint",
            2 * delivery["instance_count"] + 1,
        ),
    ]
    greatest: dict[str, Need] = {}
    for need in wanted:
        if need.quota not in greatest or greatest[need.quota].count < need.count:
            greatest[need.quota] = need
    return list(greatest.values())


def region(chosen: str | None, settings: Mapping[str, Any], environment: Mapping[str, str]) -> Finding:
    """Whether all tools go to the same region: this one reads AWS_REGION, boto3's other scripts AWS_DEFAULT_REGION.

    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/configuration.html
    """
    if chosen is None:
        return Finding("region", "wrong", "none is named: set AWS_REGION and AWS_DEFAULT_REGION, or give --region")
    said = settings.get("region")
    if said and said != chosen:
        return Finding("region", "wrong", f"{chosen} is chosen, and the settings say {said}: give --region {said}")
    other = environment.get("AWS_DEFAULT_REGION")
    if other and other != chosen:
        way_out = f"set both AWS_REGION and AWS_DEFAULT_REGION to {chosen}"
        return Finding("region", "wrong", f"{chosen} is chosen, and AWS_DEFAULT_REGION is {other}: {way_out}")
    return Finding("region", "good", chosen)


def image_store(info: str, has_buildx: bool) -> Finding:
    """Whether docker makes manifests that SageMaker takes.

    Args:
        info: What `docker info` answers, as JSON.
        has_buildx: Whether docker has buildx, whose options say what it makes.
    """
    told = json.loads(info)
    store = "containerd" if SNAPSHOTTER in json.dumps(told.get("DriverStatus")) else "docker"
    if store == "containerd" and not has_buildx:
        return Finding(
            "docker",
            "wrong",
            "keeps images in containerd's store and has no buildx, so it makes OCI manifests, which SageMaker refuses: "
            "install docker-buildx, or switch the containerd image store off",
        )
    return Finding("docker", "good", f"{told.get('ServerVersion')}, images in {store}'s store")


def _settings(environment: str) -> tuple[dict[str, Any], Finding]:
    """The settings as the CDK app reads them, from a process of its own, which is not this command's room."""
    command = [sys.executable, "-m", "infra.settings", environment]
    asked = subprocess.run(command, cwd=images.CHECKOUT, capture_output=True, text=True, check=False)
    if asked.returncode:
        return {}, Finding("settings", "wrong", asked.stderr.strip().splitlines()[-1])
    return json.loads(asked.stdout), Finding("settings", "good", f"infra/environments/{environment}.yaml")


def _region_of(connection: Connection) -> str | None:
    return connection.session.region_name


def _credentials(connection: Connection, settings: Mapping[str, Any]) -> Finding:
    if _region_of(connection) is None:
        return Finding("credentials", "unknown", "needs a region to be looked at")
    try:
        caller = connection.client("sts").get_caller_identity()
    except (ClientError, BotoCoreError) as error:
        return Finding("credentials", "wrong", f"{error}: give --profile, or log in with `aws sso login`")
    said = settings.get("account")
    if said and said != caller["Account"]:
        return Finding(
            "credentials",
            "wrong",
            f"{caller['Arn']} is of account {caller['Account']}, and the settings say {said}: give another --profile",
        )
    return Finding("credentials", "good", caller["Arn"])


def _asked(thing: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except (ClientError, BotoCoreError) as error:
        return Finding(thing, "unknown", str(error))


def _bootstrap(connection: Connection) -> Finding:
    ssm = connection.client("ssm")
    try:
        version = int(ssm.get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        return Finding("bootstrap", "wrong", "is missing in this account and region: run `cdk bootstrap`, once")
    if version < LEAST_BOOTSTRAP:
        return Finding("bootstrap", "wrong", f"is of version {version}: run `cdk bootstrap` again")
    return Finding("bootstrap", "good", f"version {version}")


def _quotas(connection: Connection, settings: Mapping[str, Any]) -> Finding:
    if not settings:
        return Finding("quotas", "unknown", "needs the settings to be looked at")
    needs = needs_of_settings(settings)
    if faults := shortages(needs, quotas(connection)):
        return Finding("quotas", "wrong", "; ".join(faults))
    return Finding("quotas", "good", ", ".join(f"{need.count} of {need.quota}" for need in needs))


def _service_linked_roles(connection: Connection) -> Finding:
    """None is needed by the stacks; scaling an endpoint needs one, which the first RegisterScalableTarget makes.

    https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-service-linked-roles.html
    """
    iam = connection.client("iam")
    try:
        iam.get_role(RoleName=SCALING_ROLE)
    except iam.exceptions.NoSuchEntityException:
        told = f"the stacks need none; whoever lets the endpoint scale may have to make {SCALING_ROLE}"
        return Finding("service-linked roles", "good", told)
    return Finding("service-linked roles", "good", f"{SCALING_ROLE} is there, for an endpoint that scales")


def _images(connection: Connection) -> Finding:
    try:
        deployment = Deployment.find(connection)
    except BadInputError:
        return Finding("images", "unknown", "come after `cdk deploy --all`, with `mapgate images push`")
    missing = [each.uri for each in images.images_of(deployment) if not images.is_pushed(connection, each)]
    if missing:
        return Finding("images", "wrong", f"{', '.join(missing)} not pushed yet: run `mapgate images push`")
    return Finding("images", "good", "both are pushed")


def _docker(connection: Connection) -> Finding:
    if connection.is_emulated:
        return Finding("docker", "good", "the laptop's cloud needs none")
    if shutil.which("docker") is None:
        return Finding("docker", "wrong", "is not installed, and builds the images: install it, or push from elsewhere")
    asked = subprocess.run(["docker", "info", "--format", "{{json .}}"], capture_output=True, text=True, check=False)
    if asked.returncode or not asked.stdout.startswith("{") or not json.loads(asked.stdout).get("ServerVersion"):
        return Finding("docker", "wrong", "does not answer: start its engine, and see that you may use it")
    buildx = subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False)
    return image_store(asked.stdout, buildx.returncode == 0)


def _node() -> Finding:
    if shutil.which("node") is None:
        return Finding("node", "wrong", "is not installed, and the CDK needs it: run `make setup` in the checkout")
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    major = re.match(r"v(\d+)\.", told)
    if major is None or int(major[1]) < LEAST_NODE:
        return Finding("node", "wrong", f"is {told or 'silent'}, and the CDK needs {LEAST_NODE}: run `make setup`")
    return Finding("node", "good", told)
