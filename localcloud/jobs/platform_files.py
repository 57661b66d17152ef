# SPDX-License-Identifier: Apache-2.0
"""The files that SageMaker puts under `/opt/ml` before a container starts, as pure functions of the request.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html#byoc-config
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

ML_ROOT = "/opt/ml"
ELSEWHERE = "elsewhere"
"""Below what stands for `/opt/ml`: what a container has outside it, since nobody may write there on a laptop."""
TENSORBOARD = f"{ML_ROOT}/output/tensorboard"
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TensorBoardOutputConfig.html"""
TENSORS = f"{ML_ROOT}/output/tensors"
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DebugHookConfig.html"""
CHECKPOINTS = f"{ML_ROOT}/checkpoints"
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CheckpointConfig.html: any other folder does, too."""
FIRST_HOST = "algo-1"


def training_files(request: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON files of a training job, keyed by their path below the root.

    Args:
        request: As given to CreateTrainingJob.
    """
    specification = request["AlgorithmSpecification"]
    channels = {channel["ChannelName"]: channel for channel in request.get("InputDataConfig", ())}
    files = {
        "input/config/hyperparameters.json": dict(request.get("HyperParameters", {})),
        "input/config/inputdataconfig.json": {
            name: _channel(channel, specification["TrainingInputMode"]) for name, channel in channels.items()
        },
        "input/config/resourceconfig.json": _resources(request["ResourceConfig"]),
    }
    # Their names and LocalPath: https://github.com/awslabs/sagemaker-debugger, smdebug/core/config_constants.py.
    places = {"CheckpointConfig": CHECKPOINTS, "DebugHookConfig": TENSORS, "TensorBoardOutputConfig": TENSORBOARD}
    for member, default in places.items():
        if member in request:
            files[f"input/config/{member.lower()}.json"] = {"LocalPath": default, **request[member]}
    return files


def processing_files(request: Mapping[str, Any], arn: str, host: str = FIRST_HOST) -> dict[str, Any]:
    """The JSON files of a processing job, keyed by their path below the root.

    Args:
        request: As given to CreateProcessingJob.
        arn: The job's ARN.
        host: The instance that is told.
    """
    application = request["AppSpecification"]
    cluster = request["ProcessingResources"]["ClusterConfig"]
    outputs = request.get("ProcessingOutputConfig", {})
    return {
        "config/processingjobconfig.json": {
            "ProcessingJobArn": arn,
            "ProcessingJobName": request["ProcessingJobName"],
            "AppSpecification": {
                "ImageUri": application["ImageUri"],
                "ContainerEntrypoint": application.get("ContainerEntrypoint"),
                "ContainerArguments": application.get("ContainerArguments"),
            },
            "Environment": dict(request.get("Environment", {})),
            "ProcessingInputs": list(request.get("ProcessingInputs", ())),
            "ProcessingOutputConfig": {"Outputs": outputs.get("Outputs", []), "KmsKeyId": outputs.get("KmsKeyId")},
            "ProcessingResources": {"ClusterConfig": {"VolumeKmsKeyId": None, **cluster}},
            "RoleArn": request.get("RoleArn"),
            "StoppingCondition": request.get("StoppingCondition", {"MaxRuntimeInSeconds": 86400}),
        },
        "config/resourceconfig.json": _resources(cluster, host),
    }


def hosts_of(cluster: Mapping[str, Any]) -> list[str]:
    """The names of a cluster's instances."""
    return [f"algo-{number}" for number in range(1, cluster.get("InstanceCount", 1) + 1)]


def below(root: Path, local_path: str) -> Path:
    """Where a LocalPath of the container lies when `root` stands for `/opt/ml`.

    Raises:
        ValueError: The path is not below `/opt/ml`.
    """
    if not local_path.startswith(ML_ROOT) or ".." in Path(local_path).parts:
        raise ValueError(f"{local_path} does not lie below {ML_ROOT}")
    return root / local_path[len(ML_ROOT) :].lstrip("/")


def anywhere(root: Path, local_path: str) -> Path:
    """Where a LocalPath that may be outside `/opt/ml`, as that of checkpoints and TensorBoard, lies.

    Raises:
        ValueError: The path is relative, or climbs.
    """
    if ".." in Path(local_path).parts or not Path(local_path).is_absolute():
        raise ValueError(f"{local_path} is no absolute path without ..")
    if Path(local_path).is_relative_to(ML_ROOT):
        return below(root, local_path)
    return root / ELSEWHERE / local_path.lstrip("/")


def _channel(channel: Mapping[str, Any], mode: str) -> dict[str, str]:
    source = channel["DataSource"]["S3DataSource"]
    told = {"ContentType": channel["ContentType"]} if "ContentType" in channel else {}
    return told | {
        "TrainingInputMode": "File" if channel.get("InputMode", mode) == "FastFile" else channel.get("InputMode", mode),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }


def _resources(cluster: Mapping[str, Any], host: str = FIRST_HOST) -> dict[str, Any]:
    hosts, instance_type, group = hosts_of(cluster), cluster.get("InstanceType"), "homogeneousCluster"
    return {
        "current_host": host,
        "current_instance_type": instance_type,
        "current_group_name": group,
        "hosts": hosts,
        "instance_groups": [{"instance_group_name": group, "instance_type": instance_type, "hosts": hosts}],
        "network_interface_name": "eth0",
    }
