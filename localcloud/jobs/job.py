# SPDX-License-Identifier: Apache-2.0
"""One training, processing or transform job: its record, its states, its container."""

from __future__ import annotations

import copy
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import ClientError

from localcloud.authorisation.enforcement import DeniedError, require
from localcloud.authorisation.needs import join_network, pull_image, watch_container
from localcloud.clients import SAGEMAKER, client_as
from localcloud.dispatch import Call
from localcloud.home import write_json
from localcloud.images import ImageError, PushedImage, resolve
from localcloud.jobs.platform_files import FIRST_HOST
from localcloud.logs import LogFollower
from localcloud.objects import ObjectError
from localcloud.processes import KILLED, Process
from localcloud.times import in_milliseconds, now

FAILURE_CHARACTERS = 1024
"""What of a failure or exit message is kept."""
ENDED = ("Completed", "Failed", "Stopped")
LOOK = 0.2
"""Seconds between two looks at a running container."""


class JobError(Exception):
    """A job that failed; the message is its FailureReason."""


@dataclass(frozen=True)
class JobKind:
    """What tells training, processing and batch transform apart.

    Attributes:
        name: "Training", "Processing" or "Transform", as in `CreateTrainingJob`.
        check: Refuses a request by `ServiceError`.
        defaults: From (request, time of creation) to what the first description says beside the request.
        run: Does the job's work, and returns "Completed" or "Stopped"; raises `JobError` otherwise.
        beside: From a request to what its record holds beside the description; may refuse it by `ServiceError`.
    """

    name: Literal["Training", "Processing", "Transform"]
    check: Callable[[Call], None]
    defaults: Callable[[Mapping[str, Any], str], dict[str, Any]]
    run: Callable[[Job], str]
    beside: Callable[[Call], dict[str, Any]] = field(default=lambda _: {})


@dataclass(frozen=True)
class Exit:
    """How a container ended: its exit code, and whether it was asked to."""

    code: int
    cause: Literal["exit", "stop", "time"]


