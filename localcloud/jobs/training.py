# SPDX-License-Identifier: Apache-2.0
"""What SageMaker does for a training job, before and after its container runs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.authorisation.sessions import HOUR, open_session
from localcloud.clients import SAGEMAKER, client_as, endpoint_url
from localcloud.dispatch import Call, invalid
from localcloud.jobs.job import Job, JobError, JobKind, exit_sentence, message_in
from localcloud.jobs.platform_files import CHECKPOINTS, FIRST_HOST, TENSORBOARD, TENSORS, anywhere, training_files
from localcloud.jobs.synchronising import Synchroniser
from localcloud.objects import ObjectError, download, has_objects, pack, upload_directory, upload_file
from localcloud.times import now


def check(call: Call) -> None:
    """Refuse what AWS refuses, and what one machine cannot do.

    Raises:
        ServiceError: With AWS's words where they are known.
    """
    request = call.parameters
    specification = request["AlgorithmSpecification"]
    if "TrainingImage" not in specification:
        raise invalid("AlgorithmName is not supported by the emulated cloud: give a TrainingImage")
    if request["ResourceConfig"].get("InstanceCount", 1) != 1 or request["ResourceConfig"].get("InstanceGroups"):
        raise invalid("The emulated cloud trains on one instance: set ResourceConfig.InstanceCount to 1")
    for channel in request.get("InputDataConfig", ()):
        _check_channel(call, channel, specification["TrainingInputMode"])


def defaults(request: Mapping[str, Any], created: str) -> dict[str, Any]:
    """What the description of a new job says beside its request."""
    return {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        "SecondaryStatus": "Starting",
        "SecondaryStatusTransitions": [
            {"Status": "Starting", "StartTime": created, "StatusMessage": "Starting the training job"}
        ],
        "ModelArtifacts": {"S3ModelArtifacts": f"{_output_uri(request)}/model.tar.gz"},
    }


def run(job: Job) -> str:
    """Download, train, upload."""
    request = job.description()
    for directory in ("input/data", "model", "output/data"):
        (job.root / directory).mkdir(parents=True)
    job.lay_out(FIRST_HOST, training_files(request))
    job.join(request.get("VpcConfig"))
    job.enter("Downloading", "Downloading input data")
    job.update(TrainingStartTime=now())
    for channel in request.get("InputDataConfig", ()):
        uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
        if not download(job.s3, uri, job.root / "input" / "data" / channel["ChannelName"]):
            raise ObjectError(_no_objects(uri, request["RoleArn"]))
    with _checkpoints(job, request), _tensorboard(job, request), _tensors(job, request):
        job.enter("DownloadingTrainingImage", "Downloading the training image")
        specification = request["AlgorithmSpecification"]
        image = job.pull(specification["TrainingImage"])
        if job.stopping:
            return "Stopped"
        job.enter("Training", "Training image download completed. Training in progress.")
        metrics = _Metrics(job, specification.get("MetricDefinitions", ()))
        exit_ = job.run_container(
            image,
            image.command(
                specification.get("ContainerArguments") or ["train"], specification.get("ContainerEntrypoint")
            ),
            {
                "AWS_REGION": job.region,
                "TRAINING_JOB_NAME": job.name,
                "TRAINING_JOB_ARN": job.arn,
                **_credentials(request),
                **request.get("Environment", {}),
            },
            request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86400),
            metrics.read,
        )
    metrics.publish()
    _upload_output(job, request)
    if exit_.cause == "exit" and exit_.code:
        raise JobError(exit_sentence(exit_.code, message_in(job.root / "output" / "failure")))
    job.enter("Uploading", "Uploading generated training model")
    _upload_model(job, request)
    if exit_.cause == "exit":
        return "Completed"
    job.record["cause"] = exit_.cause
    return "Stopped"


def _credentials(request: Mapping[str, Any]) -> dict[str, str]:
    """By which a container speaks to AWS as the job's role; none where it is isolated.

    SageMaker names a link-local address that gives them, which a laptop has not: here they are told as they are.
    https://docs.aws.amazon.com/sagemaker/latest/dg/mkt-algo-model-internet-free.html
    """
    if request.get("EnableNetworkIsolation"):
        return {"AWS_EC2_METADATA_DISABLED": "true"}
    longest = request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86400)
    opened = open_session(request["RoleArn"], SAGEMAKER, longest + HOUR)
    return {
        "AWS_ACCESS_KEY_ID": opened.access_key,
        "AWS_ENDPOINT_URL": endpoint_url(),
        "AWS_SECRET_ACCESS_KEY": opened.secret_key,
        "AWS_SESSION_TOKEN": opened.token,
    }


class _Metrics:
    """Values that MetricDefinitions find in the log, and their way to CloudWatch."""

    def __init__(self, job: Job, definitions: Any) -> None:
        self._job = job
        self._patterns = [(each["Name"], re.compile(each["Regex"])) for each in definitions]
        self._latest: dict[str, dict[str, Any]] = {}

    def read(self, line: str) -> None:
        for name, pattern in self._patterns:
            match = pattern.search(line)
            if not match:
                continue
            with contextlib.suppress(ValueError, IndexError):
                self._latest[name] = {"MetricName": name, "Value": float(match[1]), "Timestamp": now()}
                self._job.update(FinalMetricDataList=list(self._latest.values()))

    def publish(self) -> None:
        data = [
            {**each, "Dimensions": [{"Name": "TrainingJobName", "Value": self._job.name}]}
            for each in self._latest.values()
        ]
        if data:
            with contextlib.suppress(ClientError, BotoCoreError):
                self._job.client("cloudwatch").put_metric_data(Namespace="/aws/sagemaker/TrainingJobs", MetricData=data)


@contextlib.contextmanager
def _checkpoints(job: Job, request: Mapping[str, Any]) -> Iterator[None]:
    """What the prefix holds comes before the job starts; afterwards it is what the folder is, deletions included.

    https://docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html
    """
    configuration = request.get("CheckpointConfig")
    if not configuration:
        yield
        return
    directory = anywhere(job.root, configuration.get("LocalPath") or CHECKPOINTS)
    download(job.s3, f"{configuration['S3Uri'].rstrip('/')}/", directory)
    synchroniser = Synchroniser(job.s3, directory, configuration["S3Uri"], mirrors=True)
    try:
        yield
    finally:
        synchroniser.finish()


@contextlib.contextmanager
def _tensorboard(job: Job, request: Mapping[str, Any]) -> Iterator[None]:
    """What TensorBoard shows goes to S3 only where the request says so.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TensorBoardOutputConfig.html
    """
    with _uploaded(job, request, "TensorBoardOutputConfig", TENSORBOARD, "tensorboard-output"):
        yield


@contextlib.contextmanager
def _tensors(job: Job, request: Mapping[str, Any]) -> Iterator[None]:
    """What Debugger's hook in a container writes, if it has one: SageMaker's SDK asks for it for every Estimator.

    https://docs.aws.amazon.com/sagemaker/latest/dg/debugger-createtrainingjob-api.html
    """
    with _uploaded(job, request, "DebugHookConfig", TENSORS, "debug-output"):
        yield


@contextlib.contextmanager
def _uploaded(job: Job, request: Mapping[str, Any], member: str, default: str, name: str) -> Iterator[None]:
    """The folder that a member of the request names goes to S3 while the job runs."""
    configuration = request.get(member)
    if not configuration:
        yield
        return
    directory = anywhere(job.root, configuration.get("LocalPath") or default)
    uri = f"{configuration['S3OutputPath'].rstrip('/')}/{job.name}/{name}"
    synchroniser = Synchroniser(job.s3, directory, uri, request["OutputDataConfig"].get("KmsKeyId"))
    try:
        yield
    finally:
        synchroniser.finish()


def _upload_output(job: Job, request: Mapping[str, Any]) -> None:
    data = job.root / "output" / "data"
    if any(data.iterdir()):
        _upload_archive(job, request, data, "output.tar.gz")


def _upload_model(job: Job, request: Mapping[str, Any]) -> None:
    model, uri = job.root / "model", f"{_output_uri(request)}/model"
    if request["OutputDataConfig"].get("CompressionType") != "NONE":
        _upload_archive(job, request, model, "model.tar.gz")
        return
    job.update(ModelArtifacts={"S3ModelArtifacts": f"{uri}/"})
    upload_directory(job.s3, model, uri, request["OutputDataConfig"].get("KmsKeyId"))


def _upload_archive(job: Job, request: Mapping[str, Any], directory: Path, name: str) -> None:
    archive = job.directory / name
    pack(directory, archive)
    upload_file(job.s3, archive, f"{_output_uri(request)}/{name}", request["OutputDataConfig"].get("KmsKeyId"))
    archive.unlink()


def _output_uri(request: Mapping[str, Any]) -> str:
    return f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{request['TrainingJobName']}/output"


def _check_channel(call: Call, channel: Mapping[str, Any], default_mode: str) -> None:
    name, source = channel["ChannelName"], channel["DataSource"].get("S3DataSource")
    if source is None:
        raise invalid(f"The emulated cloud reads channel {name} from S3 only: give an S3DataSource")
    if channel.get("InputMode", default_mode) == "Pipe":
        raise invalid(f"The emulated cloud gives channel {name} in File or FastFile mode, not Pipe")
    if source["S3DataType"] != "S3Prefix":
        raise invalid(f"The emulated cloud reads channel {name} as S3Prefix only, not {source['S3DataType']}")
    if channel.get("CompressionType", "None") != "None":
        raise invalid(f"The emulated cloud does not decompress channel {name}: leave CompressionType out")
    if not has_objects(client_as(call.parameters["RoleArn"], SAGEMAKER, "s3", call.region), source["S3Uri"]):
        raise invalid(_no_objects(source["S3Uri"], call.parameters["RoleArn"]))


def _no_objects(uri: str, role: str) -> str:
    bucket = uri.removeprefix("s3://").partition("/")[0]
    return (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in '
        f'the selected region, that objects exist under that S3 prefix, and that the role "{role}" has "s3:ListBucket" '
        f'permissions on bucket "{bucket}".'
    )


KIND = JobKind(name="Training", check=check, defaults=defaults, run=run)
