# SPDX-License-Identifier: Apache-2.0
"""A model or a configuration that somebody made under a version's name is not served in its stead."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from infra.delivery.deployer.deployments.existing import (
    configuration_differences,
    endpoint_differences,
    model_differences,
)
from infra.delivery.deployer.deployments.reconcile import CLOCK_TOLERANCE_MILLISECONDS
from tests.infra.delivery.deployer.conftest import nothing

TOKEN = "0123456789"  # noqa: S105
CANDIDATE = "mapgate-dev-candidate-1"
MODEL: dict[str, Any] = {
    "ModelName": "m",
    "PrimaryContainer": {
        "Image": "repository@sha256:1b",
        "ModelDataUrl": "s3://data/released/1/model.tar.gz",
        "Environment": {"MAPGATE_RUNTIME": "openvino"},
    },
    "ExecutionRoleArn": "role",
    "EnableNetworkIsolation": True,
    "VpcConfig": {"Subnets": ["a", "b"], "SecurityGroupIds": ["g"]},
}
CONFIG: dict[str, Any] = {
    "EndpointConfigName": "m",
    "ProductionVariants": [{"VariantName": "AllTraffic", "ModelName": "m", "InstanceType": "ml.m5.xlarge"}],
    "KmsKeyId": "key",
    "DataCaptureConfig": {"EnableCapture": True, "DestinationS3Uri": "s3://data/data-capture"},
}


def at(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one member replaced; `variant.` is the first production variant."""
    changed = deepcopy(document)
    *places, name = path.split(".")
    inner = changed
    for place in places:
        inner = inner["ProductionVariants"][0] if place == "variant" else inner[place]
    inner[name] = value
    return changed


def test_what_sagemaker_fills_in_is_no_difference() -> None:
    source = {"S3Uri": MODEL["PrimaryContainer"]["ModelDataUrl"], "S3DataType": "S3Object", "CompressionType": "Gzip"}
    described = at(MODEL, "PrimaryContainer.ModelDataSource", {"S3DataSource": source})
    described = at(described, "PrimaryContainer.Mode", "SingleModel") | {"ModelArn": "arn", "CreationTime": 0}
    described = at(described, "VpcConfig.Subnets", ["b", "a"])
    assert model_differences(MODEL, described) == []
    described = at(CONFIG, "variant.VolumeSizeInGB", 30) | {"EndpointConfigArn": "arn", "EnableNetworkIsolation": False}
    assert configuration_differences(CONFIG, described) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("PrimaryContainer.Image", "attacker@sha256:1b"),
        ("PrimaryContainer.ModelDataUrl", "s3://data/models/own.tar.gz"),
        ("PrimaryContainer.Environment", {"MAPGATE_RUNTIME": "openvino", "LD_PRELOAD": "own.so"}),
        ("PrimaryContainer.ModelDataSource", {"S3DataSource": {"S3Uri": "s3://own/", "S3DataType": "S3Prefix"}}),
        ("PrimaryContainer.AdditionalModelDataSources", [{"ChannelName": "own"}]),
        ("PrimaryContainer.ImageConfig", {"RepositoryAccessMode": "Vpc"}),
        ("PrimaryContainer.Mode", "MultiModel"),
        ("PrimaryContainer.ModelPackageName", "own"),
        ("Containers", [{"Image": "own"}]),
        ("ExecutionRoleArn", "own"),
        ("EnableNetworkIsolation", False),
        ("VpcConfig", {"Subnets": ["c"], "SecurityGroupIds": ["g"]}),
        ("VpcConfig", None),
    ],
)
def test_difference_of_a_model_is_named(path: str, value: Any) -> None:
    (sentence,) = model_differences(MODEL, at(MODEL, path, value))
    assert sentence.startswith(path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("variant.ModelName", "own"),
        ("variant.InstanceType", "ml.p4d.24xlarge"),
        ("variant.CoreDumpConfig", {"DestinationS3Uri": "s3://own"}),
        ("variant.EnableSSMAccess", True),
        ("variant.ServerlessConfig", {"MaxConcurrency": 1}),
        ("KmsKeyId", "own"),
        ("KmsKeyId", None),
        ("ShadowProductionVariants", [{"VariantName": "own"}]),
        ("AsyncInferenceConfig", {"OutputConfig": {}, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1}}),
        ("DataCaptureConfig.DestinationS3Uri", "s3://own"),
        ("DataCaptureConfig.EnableCapture", False),
    ],
)
def test_difference_of_a_configuration_is_named(path: str, value: Any) -> None:
    (sentence,) = configuration_differences(CONFIG, at(CONFIG, path, value))
    assert path.replace("variant.", "ProductionVariants[0].") in sentence


