# SPDX-License-Identifier: Apache-2.0
"""What `--initial-checkpoint` may name, and what the pipeline is given for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.initial_checkpoint import InitialCheckpoint, find
from pipelines.client.uploads import files_of, upload
from pipelines.errors import BadInputError

BUCKET = "mapgate-dev-data"
DEPLOYMENT = Deployment(
    data_bucket=BUCKET,
    pipeline_name="mapgate-dev",
    model_package_group="mapgate-dev",
    endpoint_name="mapgate-dev",
    training_image="t",
    inference_image="i",
)
GROUP_ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev"


class Registry:
    """Stands where SageMaker's client would: two versions, and an endpoint that serves one of them."""

    def __init__(self) -> None:
        self.endpoint_config: str | None = "mapgate-dev-v1-0a1b2c"

    def get_paginator(self, _: str) -> Registry:
        return self

    def paginate(self, **_: object) -> list[dict[str, Any]]:
        return [{"ModelPackageSummaryList": [{"ModelPackageArn": f"{GROUP_ARN}/{number}"} for number in (2, 1)]}]

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:  # noqa: N803
        number = int(ModelPackageName.rpartition("/")[2])
        if number > 2:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "it is not there"}}, "Describe")
        return {
            "ModelPackageVersion": number,
            "ModelPackageArn": ModelPackageName,
            "ModelApprovalStatus": "Approved",
            "CreationTime": None,
            "InferenceSpecification": {
                "Containers": [{"ModelDataUrl": f"s3://{BUCKET}/models/v{number}/model.tar.gz"}]
            },
        }

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        if self.endpoint_config is None:
            message = f'Could not find endpoint "{EndpointName}".'
            raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "DescribeEndpoint")
        return {"EndpointConfigName": self.endpoint_config}


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def connection(registry: Registry) -> Iterator[Connection]:
    with mock_aws():
        connection = Connection(region="us-east-1", _clients={"sagemaker": registry})
        s3 = connection.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        for key in (
            "models/v1/model.tar.gz",
            "models/v2/model.tar.gz",
            "defaults/scratch/scratch",
            "inputs/a/ckpt-0.index",
        ):
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
        yield connection


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder as the zoo's archives are laid out."""
    folder = tmp_path / "own"
    (folder / "checkpoint").mkdir(parents=True)
    for name in ("ckpt-0.index", "ckpt-0.data-00000-of-00001"):
        (folder / "checkpoint" / name).write_bytes(name.encode())
    (folder / "pipeline.config").write_text("model { }")
    return folder


def found(connection: Connection, given: str) -> InitialCheckpoint:
    return find(connection, DEPLOYMENT, given)


def test_a_number_is_a_version_and_its_archive_is_the_channel(connection: Connection) -> None:
    assert found(connection, "2") == InitialCheckpoint(
        f"version 2 of mapgate-dev, s3://{BUCKET}/models/v2/model.tar.gz", f"s3://{BUCKET}/models/v2/model.tar.gz"
    )


def test_an_arn_is_a_version_too(connection: Connection) -> None:
    assert found(connection, f"{GROUP_ARN}/1").source == f"s3://{BUCKET}/models/v1/model.tar.gz"


@pytest.mark.parametrize("config", ["mapgate-dev-v1-0a1b2c", "mapgate-dev-v1"])
def test_the_champion_is_what_the_endpoint_serves(connection: Connection, registry: Registry, config: str) -> None:
    registry.endpoint_config = config
    champion = found(connection, "champion")

    assert champion.source == f"s3://{BUCKET}/models/v1/model.tar.gz"
    assert champion.said.startswith("the champion, version 1 of mapgate-dev, ")


def test_scratch_is_the_object_that_means_it(connection: Connection) -> None:
    assert found(connection, "scratch") == InitialCheckpoint("from scratch", f"s3://{BUCKET}/defaults/scratch/")


def test_a_uri_is_taken_as_it_is(connection: Connection) -> None:
    assert found(connection, f"s3://{BUCKET}/inputs/a").source == f"s3://{BUCKET}/inputs/a"


def test_the_bucket_of_another_account_is_left_to_the_job(connection: Connection) -> None:
    """Whoever starts need not be allowed to list what the training may read."""
    s3 = connection.client("s3")

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListObjectsV2")

    s3.meta.events.register("provide-client-params.s3.ListObjectsV2", refuse)
    assert found(connection, "s3://theirs/ckpt").source == "s3://theirs/ckpt"


