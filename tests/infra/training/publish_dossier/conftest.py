# SPDX-License-Identifier: Apache-2.0
"""An execution that has come to PublishDossier: everything lies where it should, until a test changes it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from containers.evidence.envelope import digest, open_envelope
from containers.evidence.signing import verifier
from infra.training.publish_dossier_asset import publish_dossier_asset
from localcloud import cloud as local_cloud
from localcloud.pushing import push
from tests.evaluations import evaluation
from tests.infra.conftest import Cloud, Invoke, Run, invoking
from tests.infra.training.conftest import deployment_records

ENDPOINT = "mapgate-dev"
SPLITS = ("train", "validation", "test")
MEASURED = "executions/abc/evaluation"
ROLE = "arn:aws:iam::123456789012:role/mapgate-dev-processing"
TRAINS = "arn:aws:iam::123456789012:role/mapgate-dev-training"
JOBS = {
    "data_job": ("training", "training_src", "prepare"),
    "measurements_job": ("inference", "inference_src", "measure"),
    "evaluation_job": ("training", "training_src", "evaluate"),
}
"""Image, module and its word of the job that the step hands over under a name."""
POLICY = b"schema_version: 2\n"
PREPARED = {"schema_version": 2, "sha256": "d" * 64, "images": 1000, "splits": {"test": {"images": 120, "boxes": 370}}}
REPORT = b'<p data-row="author" hidden><b data-slot="author"></b></p><i data-slot="version"></i>'
DEFINITION = {
    "Version": "2020-12-01",
    "Parameters": [{"Name": "DatasetUri", "Type": "String", "DefaultValue": "s3://data/datasets/1/"}],
    "Steps": [{"Name": "Ends", "Type": "Fail", "Arguments": {"ErrorMessage": "at once"}}],
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The laptop's cloud, which signs, keeps versions of objects, and knows what of a version can be changed."""
    home = tmp_path_factory.mktemp("cloud") / ".mapgate"
    yield Cloud(local_cloud.up(home).endpoint_url)
    local_cloud.down(home)


@pytest.fixture(scope="module")
def asset() -> Iterator[Path]:
    with publish_dossier_asset() as folder:
        yield folder