@pytest.mark.parametrize(("count", "variants"), [(2, CONFIG["ProductionVariants"] * 2), (0, []), (0, None)])
def test_any_other_number_of_variants_is_a_difference(count: int, variants: Any) -> None:
    described = CONFIG | {"ProductionVariants": variants}
    assert configuration_differences(CONFIG, described) == [f"it has {count} production variants, not one"]


def test_difference_says_what_is_there_and_what_was_asked() -> None:
    assert configuration_differences(CONFIG, CONFIG | {"KmsKeyId": "own"}) == ["KmsKeyId is own, not key"]
    assert configuration_differences(CONFIG, CONFIG | {"KmsKeyId": None}) == ["KmsKeyId is not set, not key"]
    assert configuration_differences(CONFIG | {"KmsKeyId": ""}, CONFIG) == ["KmsKeyId is key, not absent"]
    assert model_differences(MODEL, MODEL | {"EnableNetworkIsolation": False}) == [
        "EnableNetworkIsolation is not set, not True"
    ]
    multiple = at(MODEL, "PrimaryContainer.Mode", "MultiModel")
    assert model_differences(MODEL, multiple) == ["PrimaryContainer.Mode is MultiModel"]


def test_model_without_its_container_differs_in_all_of_it() -> None:
    found = model_differences(MODEL, MODEL | {"PrimaryContainer": None})
    assert [sentence.partition(" is not set")[0] for sentence in found] == [
        "PrimaryContainer.Environment",
        "PrimaryContainer.Image",
        "PrimaryContainer.ModelDataUrl",
    ]


@pytest.mark.parametrize("capture", [None, {}, {"EnableCapture": False, "CaptureOptions": []}])
def test_capture_that_nobody_asked_for_is_a_difference_and_its_absence_is_none(capture: Any) -> None:
    without = CONFIG | {"DataCaptureConfig": capture}
    assert configuration_differences(without, CONFIG) == [
        "DataCaptureConfig.DestinationS3Uri is s3://data/data-capture, not absent",
        "DataCaptureConfig.EnableCapture is True, not absent",
    ]
    assert configuration_differences(without, without) == []
    bare = {name: value for name, value in CONFIG.items() if name != "DataCaptureConfig"}
    assert configuration_differences(bare, without) == configuration_differences(without, bare) == []


def test_an_empty_network_is_none() -> None:
    open_to_all = {name: value for name, value in MODEL.items() if name != "VpcConfig"}
    assert model_differences(open_to_all, MODEL | {"VpcConfig": {"Subnets": [], "SecurityGroupIds": []}}) == []


def test_model_that_was_made_beforehand_is_refused_and_the_next_event_deploys_the_deployers_own(world: Any) -> None:
    version, name = world.register(), world.named(1)
    world.sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": "attacker:tag", "ModelDataUrl": "s3://own/model.tar.gz"},
        ExecutionRoleArn=world.settings.execution_role_arn,
    )
    world.approve(version)
    world.settle()
    (message,) = world.topic.faults
    assert f"the model {name} is there already and is not what the deployer makes" in message["Message"]
    assert "PrimaryContainer.Image is attacker:tag" in message["Message"]
    assert f"`aws sagemaker delete-model --model-name {name}`" in message["Message"]
    assert (world.sagemaker.endpoints, world.record("version#000001")["Outcome"]) == ({}, "refused")
    world.approve(version)
    world.settle()
    assert world.champion() == 1  # what nobody needs under the deployer's names it removes itself


