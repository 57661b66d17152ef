# SPDX-License-Identifier: Apache-2.0
"""One real cloud for the tests of its parts: the server process, as `mapgate local up` starts it."""

from __future__ import annotations

import io
import json
import socket
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

from localcloud import cloud as local_cloud

ROLE = "arn:aws:iam::123456789012:role/service"
SETTINGS = {
    "MAPGATE_STOP_GRACE_SECONDS": "2",
    "MAPGATE_ENDPOINT_STARTUP_SECONDS": "20",
    "MAPGATE_BAKE_SCALE": "1",
    "SM_MODEL_DIR": "/of/the/caller",
    "SECRET_OF_THE_CALLER": "x",
}
"""Of every cloud: short times, and what must not reach a container."""
Answer = TypeVar("Answer")


@cache
def _client(service: str, endpoint_url: str, retries: int) -> Any:
    made: Any = boto3.client  # the stubs want a literal
    return made(
        service,
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  # any key opens the emulated cloud
        config=Config(retries={"max_attempts": retries}),
    )


@dataclass
class Cloud:
    """A running cloud, as a user sees it."""

    home: Path
    endpoint_url: str
    role: str = ROLE

    def client(self, service: str, retries: int = 4) -> Any:
        return _client(service, self.endpoint_url, retries)

    def order(self, what: str, **order: Any) -> None:
        """Move the cloud's clock, or order a fault: see `localcloud.clock` and `localcloud.faults`."""
        address = f"{self.endpoint_url}/mapgate/{what}"
        with urllib.request.urlopen(address, json.dumps(order).encode(), timeout=10) as answer:
            assert answer.status == 204

    def create_role(self) -> None:
        """The role that functions and jobs run with."""
        principal = {"Service": ["lambda.amazonaws.com", "sagemaker.amazonaws.com"]}
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam = self.client("iam")
        iam.create_role(RoleName="service", AssumeRolePolicyDocument=document)
        allowed = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
        iam.put_role_policy(RoleName="service", PolicyName="all", PolicyDocument=json.dumps(allowed))

    def create_function(self, name: str, source: str, **settings: Any) -> str:
        """A function whose module `index` is `source`; returns its ARN."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as written:
            written.writestr("index.py", source)
        answer = self.client("lambda").create_function(
            FunctionName=name,
            Handler="index.handler",
            Code={"ZipFile": archive.getvalue()},
            **{"Role": self.role, "Runtime": "python3.13", "Timeout": 20, **settings},
        )
        return str(answer["FunctionArn"])

    def create_queue(self, name: str, **attributes: str) -> tuple[str, str]:
        """A queue that takes what AWS's services send; returns its URL and ARN."""
        sqs = self.client("sqs")
        policy = '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}]}'
        url = sqs.create_queue(QueueName=name, Attributes={"Policy": policy, **attributes})["QueueUrl"]
        return url, f"arn:aws:sqs:us-east-1:123456789012:{name}"

    def messages(self, url: str, seconds: float = 15.0) -> list[str]:
        """The bodies of the next messages of a queue, at least one if any comes in time."""
        sqs = self.client("sqs")

        def receive() -> list[str]:
            found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
            for message in found:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return [message["Body"] for message in found]

        return await_true(receive, seconds)

    def log_of(self, function: str) -> str:
        """Everything that a function has printed."""
        logs = self.client("logs")
        group = f"/aws/lambda/{function}"
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        lines = [
            event["message"]
            for stream in streams
            for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
        ]
        return "\n".join(lines)


def await_true(look: Callable[[], Answer], seconds: float = 15.0) -> Answer:
    """The first true answer, or the last one when the time is over."""
    end = time.monotonic() + seconds
    while not (answer := look()) and time.monotonic() < end:
        time.sleep(0.1)
    return answer


@pytest.fixture(name="until", scope="session")
def _until() -> Callable[..., Any]:
    return await_true


@pytest.fixture(name="free_port", scope="session")
def _free_port() -> Callable[[], int]:
    def free_port() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return free_port


@pytest.fixture(scope="session", autouse=True)
def settings_of_clouds() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Cloud]:
    home = tmp_path_factory.mktemp("cloud") / ".mapgate"
    information = local_cloud.up(home, free_port())
    started = Cloud(home, information.endpoint_url)
    started.create_role()
    yield started
    local_cloud.down(home)


@pytest.fixture(scope="module")
def start_cloud(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Callable[[], Cloud]]:
    """Starts a cloud of the module's own; called again after a kill it starts the same one again."""
    home = tmp_path_factory.mktemp("own") / ".mapgate"
    port = free_port()

    def start() -> Cloud:
        return Cloud(home, local_cloud.up(home, port).endpoint_url)

    yield start
    local_cloud.down(home)