@pytest.fixture(scope="module")
def images(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """URI and digest of an image that serves and of one that trains."""
    return pushed_images(cloud, tmp_path_factory.mktemp("image"))


def pushed_images(cloud: Cloud, folder: Path) -> dict[str, tuple[str, str]]:
    """Push them; returns their URIs and digests by name."""
    made = {}
    for name in ("inference", "training"):
        # What a processing job writes a stage has put there before; a training leaves an empty archive.
        for module in ("serve", "training_src", "inference_src"):
            (folder / f"{module}.py").write_text("")
        cloud.client("ecr").create_repository(repositoryName=f"mapgate-dev-{name}")
        told: dict[str, Any] = {"directory": folder, "python": sys.executable, "entrypoint": ["python", "serve.py"]}
        push(cloud.client("ecr"), f"mapgate-dev-{name}", "1", **told)
        made[name] = image(cloud, name)
    return made


def image(cloud: Cloud, name: str, tag: str = "1") -> tuple[str, str]:
    (found,) = cloud.client("ecr").describe_images(repositoryName=f"mapgate-dev-{name}", imageIds=[{"imageTag": tag}])[
        "imageDetails"
    ]
    return f"123456789012.dkr.ecr.us-east-1.amazonaws.com/mapgate-dev-{name}:{tag}", found["imageDigest"]


@dataclass
class Stage:
    """An execution that has come to the step: everything lies where it should, until a test changes it."""

    cloud: Cloud
    bucket: str
    table: Any
    key: str
    images: dict[str, tuple[str, str]]
    execution: str
    invoke: Any
    asset: Path
    package: str = ""
    model: str = ""
    """Key of the artifact."""
    artifact_sha256: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    """Addresses of outputs that an earlier execution's job wrote."""

    def put(self, key: str, content: bytes | dict[str, Any]) -> str:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.cloud.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def get(self, key: str) -> bytes:
        return bytes(self.cloud.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def evaluate(self, **further: Any) -> None:
        self.put(f"{MEASURED}/evaluation.json", judged(**{"model": {"sha256": self.artifact_sha256}, **further}))

    def train(self) -> str:
        """Run a training as the definition gives it; returns its ARN. Its artifact is what is judged from now on."""
        name = f"pipelines-abc-train-{uuid4().hex[:8]}"
        none = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self.bucket}/defaults/none/"}}
        sagemaker = self.cloud.client("sagemaker")
        arn = sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=TRAINS,
            AlgorithmSpecification={"TrainingImage": self.images["training"][0], "TrainingInputMode": "File"},
            HyperParameters={
                "initial_checkpoint_uri": f"s3://{self.bucket}/defaults/none/",
                "data_bucket": self.bucket,
            },
            InputDataConfig=[{"ChannelName": "checkpoint", "DataSource": none}],
            OutputDataConfig={"S3OutputPath": f"s3://{self.bucket}/models"},
            ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )["TrainingJobArn"]
        _await(partial(sagemaker.describe_training_job, TrainingJobName=name), "Training")
        self.model = f"models/{name}/output/model.tar.gz"
        self.artifact_sha256 = sha256(self.get(self.model))
        return str(arn)

    def run_job(self, job: str, **changed: Any) -> str:
        """Begin a job as the definition gives it, or changed; returns its ARN. What it writes is there already."""
        image, module, word = JOBS[job]
        request = {
            "ProcessingJobName": f"pipelines-abc-{word}-{uuid4().hex[:8]}",
            "RoleArn": ROLE,
            "AppSpecification": {
                "ImageUri": self.images[image][0],
                "ContainerEntrypoint": ["python", "-m", module, word],
            },
            "Environment": self.variables(job),
            "ProcessingInputs": [_input(name, uri) for name, uri in self.read_by(job).items()],
            "ProcessingOutputConfig": {"Outputs": [_output(name, self.wrote(name)) for name in _OUTPUTS[job]]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}
            },
        }
        answer = self.cloud.client("sagemaker").create_processing_job(**{**request, **changed})
        return str(answer["ProcessingJobArn"])

    def jobs_end(self) -> None:
        """Wait for the jobs that the step is handed."""
        sagemaker = self.cloud.client("sagemaker")
        for job in JOBS:
            name = self.inputs[job].rpartition("/")[2]
            _await(partial(sagemaker.describe_processing_job, ProcessingJobName=name), "Processing")

    def wrote(self, output: str) -> str:
        return self.moved.get(output, f"s3://{self.bucket}/executions/abc/{output}")

    def read_by(self, job: str) -> dict[str, str]:
        none = f"s3://{self.bucket}/defaults/none/"
        models = {"model": f"s3://{self.bucket}/{self.model}", "champion": none, "best": none}
        data = {"test": self.wrote("test"), "metadata": self.wrote("metadata")}
        policies = {"gate_policy": none, "floor_policy": f"s3://{self.bucket}/defaults/gate-policy/p/"}
        return {
            "data_job": {"dataset": none},
            "measurements_job": {**models, **data},
            "evaluation_job": {"measurements": self.wrote("measurements"), **models, **data, **policies},
        }[job]

    def variables(self, job: str) -> dict[str, str]:
        runtimes = {"MAPGATE_CHAMPION_RUNTIME": "none", "MAPGATE_BEST_RUNTIME": "none"}
        evaluation = {
            **runtimes,
            "MAPGATE_MAP_THRESHOLD": "0.0",
            "MAPGATE_CHAMPION_ARN": "none",
            "MAPGATE_CHAMPION_WAIVER": "none",
            "MAPGATE_BEST_ARN": "none",
            "MAPGATE_FLOOR_POLICY_URI": f"s3://{self.bucket}/defaults/gate-policy/p/",
            "MAPGATE_GATE_POLICY_URI": f"s3://{self.bucket}/defaults/none/",
            "MAPGATE_TEST_SET": "execution",
        }
        return {
            "data_job": {"MAPGATE_ARCHITECTURE": "a"},
            "measurements_job": runtimes,
            "evaluation_job": evaluation,
        }[job]

    def statement(self, name: str) -> dict[str, Any]:
        verify = verifier(self.cloud.client("kms"), self.key)
        return open_envelope(self.get(f"{self.folder}/{name}.json"), verify)

    @property
    def folder(self) -> str:
        return f"evidence/v{int(self.package.rpartition('/')[2]):06d}"

    def record(self, endpoint: str = ENDPOINT) -> dict[str, Any] | None:
        key = {"EndpointName": endpoint, "Record": f"verdict#{self.folder[-6:]}"}
        return self.table.get_item(Key=key).get("Item")  # type: ignore[no-any-return]

    def described(self) -> dict[str, Any]:
        return dict(self.cloud.client("sagemaker").describe_model_package(ModelPackageName=self.package))

    def publish(self, **environment: str) -> Run:
        run: Run = self.invoke(self.asset, self.inputs, **{**self.environment, **environment})
        return run