class Job:
    """A job of any kind.

    Args:
        kind: Training, processing or transform.
        record: `kind`, `account`, `region`, `description` (what `Describe*Job` answers, times as ISO 8601), `tags`,
            and what its kind keeps beside: a transform job's `container` and `role`.
        directory: `.mapgate/jobs/<name>`.
        announce: Called after each change of state: writes the record, sends the event.
    """

    def __init__(self, kind: JobKind, record: dict[str, Any], directory: Path, announce: Callable[[Job], None]) -> None:
        self.kind, self.record, self.directory = kind, record, directory
        self.account, self.region = record["account"], record["region"]
        self.name: str = record["description"][f"{kind.name}JobName"]
        self.arn: str = record["description"][f"{kind.name}JobArn"]
        self.finished = threading.Event()
        self._announce = announce
        self._stop = threading.Event()
        self._lock = threading.RLock()
        if self.ended:
            self.finished.set()

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.kind.name, self.account, self.region, self.name

    @property
    def root(self) -> Path:
        """What stands for `/opt/ml` on the first instance."""
        return self.root_of(FIRST_HOST)

    def home_of(self, host: str) -> Path:
        """Where everything of an instance lies."""
        return self.directory if host == FIRST_HOST else self.directory / host

    def root_of(self, host: str) -> Path:
        """What stands for `/opt/ml` on an instance."""
        return self.home_of(host) / "opt" / "ml"

    @property
    def status(self) -> str:
        return str(self.record["description"][f"{self.kind.name}JobStatus"])

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def role(self) -> str:
        """ARN of the role with which SageMaker does all that the job needs."""
        return str(self.record.get("role") or self.record["description"]["RoleArn"])

    def client(self, service: str) -> Any:
        """A client of a session of the job's role.

        https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
        """
        return client_as(self.role, SAGEMAKER, service, self.region)

    @property
    def s3(self) -> Any:
        return self.client("s3")

    def pull(self, uri: str) -> PushedImage:
        """The job's image, pulled with its role.

        Raises:
            DeniedError: The role may not.
            ImageError: There is no such image.
        """
        require(self.role, SAGEMAKER, *pull_image(uri))
        return resolve(uri, self.region)

    def join(self, vpc: Mapping[str, Any] | None) -> None:
        """Put the job into a VPC, if it asks for one.

        Raises:
            DeniedError: Its role may not.
        """
        require(self.role, SAGEMAKER, *join_network(vpc))

    def description(self) -> dict[str, Any]:
        """What `Describe*Job` answers now."""
        with self._lock:
            return copy.deepcopy(self.record["description"])

    def event_detail(self) -> dict[str, Any]:
        """The description as events carry it: times in milliseconds, tags as a map."""
        detail: dict[str, Any] = in_milliseconds(self.description())
        return detail | {"Tags": {tag["Key"]: tag["Value"] for tag in self.record["tags"]}}

    def update(self, **fields: Any) -> None:
        """Change the description; silent, and durable with the next change of state."""
        with self._lock:
            self.record["description"] |= fields | {"LastModifiedTime": now()}

    def enter(self, secondary: str, message: str) -> None:
        """Enter a secondary status (training only), which is announced."""
        if self.kind.name == "Training":
            with self._lock:
                transitions = self.record["description"]["SecondaryStatusTransitions"]
                if transitions:
                    transitions[-1].setdefault("EndTime", now())
                transitions.append({"Status": secondary, "StartTime": now(), "StatusMessage": message})
                self.update(SecondaryStatus=secondary)
        self._announce(self)

    def save(self) -> None:
        """Make the present record durable."""
        with self._lock:
            write_json(self.directory / "job.json", self.record)

    def lay_out(self, host: str, files: Mapping[str, Any]) -> None:
        """Put files, JSON by their path below the root, in their places on an instance."""
        for name, content in files.items():
            path = self.root_of(host) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, content)

    def request_stop(self) -> None:
        """As `Stop*Job`: the container gets SIGTERM, and SIGKILL two minutes later."""
        with self._lock:
            if self.ended or self._stop.is_set():
                return
            self.update(**{f"{self.kind.name}JobStatus": "Stopping"})
            self.enter("Stopping", "Stopping the training job")
            self._stop.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def run(self) -> None:
        """Do the work and end in Completed, Stopped or Failed."""
        try:
            self._end(self.kind.run(self))
        except JobError as failure:
            self._end("Failed", str(failure))
        except (DeniedError, ImageError, ObjectError, ClientError) as failure:
            self._end("Failed", f"ClientError: {failure}")
        except Exception as error:  # whatever breaks here, the job must end
            traceback.print_exc(file=sys.stderr)
            self._end("Failed", f"InternalServerError: We encountered an internal error. Please try again. ({error})")

    def interrupted(self) -> None:
        """End a job whose container died with an earlier process of the cloud."""
        self._end("Failed", "InternalServerError: The emulated cloud went down while this job ran. Please try again.")

    def run_container(
        self,
        image: PushedImage,
        command: Sequence[str],
        environment: Mapping[str, str],
        longest: float,
        on_line: Callable[[str], None] | None = None,
        host: str = FIRST_HOST,
    ) -> Exit:
        """Run the image on an instance, its output going to `log.txt` in its home and to CloudWatch Logs.

        Args:
            image: What to run.
            command: The whole command line.
            environment: What the platform and the request set.
            longest: Seconds until the job is stopped.
            on_line: Called with each line of the output, soon after it is written.
            host: The instance, such as `algo-2`.
        """
        home = self.home_of(host)
        log = home / "log.txt"
        group = f"/aws/sagemaker/{self.kind.name}Jobs"
        stream = f"{self.name}/{host}-{int(time.time())}"
        require(self.role, SAGEMAKER, *watch_container(group, group, self.account, self.region))
        follower = LogFollower(self.client("logs"), group, stream, log, on_line)
        try:
            process = Process(
                command, image.directory, container_environment(home, self.root_of(host), image, environment), log
            )
            return self._watch(process, time.monotonic() + longest)
        finally:
            follower.finish()

    def _watch(self, process: Process, deadline: float) -> Exit:
        while (code := process.wait(LOOK)) is None:
            if self._stop.is_set():
                return Exit(process.stop(stop_grace()), "stop")
            if time.monotonic() > deadline:
                return Exit(process.stop(stop_grace()), "time")
        if code < 0:
            raise JobError("InternalServerError: We lost the instance that ran this job. Please try again.")
        return Exit(code, "exit")

    def _end(self, status: str, reason: str | None = None) -> None:
        with self._lock:
            ended = now()
            fields: dict[str, Any] = {f"{self.kind.name}JobStatus": status, f"{self.kind.name}EndTime": ended}
            if reason:
                fields["FailureReason"] = reason[:FAILURE_CHARACTERS]
            started = self.record["description"].get(f"{self.kind.name}StartTime")
            if started and self.kind.name == "Training":
                seconds = int((datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds())
                fields |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
            self.update(**fields)
        secondary = status
        if status == "Stopped" and self.record.get("cause") == "time":
            secondary = "MaxRuntimeExceeded"
        messages = {"Completed": "Training job completed", "Stopped": "Training job stopped"}
        self.enter(secondary, messages.get(status, reason or "Training job failed"))
        self.finished.set()


def container_environment(home: Path, root: Path, image: PushedImage, environment: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a container: nothing of the caller's, nothing that SageMaker does not set.

    Args:
        home: The container's home; temporary files go below it.
        root: What stands for `/opt/ml`.
        image: What runs.
        environment: What the platform and the request set.
    """
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{Path(image.python).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
        **{name: str(value) for name, value in environment.items()},
        "MAPGATE_ML_ROOT": str(root),
    }


def exit_sentence(code: int, message: str = "") -> str:
    """A failed container's FailureReason."""
    if code == KILLED:
        return (
            "ClientError: Please use an instance type with more memory, or reduce the size of job data processed on an "
            f"instance., exit code: {code}"
        )
    return f"AlgorithmError: {message[: FAILURE_CHARACTERS - 40]}, exit code: {code}"


def message_in(path: Path) -> str:
    """What a container left in its failure or message file, capped; empty if it left nothing.

    Raises:
        JobError: It is not UTF-8.
    """
    try:
        return path.read_bytes()[:FAILURE_CHARACTERS].decode("utf-8", errors="strict").strip()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":  # cut inside a character
            return path.read_bytes()[: error.start].decode().strip()
        raise JobError(f"ClientError: {path.name} is not UTF-8") from error
    except (FileNotFoundError, IsADirectoryError):
        return ""


def stop_grace() -> float:
    """Seconds between SIGTERM and SIGKILL: 120 as on SageMaker, unless MAPGATE_STOP_GRACE_SECONDS says otherwise."""
    return float(os.environ.get("MAPGATE_STOP_GRACE_SECONDS", "120"))
