# SPDX-License-Identifier: Apache-2.0
"""CheckPlan's asset, run as Lambda runs it: without NumPy, pydantic or TensorFlow it judges as the gate will."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.training.check_plan_asset import check_plan_asset

POLICY = (Path(__file__).parents[3] / "infra/training/defaults/gate_policy.yaml").read_text()
LARGE = {"name": "large.jpg", "width": 4000, "height": 3000, "bytes": 4_000_000}
TEST = {
    "images": 60,
    "boxes_to_find_per_class": {"car": 90, "cyclist": 40},
    "largest_image": LARGE,
    "largest_file": LARGE,
}


@pytest.fixture(scope="module")
def asset() -> Iterator[str]:
    with check_plan_asset() as folder:
        yield str(folder)


@pytest.fixture
def image(push: Any) -> tuple[str, str]:
    """The image that trains and judges: URI and digest."""
    pushed: tuple[str, str] = push()
    return pushed


@pytest.fixture
def answer(cloud: Any, invoke: Any, asset: str, bucket: str, table: Any, image: tuple[str, str]) -> Any:
    """Check a plan by the environment's policy, `policy`; returns the run."""

    def check(test: dict[str, Any] | None = None, policy: str = POLICY, **inputs: Any) -> Any:
        s3 = cloud.client("s3")
        if test is not None:
            body = json.dumps({"splits": {"test": {**TEST, **test}}})
            s3.put_object(Bucket=bucket, Key="executions/e/metadata/dataset.json", Body=body)
        s3.put_object(Bucket=bucket, Key="defaults/gate-policy/5f/gate_policy.yaml", Body=policy)
        s3.put_object(Bucket=bucket, Key="defaults/none/none", Body=b"none")
        event = {
            "metadata_uri": f"s3://{bucket}/executions/e/metadata",
            "floor_policy_uri": f"s3://{bucket}/defaults/gate-policy/5f/",
            "gate_policy_uri": f"s3://{bucket}/defaults/none/",
            "training_settings": "seed=17",
            "map_threshold": 0.0,
            "endpoint_name": "mapgate-dev",
            "training_image": image[0],
        }
        return invoke(asset, event | inputs, TABLE=table.name, WAIVER=f"/{bucket}/champion-waiver")

    return check


def test_lets_a_sound_plan_pass(answer: Any, image: tuple[str, str]) -> None:
    assert answer({}).answer == {
        "Sentence": "Nothing that needs no model stands in the way.",
        "TrainingImageDigest": image[1],
    }


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        (POLICY.replace("images: 50", "images: 1"), "The test set has 40 images; 50 are required."),
        (POLICY.replace("  images: 50", "  images: 70"), "The test set has 40 images; 70 are required."),
    ],
)
def test_what_the_environments_policy_asks_for_is_asked_for_whatever_an_executions_own_says(
    cloud: Any, answer: Any, bucket: str, own: str, sentence: str
) -> None:
    cloud.client("s3").put_object(Bucket=bucket, Key="inputs/own/gate_policy.yaml", Body=own)
    told = answer({"images": 40}, gate_policy_uri=f"s3://{bucket}/inputs/own/").error.splitlines()[-1]
    assert told.removeprefix("index.PlanError: ") == sentence


def test_an_executions_policy_that_asks_for_next_to_nothing_changes_nothing_and_is_told(
    cloud: Any, answer: Any, bucket: str
) -> None:
    weak = """
schema_version: 2
metrics: {mAP_50: 0.01}
every_class: {}
exempt_classes: [car, cyclist]
support: {images: 1, boxes_per_class: 1}
champion: null
serving: {least_matched: 0.01, greatest_difference: {mAP: 1}}
"""
    cloud.client("s3").put_object(Bucket=bucket, Key="inputs/weak/gate_policy.yaml", Body=weak)
    uri = f"s3://{bucket}/inputs/weak/"
    few = {"images": 40, "boxes_to_find_per_class": {"car": 90, "cyclist": 3}}
    told = answer(few, gate_policy_uri=uri).error.splitlines()[-1]
    assert "The test set has 40 images; 50 are required." in told
    assert 'Class "cyclist" has 3 boxes in the test set; 20 are required.' in told
    sentence = answer({}, gate_policy_uri=uri).answer["Sentence"]
    assert "metrics.mAP_50: the execution's 0.01 is below the environment's 0.5, which counts." in sentence
    assert "champion: the execution asks for no comparison; the environment's counts." in sentence


