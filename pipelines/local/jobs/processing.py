# SPDX-License-Identifier: Apache-2.0
"""What SageMaker does for a processing job, before and after its container runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipelines.local.home import write_json
from pipelines.local.images import resolve
from pipelines.local.jobs.job import Job, JobError, JobKind, exit_sentence, message_in
from pipelines.local.jobs.platform_files import below, processing_files
from pipelines.local.jobs.synchronising import Synchroniser
from pipelines.local.moto_mends import Call, ServiceError
from pipelines.local.objects import ObjectError, download, upload_directory
from pipelines.local.processes import KILLED

LOCAL_PATH = "/opt/ml/processing/"


def check(call: Call) -> None:
    """Refuse what AWS refuses, and what one machine cannot do.

    Raises:
        ServiceError: With AWS's words where they are known.
    """
    request = call.parameters
    if request["ProcessingResources"]["ClusterConfig"].get("InstanceCount", 1) != 1:
        _refuse("The emulated cloud processes on one instance: set ClusterConfig.InstanceCount to 1")
    for item in request.get("ProcessingInputs", ()):
        _check_input(item)
    names = [item["InputName"] for item in request.get("ProcessingInputs", ())]
    if len(names) != len(set(names)):
        _refuse(f"ProcessingInputs must have unique names, not {names}")
    for item in request.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        if "S3Output" not in item:
            _refuse(f"The emulated cloud writes output {item['OutputName']} to S3 only: give an S3Output")
        _check_local_path(item["S3Output"]["LocalPath"])


def describe_new(request: Mapping[str, Any], arn: str, now: str) -> dict[str, Any]:
    """The description of a job that was just created."""
    return {
        **{name: value for name, value in request.items() if name != "Tags"},
        "StoppingCondition": request.get("StoppingCondition", {"MaxRuntimeInSeconds": 86400}),
        "ProcessingJobArn": arn,
        "ProcessingJobStatus": "InProgress",
        "CreationTime": now,
        "LastModifiedTime": now,
    }


def run(job: Job) -> str:
    """Download, process, upload."""
    request = job.description()
    outputs = [item["S3Output"] for item in request.get("ProcessingOutputConfig", {}).get("Outputs", ())]
    for item in outputs:
        below(job.root, item["LocalPath"]).mkdir(parents=True, exist_ok=True)
    (job.root / "output").mkdir(parents=True, exist_ok=True)
    for name, content in processing_files(request, job.arn).items():
        (job.root / name).parent.mkdir(parents=True, exist_ok=True)
        write_json(job.root / name, content)
    for item in request.get("ProcessingInputs", ()):
        source = item["S3Input"]
        if not download(job.s3, source["S3Uri"], below(job.root, source["LocalPath"])):
            raise ObjectError(
                f'No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source '
                f'"{item["InputName"]}". Please ensure that the bucket exists and that objects exist under that prefix.'
            )
    application = request["AppSpecification"]
    image = resolve(application["ImageUri"], job.region)
    if job.stopping:
        return "Stopped"
    job.update(ProcessingStartTime=datetime.now(UTC).isoformat(timespec="milliseconds"))
    job.save()
    key = request.get("ProcessingOutputConfig", {}).get("KmsKeyId")
    continuous = [
        Synchroniser(job.s3, below(job.root, item["LocalPath"]), item["S3Uri"], key)
        for item in outputs
        if item["S3UploadMode"] == "Continuous"
    ]
    try:
        exit_ = job.run_container(
            image,
            image.command(application.get("ContainerArguments") or (), application.get("ContainerEntrypoint")),
            {"AWS_REGION": job.region, **request.get("Environment", {})},
            request["StoppingCondition"]["MaxRuntimeInSeconds"],
        )
    finally:
        for synchroniser in continuous:
            synchroniser.finish()
    message = message_in(job.root / "output" / "message")
    if message:
        job.update(ExitMessage=message)
    if exit_.cause != "exit":
        job.record["cause"] = exit_.cause
        return "Stopped"
    if exit_.code:
        seen = "AlgorithmError: See job logs for more information"
        raise JobError(exit_sentence(exit_.code) if exit_.code == KILLED else seen)
    for item in outputs:
        if item["S3UploadMode"] == "EndOfJob":
            upload_directory(job.s3, below(job.root, item["LocalPath"]), item["S3Uri"], key)
    return "Completed"


def _check_input(item: Mapping[str, Any]) -> None:
    name, source = item["InputName"], item.get("S3Input")
    if source is None:
        _refuse(f"The emulated cloud reads input {name} from S3 only: give an S3Input")
        return
    if source["S3DataType"] != "S3Prefix":
        _refuse(f"The emulated cloud reads input {name} as S3Prefix only, not {source['S3DataType']}")
    if source.get("S3InputMode", "File") != "File":
        _refuse(f"The emulated cloud gives input {name} in File mode, not {source['S3InputMode']}")
    if source.get("S3CompressionType", "None") != "None":
        _refuse(f"The emulated cloud does not decompress input {name}: leave S3CompressionType out")
    _check_local_path(source.get("LocalPath", ""))


def _check_local_path(path: str) -> None:
    if not path.startswith(LOCAL_PATH):
        _refuse(f"LocalPath {path!r} must begin with {LOCAL_PATH}")


def _refuse(message: str) -> None:
    raise ServiceError("ValidationException", message)


KIND = JobKind(name="Processing", check=check, describe_new=describe_new, run=run)
