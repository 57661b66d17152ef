# SPDX-License-Identifier: Apache-2.0
"""A pipeline session that never leaves the machine: no credentials, no bucket look-up, no telemetry."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3

from pipelines.placeholders import BUCKET, REGION
from pipelines.sdk import PipelineSession


def pipeline_session() -> PipelineSession:
    """Return the session in which steps are compiled instead of started."""
    session = PipelineSession(
        boto_session=boto3.Session(region_name=REGION),
        default_bucket=BUCKET,
        sagemaker_config={
            "SchemaVersion": "1.0",
            "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
        },
    )
    # ModelBuilder.register otherwise asks S3 for the default bucket, although it was given.
    session._default_bucket = BUCKET
    return session


class NetworkUseError(OSError):
    """The build of the definition tried to reach the network."""


@contextmanager
def offline() -> Iterator[None]:
    """Refuse every connection and every name look-up while the definition is built.

    A definition that depends on an account would differ from one machine to the next.

    Raises:
        NetworkUseError: Names the address that was tried.
    """

    def refuse(*arguments: Any, **_: Any) -> Any:
        address = next((a for a in arguments if not isinstance(a, socket.socket)), "?")
        raise NetworkUseError(f"building the definition tried to reach {address}: it must need no network")

    guarded = {(socket.socket, "connect"): socket.socket.connect, (socket, "getaddrinfo"): socket.getaddrinfo}
    for holder, name in guarded:
        setattr(holder, name, refuse)
    try:
        yield
    finally:
        for (holder, name), original in guarded.items():
            setattr(holder, name, original)
