# SPDX-License-Identifier: Apache-2.0
"""What SageMaker does for a transform job: the model's own server answers every object below a prefix, and is gone.

https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html

An object is one request here. Where the cloud goes down the job has failed, like every other: nobody at AWS takes an
instance up where another left it. What was answered by then lies in S3, for outputs are written whole and one by one.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from localcloud.clients import client
from localcloud.dispatch import Call, invalid
from localcloud.images import PushedImage
from localcloud.jobs.batch_server import GROUP, Answer, BatchServer, running_server
from localcloud.jobs.job import Job, JobError, JobKind
from localcloud.jobs.platform_files import hosts_of
from localcloud.logs import write_lines
from localcloud.models.containers import ContainerError, container_of, lay_out_model
from localcloud.objects import ObjectError, keys_under, relative_path, split_uri
from localcloud.times import now

DEFAULTS: Mapping[str, Any] = {"MaxConcurrentTransforms": 1, "MaxPayloadInMB": 6, "BatchStrategy": "MULTI_RECORD"}
"""Where neither the request nor the server says otherwise, each as the server's log has it."""
CLIENT_DEFAULTS = {"InvocationsTimeoutInSeconds": 600, "InvocationsMaxRetries": 3}
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ModelClientConfig.html"""
RETRY_PAUSE = 0.5
"""Seconds before a request is sent again; AWS does not say how many."""
STRATEGIES = {"SingleRecord": "SINGLE_RECORD", "MultiRecord": "MULTI_RECORD"}
SEEN = "See job logs for more information"


@dataclass(frozen=True)
class Record:
    """An object to be answered.

    Attributes:
        bucket, key: Where it lies.
        name: Its path below the input's prefix.
    """

    bucket: str
    key: str
    name: str


@dataclass(frozen=True)
class Failure:
    """A record without an output.

    Attributes:
        cause: `ClientError` where the record is to blame, `AlgorithmError` where the server is.
        lines: What the data log says.
    """

    cause: str
    lines: tuple[str, ...]


def check(call: Call) -> None:
    """Refuse what one request an object cannot do.

    Raises:
        ServiceError: The request asks for it.
    """
    given, output = call.parameters["TransformInput"], call.parameters["TransformOutput"]
    kind = given["DataSource"]["S3DataSource"]["S3DataType"]
    if kind not in ("S3Prefix", "ManifestFile"):
        raise invalid(f"The emulated cloud transforms an S3Prefix or a ManifestFile, not {kind}")
    for member, value in (
        ("TransformInput.SplitType", given.get("SplitType")),
        ("TransformInput.CompressionType", given.get("CompressionType")),
        ("TransformOutput.AssembleWith", output.get("AssembleWith")),
    ):
        if value not in (None, "None"):
            raise invalid(f"The emulated cloud sends each object as it is: {member} cannot be {value}")


def defaults(_: Mapping[str, Any], __: str) -> dict[str, Any]:
    """What the description of a new job says beside its request."""
    return {}


def beside(call: Call) -> dict[str, Any]:
    """The model's container and role, which the job keeps should the model go.

    Raises:
        ServiceError: There is no such model, or it cannot be run.
    """
    name = call.parameters["ModelName"]
    try:
        container = container_of(client("sagemaker", call.account, call.region), name)
    except ClientError as error:
        raise invalid(f'Could not find model "{call.arn(f"model/{name}")}".') from error
    except ContainerError as error:
        raise invalid(str(error)) from error
    return {"container": container, "role": container["role"]}


def run(job: Job) -> str:
    """Answer all objects, on each instance its share.

    A record that fails leaves no output, and the others are answered all the same; then the job has failed.
    https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-errors.html
    """
    request, container = job.description(), job.record["container"]
    job.join(container["vpc"])
    records = list(_records(job, request["TransformInput"]["DataSource"]["S3DataSource"]))
    image = job.pull(container["image"])
    hosts = hosts_of(request["TransformResources"])
    if job.stopping:
        return "Stopped"
    job.update(TransformStartTime=now())
    job.save()
    shares = [records[number :: len(hosts)] for number in range(len(hosts))]
    with ThreadPoolExecutor(len(hosts)) as instances:
        failures = [
            failure
            for found in instances.map(lambda host, share: _serve(job, request, image, host, share), hosts, shares)
            for failure in found
        ]
    if job.status == "Stopping":
        return "Stopped"
    if failures:
        causes = {failure.cause for failure in failures}
        raise JobError(f"{'AlgorithmError' if 'AlgorithmError' in causes else 'ClientError'}: {SEEN}")
    return "Completed"


def _records(job: Job, source: Mapping[str, Any]) -> Iterator[Record]:
    """The objects of an input in the order of their keys, folders' own left out."""
    uri = source["S3Uri"]
    listed = _manifest(job, uri) if source["S3DataType"] == "ManifestFile" else None
    bucket, prefix = split_uri(uri) if listed is None else split_uri(listed[0])
    keys = keys_under(job.s3, uri) if listed is None else [f"{prefix}{name}" for name in listed[1]]
    found = [Record(bucket, key, relative_path(key, prefix)) for key in sorted(set(keys)) if not key.endswith("/")]
    if not found:
        raise ObjectError(
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
            f'exists in the selected region, that objects exist under that S3 prefix, and that the role "{job.role}" '
            'has "s3:ListBucket" permissions on the bucket.'
        )
    yield from found


