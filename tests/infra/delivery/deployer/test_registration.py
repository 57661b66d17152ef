# SPDX-License-Identifier: Apache-2.0
"""A version that brings its own image, program, variables or data is not one of the pipeline's."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.delivery.deployer.deployments.errors import RefusedError
from infra.delivery.deployer.deployments.registration import check_registration, image_digest, is_same_object
from infra.delivery.deployer.deployments.registry import Package
from tests.infra.delivery.deployer.conftest import REPOSITORY, refusal

ELSEWHERE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/attacker:tag"
OF_THE_PIPELINE = {"MAPGATE_RUNTIME": "openvino", "MAPGATE_PRECISION": "f32"}
MODEL = "s3://data/models/job/output/model.tar.gz"
SAME: dict[str, Any] = {"S3DataType": "S3Object", "CompressionType": "Gzip", "S3Uri": MODEL}


def registered(*containers: dict[str, Any]) -> Package:
    """A version with these containers, each of the pipeline's image and artifact unless it says another."""
    full = tuple({"Image": f"{REPOSITORY}:tag", "ModelDataUrl": MODEL} | container for container in containers)
    return Package(
        arn="arn/1",
        version=1,
        approved=True,
        modified_at=1,
        image=full[0]["Image"] if full else "",
        model_uri=MODEL,
        statistics_uri=None,
        containers=full,
        metadata={},
    )


class Ecr:
    """An image, or what ECR answers instead of it."""

    def __init__(self, refused: ClientError | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self._refused = refused

    def describe_images(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        if self._refused:
            raise self._refused
        return {"imageDetails": [{"imageDigest": "sha256:1b"}]}


@pytest.mark.parametrize(
    "container",
    [
        {},
        {"Environment": OF_THE_PIPELINE, "ImageDigest": "sha256:1b", "ModelDataETag": "e"},
        {"ModelDataSource": {"S3DataSource": SAME}, "Environment": {}},
        {"ModelDataSource": {}, "AdditionalModelDataSources": [], "ProductId": ""},
    ],
)
def test_what_the_pipeline_and_sagemaker_write_is_no_fault(container: dict[str, Any]) -> None:
    check_registration(registered(container), REPOSITORY)


@pytest.mark.parametrize("count", [0, 2])
def test_detector_has_one_container(count: int) -> None:
    with pytest.raises(RefusedError, match=f"v1 has {count} containers, a detector has one; register it through the"):
        check_registration(registered(*[{}] * count), REPOSITORY)


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
        # What is the same object as a source of the model is a further one beside it.
        ({"AdditionalS3DataSource": {"S3DataSource": SAME}}, "has AdditionalS3DataSource"),
    ],
)
def test_what_the_pipeline_does_not_write_is_refused(container: dict[str, Any], why: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_registration(registered(container), REPOSITORY)
    assert why in str(refused.value)
    assert str(refused.value).endswith("; register it through the pipeline")


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ({"S3DataSource": SAME}, True),
        ({"S3DataSource": SAME | {"ETag": "", "HubAccessConfig": None}}, True),
        ({"S3DataSource": SAME | {"S3Uri": f"{MODEL}.own"}}, False),
        ({"S3DataSource": SAME | {"S3DataType": "S3Prefix"}}, False),
        ({"S3DataSource": SAME | {"CompressionType": "None"}}, False),
        ({"S3DataSource": SAME | {"ManifestS3Uri": "s3://mine/manifest"}}, False),
        ({"S3DataSource": None}, False),
        ({"S3DataSource": SAME, "More": {}}, False),
        ({}, False),
        (None, False),
        (["S3DataSource"], False),
    ],
)
def test_source_is_the_same_object_only_where_it_says_no_more_than_its_address(source: Any, same: bool) -> None:
    assert is_same_object(source, MODEL) is same


def test_digest_is_asked_of_the_registry_in_the_images_name() -> None:
    ecr: Any = Ecr()
    assert image_digest(ecr, registered({})) == "sha256:1b"
    assert ecr.requests == [
        {"registryId": "123456789012", "repositoryName": "mapgate-dev-inference", "imageIds": [{"imageTag": "tag"}]}
    ]


@pytest.mark.parametrize("code", ["ImageNotFoundException", "RepositoryNotFoundException"])
def test_image_that_is_gone_is_refused_and_what_may_not_be_read_is_no_word_on_it(code: str) -> None:
    gone: Any = Ecr(refusal("DescribeImages", "no such image", code))
    with pytest.raises(RefusedError, match=f"v1: its image {REPOSITORY}:tag is gone from ECR; push it again"):
        image_digest(gone, registered({}))
    forbidden: Any = Ecr(refusal("DescribeImages", "no", "AccessDeniedException"))
    with pytest.raises(ClientError, match="AccessDenied"):
        image_digest(forbidden, registered({}))


def told(world: Any) -> str:
    """What people are told of the version that was refused."""
    assert world.sagemaker.endpoints == world.sagemaker.models == {}
    (message,) = world.topic.faults
    return str(message["Message"])


def test_version_that_sets_a_variable_is_refused_and_told(world: Any) -> None:
    version = world.register()
    version.container = {"Environment": {"LD_PRELOAD": "/opt/ml/model/1/attack.so"}}
    world.approve(version)
    world.settle()
    assert "v1 sets LD_PRELOAD in its container's environment" in told(world)


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
