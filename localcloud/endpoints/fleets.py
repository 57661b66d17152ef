# SPDX-License-Identifier: Apache-2.0
"""The containers behind an endpoint: one child process a production variant, however many instances it has."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.authorisation.enforcement import DeniedError, require
from localcloud.authorisation.needs import join_network, pull_image, watch_container
from localcloud.clients import SAGEMAKER, client_as
from localcloud.images import ImageError, resolve
from localcloud.jobs.job import container_environment
from localcloud.logs import LogFollower
from localcloud.models.containers import ContainerError, container_of, lay_out_model
from localcloud.processes import Process, free_port

INVOCATION_SECONDS = 60
"""What a container may take for an answer."""
STARTUP_SECONDS = 480
"""What a container may take until it answers /ping, unless its variant says otherwise."""
LOOK = 0.1
RESTART_PAUSE = 1.0
STOP_SECONDS = 30
"""Between SIGTERM and SIGKILL of a container."""


class FleetError(Exception):
    """A fleet that did not come up; the message is the endpoint's FailureReason."""


@dataclass(frozen=True)
class Answer:
    """A container's answer to an invocation."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    variant: str


def plan(sagemaker: Any, configuration: Mapping[str, Any], generation: str) -> dict[str, Any]:
    """Everything that a fleet is made of, so that neither models nor the configuration are asked again.

    Args:
        sagemaker: Client.
        configuration: What DescribeEndpointConfig answers.
        generation: Names this fleet among those of its endpoint.

    Raises:
        FleetError: Something that the emulated cloud cannot run.
    """
    return {
        "generation": generation,
        "config": configuration["EndpointConfigName"],
        "data_capture": configuration.get("DataCaptureConfig"),
        "variants": [_plan_variant(sagemaker, variant) for variant in configuration["ProductionVariants"]],
    }


class Fleet:
    """The running containers of one plan.

    Args:
        plan: From `plan`.
        directory: Where the containers' files lie.
        endpoint: The endpoint's name, for its logs.
        account: 12-digit account id.
        region: Region name.
    """

    def __init__(self, plan: Mapping[str, Any], directory: Path, endpoint: str, account: str, region: str) -> None:
        self.plan = plan
        self.directory = directory
        self._containers = {
            variant["name"]: _Container(variant, directory / variant["name"], endpoint, account, region)
            for variant in plan["variants"]
        }

    def start(self) -> None:
        """Start every container and return when all answer /ping.

        Raises:
            FleetError: One does not; those that started are stopped.
        """
        try:
            for container in self._containers.values():
                container.prepare()
                container.start()
            for container in self._containers.values():
                container.await_health()
        except FleetError:
            self.stop()
            raise

    def stop(self) -> None:
        """End every container."""
        for container in self._containers.values():
            container.stop()

    def discard(self) -> None:
        """End every container and remove their files."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def invoke(self, variant: str | None, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a request to the variant named, or to one chosen by weight.

        Raises:
            KeyError: There is no such variant.
            TimeoutError: The container took too long.
            OSError: It could not be reached.
        """
        container = self._containers[variant] if variant else self._choose()
        return container.invoke(headers, body)

    def _choose(self) -> _Container:
        containers = list(self._containers.values())
        weights = [container.variant["weight"] for container in containers]
        return random.choices(containers, weights if any(weights) else None)[0]  # traffic, no secret


class _Container:
    def __init__(self, variant: Mapping[str, Any], directory: Path, endpoint: str, account: str, region: str) -> None:
        self.variant, self._directory, self._endpoint = variant, directory, endpoint
        self._account, self._region = account, region
        self._process: Process | None = None
        self._follower: LogFollower | None = None
        self._stopped = threading.Event()
        self._changing = threading.Lock()
        self._port = 0

    @property
    def _role(self) -> str:
        return str(self.variant["role"])

    @property
    def _log_group(self) -> str:
        return f"/aws/sagemaker/Endpoints/{self._endpoint}"

    def _client(self, service: str) -> Any:
        """A client of a session of the model's role.

        https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
        """
        return client_as(self._role, SAGEMAKER, service, self._region)

    def prepare(self) -> None:
        """Lay the model out, unless an earlier process of the cloud did."""
        done = self._directory / "model.ready"
        if done.exists():
            return
        try:
            lay_out_model(self._client("s3"), self.variant["model_data_url"], self._directory)
        except ContainerError as error:
            raise FleetError(str(error)) from error
        done.touch()

    def start(self) -> None:
        try:
            require(
                self._role,
                SAGEMAKER,
                *pull_image(self.variant["image"]),
                *join_network(self.variant.get("vpc")),
                *watch_container(self._log_group, "/aws/sagemaker/Endpoints", self._account, self._region),
            )
            image = resolve(self.variant["image"], self._region)
        except (DeniedError, ImageError) as error:
            raise FleetError(str(error)) from error
        self._port = free_port()
        environment = {
            "AWS_REGION": self._region,
            "SAGEMAKER_BIND_TO_PORT": str(self._port),
            "MAPGATE_BIND_HOST": "127.0.0.1",
            **self.variant["environment"],
        }
        root, log = self._directory / "opt" / "ml", self._directory / "log.txt"
        if self._follower is None:
            stream = f"{self.variant['name']}/i-{os.urandom(8).hex()}"
            log.unlink(missing_ok=True)
            logs = self._client("logs")
            self._follower = LogFollower(logs, self._log_group, stream, log)
        self._process = Process(
            image.command(["serve"]),
            image.directory,
            container_environment(self._directory, root, image, environment),
            log,
        )

    def await_health(self) -> None:
        deadline = time.monotonic() + float(
            os.environ.get("MAPGATE_ENDPOINT_STARTUP_SECONDS", self.variant["startup_seconds"] or STARTUP_SECONDS)
        )
        while not self._healthy():
            if self._stopped.is_set() or time.monotonic() > deadline or not (self._process and self._process.running):
                raise FleetError(
                    f"The primary container for production variant {self.variant['name']} did not pass the ping health "
                    "check. Please check CloudWatch logs for this endpoint."
                )
            time.sleep(LOOK)
        threading.Thread(target=self._supervise, name=f"endpoint {self._endpoint}", daemon=True).start()

    def stop(self) -> None:
        with self._changing:  # no restart comes in between
            self._stopped.set()
        if self._process:
            self._process.stop(STOP_SECONDS)
        if self._follower:
            self._follower.finish()

    def invoke(self, headers: Mapping[str, str], body: bytes) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=INVOCATION_SECONDS)
        try:
            connection.request("POST", "/invocations", body, dict(headers))
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, told, response.read(), self.variant["name"])
        finally:
            connection.close()

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _supervise(self) -> None:
        """Start the container again when it ends by itself, as SageMaker does."""
        while not self._stopped.wait(LOOK):
            if self._process and not self._process.running and not self._stopped.wait(RESTART_PAUSE):
                with self._changing:
                    if not self._stopped.is_set():
                        self._start_again()

    def _start_again(self) -> None:
        try:
            self.start()
        except Exception:  # tried again at the next look
            traceback.print_exc(file=sys.stderr)


def _plan_variant(sagemaker: Any, variant: Mapping[str, Any]) -> dict[str, Any]:
    if variant.get("ServerlessConfig"):
        raise FleetError(f"Variant {variant['VariantName']} is serverless; the emulated cloud runs instances")
    try:
        container = container_of(sagemaker, variant["ModelName"])
    except ContainerError as error:
        raise FleetError(str(error)) from error
    return {
        "name": variant["VariantName"],
        **container,
        "weight": float(variant.get("InitialVariantWeight", 1.0)),
        "instances": int(variant.get("InitialInstanceCount", 1)),
        "instance_type": variant.get("InstanceType"),
        "startup_seconds": variant.get("ContainerStartupHealthCheckTimeoutInSeconds"),
    }
