# SPDX-License-Identifier: Apache-2.0
"""The committed definition is what the SDK builds, offline, and what the steps' contracts say."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / ".venv-definition" / "bin" / "python"
COMMITTED = ROOT / "pipelines" / "definition.json"
DEFINITION = json.loads(COMMITTED.read_text())

# One process and one build, since the SDK takes seconds for each. Nothing may go out, not even while it is imported.
BUILD = """
import functools, socket, sys
def refuse(*arguments, **_):
    raise OSError(f"the network was used: {arguments[1:]}")
socket.socket.connect = refuse
socket.getaddrinfo = refuse

from pipelines import definition
from pipelines.definition import main
from pipelines.offline import NetworkUseError, offline
definition.build = functools.cache(definition.build)
built, stale = sys.argv[1:]
print(main(["--output", built]), main(["--check", "--output", built]), main(["--check", "--output", stale]))

for reach in (lambda: socket.create_connection(("aws", 443)), lambda: socket.socket().connect(("127.0.0.1", 9))):
    try:
        with offline():
            reach()
    except NetworkUseError as error:
        print(error)
print(socket.getaddrinfo is refuse)
"""


@pytest.mark.skipif(not SDK.exists(), reason="no SageMaker SDK: run `make .venv-definition/ready`")
def test_builds_the_committed_bytes_without_a_network_and_without_an_account(tmp_path: Path) -> None:
    built, stale = tmp_path / "definition.json", tmp_path / "stale.json"
    stale.write_text("{}")
    run = subprocess.run(
        [SDK, "-c", BUILD, built, stale],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert built.read_bytes() == COMMITTED.read_bytes(), "run `make definition` and review the difference"
    assert f"{stale}: not what pipelines/definition.py builds; run `make definition`" in run.stderr
    assert run.stdout.splitlines() == [
        "0 0 1",
        "building the definition tried to reach aws: it must need no network",
        "building the definition tried to reach ('127.0.0.1', 9): it must need no network",
        "True",
    ]


def test_names_the_steps_in_the_order_of_the_data() -> None:
    assert [(step["Name"], step["Type"]) for step in walk(DEFINITION["Steps"])] == [
        ("PrepareDataset", "Processing"),
        ("CheckPlan", "Lambda"),
        ("TrainDetector", "Training"),
        ("FindChampion", "Lambda"),
        ("MeasureServing", "Processing"),
        ("EvaluateDetector", "Processing"),
        ("CheckQuality", "Condition"),
        ("RegisterDetector", "RegisterModel"),
        ("PublishDossier", "Lambda"),
        ("DeployCandidate", "Callback"),
        ("QualityGateFailed", "Fail"),
    ]


def test_reads_and_writes_what_the_scripts_expect() -> None:
    def inputs(name: str) -> list[str]:
        return [each["InputName"] for each in step(name)["Arguments"]["ProcessingInputs"]]

    def outputs(name: str) -> list[str]:
        return [each["OutputName"] for each in step(name)["Arguments"]["ProcessingOutputConfig"]["Outputs"]]

    assert inputs("PrepareDataset") == ["dataset", "label_map", "config"]
    assert outputs("PrepareDataset") == ["train", "validation", "test", "metadata"]
    assert inputs("MeasureServing") == ["model", "champion", "best", "test", "metadata"]
    assert outputs("MeasureServing") == ["measurements"]
    assert inputs("EvaluateDetector") == [
        "measurements", "test", "metadata", "model", "champion", "best", "gate_policy", "floor_policy",
    ]  # fmt: skip
    assert outputs("EvaluateDetector") == ["evaluation"]
    channels = [channel["ChannelName"] for channel in step("TrainDetector")["Arguments"]["InputDataConfig"]]
    assert channels == ["train", "validation", "metadata", "config", "checkpoint"]
    for each in walk(DEFINITION["Steps"]):
        for entry in each["Arguments"].get("ProcessingInputs", []):
            assert entry["S3Input"]["LocalPath"] == f"/opt/ml/processing/input/{entry['InputName']}"


def test_a_training_is_told_the_address_of_the_checkpoint_that_it_is_given() -> None:
    """What a model says of itself is believed by this address: another one would be a way around it."""
    arguments = step("TrainDetector")["Arguments"]
    channels = {
        channel["ChannelName"]: channel["DataSource"]["S3DataSource"] for channel in arguments["InputDataConfig"]
    }
    told = arguments["HyperParameters"]
    assert told["initial_checkpoint_uri"] == channels["checkpoint"]["S3Uri"]
    assert arguments["OutputDataConfig"]["S3OutputPath"] == f"s3://{told['data_bucket']}/models"


def test_caches_the_dataset_and_the_training_and_nothing_that_judges() -> None:
    cached = {each["Name"]: each["CacheConfig"] for each in walk(DEFINITION["Steps"]) if "CacheConfig" in each}
    month = {"Enabled": True, "ExpireAfter": "P30D"}
    assert cached == {"PrepareDataset": month, "TrainDetector": month}


def test_another_gate_policy_prepares_and_trains_nothing_anew() -> None:
    """Step caching compares a step's arguments, of which neither step has any that a policy changes."""
    assert step("TrainDetector")["DependsOn"] == ["CheckPlan"]
    assert "Parameters.GatePolicyUri" in json.dumps(step("CheckPlan")["Arguments"])
    for name in ("PrepareDataset", "TrainDetector"):
        arguments = json.dumps(step(name)["Arguments"])
        assert "GatePolicyUri" not in arguments and "Steps.CheckPlan" not in arguments