def test_where_the_environment_names_the_test_set_the_executions_own_is_not_counted(answer: Any) -> None:
    named = f"{POLICY}\ntest_set: {{uri: s3://bucket/test/, sha256: {'a' * 64}}}\n"
    assert answer({"images": 3}, named).error == ""


def test_an_address_that_no_job_can_be_told_is_found_before_the_training(answer: Any, bucket: str) -> None:
    uri = f"s3://{bucket}/inputs/{'x' * 256}/"
    assert (
        f"GatePolicyUri has {len(uri)} characters, of which a job is told 256" in answer({}, gate_policy_uri=uri).error
    )


def test_an_image_that_was_not_pushed_is_told_beside_all_else(answer: Any, image: tuple[str, str]) -> None:
    told = answer({"images": 5}, training_image=f"{image[0]}f").error
    assert f"{image[0]}f is not there: run `mapgate images push`" in told
    assert "The test set has 5 images; 50 are required." in told


def test_an_execution_of_an_older_definition_is_told_what_to_do(invoke: Any, asset: str) -> None:
    told = invoke(asset, {"gate_policy_uri": "s3://b/defaults/gate-policy/"}).error
    assert "started before the stacks were last deployed, and hands on no floor_policy_uri: start it anew" in told


def test_tells_everything_at_once(answer: Any) -> None:
    huge = {**LARGE, "name": "huge.png", "width": 12000, "height": 9000}
    run = answer(
        {"images": 5, "boxes_to_find_per_class": {"car": 9}, "largest_image": huge},
        POLICY.replace("classes: {}", "classes: {tram: {AP50: 0.5}}"),
        training_settings="sead=3",
        map_threshold="1.5",
    )
    assert run.answer is None
    told = run.error.splitlines()[-1]
    assert told.startswith("index.PlanError: ")
    for sentence in (
        'TrainingSettings holds "sead=3"; give NAME=VALUE with one of ',
        "MapThreshold is 1.5; give a number from 0 to 1.",
        "The test set has 5 images; 50 are required.",
        'The policy names a class "tram" that the label map does not have.',
        'Class "car" has 9 boxes in the test set; 20 are required.',
        "The test image huge.png has 12000 x 9000 pixels, 108 million; the server takes 100: scale the images down",
    ):
        assert sentence in told


def test_an_image_is_too_large_as_a_file_too(answer: Any) -> None:
    told = answer({"largest_file": {**LARGE, "name": "huge.png", "bytes": 30_000_000}}).error
    assert "The test image huge.png has 30 MB; a request to an endpoint has at most 26: encode it as JPEG" in told


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (
            POLICY.replace("mAP_50: 0.5", "mAP_5O: 0.5"),
            "gate_policy.yaml: metrics.mAP_5O: is not known; the known are",
        ),
        ("classes: [", "gate_policy.yaml: not a YAML file"),
    ],
)
def test_a_faulty_policy_is_told_beside_faulty_settings(answer: Any, policy: str, sentence: str) -> None:
    told = answer({}, policy, training_settings="seed=many").error
    assert sentence in told
    assert 'The hyperparameter seed is "many"; give a whole number of 0 or more.' in told


def test_a_prefix_without_a_policy_is_told(answer: Any, bucket: str) -> None:
    told = answer({}, gate_policy_uri=f"s3://{bucket}/executions/").error
    assert (
        f"the gate policy s3://{bucket}/executions/: one YAML file is needed, there is executions/e/metadata/" in told
    )


def test_a_champion_whose_artifact_is_gone_is_found_before_the_training(
    cloud: Any, answer: Any, bucket: str, table: Any
) -> None:
    uri, version = f"s3://{bucket}/models/j/output/model.tar.gz", "arn:aws:sagemaker:us-east-1:1:model-package/m/3"
    champion = {"ModelPackageArn": version, "ModelUri": uri, "Runtime": "openvino"}
    table.put_item(Item={"EndpointName": "mapgate-dev", "Record": "endpoint", "Champion": champion})
    told = answer({"images": 5}).error
    assert "The test set has 5 images; 50 are required." in told
    assert f"{version} serves production, but its artifact {uri} is gone" in told
    assert f"--name /{bucket}/champion-waiver --value '{version} WHY'" in told
    cloud.client("ssm").put_parameter(Name=f"/{bucket}/champion-waiver", Value=f"{version} so be it", Type="String")
    assert answer({}).error == ""


def test_data_that_nobody_can_read_any_more_are_told(answer: Any, bucket: str) -> None:
    assert f"s3://{bucket}/executions/e/metadata/dataset.json is gone; change DatasetUri" in answer().error
