# SPDX-License-Identifier: Apache-2.0
"""A real cloud, with a stand-in image whose one small program plays every container."""

from __future__ import annotations

import io
import json
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from localcloud import cloud as local_cloud
from localcloud.pushing import push

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
IMAGE = f"{REGISTRY}/stand-in:1"
ROLE = "arn:aws:iam::123456789012:role/job"
PROGRAM = Path(__file__).with_name("stand_in.py")


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclass
class Cloud:
    """A running cloud, as a user sees it: an address."""

    home: Path
    information: local_cloud.CloudInfo

    image: str = IMAGE
    role: str = ROLE

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.information.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  # any key opens the emulated cloud
        )

    def order(self, what: str, **order: Any) -> None:
        """Move the cloud's clock, or order a fault: see `localcloud.clock` and `localcloud.faults`."""
        address = f"{self.information.endpoint_url}/mapgate/{what}"
        with urllib.request.urlopen(address, json.dumps(order).encode(), timeout=10) as answer:
            assert answer.status == 204

    def log_of(self, job: str) -> str:
        path = self.home / "jobs" / job / "log.txt"
        return path.read_text() if path.exists() else ""

    def push_image(self, tag: str = "1", user: str = "") -> str:
        return self.push("stand-in", PROGRAM.parent, ["python", PROGRAM.name], tag, user)

    def push(self, repository: str, directory: Path, entrypoint: list[str], tag: str = "1", user: str = "") -> str:
        """Register an image that stands for a directory; returns its URI."""
        ecr = self.client("ecr")
        push(ecr, repository, tag, directory=directory, python=sys.executable, entrypoint=entrypoint, user=user)
        return f"{REGISTRY}/{repository}:{tag}"

    def process(self, until: Callable[..., Any], request: dict[str, Any], seconds: float = 30) -> dict[str, Any]:
        """Run a processing job to its end; returns its last description."""
        sagemaker, name = self.client("sagemaker"), request["ProcessingJobName"]
        sagemaker.create_processing_job(**request)

        def look() -> dict[str, Any] | None:
            described = sagemaker.describe_processing_job(ProcessingJobName=name)
            return described if described["ProcessingJobStatus"] in ("Completed", "Failed", "Stopped") else None

        return dict(until(look, seconds))

    def create_role(self, name: str, *statements: dict[str, Any]) -> str:
        """A role that SageMaker and Lambda may assume, with a policy of these statements; returns its ARN."""
        principal = {"Service": ["lambda.amazonaws.com", "sagemaker.amazonaws.com"]}
        trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        iam = self.client("iam")
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=_policy(*statements))
        return str(made["Role"]["Arn"])

    def create_function(self, name: str, source: str, role: str) -> str:
        """A function whose module `index` is `source`; returns its ARN."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as written:
            written.writestr("index.py", source)
        made = self.client("lambda").create_function(
            FunctionName=name,
            Role=role,
            Handler="index.handler",
            Runtime="python3.13",
            Timeout=20,
            Code={"ZipFile": archive.getvalue()},
        )
        return str(made["FunctionArn"])

    def as_role(self, role: str, service: str) -> Any:
        """A client of a session of a role."""
        given = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.information.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )

    def furnish(self) -> None:
        self.create_role("job", {"Effect": "Allow", "Action": "*", "Resource": "*"})
        self.client("s3").create_bucket(Bucket="bucket")
        self.client("s3").put_object(Bucket="bucket", Key="data/a.txt", Body=b"content of a")
        self.client("s3").put_object(Bucket="bucket", Key="data/below/b.txt", Body=b"content of b")
        self.client("ecr").create_repository(repositoryName="stand-in")
        self.push_image()
        self.client("sagemaker").create_model_package_group(ModelPackageGroupName="group")

    def events(self, detail_type: str) -> Callable[[], list[dict[str, Any]]]:
        """A function that answers the events of a type that came since."""
        sqs, events, name = self.client("sqs"), self.client("events"), f"events-{time.monotonic_ns()}"
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [statement | {"Resource": arn}]}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
        pattern = {"source": ["aws.sagemaker"], "detail-type": [detail_type]}
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        seen: list[dict[str, Any]] = []

        def received() -> list[dict[str, Any]]:
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                for message in messages:
                    seen.append(json.loads(message["Body"]))
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return seen

        return received


@pytest.fixture(scope="session")
def raise_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path | None], Cloud]]:
    """Starts a cloud in a directory, a new one by default; all are stopped at the end."""
    started: list[Path] = []

    def start(home: Path | None = None) -> Cloud:
        directory = home or tmp_path_factory.mktemp("cloud") / ".mapgate"
        started.append(directory)
        return Cloud(directory, local_cloud.up(directory))

    yield start
    for directory in started:
        local_cloud.down(directory)


@pytest.fixture(scope="session")
def cloud(cloud: Any) -> Cloud:
    """The cloud of all tests that do not break it, furnished for jobs."""
    made = Cloud(cloud.home, local_cloud.up(cloud.home))
    made.furnish()
    return made


@pytest.fixture
def until() -> Callable[..., Any]:
    """Waits until a function answers something true, and returns that."""

    def wait(question: Callable[[], Any], seconds: float = 30) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := question()):
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.05)
        return answer

    return wait
