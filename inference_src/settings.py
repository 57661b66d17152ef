# SPDX-License-Identifier: Apache-2.0
"""What the environment tells the server: where it listens, which kind of endpoint it is, and its limits.

Batch transform is told by SageMaker itself: `SAGEMAKER_BATCH` is `true` there and absent elsewhere
(https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html). A job sends at most as many requests
side by side as it was told to, wants every picture answered, and gives each 600 s; so there a request waits for its
core instead of being sent away.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from containers.contract.errors import BadInputError
from containers.contract.pictures import MAX_BODY_BYTES

MAX_BATCH_MEGABYTES = 100
"""What batch transform sends at most, all of its requests side by side together:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html (MaxPayloadInMB)."""
MAX_HELD_BYTES = 256 * 2**20
"""Bytes of bodies that are held at once, of all requests together."""


@dataclass(frozen=True)
class Settings:
    """The server's settings; each has an environment variable.

    Attributes:
        host, port: `MAPGATE_BIND_HOST` and `SAGEMAKER_BIND_TO_PORT`: where it listens.
        batch: `SAGEMAKER_BATCH`: whether a batch transform asks, and not clients of an endpoint.
        max_wait_seconds: `MAPGATE_MAX_WAIT_SECONDS`: how long a request may wait for a core, but always 3 times as long
            as one takes a core.
        header_seconds: `MAPGATE_HEADER_SECONDS`: how long a client may take to send a request's headers.
        body_seconds: `MAPGATE_BODY_SECONDS`: how long it may take to send the body.
        idle_seconds: `MAPGATE_IDLE_SECONDS`: how long a connection may stay open after an answer.
        metrics_namespace: `MAPGATE_METRICS_NAMESPACE`: where CloudWatch puts the server's metrics.
    """

    host: str = "0.0.0.0"  # noqa: S104  SageMaker asks from outside the container
    port: int = 8080
    batch: bool = False
    max_wait_seconds: float = 1.0
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0
    metrics_namespace: str = "mapgate"

    @property
    def max_body_bytes(self) -> int:
        """Greatest body of a request: the platform's own limit for the kind of endpoint."""
        return MAX_BATCH_MEGABYTES * 2**20 if self.batch else MAX_BODY_BYTES

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the environment.

        Raises:
            BadInputError: A variable holds something else than it should.
        """
        batch = environment.get("SAGEMAKER_BATCH", "").strip().lower() == "true"
        longest = 600.0 if batch else 60.0  # what SageMaker gives a whole request
        return cls(
            host=environment.get("MAPGATE_BIND_HOST") or cls.host,
            port=_port(environment.get("SAGEMAKER_BIND_TO_PORT") or str(cls.port)),
            batch=batch,
            max_wait_seconds=_seconds(environment, "MAPGATE_MAX_WAIT_SECONDS", longest if batch else 1.0),
            header_seconds=_seconds(environment, "MAPGATE_HEADER_SECONDS", cls.header_seconds),
            body_seconds=_seconds(environment, "MAPGATE_BODY_SECONDS", longest),
            idle_seconds=_seconds(environment, "MAPGATE_IDLE_SECONDS", cls.idle_seconds),
            metrics_namespace=_namespace(environment.get("MAPGATE_METRICS_NAMESPACE") or cls.metrics_namespace),
        )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**16):
        raise BadInputError(f"SAGEMAKER_BIND_TO_PORT={text}: give a port from 1 to 65535")
    return int(text)


def _seconds(environment: Mapping[str, str], name: str, otherwise: float) -> float:
    text = environment.get(name) or str(otherwise)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise BadInputError(f"{name}={text}: give seconds, more than 0 and at most 3600")
    return seconds


def _namespace(text: str) -> str:
    """CloudWatch takes letters, digits and `.-_/#:` and keeps names that begin with AWS/ for itself.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Namespace
    """
    known = all(each.isascii() and (each.isalnum() or each in ".-_/#:") for each in text)
    if not known or len(text) > 255 or text.startswith(("AWS/", ":")):
        raise BadInputError(f"MAPGATE_METRICS_NAMESPACE={text[:100]}: give letters, digits and .-_/#: and not AWS/")
    return text