def test_what_lies_here_is_uploaded(connection: Connection, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_bytes(b"archive")
    (tmp_path / "exported" / "1" / "variables").mkdir(parents=True)
    for name in ("variables.index", "variables.data-00000-of-00001"):
        (tmp_path / "exported" / "1" / "variables" / name).write_bytes(b"x")
    prefix = checkpoint / "checkpoint" / "ckpt-0"

    for place in (checkpoint, checkpoint / "checkpoint", prefix, tmp_path / "model.tar.gz", tmp_path / "exported"):
        assert found(connection, str(place)).source == str(place)
    assert found(connection, f"{prefix}.index").source == str(prefix)


def test_of_a_prefix_its_files_alone_are_sent(connection: Connection, checkpoint: Path) -> None:
    (checkpoint / "checkpoint" / "ckpt-00.index").write_bytes(b"another")
    prefix = checkpoint / "checkpoint" / "ckpt-0"

    uri = upload(connection, prefix, BUCKET, under="inputs")

    assert [file.name for file in files_of(prefix)] == ["ckpt-0.data-00000-of-00001", "ckpt-0.index"]
    listed = connection.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=uri.removeprefix(f"s3://{BUCKET}/"))
    assert [item["Key"].rpartition("/")[2] for item in listed["Contents"]] == [
        "ckpt-0.data-00000-of-00001",
        "ckpt-0.index",
    ]


@pytest.mark.parametrize("name", ["efficientdet_d1_640x640", "efficientdet_d1_coco17_tpu-32"])
def test_a_name_of_the_zoo_is_to_be_fetched(connection: Connection, name: str) -> None:
    assert found(connection, name) == InitialCheckpoint(
        "efficientdet_d1_640x640 of the zoo", zoo="efficientdet_d1_640x640", is_zoos=True
    )


def test_so_is_the_detector_of_open_images(connection: Connection) -> None:
    name = "ssd_mobilenet_v2_300x300_open_images"
    assert found(connection, name) == InitialCheckpoint(f"{name} of the zoo", zoo=name)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("3", "--initial-checkpoint 3: model package group mapgate-dev holds no version 3, only 1, 2"),
        (f"{GROUP_ARN}/3", f"{GROUP_ARN}/3: it is not there"),
        ("arn:aws:s3:::bucket", "is no model package's ARN"),
        (f"s3://{BUCKET}/nothing/", f"no object lies at s3://{BUCKET}/nothing/"),
        ("s3://nobodys-bucket/a", "nobodys-bucket"),
        ("ssd_mobilenet_v2_fpnlite_160x160", "the zoo has no checkpoint of ssd_mobilenet_v2_fpnlite_160x160"),
    ],
)
def test_what_is_not_there_is_named(connection: Connection, given: str, told: str) -> None:
    with pytest.raises(BadInputError) as refused:
        found(connection, given)
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_any_other_word_is_told_what_is_possible(connection: Connection) -> None:
    with pytest.raises(BadInputError) as refused:
        found(connection, "yesterdays")
    assert str(refused.value) == (
        "--initial-checkpoint yesterdays: neither a file or folder here nor a name of the zoo; give a version's number "
        "(`mapgate models list`) or ARN, champion, scratch, a folder or file of a checkpoint, a model.tar.gz, an S3 "
        "URI, or one of the names that `mapgate architectures` lists, or ssd_mobilenet_v2_300x300_open_images"
    )


def test_a_folder_without_a_checkpoint_is_not_uploaded(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no weights")

    for place in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(BadInputError, match=r"holds no checkpoint.*\*\.index and \*\.data-00000-of-00001"):
            found(connection, str(place))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (None, "endpoint mapgate-dev serves nothing yet: approve a version"),
        ("by-hand", "endpoint mapgate-dev serves by-hand, which is no version's"),
    ],
)
def test_without_a_champion_the_way_out_is_told(
    connection: Connection, registry: Registry, config: str | None, told: str
) -> None:
    registry.endpoint_config = config
    with pytest.raises(BadInputError, match=told):
        found(connection, "champion")


def test_a_deployment_that_knows_no_scratch_is_deployed_again(connection: Connection) -> None:
    connection.client("s3").delete_object(Bucket=BUCKET, Key="defaults/scratch/scratch")
    with pytest.raises(BadInputError, match="run `cdk deploy --all`"):
        found(connection, "scratch")


def test_the_zoos_checkpoints_are_known_by_their_names(connection: Connection, tmp_path: Path) -> None:
    name = "efficientdet_d1_coco17_tpu-32.tar.gz"
    (tmp_path / name).write_bytes(b"archive")
    connection.client("s3").put_object(Bucket=BUCKET, Key=f"inputs/zoo/0123/{name}", Body=b"archive")

    assert found(connection, str(tmp_path / name)).is_zoos
    assert found(connection, f"s3://{BUCKET}/inputs/zoo/0123/").is_zoos
    assert not found(connection, f"s3://{BUCKET}/models/v1/model.tar.gz").is_zoos
