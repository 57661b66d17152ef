# SPDX-License-Identifier: Apache-2.0
"""The model's server on one instance of a transform job, from its start to its end.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from localcloud.authorisation.enforcement import require
from localcloud.authorisation.needs import watch_container
from localcloud.clients import SAGEMAKER
from localcloud.images import PushedImage
from localcloud.jobs.job import Job, JobError, container_environment
from localcloud.logs import LogFollower
from localcloud.processes import Process, free_port

GROUP = "/aws/sagemaker/TransformJobs"
STARTUP_SECONDS = 1800
"""After which a server that does not answer /ping is given up.
https://github.com/aws/amazon-sagemaker-examples/issues/815
"""
LOOK = 0.1
STOP_SECONDS = 30
PARAMETERS_SECONDS = 2
"""What /execution-parameters may take; it is optional."""


@dataclass(frozen=True)
class Answer:
    """What a server says to a record."""

    status: int
    body: bytes


class BatchServer:
    """A server that answers.

    Args:
        port: Where it listens on 127.0.0.1.
        process: It.
    """

    def __init__(self, port: int, process: Process) -> None:
        self._port, self._process = port, process

    def wait_until_ready(self, stopped: Callable[[], bool]) -> bool:
        """Wait for the first answered /ping; False where the job was stopped before.

        Raises:
            JobError: The server ended, or never answered.
        """
        deadline = time.monotonic() + float(os.environ.get("MAPGATE_ENDPOINT_STARTUP_SECONDS", STARTUP_SECONDS))
        while not stopped():
            if self._get("/ping", LOOK * 20) is not None:
                return True
            if not self._process.running or time.monotonic() > deadline:
                raise JobError(
                    "AlgorithmError: The primary container did not pass the ping health check. See job logs for more "
                    "information"
                )
            time.sleep(LOOK)
        return False

    def execution_parameters(self) -> dict[str, Any]:
        """What the server asks for: MaxConcurrentTransforms, BatchStrategy, MaxPayloadInMB, as far as it does."""
        answer = self._get("/execution-parameters", PARAMETERS_SECONDS)
        try:
            asked = json.loads(answer or b"{}")
        except ValueError:
            return {}
        kinds: dict[str, type] = {"MaxConcurrentTransforms": int, "MaxPayloadInMB": int, "BatchStrategy": str}
        known = asked.items() if isinstance(asked, dict) else ()
        return {name: value for name, value in known if name in kinds and type(value) is kinds[name]}

    def ask(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """Send one record.

        Raises:
            OSError: The server cannot be reached or takes too long.
            http.client.HTTPException: What it answers is no HTTP.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)
        try:
            connection.request("POST", "/invocations", body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, response.read())
        finally:
            connection.close()

    def _get(self, path: str, seconds: float) -> bytes | None:
        """The answer, if it is 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            return body if response.status == http.HTTPStatus.OK else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


@contextmanager
def running_server(
    job: Job, image: PushedImage, environment: Mapping[str, str], host: str, stream: str
) -> Iterator[BatchServer]:
    """Run an image's server on an instance until the block ends, its output going to `log.txt` and to CloudWatch Logs.

    Raises:
        DeniedError: The job's role may not write the log.
    """
    port, home = free_port(), job.home_of(host)
    require(job.role, SAGEMAKER, *watch_container(GROUP, GROUP, job.account, job.region))
    variables = {
        "AWS_REGION": job.region,
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "MAPGATE_BIND_HOST": "127.0.0.1",
        **environment,
    }
    log = home / "log.txt"
    follower = LogFollower(job.client("logs"), GROUP, stream, log)
    try:
        process = Process(
            image.command(["serve"]),
            image.directory,
            container_environment(home, job.root_of(host), image, variables),
            log,
        )
        try:
            yield BatchServer(port, process)
        finally:
            process.stop(STOP_SECONDS)
    finally:
        follower.finish()
