# SPDX-License-Identifier: Apache-2.0
"""Estimators as published notebooks have them, told to the training image through the API: only its name is another.

They are those of AWS's blog and of the notebooks that follow it (a framework of one's own with `source_dir`), of images
with a channel for everything, and of the built-in Object Detection - TensorFlow algorithm.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tensorflow.compat.v1.train import summary_iterator

from tests.conftest import CHECKOUT
from tests.training_src.training import conftest as trainings
from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.config.pipeline import load

SDK = Path(__file__).with_name("sdk_estimators.py")
VERSION_2 = "sagemaker==2.257.*"
VERSION_3 = CHECKOUT / ".venv-definition" / "bin" / "python"
Until = Callable[..., Any]
Send = Callable[..., tuple[dict[str, Any], str]]
prepared, small_config, short_mobilenet = trainings.prepared, trainings.small_config, trainings.short_mobilenet
pytestmark = pytest.mark.usefixtures("short_mobilenet")

SOURCE = "s3://bucket/tf2-object-detection/source/sourcedir.tar.gz"
PATHS = """
train_input_reader {
  label_map_path: "/opt/ml/input/data/train/label_map.pbtxt"
  tf_record_input_reader { input_path: "/opt/ml/input/data/train/*.tfrecord" }
}
eval_input_reader {
  label_map_path: "/opt/ml/input/data/train/label_map.pbtxt"
  tf_record_input_reader { input_path: "/opt/ml/input/data/val/*.tfrecord" }
}
"""
# What SageMaker's SDK adds to the hyperparameters of an estimator with `source_dir`.
OF_THE_SDK = {
    "sagemaker_container_log_level": 20,
    "sagemaker_job_name": "tf2-object-detection",
    "sagemaker_program": "run_training.sh",
    "sagemaker_region": "us-east-1",
    "sagemaker_submit_directory": SOURCE,
}
NOTEBOOK = {
    "model_dir": "/opt/training",
    "pipeline_config_path": "pipeline.config",
    "num_train_steps": "2",
    "sample_1_of_n_eval_examples": "1",
    **OF_THE_SDK,
}
BUILT_IN = {
    "epochs": "1",
    "batch_size": "8",
    "optimizer": "nesterov",
    "learning_rate": "0.001",
    "momentum": "0.9",
    "beta_1": "0.9",
    "beta_2": "0.999",
    "epsilon": "1e-07",
    "rho": "0.95",
    "initial_accumulator_value": "0.1",
    "reinitialize_top_layer": "Auto",
    "train_only_on_top_layer": "False",
    "early_stopping": "False",
    "early_stopping_patience": "5",
    "early_stopping_min_delta": "0.0",
    **OF_THE_SDK,
    "sagemaker_program": "transfer_learning.py",
}


@pytest.fixture(scope="module")
def image(cloud: Any) -> str:
    cloud.client("ecr").create_repository(repositoryName="training")
    program = trainings.SHORTENED + trainings.UNEXPORTED
    return str(cloud.push("training", CHECKOUT, ["python", "-c", program]))


@pytest.fixture(scope="module")
def source(
    cloud: Any,
    small_config: str,
    short_mobilenet: None,  # noqa: ARG001  # the checkpoint's network is as short as the image's
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder that was packed into S3 as the SDK does it: a config, a checkpoint and programs.

    As in Udacity's notebooks the config has `num_classes: 3`, and the label map the ids 1, 2 and 4.
    """
    folder = tmp_path_factory.mktemp("source_dir")
    fields = 'fine_tune_checkpoint: "checkpoint/ckpt-0" fine_tune_checkpoint_type: "detection"'
    config = small_config.replace("num_classes: 4", "num_classes: 3")
    (folder / "pipeline.config").write_text(config.replace("train_config {", f"train_config {{ {fields}") + PATHS)
    (folder / "run_training.sh").write_text("exit 1")
    (folder / "checkpoint").mkdir()
    detector = build_detector(load(folder / "pipeline.config", 3).config.model)
    tensors = {key: variable.numpy() for key, variable in detector.variables().items()}
    checkpoint.write(str(folder / "checkpoint" / "ckpt-0"), tensors)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for entry in sorted(folder.iterdir()):
            tar.add(entry, arcname=entry.name)
    cloud.client("s3").put_object(Bucket="bucket", Key=SOURCE.removeprefix("s3://bucket/"), Body=packed.getvalue())
    return folder