_OUTPUTS = {
    "data_job": ("train", "validation", "test", "metadata"),
    "measurements_job": ("measurements",),
    "evaluation_job": ("evaluation",),
}


def _await(describe: Callable[[], Any], kind: str) -> None:
    """Wait for a job."""
    while (described := describe())[f"{kind}JobStatus"] == "InProgress":
        time.sleep(0.05)
    assert described[f"{kind}JobStatus"] == "Completed", described.get("FailureReason")


def _input(name: str, uri: str) -> dict[str, Any]:
    place = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/input/{name}", "S3DataType": "S3Prefix"}
    return {"InputName": name, "S3Input": {**place, "S3InputMode": "File"}}


def _output(name: str, uri: str) -> dict[str, Any]:
    place = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/output/{name}", "S3UploadMode": "EndOfJob"}
    return {"OutputName": name, "S3Output": place}


def judged(**further: Any) -> dict[str, Any]:
    """An evaluation of the artifact and policy that the stage has."""
    parts = evaluation(**{"champion": None, **{name: part for name, part in further.items() if name != "model"}})
    parts["model"] = {**parts["model"], **further.get("model", {})}
    parts["policy"] = {**parts["policy"], "floor": {"uri": None, "sha256": sha256(POLICY)}, **further.get("policy", {})}
    return parts


def sha256(content: bytes) -> str:
    return digest(content)


@pytest.fixture
def stage(make_stage: Callable[[], Stage]) -> Stage:
    return make_stage()


@pytest.fixture(scope="module")
def make_stage(
    cloud: Cloud, images: dict[str, tuple[str, str]], asset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Stage]:
    invoke = invoking(cloud, tmp_path_factory.mktemp("function"))
    return lambda: staged(cloud, images, invoke, asset)


