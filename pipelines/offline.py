# SPDX-License-Identifier: Apache-2.0
"""The SageMaker SDK v3 on a machine that it never leaves: no credentials, no bucket look-up, no telemetry.

The SDK, which only `.venv-definition` has installed, makes AWS clients while it is imported. They must find neither an
account nor a reason to look for one, so this module is imported before any other that uses the SDK.
"""

import os

os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
os.environ["AWS_ACCESS_KEY_ID"] = "unbound"
os.environ["AWS_SECRET_ACCESS_KEY"] = "unbound"  # noqa: S105
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.devnull
# ModelTrainer otherwise asks IAM whether the role exists.
os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from sagemaker.core.config.config_manager import SageMakerConfig
from sagemaker.core.workflow.pipeline_context import PipelineSession

from pipelines.placeholders import BUCKET, REGION


def pipeline_session() -> PipelineSession:
    """Return the session in which steps are compiled instead of started."""
    defaults = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
    SageMakerConfig.validate_sagemaker_config(defaults)
    # Otherwise the SDK checks them, and its whole schema, at each of the sixty looks that a build takes at them.
    SageMakerConfig.validate_sagemaker_config = staticmethod(lambda _: None)
    session = PipelineSession(
        boto_session=boto3.Session(region_name=REGION), default_bucket=BUCKET, sagemaker_config=defaults
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