@pytest.fixture
def send(cloud: Any, image: str, until: Until) -> Send:
    """Send a job, its channels as names with the folders that lie there; returns its last description and its log."""
    s3, sagemaker = cloud.client("s3"), cloud.client("sagemaker")

    def made(
        name: str, hyperparameters: Mapping[str, object], channels: Mapping[str, list[Path]], **request: Any
    ) -> tuple[dict[str, Any], str]:
        for channel, places in channels.items():
            for place in places:
                for file in [place] if place.is_file() else sorted(place.rglob("*")):
                    within = file.name if place.is_file() else file.relative_to(place)
                    if file.is_file():
                        s3.put_object(Bucket="bucket", Key=f"{name}/{channel}/{within}", Body=file.read_bytes())
        sources = {
            channel: {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://bucket/{name}/{channel}/"}}
            for channel in channels
        }
        sagemaker.create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
            RoleArn=cloud.role,
            HyperParameters={key: json.dumps(value) for key, value in hyperparameters.items()},
            InputDataConfig=[{"ChannelName": channel, "DataSource": source} for channel, source in sources.items()],
            OutputDataConfig={"S3OutputPath": f"s3://bucket/{name}/models/"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
            **request,
        )

        def ended() -> dict[str, Any] | None:
            described = sagemaker.describe_training_job(TrainingJobName=name)
            return described if described["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

        return dict(until(ended, 600)), cloud.log_of(name)

    return made


def of_a_notebook(prepared: Path) -> dict[str, list[Path]]:
    """Channels, the label map beside the records."""
    train = [prepared / "train", prepared / "metadata" / "label_map.pbtxt"]
    return {"train": train, "val": [prepared / "validation"]}


def events(cloud: Any, prefix: str) -> list[str]:
    found = cloud.client("s3").list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
    return [each["Key"] for each in found if "tfevents" in each["Key"] and each["Size"]]


@pytest.mark.usefixtures("source")
def test_the_notebooks_estimator_trains_from_its_source_dir(
    cloud: Any, send: Send, prepared: Path, tmp_path: Path
) -> None:
    channels = of_a_notebook(prepared)
    board = {"S3OutputPath": "s3://bucket/tensorboard", "LocalPath": "/opt/training/"}
    described, log = send("notebook", NOTEBOOK, channels, TensorBoardOutputConfig=board)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason", log)
    assert "model         pipeline.config, input 64x64" in log
    assert "data          9 images to train on, 3 to validate on" in log
    assert "training      2 steps of batch 2" in log
    assert re.search(r"model\.ssd\.num_classes +3 +4, the greatest id of the label map's 3 classes", log)
    assert "restored " in log
    assert "No validation split is left" not in log
    artifacts = "tensorboard/notebook/tensorboard-output"
    for folder, shown in (("train", {"train/loss"}), ("eval", {"validation/mAP", "validation/0"})):
        (key,) = events(cloud, f"{artifacts}/{folder}/")
        file = tmp_path / folder
        file.write_bytes(cloud.client("s3").get_object(Bucket="bucket", Key=key)["Body"].read())
        tags = {value.tag for event in summary_iterator(str(file)) for value in event.summary.value}
        assert shown <= tags
    code = cloud.home / "jobs" / "notebook" / "opt" / "ml" / "code"
    assert sorted(file.name for file in code.rglob("*") if file.is_file()) == [
        "ckpt-0.data-00000-of-00001", "ckpt-0.index", "pipeline.config",
    ]  # fmt: skip


@pytest.mark.usefixtures("source")
def test_an_isolated_estimator_is_told_the_channel_to_use(send: Send, prepared: Path, source: Path) -> None:
    channels = of_a_notebook(prepared)
    described, _ = send("isolated", NOTEBOOK, channels, EnableNetworkIsolation=True)
    assert described["TrainingJobStatus"] == "Failed"
    assert (
        f"The source_dir {SOURCE} cannot be fetched, as in a job with network isolation" in described["FailureReason"]
    )
    assert "put its pipeline.config into a channel called config" in described["FailureReason"]
    further = {"config": [source / "pipeline.config"], "checkpoint": [source / "checkpoint"]}
    described, log = send("isolated-2", NOTEBOOK, channels | further, EnableNetworkIsolation=True)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason", log)
    assert "sagemaker_submit_directory is without effect: The source_dir" in log


def test_a_job_with_a_channel_for_everything_trains(send: Send, prepared: Path, source: Path) -> None:
    channels = {
        "train": [prepared / "train"],
        "validation": [prepared / "validation"],
        "config": [source / "pipeline.config"],
        "label": [prepared / "metadata" / "label_map.pbtxt"],
        "checkpoint": [source / "checkpoint"],
    }
    described, log = send("channels", {"num_steps": "2", "quantize": "True"}, channels)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason", log)
    assert "quantize: an int8 form is exported beside the float32 model" in log


def test_the_built_in_algorithms_estimator_trains_on_its_own_defaults(send: Send, prepared: Path, cloud: Any) -> None:
    script = io.BytesIO()
    with tarfile.open(fileobj=script, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("transfer_learning.py"))
    cloud.client("s3").put_object(Bucket="bucket", Key="built-in/sourcedir.tar.gz", Body=script.getvalue())
    hyperparameters = BUILT_IN | {"sagemaker_submit_directory": "s3://bucket/built-in/sourcedir.tar.gz"}
    label_map = prepared / "metadata" / "label_map.pbtxt"
    channels = {"training": [prepared / "train", label_map], "validation": [prepared / "validation"]}
    described, log = send("built-in", hyperparameters, channels)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason", log)
    assert "ssd_mobilenet_v2_fpnlite_320x320 is taken" in log
    assert "nesterov: true" in log
    assert "Val_localization=" in log


def test_the_built_in_algorithms_model_is_what_its_estimator_starts_from(
    send: Send, prepared: Path, source: Path
) -> None:
    hyperparameters = {"epochs": "2", "batch_size": "5", "optimizer": "adam", "beta_2": "0.99", "learning_rate": "0.01"}
    channels = {
        "training": [prepared / "train", prepared / "metadata" / "label_map.pbtxt"],
        "model": [source / "pipeline.config", source / "checkpoint"],
    }
    described, log = send("built-in-model", hyperparameters | {"train_only_on_top_layer": "True"}, channels)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason", log)
    assert "What would be the test split validates, too" in log
    assert "training      4 steps of batch 5" in log, "two epochs of some seven or eight images, rounded up"
    assert "beta_2: 0.99" in log
    assert "restored " in log


@pytest.mark.slow
@pytest.mark.skipif(not VERSION_3.exists(), reason="no SageMaker SDK: run `make .venv-definition/ready`")
def test_version_3_of_the_sdk_trains_from_the_same_folder(cloud: Any, image: str, prepared: Path, source: Path) -> None:
    fit(cloud, VERSION_3, "trainer", source, image, prepared)
    assert events(cloud, "sdk/trainer/board/")


@pytest.mark.verify
def test_version_2_of_the_sdk_trains_as_in_published_notebooks(
    cloud: Any, image: str, prepared: Path, source: Path, tmp_path: Path
) -> None:
    """Installed for this test, into its folder."""
    python = tmp_path / "sdk" / "bin" / "python"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(tmp_path / "sdk")], check=True)
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), VERSION_2], check=True)
    described, log = fit(cloud, python, "notebook", source, image, prepared)
    assert {*described["HyperParameters"]} == {*NOTEBOOK}, "as it is sent by the other tests"
    assert "restored " in log
    assert events(cloud, "sdk/notebook/board/")
    described, log = fit(cloud, python, "isolated", source, image, prepared)
    assert described["HyperParameters"]["sagemaker_submit_directory"] == '"/opt/ml/input/data/code/sourcedir.tar.gz"'
    assert "restored " in log
    kept = cloud.client("s3").list_objects_v2(Bucket="bucket", Prefix="sdk/isolated/kept/")["Contents"]
    assert any(each["Key"].endswith(".index") for each in kept)
    fit(cloud, python, "built-in", source, image, prepared)


def fit(cloud: Any, python: Path, kind: str, source: Path, image: str, prepared: Path) -> tuple[dict[str, Any], str]:
    """Let an SDK's estimator train to its end; returns the job's description and log."""
    for channel, places in of_a_notebook(prepared).items():
        for file in (file for place in places for file in ([place] if place.is_file() else place.iterdir())):
            key = f"sdk/{kind}/{channel}/{file.name}"
            cloud.client("s3").put_object(Bucket="bucket", Key=key, Body=file.read_bytes())
    address = cloud.information.endpoint_url
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": address,
        "AWS_SECRET_ACCESS_KEY": "test",
        "HOME": str(source.parent),
        "PATH": os.environ["PATH"],
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        "SAGEMAKER_VALIDATE_ROLE": "false",
    }
    command = [str(python), str(SDK), kind, str(source), image, cloud.role, f"s3://bucket/sdk/{kind}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    name = done.stdout.split()[-1]
    described = cloud.client("sagemaker").describe_training_job(TrainingJobName=name)
    assert described["TrainingJobStatus"] == "Completed"
    return described, cloud.log_of(name)
