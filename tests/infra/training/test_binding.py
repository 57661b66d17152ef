# SPDX-License-Identifier: Apache-2.0
"""Binding puts an environment into the definition: whatever the settings say, SageMaker's rules hold."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.instance_types import has_local_nvme
from infra.settings import Delivery, Network, Processing, Security, Settings, Training
from infra.training.binding import BindingError, Resources, bind
from pipelines.check import check

COMMITTED = json.loads((Path(__file__).parents[3] / "pipelines" / "definition.json").read_text())
RESOURCES = Resources(
    data_bucket="mapgate-dev-data-123456789012-us-east-1",
    training_image="123456789012.dkr.ecr.us-east-1.amazonaws.com/mapgate-dev-training:0123456789abcdef",
    inference_image="123456789012.dkr.ecr.us-east-1.amazonaws.com/mapgate-dev-inference:0123456789abcdef",
    floor_policy="5f" * 32,
    processing_role="arn:aws:iam::123456789012:role/mapgate-dev-processing",
    training_role="arn:aws:iam::123456789012:role/mapgate-dev-training",
    check_plan="arn:aws:lambda:us-east-1:123456789012:function:mapgate-dev-check-plan",
    find_champion="arn:aws:lambda:us-east-1:123456789012:function:mapgate-dev-find-champion",
    publish_dossier="arn:aws:lambda:us-east-1:123456789012:function:mapgate-dev-publish-dossier",
    callback_queue="https://sqs.us-east-1.amazonaws.com/123456789012/mapgate-dev-callback",
    model_package_group="mapgate-dev-versions",
    endpoint="mapgate-dev-endpoint",
    key="arn:aws:kms:us-east-1:123456789012:key/0b1c2d3e-0000-0000-0000-000000000000",
)
DEV = Settings(environment="dev")

EXAMPLE = Settings(
    environment="dev",
    network=Network(subnets=("subnet-0a", "subnet-0b"), security_groups=("sg-0c", "sg-0d")),
    security=Security(network_isolation=False, encrypt_between_containers=True),
    processing=Processing(
        prepare_instance_type="ml.m5.4xlarge",
        evaluate_instance_type="ml.m5.2xlarge",
        volume_gigabytes=51,
        prepare_maximum_hours=3,
        evaluate_maximum_hours=4,
    ),
    training=Training(
        instance_types=("ml.m5.24xlarge", "ml.m5.12xlarge"),
        maximum_hours=5,
        maximum_wait_hours=7,
        volume_gigabytes=103,
        default_architecture="efficientdet_d1_640x640",
        default_steps=106,
        default_batch_size=107,
    ),
    delivery=Delivery(instance_type="ml.c5.2xlarge"),
)
NAMES = Resources(
    data_bucket="the-bucket",
    training_image="the-training-image",
    inference_image="the-inference-image",
    floor_policy="the-floor",
    processing_role="the-processing-role",
    training_role="the-training-role",
    check_plan="the-judge",
    find_champion="the-finder",
    publish_dossier="the-publisher",
    callback_queue="the-queue",
    model_package_group="the-group",
    endpoint="the-endpoint",
    key="the-key",
)
BOUND = {
    "Architecture.DefaultValue": "efficientdet_d1_640x640",
    "TrainingSteps.DefaultValue": 106,
    "TrainingSettings.DefaultValue": "seed=17 batch_size=107",
    "PipelineConfigUri.DefaultValue": "s3://the-bucket/defaults/none/",
    "LabelMapUri.DefaultValue": "s3://the-bucket/defaults/none/",
    "InitialCheckpointUri.DefaultValue": "s3://the-bucket/defaults/none/",
    "GatePolicyUri.DefaultValue": "s3://the-bucket/defaults/none/",
    "TrainingInstanceType.DefaultValue": "ml.m5.24xlarge",
    "TrainingInstanceType.EnumValues": ["ml.m5.24xlarge", "ml.m5.12xlarge"],
    "PrepareDataset.AppSpecification.ImageUri": "the-training-image",
    "train.S3Output.S3Uri.Std:Join.Values[0]": "s3://the-bucket/executions",
    "validation.S3Output.S3Uri.Std:Join.Values[0]": "s3://the-bucket/executions",
    "test.S3Output.S3Uri.Std:Join.Values[0]": "s3://the-bucket/executions",
    "metadata.S3Output.S3Uri.Std:Join.Values[0]": "s3://the-bucket/executions",
    "PrepareDataset.ProcessingOutputConfig.KmsKeyId": "the-key",
    "PrepareDataset.ProcessingResources.ClusterConfig.InstanceType": "ml.m5.4xlarge",
    "PrepareDataset.ProcessingResources.ClusterConfig.VolumeSizeInGB": 51,
    "PrepareDataset.ProcessingResources.ClusterConfig.VolumeKmsKeyId": "the-key",
    "PrepareDataset.RoleArn": "the-processing-role",
    "PrepareDataset.NetworkConfig.EnableNetworkIsolation": False,
    "PrepareDataset.NetworkConfig.EnableInterContainerTrafficEncryption": True,
    "PrepareDataset.NetworkConfig.VpcConfig.SecurityGroupIds": ["sg-0c", "sg-0d"],
    "PrepareDataset.NetworkConfig.VpcConfig.Subnets": ["subnet-0a", "subnet-0b"],
    "PrepareDataset.StoppingCondition.MaxRuntimeInSeconds": 10800,
    "CheckPlan.endpoint_name": "the-endpoint",
    "CheckPlan.floor_policy_uri": "s3://the-bucket/defaults/gate-policy/the-floor/",
    "CheckPlan.training_image": "the-training-image",
    "CheckPlan.FunctionArn": "the-judge",
    "TrainDetector.AlgorithmSpecification.TrainingImage": "the-training-image",
    "TrainDetector.CheckpointConfig.S3Uri.Std:Join.Values[0]": "s3://the-bucket/checkpoints",
    "TrainDetector.HyperParameters.data_bucket": "the-bucket",
    "TrainDetector.OutputDataConfig.S3OutputPath": "s3://the-bucket/models",
    "TrainDetector.OutputDataConfig.KmsKeyId": "the-key",
    "TrainDetector.ResourceConfig.VolumeSizeInGB": 103,
    "TrainDetector.ResourceConfig.VolumeKmsKeyId": "the-key",
    "TrainDetector.TensorBoardOutputConfig.S3OutputPath": "s3://the-bucket/tensorboard",
    "TrainDetector.RoleArn": "the-training-role",
    "TrainDetector.StoppingCondition.MaxRuntimeInSeconds": 18000,
    "TrainDetector.StoppingCondition.MaxWaitTimeInSeconds": 25200,
    "TrainDetector.EnableManagedSpotTraining": True,
    "TrainDetector.EnableNetworkIsolation": False,
    "TrainDetector.EnableInterContainerTrafficEncryption": True,
    "TrainDetector.VpcConfig.SecurityGroupIds": ["sg-0c", "sg-0d"],
    "TrainDetector.VpcConfig.Subnets": ["subnet-0a", "subnet-0b"],
    "FindChampion.endpoint_name": "the-endpoint",
    "FindChampion.inference_image": "the-inference-image",
    "FindChampion.model_package_group": "the-group",
    "FindChampion.FunctionArn": "the-finder",
    "MeasureServing.AppSpecification.ImageUri": "the-inference-image",
    "measurements.S3Output.S3Uri.Std:Join.Values[0]": "s3://the-bucket/executions",
    "MeasureServing.ProcessingOutputConfig.KmsKeyId": "the-key",
    "MeasureServing.ProcessingResources.ClusterConfig.InstanceType": "ml.c5.2xlarge",
    "MeasureServing.ProcessingResources.ClusterConfig.VolumeSizeInGB": 51,
    "MeasureServing.ProcessingResources.ClusterConfig.VolumeKmsKeyId": "the-key",
    "MeasureServing.RoleArn": "the-processing-role",
    "MeasureServing.NetworkConfig.EnableNetworkIsolation": False,
    "MeasureServing.NetworkConfig.EnableInterContainerTrafficEncryption": True,
    "MeasureServing.NetworkConfig.VpcConfig.SecurityGroupIds": ["sg-0c", "sg-0d"],
    "MeasureServing.NetworkConfig.VpcConfig.Subnets": ["subnet-0a", "subnet-0b"],
    "MeasureServing.StoppingCondition.MaxRuntimeInSeconds": 14400,
    "EvaluateDetector.AppSpecification.ImageUri": "the-training-image",
    "EvaluateDetector.Environment.MAPGATE_FLOOR_POLICY_URI": "s3://the-bucket/defaults/gate-policy/the-floor/",
    "EvaluateDetector.ProcessingInputs[7].S3Input.S3Uri": "s3://the-bucket/defaults/gate-policy/the-floor/",
    "evaluation.S3Output.S3Uri.Std:Join.Values[0]": "s3://the-bucket/executions",
    "EvaluateDetector.ProcessingOutputConfig.KmsKeyId": "the-key",
    "EvaluateDetector.ProcessingResources.ClusterConfig.InstanceType": "ml.m5.2xlarge",
    "EvaluateDetector.ProcessingResources.ClusterConfig.VolumeSizeInGB": 51,
    "EvaluateDetector.ProcessingResources.ClusterConfig.VolumeKmsKeyId": "the-key",
    "EvaluateDetector.RoleArn": "the-processing-role",
    "EvaluateDetector.NetworkConfig.EnableNetworkIsolation": False,
    "EvaluateDetector.NetworkConfig.EnableInterContainerTrafficEncryption": True,
    "EvaluateDetector.NetworkConfig.VpcConfig.SecurityGroupIds": ["sg-0c", "sg-0d"],
    "EvaluateDetector.NetworkConfig.VpcConfig.Subnets": ["subnet-0a", "subnet-0b"],
    "EvaluateDetector.StoppingCondition.MaxRuntimeInSeconds": 14400,
    "RegisterDetector.InferenceSpecification.Containers[0].Image": "the-inference-image",
    "RegisterDetector.InferenceSpecification.SupportedRealtimeInferenceInstanceTypes": ["ml.c5.2xlarge"],
    "RegisterDetector.InferenceSpecification.SupportedTransformInstanceTypes": ["ml.c5.2xlarge"],
    "RegisterDetector.ModelPackageGroupName": "the-group",
    "PublishDossier.FunctionArn": "the-publisher",
    "DeployCandidate.SqsQueueUrl": "the-queue",
}

PLAIN = ["ml.m5.xlarge", "ml.c5.xlarge", "ml.m5.2xlarge"]
NVME = ["ml.g5.xlarge", "ml.g4dn.xlarge", "ml.g6.xlarge"]
any_settings = st.builds(
    Settings,
    environment=st.sampled_from(["dev", "prod"]),
    network=st.none() | st.just(Network(subnets=("subnet-0a", "subnet-0b"), security_groups=("sg-0a",))),
    security=st.builds(
        Security,
        network_isolation=st.booleans(),
        encrypt_between_containers=st.booleans(),
        customer_managed_volumes=st.booleans(),
    ),
    processing=st.builds(
        Processing,
        prepare_instance_type=st.sampled_from(PLAIN + NVME),
        prepare_instance_count=st.sampled_from([1, 3]),
        evaluate_instance_type=st.sampled_from(PLAIN + NVME),
        volume_gigabytes=st.integers(1, 75),
    ),
    training=st.builds(
        Training,
        instance_types=st.sampled_from([tuple(PLAIN), tuple(NVME), ("ml.m5.xlarge",), ("ml.g5.xlarge",)]),
        spot=st.booleans(),
        maximum_hours=st.integers(1, 100),
        maximum_wait_hours=st.integers(100, 240),
    ),
    delivery=st.builds(Delivery, instance_type=st.sampled_from([*PLAIN, "ml.r5d.large"])),
)


def test_changes_just_these_values() -> None:
    """The example's values all differ, so that none can stand in another's place."""
    before, after = dict(leaves(COMMITTED)), dict(leaves(bind(COMMITTED, EXAMPLE, NAMES)))
    assert {path: value for path, value in after.items() if before.get(path) != value} == BOUND
    assert before.keys() <= after.keys()


def test_leaves_out_what_the_settings_do_not_want() -> None:
    chosen = Settings(
        environment="dev",
        security=Security(customer_managed_volumes=False),
        training=Training(instance_types=("ml.m5.xlarge",), spot=False),
        delivery=Delivery(instance_type="ml.r5.large"),
    )
    said = dict(leaves(bind(COMMITTED, chosen, NAMES)))
    left_out = (
        "SupportedTransformInstanceTypes",
        "VpcConfig",
        "VolumeKmsKeyId",
        "EnableManagedSpotTraining",
        "MaxWaitTimeInSeconds",
    )
    assert [path for path in said if any(name in path for name in left_out)] == []
    assert said["TrainDetector.StoppingCondition.MaxRuntimeInSeconds"] == 86400


@settings(max_examples=60)
@given(any_settings)
def test_gives_a_definition_without_fault_for_any_settings(chosen: Settings) -> None:
    before = copy.deepcopy(COMMITTED)
    bound = bind(COMMITTED, chosen, RESOURCES)
    assert check(bound) == []
    assert before == COMMITTED, "the committed definition must stay as it is"
    assert "unbound" not in json.dumps(bound)


@settings(max_examples=60)
@given(any_settings)
def test_every_job_is_as_secure_as_the_settings_say(chosen: Settings) -> None:
    bound = bind(COMMITTED, chosen, RESOURCES)
    training = step(bound, "TrainDetector")["Arguments"]
    for job in [each["Arguments"] for each in walk(bound["Steps"]) if each["Type"] == "Processing"]:
        cluster = job["ProcessingResources"]["ClusterConfig"]
        wanted = chosen.security.customer_managed_volumes and not has_local_nvme(cluster["InstanceType"])
        assert cluster.get("VolumeKmsKeyId") == (RESOURCES.key if wanted else None)
        assert job["ProcessingOutputConfig"]["KmsKeyId"] == RESOURCES.key
        assert job["NetworkConfig"]["EnableNetworkIsolation"] is chosen.security.network_isolation
        assert ("VpcConfig" in job["NetworkConfig"]) == (chosen.network is not None)
    wanted = chosen.security.customer_managed_volumes and not has_local_nvme(chosen.training.instance_types[0])
    assert training["ResourceConfig"].get("VolumeKmsKeyId") == (RESOURCES.key if wanted else None)
    assert training["EnableNetworkIsolation"] is chosen.security.network_isolation
    assert training.get("EnableManagedSpotTraining", False) is chosen.training.spot
    assert ("VpcConfig" in training) == (chosen.network is not None)


def test_waits_for_a_quota_in_use_as_long_as_the_settings_say() -> None:
    bound = bind(COMMITTED, Settings(environment="dev", quota_wait_minutes=17), RESOURCES)
    patience = {
        each["Name"]: {policy["ExceptionType"][0]: policy for policy in each["RetryPolicies"]}
        for each in walk(bound["Steps"])
        if each["Type"] in ("Processing", "Training")
    }
    assert len(patience) == 4
    for policies in patience.values():
        waits = policies["SageMaker.RESOURCE_LIMIT"]
        assert (waits["ExpireAfterMin"], waits["IntervalSeconds"], waits["BackoffRate"]) == (17, 60, 1.0)
        assert policies["SageMaker.CAPACITY_ERROR"]["MaxAttempts"] == 8


def test_measures_on_the_type_that_serves() -> None:
    chosen = Settings(environment="dev", delivery=Delivery(instance_type="ml.c5.2xlarge"))
    bound = bind(COMMITTED, chosen, RESOURCES)
    cluster = step(bound, "MeasureServing")["Arguments"]["ProcessingResources"]["ClusterConfig"]
    assert cluster["InstanceType"] == "ml.c5.2xlarge"
    inference = step(bound, "RegisterDetector")["Arguments"]["InferenceSpecification"]
    assert inference["SupportedRealtimeInferenceInstanceTypes"] == ["ml.c5.2xlarge"]


def test_the_environments_own_test_set_stands_in_the_place_of_the_executions(tmp_path: Path) -> None:
    uri = "s3://fleet-test-sets/streets/2026-11/"
    policy = f"schema_version: 2\ntest_set: {{uri: {uri}, sha256: {'0a' * 32}}}\n"
    (tmp_path / "dev.yaml").write_text("gate_policy: own.yaml")
    (tmp_path / "own.yaml").write_text(policy)
    before = dict(leaves(bind(COMMITTED, DEV, RESOURCES)))

    bound = bind(COMMITTED, Settings.read("dev", tmp_path), RESOURCES)

    assert check(bound) == []
    for name in ("MeasureServing", "EvaluateDetector"):
        inputs = {each["InputName"]: each["S3Input"] for each in step(bound, name)["Arguments"]["ProcessingInputs"]}
        assert inputs["test"]["S3Uri"] == uri
        assert inputs["test"]["LocalPath"] == "/opt/ml/processing/input/test"
    changed = {path for path, value in leaves(bound) if before.get(path) != value}
    assert changed == {
        "MeasureServing.ProcessingInputs[3].S3Input.S3Uri",
        "EvaluateDetector.ProcessingInputs[1].S3Input.S3Uri",
        "EvaluateDetector.Environment.MAPGATE_TEST_SET",
    }
    assert step(bound, "EvaluateDetector")["Arguments"]["Environment"]["MAPGATE_TEST_SET"] == "environment"


def test_jobs_have_no_more_inputs_than_sagemaker_takes() -> None:
    """10, and 256 characters: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html."""
    bound = bind(COMMITTED, Settings(environment="dev", processing=Processing(prepare_instance_count=3)), RESOURCES)
    for job in [each["Arguments"] for each in walk(bound["Steps"]) if each["Type"] == "Processing"]:
        assert len(job["ProcessingInputs"]) <= 10
    longest = "a" * 63
    widest = bind(COMMITTED, DEV, replace(RESOURCES, data_bucket=longest))
    said = step(widest, "EvaluateDetector")["Arguments"]["Environment"].values()
    assert max(len(value) for value in said if isinstance(value, str)) <= 256


def test_lets_an_execution_choose_only_the_instances_of_the_settings() -> None:
    chosen = Settings(environment="dev", training=Training(instance_types=("ml.m5.xlarge", "ml.c5.2xlarge")))
    parameters = {each["Name"]: each for each in bind(COMMITTED, chosen, RESOURCES)["Parameters"]}
    assert parameters["TrainingInstanceType"]["DefaultValue"] == "ml.m5.xlarge"
    assert parameters["TrainingInstanceType"]["EnumValues"] == ["ml.m5.xlarge", "ml.c5.2xlarge"]


def test_passes_expressions_of_cloudformation_through() -> None:
    names = {name: f"${{{name}}}" for name in vars(RESOURCES)}
    bound = json.dumps(bind(COMMITTED, DEV, Resources(**names)))
    assert "s3://${data_bucket}/executions" in bound
    assert all(value in bound for value in names.values())


def test_says_which_stand_in_was_forgotten_or_is_gone() -> None:
    forgotten = copy.deepcopy(COMMITTED)
    step(forgotten, "FindChampion")["Arguments"]["other"] = "unbound-table"
    with pytest.raises(BindingError, match="still holds unbound-table"):
        bind(forgotten, DEV, RESOURCES)
    gone = json.loads(
        json.dumps(COMMITTED).replace("unbound-endpoint", "endpoint").replace("unbound-callback", "queue")
    )
    with pytest.raises(BindingError, match="nowhere says unbound-callback-queue, unbound-endpoint: run"):
        bind(gone, DEV, RESOURCES)
    renamed = json.loads(json.dumps(COMMITTED).replace("PrepareDataset", "Prepare"))
    with pytest.raises(BindingError, match="give PrepareDataset an instance type, but the definition has no such step"):
        bind(renamed, DEV, RESOURCES)


def walk(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in steps:
        yield each
        yield from walk(each["Arguments"].get("IfSteps", []))
        yield from walk(each["Arguments"].get("ElseSteps", []))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what a definition says, by where it says so; what has a name stands under it."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for index, each in enumerate(value):
            name = isinstance(each, dict) and (each.get("Name") or each.get("OutputName"))
            yield from leaves(each, str(name) if name else f"{path}[{index}]")
    else:
        yield path.replace(".Arguments", ""), value


def step(definition: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in walk(definition["Steps"]) if each["Name"] == name)