def test_the_environments_policy_is_no_parameter_and_an_executions_own_is_none_unless_given() -> None:
    """Whoever starts an execution chooses parameters, and nothing else."""
    floor = "s3://unbound-data-bucket/defaults/gate-policy/unbound-floor-policy/"
    inputs = {each["InputName"]: each for each in step("EvaluateDetector")["Arguments"]["ProcessingInputs"]}
    assert inputs["floor_policy"]["S3Input"]["S3Uri"] == floor
    assert inputs["gate_policy"]["S3Input"]["S3Uri"] == {"Get": "Parameters.GatePolicyUri"}
    assert step("CheckPlan")["Arguments"]["floor_policy_uri"] == floor
    parameters = {parameter["Name"]: parameter for parameter in DEFINITION["Parameters"]}
    assert parameters["GatePolicyUri"]["DefaultValue"] == "s3://unbound-data-bucket/defaults/none/"


def test_hands_on_what_a_verdict_is_about() -> None:
    found = "Steps.FindChampion.OutputParameters['{}']"
    assert step("EvaluateDetector")["Arguments"]["Environment"] == {
        "MAPGATE_BEST_ARN": {"Get": found.format("BestModelPackageArn")},
        "MAPGATE_BEST_RUNTIME": {"Get": found.format("BestRuntime")},
        "MAPGATE_CHAMPION_ARN": {"Get": found.format("ChampionModelPackageArn")},
        "MAPGATE_CHAMPION_RUNTIME": {"Get": found.format("ChampionRuntime")},
        "MAPGATE_CHAMPION_WAIVER": {"Get": found.format("ChampionWaiver")},
        "MAPGATE_FLOOR_POLICY_URI": "s3://unbound-data-bucket/defaults/gate-policy/unbound-floor-policy/",
        "MAPGATE_GATE_POLICY_URI": {"Get": "Parameters.GatePolicyUri"},
        "MAPGATE_MAP_THRESHOLD": {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.MapThreshold"}]}},
        "MAPGATE_TEST_SET": "execution",
    }
    assert step("MeasureServing")["Arguments"]["Environment"] == {
        "MAPGATE_BEST_RUNTIME": {"Get": found.format("BestRuntime")},
        "MAPGATE_CHAMPION_RUNTIME": {"Get": found.format("ChampionRuntime")},
    }
    published = step("PublishDossier")["Arguments"]
    assert published["champion_arn"] == {"Get": found.format("ChampionModelPackageArn")}
    assert published["best_arn"] == {"Get": found.format("BestModelPackageArn")}
    assert published["inference_image_digest"] == {"Get": found.format("InferenceImageDigest")}
    assert published["training_image_digest"] == {"Get": "Steps.CheckPlan.OutputParameters['TrainingImageDigest']"}
    assert published["model_uri"] == {"Get": "Steps.TrainDetector.ModelArtifacts.S3ModelArtifacts"}
    assert "Steps.PrepareDataset.ProcessingOutputConfig.Outputs['metadata']" in published["metadata_uri"]["Get"]


def test_the_images_are_looked_at_before_they_work() -> None:
    """A tag that was moved meanwhile would make a verdict that nobody can repeat."""
    images = {
        "CheckPlan": step("TrainDetector")["Arguments"]["AlgorithmSpecification"]["TrainingImage"],
        "FindChampion": step("MeasureServing")["Arguments"]["AppSpecification"]["ImageUri"],
    }
    assert step("CheckPlan")["Arguments"]["training_image"] == images["CheckPlan"]
    assert step("FindChampion")["Arguments"]["inference_image"] == images["FindChampion"]


def test_studio_asks_for_the_data_and_offers_the_architectures_that_there_are() -> None:
    """Of a parameter without a default SageMaker wants a value at the start, and no job is paid to say so."""
    parameters = {parameter["Name"]: parameter for parameter in DEFINITION["Parameters"]}
    assert [name for name, parameter in parameters.items() if "DefaultValue" not in parameter] == ["DatasetUri"]
    bundled = sorted(path.stem for path in (ROOT / "training_src/models/configs").glob("*.config"))
    assert parameters["Architecture"]["EnumValues"] == bundled


def test_checkpoints_lie_under_architecture_and_fingerprint_and_never_under_the_execution() -> None:
    parameters = {parameter["Name"]: parameter for parameter in DEFINITION["Parameters"]}
    assert parameters["CheckpointFingerprint"]["DefaultValue"] == "shared"
    (_, *below) = step("TrainDetector")["Arguments"]["CheckpointConfig"]["S3Uri"]["Std:Join"]["Values"]
    assert below == [{"Get": "Parameters.Architecture"}, {"Get": "Parameters.CheckpointFingerprint"}]


def test_looks_for_the_champion_when_the_training_has_ended() -> None:
    assert step("FindChampion")["DependsOn"] == ["TrainDetector"]


def test_bears_versions_pending_and_gives_nobody_a_parameter_to_change_that() -> None:
    assert step("RegisterDetector")["Arguments"]["ModelApprovalStatus"] == "PendingManualApproval"
    assert "ModelApprovalStatus" not in [parameter["Name"] for parameter in DEFINITION["Parameters"]]


def test_metric_expressions_find_their_number_and_nothing_in_the_other_kind_of_line() -> None:
    training = (
        "step=120/1000 loss=1.2345 classification_loss=0.8 localization_loss=0.4 learning_rate=0.01000 "
        "images_per_second=18.3 eta_seconds=85"
    )
    validation = "validation step=500 mAP=0.4312 mAP_50=0.7011"
    found = {
        (definition["Name"], line): match[1]
        for definition in step("TrainDetector")["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"]
        for line in (training, validation)
        if (match := re.search(definition["Regex"], line))
    }
    assert found == {
        ("train:loss", training): "1.2345",
        ("train:learning_rate", training): "0.01000",
        ("train:images_per_second", training): "18.3",
        ("validation:mAP", validation): "0.4312",
        ("validation:mAP_50", validation): "0.7011",
    }


def walk(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in steps:
        yield each
        yield from walk(each["Arguments"].get("IfSteps", []))
        yield from walk(each["Arguments"].get("ElseSteps", []))


def step(name: str) -> dict[str, Any]:
    return next(each for each in walk(DEFINITION["Steps"]) if each["Name"] == name)
