# SPDX-License-Identifier: Apache-2.0
"""The JSON files that SageMaker puts under /opt/ml."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.jobs.platform_files import anywhere, below, processing_files, training_files


def test_a_training_job_is_told_hyperparameters_channels_and_hosts() -> None:
    files = training_files(
        {
            "AlgorithmSpecification": {"TrainingInputMode": "File"},
            "HyperParameters": {"seed": "17"},
            "InputDataConfig": [
                {
                    "ChannelName": "train",
                    "ContentType": "application/x-recordio",
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/t"}},
                },
                {
                    "ChannelName": "extra",
                    "InputMode": "FastFile",
                    "DataSource": {"S3DataSource": {"S3Uri": "s3://b/e"}},
                },
            ],
            "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1},
        }
    )
    assert files["input/config/hyperparameters.json"] == {"seed": "17"}
    channel = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    assert files["input/config/inputdataconfig.json"] == {
        "train": channel | {"ContentType": "application/x-recordio"},
        "extra": channel,
    }
    assert files["input/config/resourceconfig.json"] == {
        "current_host": "algo-1",
        "current_instance_type": "ml.g5.xlarge",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": "ml.g5.xlarge", "hosts": ["algo-1"]}
        ],
        "network_interface_name": "eth0",
    }


def test_a_training_job_is_told_where_tensorboard_looks() -> None:
    looked: dict[str, str] = {"S3OutputPath": "s3://b/t"}
    request = {
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1},
        "TensorBoardOutputConfig": looked,
    }
    name = "input/config/tensorboardoutputconfig.json"
    assert training_files(request)[name] == {"LocalPath": "/opt/ml/output/tensorboard", "S3OutputPath": "s3://b/t"}
    looked["LocalPath"] = "/opt/training/"
    assert training_files(request)[name]["LocalPath"] == "/opt/training/"


def test_a_training_job_is_told_where_its_checkpoints_are_looked_for() -> None:
    request = {
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1},
    }
    name = "input/config/checkpointconfig.json"
    assert name not in training_files(request)
    kept: dict[str, str] = {"S3Uri": "s3://b/c"}
    assert training_files({**request, "CheckpointConfig": kept})[name]["LocalPath"] == "/opt/ml/checkpoints"
    kept["LocalPath"] = "/tmp/checkpoints"  # noqa: S108  # what a request might say
    assert training_files({**request, "CheckpointConfig": kept})[name] == kept


def test_a_processing_job_is_told_its_request() -> None:
    inputs = [{"InputName": "data", "S3Input": {"S3Uri": "s3://b/d", "LocalPath": "/opt/ml/processing/input/data"}}]
    files = processing_files(
        {
            "ProcessingJobName": "job",
            "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": ["python"]},
            "Environment": {"A": "1"},
            "ProcessingInputs": inputs,
            "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}},
        },
        "arn",
    )
    told = files["config/processingjobconfig.json"]
    assert told["ProcessingJobArn"] == "arn"
    assert told["ProcessingInputs"] == inputs
    assert told["AppSpecification"] == {
        "ImageUri": "image",
        "ContainerEntrypoint": ["python"],
        "ContainerArguments": None,
    }
    assert files["config/resourceconfig.json"]["hosts"] == ["algo-1"]


def test_a_local_path_stays_below_the_root(tmp_path: Path) -> None:
    assert below(tmp_path, "/opt/ml/processing/input") == tmp_path / "processing" / "input"
    for path in ("/tmp/x", "/opt/ml/../../etc"):  # noqa: S108  # what a request might say
        with pytest.raises(ValueError, match="does not lie below"):
            below(tmp_path, path)


def test_what_a_container_has_outside_its_directory_stays_with_the_job(tmp_path: Path) -> None:
    assert anywhere(tmp_path, "/opt/training/") == tmp_path / "elsewhere" / "opt" / "training"
    assert anywhere(tmp_path, "/opt/ml/output/tensorboard") == tmp_path / "output" / "tensorboard"
    for path in ("training", "/opt/../etc"):
        with pytest.raises(ValueError, match="no absolute path"):
            anywhere(tmp_path, path)