def staged(
    cloud: Cloud,
    images: dict[str, tuple[str, str]],
    invoke: Invoke,
    asset: Path,
    *,
    name: str = "",
    bucket: str = "",
    key_policy: str = "",
) -> Stage:
    """Make a stage, whose pipeline, group and table are named by `name`, or by nobody."""
    name = name or f"d-{uuid4().hex[:12]}"
    bucket = bucket or f"data-{name}"
    table = deployment_records(cloud, f"{name}-deployments")
    key_given = {"Policy": key_policy} if key_policy else {}
    s3, sagemaker = cloud.client("s3"), cloud.client("sagemaker")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    key = cloud.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", **key_given)["KeyMetadata"][
        "Arn"
    ]
    for each in (ROLE, TRAINS):
        _make_role(cloud, each)
    role = "arn:aws:iam::123456789012:role/pipeline"
    sagemaker.create_pipeline(
        PipelineName=name, PipelineDefinition=json.dumps(DEFINITION), ClientRequestToken=uuid4().hex, RoleArn=role
    )
    execution = sagemaker.start_pipeline_execution(PipelineName=name, PipelineExecutionDescription="more night images")
    made = Stage(cloud, bucket, table, key, images, execution["PipelineExecutionArn"], invoke, asset)
    shards = (f"executions/abc/{split}/1.tfrecord" for split in SPLITS)
    for given in ("defaults/none/none", *shards, "executions/abc/measurements/measurements.json"):
        made.put(given, b"some")
    trained = made.train()
    made.evaluate()
    model, policy = f"s3://{bucket}/{made.model}", made.put("defaults/gate-policy/p/gate_policy.yaml", POLICY)
    made.put("executions/abc/metadata/dataset.json", PREPARED)
    made.put(f"{MEASURED}/report.html", REPORT)
    made.package = _registered(sagemaker, name, images["inference"][0], model)
    made.inputs = {
        "model_package_arn": made.package,
        "evaluation_uri": f"s3://{made.bucket}/{MEASURED}",
        "execution_arn": made.execution,
        "metadata_uri": f"s3://{made.bucket}/executions/abc/metadata",
        "model_uri": model,
        "champion_arn": "none",
        "best_arn": "none",
        "inference_image_digest": images["inference"][1],
        "training_image_digest": images["training"][1],
        **{f"{split}_uri": made.wrote(split) for split in SPLITS},
        "measurements_uri": made.wrote("measurements"),
        **{f"{other}_uri": f"s3://{made.bucket}/defaults/none/" for other in ("champion", "best", "gate_policy")},
        **{f"{other}_runtime": "none" for other in ("champion", "best")},
        "champion_waiver": "none",
        "map_threshold": "0.0",
        "model_job": trained,
        **{job: made.run_job(job) for job in JOBS},
    }
    made.inputs["metadata_job"] = made.inputs["data_job"]
    made.jobs_end()
    made.environment = {
        "TABLE": table.name,
        "ENDPOINT_NAME": ENDPOINT,
        "BUCKET": made.bucket,
        "SIGNING_KEY_ARN": key,
        "FLOOR_POLICY_URI": policy.removesuffix("gate_policy.yaml"),
        "FLOOR_POLICY_SHA256": sha256(POLICY),
        "FLOOR_TEST_SET": "",
        "FLOOR_TEST_SET_URI": "",
        "PROCESSING_ROLE_ARN": ROLE,
        "TRAINING_ROLE_ARN": TRAINS,
        "INFERENCE_IMAGE": images["inference"][0],
        "TRAINING_IMAGE": images["training"][0],
    }
    return made


def _make_role(cloud: Cloud, arn: str) -> None:
    """A role of jobs, which may do everything here."""
    iam, name = cloud.client("iam"), arn.rpartition("/")[2]
    if any(role["RoleName"] == name for role in iam.list_roles()["Roles"]):
        return
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    trusted, allowed = (json.dumps({"Version": "2012-10-17", "Statement": [each]}) for each in (trust, everything))
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted)
    iam.put_role_policy(RoleName=name, PolicyName="everything", PolicyDocument=allowed)


def _registered(sagemaker: Any, group: str, serves: str, model: str) -> str:
    """Register a version as RegisterDetector does, in a group of its own; returns its ARN."""
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    return str(
        sagemaker.create_model_package(
            ModelPackageGroupName=group,
            ModelApprovalStatus="PendingManualApproval",
            CustomerMetadataProperties={"reviewer": "nobody"},
            InferenceSpecification={
                "Containers": [{"Image": serves, "ModelDataUrl": model, "Environment": {"OWN": "1"}}],
                "SupportedContentTypes": ["image/jpeg"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )["ModelPackageArn"]
    )
