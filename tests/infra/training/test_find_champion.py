# SPDX-License-Identifier: Apache-2.0
"""FindChampion reads what production serves from the deployment records; a lost champion never goes by itself."""

from __future__ import annotations

from typing import Any

import pytest

VERSION = "arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev/3"
KEY = "models/job/output/model.tar.gz"


@pytest.fixture
def image(push: Any) -> tuple[str, str]:
    """The image that measures: URI and digest."""
    pushed: tuple[str, str] = push()
    return pushed


@pytest.fixture
def find(invoke: Any, table: Any, bucket: str, image: tuple[str, str]) -> Any:
    """Run the function; its waiver is the parameter `/<bucket>/champion-waiver`."""
    environment = {"TABLE": table.name, "BUCKET": bucket, "WAIVER": f"/{bucket}/champion-waiver"}
    inputs = {"model_package_group": "mapgate-dev", "endpoint_name": "mapgate-dev", "inference_image": image[0]}
    return lambda **other: invoke("training/find_champion", inputs | other, **environment)


@pytest.fixture
def champion(table: Any, bucket: str) -> str:
    """Production serves version 3; returns the URI of its artifact, which is not there yet."""
    uri = f"s3://{bucket}/{KEY}"
    serving = {"Version": 3, "ModelPackageArn": VERSION, "ModelUri": uri, "Runtime": "openvino", "Precision": "f32"}
    table.put_item(Item={"EndpointName": "mapgate-dev", "Record": "endpoint", "Revision": 4, "Champion": serving})
    return uri


def test_no_champion_is_told_as_none(find: Any, bucket: str, image: tuple[str, str]) -> None:
    assert find().answer == {
        "ChampionModelPackageArn": "none",
        "ChampionModelUri": f"s3://{bucket}/defaults/none/",
        "ChampionRuntime": "none",
        "ChampionWaiver": "none",
        "BestModelPackageArn": "none",
        "BestModelUri": f"s3://{bucket}/defaults/none/",
        "BestRuntime": "none",
        "InferenceImageDigest": image[1],
        "Sentence": "No version with a recorded verdict has served.",
    }


def test_champion_is_what_production_serves(cloud: Any, find: Any, bucket: str, champion: str) -> None:
    cloud.client("s3").put_object(Bucket=bucket, Key=KEY, Body=b"model")
    answer = find().answer
    assert {name: value for name, value in answer.items() if name.startswith("Champion")} == {
        "ChampionModelPackageArn": VERSION,
        "ChampionModelUri": champion,
        "ChampionRuntime": "openvino",
        "ChampionWaiver": "none",
    }
    assert all(0 < len(value) <= 1024 for value in answer.values())


def test_endpoint_that_served_nothing_yet_has_no_champion(find: Any, table: Any) -> None:
    table.put_item(Item={"EndpointName": "mapgate-dev", "Record": "endpoint", "Revision": 1, "Champion": None})
    assert find().answer["ChampionModelPackageArn"] == "none"


def test_a_champion_without_its_artifact_is_an_error_that_names_both_ways_out(
    find: Any, bucket: str, champion: str
) -> None:
    told = find().error.splitlines()[-1]
    assert f"{VERSION} serves production, but its artifact {champion} is gone" in told
    assert f"aws s3api list-object-versions --bucket {bucket} --prefix {KEY}" in told
    assert f"aws ssm put-parameter --overwrite --type String --name /{bucket}/champion-waiver" in told


def test_restoring_the_artifact_ends_it(cloud: Any, find: Any, bucket: str, champion: str) -> None:
    s3 = cloud.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"model")
    marker = s3.delete_object(Bucket=bucket, Key=KEY)["VersionId"]
    assert "is gone" in find().error
    s3.delete_object(Bucket=bucket, Key=KEY, VersionId=marker)
    assert find().answer["ChampionModelUri"] == champion


def waive(cloud: Any, bucket: str, value: str) -> None:
    cloud.client("ssm").put_parameter(Name=f"/{bucket}/champion-waiver", Value=value, Type="String", Overwrite=True)


def test_an_administrators_newest_waiver_of_this_version_lets_the_pipeline_go_on(
    cloud: Any, find: Any, bucket: str, champion: str
) -> None:
    waive(cloud, bucket, f"{VERSION} first thought")
    waive(cloud, bucket, f"{VERSION} the bucket was emptied by hand, ticket 4711")
    answer = find().answer
    assert (answer["ChampionModelPackageArn"], answer["ChampionRuntime"]) == (VERSION, "openvino")
    assert answer["ChampionModelUri"] == f"s3://{bucket}/defaults/none/" != champion
    assert answer["ChampionWaiver"].startswith("the bucket was emptied by hand, ticket 4711 - ")
    assert len(answer["ChampionWaiver"]) <= 256


@pytest.mark.parametrize("value", [VERSION, f"{VERSION[:-1]}2 of an older champion", "because"])
def test_a_waiver_without_a_reason_or_of_another_version_waives_nothing(
    cloud: Any, find: Any, bucket: str, champion: str, value: str
) -> None:
    waive(cloud, bucket, value)
    assert f"{champion} is gone" in find().error


def test_a_waiver_is_not_looked_at_while_the_artifact_is_there(
    cloud: Any, find: Any, bucket: str, champion: str
) -> None:
    cloud.client("s3").put_object(Bucket=bucket, Key=KEY, Body=b"model")
    waive(cloud, bucket, f"{VERSION} I would rather not be compared")
    assert (find().answer["ChampionModelUri"], find().answer["ChampionWaiver"]) == (champion, "none")


def test_an_image_that_is_gone_is_told_before_anything_is_measured(find: Any, image: tuple[str, str]) -> None:
    gone = f"{image[0]}f"
    assert f"{gone} is not there: run `mapgate images push`" in find(inference_image=gone).error
    assert "latest is no image of ECR with a tag" in find(inference_image="latest").error


def test_an_execution_of_an_older_definition_is_told_what_to_do(invoke: Any, table: Any, bucket: str) -> None:
    inputs = {"model_package_group": "mapgate-dev", "endpoint_name": "mapgate-dev"}
    run = invoke("training/find_champion", inputs, TABLE=table.name, BUCKET=bucket, WAIVER="/w")
    assert "started before the stacks were last deployed, and hands on no inference_image: start it anew" in run.error