def _manifest(job: Job, uri: str) -> tuple[str, list[str]]:
    """The prefix of a manifest, and the names below it.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TransformS3DataSource.html
    """
    bucket, key = split_uri(uri)
    try:
        first, *names = json.loads(job.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        prefix = first["prefix"]
    except (ValueError, TypeError, KeyError) as error:
        raise ObjectError(f"{uri} is no manifest: a JSON list whose first entry has a prefix ({error!r})") from error
    if not isinstance(prefix, str) or not all(isinstance(name, str) for name in names):
        raise ObjectError(f"{uri} is no manifest: behind its prefix it has other things than names")
    if wrong := next((name for name in names if ".." in PurePosixPath(name).parts), None):
        raise ObjectError(f"{uri}: {wrong} leads out of the prefix")
    return prefix, names


def _serve(job: Job, request: Mapping[str, Any], image: PushedImage, host: str, share: list[Record]) -> list[Failure]:
    """Start the server on one instance, and have it answer the instance's share."""
    container = job.record["container"]
    try:
        lay_out_model(job.s3, container["model_data_url"], job.home_of(host))
    except ContainerError as error:
        raise JobError(f"ClientError: {error}") from error
    stream = f"{job.name}/{host}-{int(time.time())}"
    with running_server(job, image, _environment(request, container), host, stream) as server:
        if not server.wait_until_ready(lambda: job.stopping):
            return []
        limits = {**DEFAULTS, **server.execution_parameters(), **_asked(request)}
        told = ", ".join(f"{name}={value}" for name, value in limits.items())
        _tell(job, stream, [told])
        transform = _Transform(job, request, server, int(limits["MaxPayloadInMB"]))
        with ThreadPoolExecutor(max(1, int(limits["MaxConcurrentTransforms"]))) as clients:
            failures = [failure for failure in clients.map(transform.answer, share) if failure]
        _tell(job, stream, [line for failure in failures for line in failure.lines])
    return failures


def _environment(request: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, str]:
    """What the platform sets for a server in batch: of the limits only those that the request gives."""
    asked = _asked(request)
    names = {
        "MaxPayloadInMB": "SAGEMAKER_MAX_PAYLOAD_IN_MB",
        "BatchStrategy": "SAGEMAKER_BATCH_STRATEGY",
        "MaxConcurrentTransforms": "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
    }
    limits = {variable: str(asked[name]) for name, variable in names.items() if name in asked}
    return {**container["environment"], **request.get("Environment", {}), "SAGEMAKER_BATCH": "true", **limits}


def _asked(request: Mapping[str, Any]) -> dict[str, Any]:
    """The limits that the request gives; 0 concurrent transforms are none given."""
    given = {name: request[name] for name in DEFAULTS if name in request}
    if not given.get("MaxConcurrentTransforms", 1):
        del given["MaxConcurrentTransforms"]
    if "BatchStrategy" in given:
        given["BatchStrategy"] = STRATEGIES[given["BatchStrategy"]]
    return given


@dataclass(frozen=True)
class _Transform:
    """How a record becomes an output.

    Attributes:
        job: The job.
        request: Of it.
        server: On this instance.
        megabytes: Greatest size of a record; 0 for any.
    """

    job: Job
    request: Mapping[str, Any]
    server: BatchServer
    megabytes: int

    def answer(self, record: Record) -> Failure | None:
        """Answer one record and write its output, unless the job is to stop; give what went wrong."""
        if self.job.stopping:
            return None
        where = f"{record.bucket}/{record.key}"
        found = self.job.s3.get_object(Bucket=record.bucket, Key=record.key)
        if self.megabytes and found["ContentLength"] > self.megabytes << 20:
            too_large = f"{found['ContentLength']} bytes exceed MaxPayloadInMB={self.megabytes}"
            return Failure("ClientError", (f"{where}: ClientError: {too_large}",))
        try:
            answer = self._ask(found["Body"].read())
        except (OSError, http.client.HTTPException) as error:
            return Failure("AlgorithmError", (f"{where}: The server cannot be reached: {error!r}",))
        if answer.status == http.HTTPStatus.OK:
            self._write(record, answer.body)
            return None
        return _failure(where, answer)

    def _ask(self, body: bytes) -> Answer:
        """Ask, and again where the server fails or is busy."""
        config = CLIENT_DEFAULTS | self.request.get("ModelClientConfig", {})
        headers = {
            "Content-Type": self.request["TransformInput"].get("ContentType"),
            "Accept": self.request["TransformOutput"].get("Accept"),
        }
        given = {name: value for name, value in headers.items() if value}
        for retries_left in reversed(range(config["InvocationsMaxRetries"] + 1)):
            last = retries_left == 0 or self.job.stopping
            try:
                answer = self.server.ask(body, given, config["InvocationsTimeoutInSeconds"])
                if last or (answer.status < 500 and answer.status != http.HTTPStatus.TOO_MANY_REQUESTS):
                    return answer
            except (OSError, http.client.HTTPException):
                if last:
                    raise
            time.sleep(RETRY_PAUSE)
        raise AssertionError("the last try returns or raises")

    def _write(self, record: Record, body: bytes) -> None:
        output = self.request["TransformOutput"]
        bucket, prefix = split_uri(output["S3OutputPath"])
        folder = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        key = output.get("KmsKeyId")
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        self.job.s3.put_object(Bucket=bucket, Key=f"{folder}{record.name}.out", Body=body, **encryption)


def _failure(where: str, answer: Answer) -> Failure:
    """What the data log says of a record that was not answered.

    https://github.com/aws/amazon-sagemaker-examples/issues/1620 (4xx)
    https://github.com/aws/sagemaker-tensorflow-serving-container/issues/93 (5xx)
    """
    mine = answer.status < 500
    first = f"ClientError: {answer.status}" if mine else f"Bad HTTP status received from algorithm: {answer.status}"
    said = answer.body.decode(errors="replace").splitlines()
    lines = tuple(f"{where}: {line}" for line in (first, "", "Message:", *said))
    return Failure("ClientError" if mine else "AlgorithmError", lines)


def _tell(job: Job, stream: str, lines: Sequence[str]) -> None:
    """Write to the data log of an instance.

    https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html
    """
    write_lines(job.client("logs"), GROUP, f"{stream}/data-log", [f"[sagemaker logs]: {line}" for line in lines])


KIND = JobKind(name="Transform", check=check, defaults=defaults, run=run, beside=beside)
