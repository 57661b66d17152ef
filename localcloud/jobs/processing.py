# SPDX-License-Identifier: Apache-2.0
"""What SageMaker does for a processing job, before and after its container runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from localcloud.dispatch import Call, invalid
from localcloud.images import PushedImage
from localcloud.jobs.job import Exit, Job, JobError, JobKind, exit_sentence, message_in
from localcloud.jobs.platform_files import below, hosts_of, processing_files
from localcloud.jobs.synchronising import Synchroniser
from localcloud.objects import ObjectError, download, upload_directory
from localcloud.processes import KILLED
from localcloud.times import now

LOCAL_PATH = "/opt/ml/processing/"


def check(call: Call) -> None:
    """Refuse what AWS refuses, and what one machine cannot do.

    Raises:
        ServiceError: With AWS's words where they are known.
    """
    request = call.parameters
    for item in request.get("ProcessingInputs", ()):
        _check_input(item)
    names = [item["InputName"] for item in request.get("ProcessingInputs", ())]
    if len(names) != len(set(names)):
        raise invalid(f"ProcessingInputs must have unique names, not {names}")
    for item in request.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        if "S3Output" not in item:
            raise invalid(f"The emulated cloud writes output {item['OutputName']} to S3 only: give an S3Output")
        _check_local_path(item["S3Output"]["LocalPath"])


def defaults(_: Mapping[str, Any], __: str) -> dict[str, Any]:
    """What the description of a new job says beside its request."""
    return {"StoppingCondition": {"MaxRuntimeInSeconds": 86400}}


def run(job: Job) -> str:
    """Download, process, upload: on each instance, side by side.

    What SageMaker does with the other instances when one of them fails is not documented: here each runs to its end.
    """
    request = job.description()
    job.join(request.get("NetworkConfig", {}).get("VpcConfig"))
    hosts = hosts_of(request["ProcessingResources"]["ClusterConfig"])
    for host in hosts:
        _furnish(job, request, host, hosts)
    image = job.pull(request["AppSpecification"]["ImageUri"])
    if job.stopping:
        return "Stopped"
    job.update(ProcessingStartTime=now())
    job.save()
    with ThreadPoolExecutor(len(hosts)) as instances:
        exits = list(instances.map(lambda host: _process(job, request, image, host), hosts))
    messages = [message_in(job.root_of(host) / "output" / "message") for host in hosts]
    failed = [message for message, exit_ in zip(messages, exits, strict=True) if exit_.code and message]
    if message := next(filter(None, [*failed, *messages]), ""):
        job.update(ExitMessage=message)
    for exit_ in exits:
        if exit_.cause != "exit":
            job.record["cause"] = exit_.cause
            return "Stopped"
    for exit_ in exits:
        if exit_.code:
            seen = "AlgorithmError: See job logs for more information"
            raise JobError(exit_sentence(exit_.code) if exit_.code == KILLED else seen)
    for host in hosts:
        for item in _outputs(request, "EndOfJob"):
            upload_directory(job.s3, below(job.root_of(host), item["LocalPath"]), item["S3Uri"], _key(request))
    return "Completed"


def _furnish(job: Job, request: Mapping[str, Any], host: str, hosts: Sequence[str]) -> None:
    """Put an instance's files and inputs in their places."""
    root = job.root_of(host)
    for item in _outputs(request):
        below(root, item["LocalPath"]).mkdir(parents=True, exist_ok=True)
    (root / "output").mkdir(parents=True, exist_ok=True)
    job.lay_out(host, processing_files(request, job.arn, host))
    for item in request.get("ProcessingInputs", ()):
        source = item["S3Input"]
        sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
        share = (hosts.index(host), len(hosts)) if sharded else (0, 1)
        if not download(job.s3, source["S3Uri"], below(root, source["LocalPath"]), share=share):
            raise ObjectError(
                f'No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source '
                f'"{item["InputName"]}". Please ensure that the bucket exists and that objects exist under that prefix.'
            )


def _process(job: Job, request: Mapping[str, Any], image: PushedImage, host: str) -> Exit:
    """Run an instance's container; what it writes to continuous outputs goes up meanwhile."""
    application = request["AppSpecification"]
    continuous = [
        Synchroniser(job.s3, below(job.root_of(host), item["LocalPath"]), item["S3Uri"], _key(request))
        for item in _outputs(request, "Continuous")
    ]
    try:
        return job.run_container(
            image,
            image.command(application.get("ContainerArguments") or (), application.get("ContainerEntrypoint")),
            {"AWS_REGION": job.region, **request.get("Environment", {})},
            request["StoppingCondition"]["MaxRuntimeInSeconds"],
            host=host,
        )
    finally:
        for synchroniser in continuous:
            synchroniser.finish()


def _outputs(request: Mapping[str, Any], mode: str | None = None) -> list[Mapping[str, Any]]:
    """Where outputs go; only those of an S3UploadMode, if one is given."""
    outputs = [item["S3Output"] for item in request.get("ProcessingOutputConfig", {}).get("Outputs", ())]
    return [output for output in outputs if mode in (None, output["S3UploadMode"])]


def _key(request: Mapping[str, Any]) -> str | None:
    key: str | None = request.get("ProcessingOutputConfig", {}).get("KmsKeyId")
    return key


def _check_input(item: Mapping[str, Any]) -> None:
    name, source = item["InputName"], item.get("S3Input")
    if source is None:
        raise invalid(f"The emulated cloud reads input {name} from S3 only: give an S3Input")
    if source["S3DataType"] != "S3Prefix":
        raise invalid(f"The emulated cloud reads input {name} as S3Prefix only, not {source['S3DataType']}")
    if source.get("S3InputMode", "File") != "File":
        raise invalid(f"The emulated cloud gives input {name} in File mode, not {source['S3InputMode']}")
    if source.get("S3CompressionType", "None") != "None":
        raise invalid(f"The emulated cloud does not decompress input {name}: leave S3CompressionType out")
    _check_local_path(source.get("LocalPath", ""))


def _check_local_path(path: str) -> None:
    if not path.startswith(LOCAL_PATH):
        raise invalid(f"LocalPath {path!r} must begin with {LOCAL_PATH}")


KIND = JobKind(name="Processing", check=check, defaults=defaults, run=run)