def test_configuration_that_was_made_beforehand_is_refused(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    version, name = world.register(), world.named(2)
    made = world.sagemaker.configs[world.named(1)]
    core = {"DestinationS3Uri": "s3://own/core"}
    variant = made["ProductionVariants"][0] | {"CoreDumpConfig": core}
    world.sagemaker.configs[name] = made | {"EndpointConfigName": name, "ProductionVariants": [variant]}
    world.approve(version)
    world.settle()
    assert world.champion() == 1
    message = world.topic.faults[0]["Message"]
    assert "ProductionVariants[0].CoreDumpConfig is {'DestinationS3Uri': 's3://own/core'}, not absent" in message
    assert f"`aws sagemaker delete-endpoint-config --endpoint-config-name {name}`" in message


def test_candidates_model_that_was_made_beforehand_fails_the_step(world: Any) -> None:
    version = world.register()
    world.sagemaker.create_model(
        ModelName="mapgate-dev-candidate-1",
        PrimaryContainer={"Image": "attacker:tag", "ModelDataUrl": "s3://own/model.tar.gz"},
        ExecutionRoleArn=world.settings.execution_role_arn,
    )
    world.ask(version)
    assert "the model mapgate-dev-candidate-1 is there already" in world.sagemaker.tokens[TOKEN]
    assert world.sagemaker.endpoints == {}


def made_beforehand(world: Any, config: str) -> None:
    """Make an endpoint under the first candidate's name, with a configuration and a model of one's own."""
    world.sagemaker.create_model(
        ModelName="own",
        PrimaryContainer={"Image": "attacker:tag", "ModelDataUrl": "s3://own/model.tar.gz"},
        ExecutionRoleArn=world.settings.execution_role_arn,
    )
    variant = {"VariantName": "AllTraffic", "ModelName": "own", "InstanceType": "ml.m5.xlarge"}
    world.sagemaker.create_endpoint_config(
        EndpointConfigName=config, ProductionVariants=[variant | {"InitialInstanceCount": 1}]
    )
    world.sagemaker.create_endpoint(EndpointName=CANDIDATE, EndpointConfigName=config)
    world.sagemaker.progress(CANDIDATE)
    world.sagemaker.now += 600


def refused(world: Any, *, requests: int = 0) -> str:
    """What the pipeline was told, once nothing is left of the candidate and nothing was asked of the foreign one."""
    assert len(world.runtime.requests) == requests
    world.settle()
    world.look()
    world.settle()
    assert CANDIDATE not in world.sagemaker.endpoints
    return str(world.sagemaker.tokens[TOKEN])


def test_candidates_endpoint_that_was_made_beforehand_is_not_tested(world: Any) -> None:
    version = world.register()
    made_beforehand(world, "own")
    world.ask(version)
    told = refused(world)
    assert f"the endpoint {CANDIDATE} is there already and is not what the deployer makes" in told
    assert f"EndpointConfigName is own, not {CANDIDATE}" in told


def test_candidates_configuration_that_was_made_with_its_endpoint_is_compared(world: Any) -> None:
    version = world.register()
    made_beforehand(world, CANDIDATE)
    world.ask(version)
    assert f"the endpoint configuration {CANDIDATE} is there already" in refused(world)


def test_two_clocks_may_differ_as_much_as_they_do() -> None:
    ordered_at, earliest = 1_000_000, 1_000_000 - CLOCK_TOLERANCE_MILLISECONDS
    assert endpoint_differences(CANDIDATE, CANDIDATE, created_at=earliest, ordered_at=ordered_at) == []
    assert endpoint_differences(CANDIDATE, CANDIDATE, created_at=earliest - 1, ordered_at=ordered_at) != []


def test_endpoint_that_is_older_than_its_order_is_not_tested_though_its_configuration_looks_right(world: Any) -> None:
    """Whoever deletes the configuration under an endpoint lets the deployer make a right one, which nothing uses."""
    version = world.register()
    made_beforehand(world, CANDIDATE)
    del world.sagemaker.configs[CANDIDATE], world.sagemaker.models["own"]
    world.ask(version)
    assert "it was created before the deployer ordered it" in refused(world)


def test_endpoint_that_somebody_makes_at_the_last_moment_is_not_tested(world: Any) -> None:
    version = world.register()
    made: list[str] = []

    def make(operation: str) -> None:
        if operation == "CreateEndpoint" and not made:
            made.append(operation)
            made_beforehand(world, "own")

    world.sagemaker.before_call = make
    world.ask(version)
    world.sagemaker.before_call = nothing
    assert f"EndpointConfigName is own, not {CANDIDATE}" in refused(world)


def test_candidate_that_somebody_moved_to_a_configuration_of_their_own_is_not_tested(world: Any) -> None:
    world.ask(world.register())
    world.sagemaker.endpoints[CANDIDATE].config = "own"
    world.sagemaker.progress(CANDIDATE)
    world.deliver()
    assert f"EndpointConfigName is own, not {CANDIDATE}" in refused(world)


def test_candidate_whose_function_died_after_the_order_is_tested(world: Any) -> None:
    version = world.register()
    ordered: list[str] = []

    def die(operation: str) -> None:
        if ordered and operation == "put_item":
            raise RuntimeError("the function timed out")
        if operation == "CreateEndpoint":
            ordered.append(operation)

    world.sagemaker.before_call = die
    with pytest.raises(RuntimeError):
        world.ask(version)
    world.sagemaker.before_call = nothing
    world.ask(version)
    world.settle()
    assert world.sagemaker.tokens[TOKEN]["Detections"] == "1"


def test_what_a_function_that_died_has_made_is_gone_on_with(world: Any) -> None:
    world.approve(world.register())
    event = world.sagemaker.events[-1]

    def die(operation: str) -> None:
        if operation == "CreateEndpoint":
            raise RuntimeError("the function timed out")

    world.sagemaker.before_call = die
    with pytest.raises(RuntimeError):
        world.handle(event)
    world.sagemaker.before_call = print
    world.handle(event)
    world.settle()
    assert (world.champion(), world.topic.faults) == (1, [])
