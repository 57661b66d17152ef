# SPDX-License-Identifier: Apache-2.0
"""A version that brings its own image, program, variables or data is not one of the pipeline's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.delivery.deployer.conftest import REPOSITORY

ELSEWHERE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/attacker:tag"
OF_THE_PIPELINE = {"MAPGATE_RUNTIME": "openvino", "MAPGATE_PRECISION": "f32"}


def told(world: Any) -> str:
    """What people are told of the version that was refused."""
    assert world.sagemaker.endpoints == world.sagemaker.models == {}
    (message,) = world.topic.faults
    return str(message["Message"])


@pytest.mark.parametrize(
    ("container", "why"),
    [
        ({"Environment": {"LD_PRELOAD": "/opt/ml/model/1/attack.so"}}, "v1 sets LD_PRELOAD in its container's"),
        ({"Environment": OF_THE_PIPELINE | {"SAGEMAKER_PROGRAM": "own.py"}}, "v1 sets SAGEMAKER_PROGRAM"),
        ({"Image": ELSEWHERE}, f"names the image {ELSEWHERE}, which is not one of {REPOSITORY}"),
        ({"Image": f"{REPOSITORY}-mine:tag"}, "which is not one of"),
        ({"Image": f"{REPOSITORY}@sha256:{'0' * 64}"}, "which is not one of"),
        ({"Image": REPOSITORY}, "which is not one of"),
        (
            {"ModelDataSource": {"S3DataSource": {"S3Uri": "s3://mine/", "S3DataType": "S3Prefix"}}},
            "v1 has ModelDataSource",
        ),
        ({"AdditionalS3DataSource": {"S3DataType": "S3Object", "S3Uri": "s3://mine"}}, "has AdditionalS3DataSource"),
        ({"ProductId": "product"}, "v1 has ProductId"),
    ],
)
def test_what_the_pipeline_does_not_write_is_refused(world: Any, container: dict[str, Any], why: str) -> None:
    version = world.register()
    version.container = container
    world.approve(version)
    world.settle()
    assert why in told(world)


def test_second_container_is_refused(world: Any) -> None:
    version = world.register()
    world.sagemaker.containers = 2
    world.approve(version)
    world.settle()
    assert "v1 has 2 containers, a detector has one" in told(world)


def test_what_publish_dossier_and_sagemaker_add_is_no_fault(world: Any) -> None:
    version = world.register()
    source = {"S3Uri": version.model_uri, "S3DataType": "S3Object", "CompressionType": "Gzip"}
    version.container = {
        "Environment": OF_THE_PIPELINE,
        "ImageDigest": "sha256:1b",
        "ModelDataETag": "e",
        "ModelDataSource": {"S3DataSource": source},
    }
    world.approve(version)
    world.settle()
    assert world.champion() == 1


def test_variables_of_the_registry_do_not_reach_the_model(world: Any) -> None:
    version = world.register()
    version.container = {"Environment": {"MAPGATE_RUNTIME": "tensorflow", "MAPGATE_PRECISION": "int8"}}
    world.approve(version)
    world.settle()
    (model,) = world.sagemaker.models.values()
    assert model["PrimaryContainer"]["Environment"] == OF_THE_PIPELINE | {"MAPGATE_METRICS_NAMESPACE": "mapgate-dev"}
