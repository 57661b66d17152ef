# SPDX-License-Identifier: Apache-2.0
"""What the definition looks like where several instances prepare the data set."""

from __future__ import annotations

import copy
import json
from typing import Any

from infra.settings import Network, Processing, Settings
from infra.training.binding import bind
from pipelines.check import check
from tests.infra.training.test_binding import COMMITTED, RESOURCES

NETWORK = Network(subnets=("subnet-0a",), security_groups=("sg-0a",))


def bound(count: int) -> dict[str, Any]:
    processing = Processing(prepare_instance_type="ml.m5.2xlarge", prepare_instance_count=count, volume_gigabytes=70)
    return bind(COMMITTED, Settings(environment="dev", network=NETWORK, processing=processing), RESOURCES)


def step(definition: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in definition["Steps"] if each["Name"] == name)


def inputs(of: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    return {
        each["InputName"]: (each["S3Input"]["S3Uri"], each["S3Input"]["S3DataDistributionType"])
        for each in of["Arguments"]["ProcessingInputs"]
    }


def outputs(of: dict[str, Any]) -> dict[str, str]:
    return {
        each["OutputName"]: each["S3Output"]["S3Uri"]["Std:Join"]["Values"][-1]
        for each in of["Arguments"]["ProcessingOutputConfig"]["Outputs"]
    }


def test_one_instance_needs_no_join() -> None:
    alone = bound(1)
    assert [each["Name"] for each in alone["Steps"]][:2] == ["PrepareDataset", "CheckPlan"]
    assert "AnnotationsUri" not in json.dumps(alone)


def test_two_instances_are_several() -> None:
    two = bound(2)
    prepare, join = (step(two, name) for name in ("PrepareDataset", "JoinDataset"))
    clusters = [each["Arguments"]["ProcessingResources"]["ClusterConfig"] for each in (prepare, join)]
    assert [cluster["InstanceCount"] for cluster in clusters] == [2, 1]
    assert [cluster["InstanceType"] for cluster in clusters] == ["ml.m5.2xlarge", "ml.m5.2xlarge"]
    assert [cluster["VolumeSizeInGB"] for cluster in clusters] == [70, 70]


def test_images_are_dealt_out_by_key_and_everything_else_comes_whole() -> None:
    before = copy.deepcopy(COMMITTED)
    several = bound(3)
    prepare = step(several, "PrepareDataset")

    assert check(several) == []
    assert before == COMMITTED
    assert prepare["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 3
    assert inputs(prepare) == {
        "dataset": ({"Get": "Parameters.DatasetUri"}, "ShardedByS3Key"),
        "annotations": ({"Get": "Parameters.AnnotationsUri"}, "FullyReplicated"),
        "label_map": ({"Get": "Parameters.LabelMapUri"}, "FullyReplicated"),
        "config": ({"Get": "Parameters.PipelineConfigUri"}, "FullyReplicated"),
    }
    assert outputs(prepare) == {"train": "train", "validation": "validation", "test": "test", "metadata": "parts"}
    parameter = next(each for each in several["Parameters"] if each["Name"] == "AnnotationsUri")
    assert parameter["DefaultValue"] == f"s3://{RESOURCES.data_bucket}/defaults/none/"


def test_join_is_one_instance_that_reads_the_parts_and_writes_what_the_other_steps_read() -> None:
    several = bound(3)
    join = step(several, "JoinDataset")

    assert [each["Name"] for each in several["Steps"]][:3] == ["PrepareDataset", "JoinDataset", "CheckPlan"]
    assert join["Arguments"]["AppSpecification"]["ContainerEntrypoint"] == ["python", "-m", "training_src", "join"]
    assert join["Arguments"]["ProcessingResources"]["ClusterConfig"] == {
        "InstanceCount": 1,
        "InstanceType": "ml.m5.2xlarge",
        "VolumeSizeInGB": 70,
        "VolumeKmsKeyId": RESOURCES.key,
    }
    assert join["Arguments"]["NetworkConfig"]["VpcConfig"] == {"SecurityGroupIds": ["sg-0a"], "Subnets": ["subnet-0a"]}
    parts = "Steps.PrepareDataset.ProcessingOutputConfig.Outputs['metadata'].S3Output.S3Uri"
    assert inputs(join) == {
        "metadata": ({"Get": parts}, "FullyReplicated"),
        "config": ({"Get": "Parameters.PipelineConfigUri"}, "FullyReplicated"),
    }
    assert outputs(join) == {"metadata": "metadata"}
    whole = "Steps.JoinDataset.ProcessingOutputConfig.Outputs['metadata']"
    for name in ("TrainDetector", "MeasureServing", "EvaluateDetector"):
        assert parts not in json.dumps(step(several, name))
        assert whole in json.dumps(step(several, name))
