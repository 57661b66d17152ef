# SPDX-License-Identifier: Apache-2.0
"""What `mapgate run` tells before it starts anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.settings import ENVIRONMENTS, Settings
from infra.training.binding import Resources, bind
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.initial_checkpoint import InitialCheckpoint
from pipelines.commands.announcement import LAPTOPS_ARCHITECTURE, announce, with_defaults
from pipelines.demo.scenes import draw_scenes
from pipelines.errors import BadInputError

COMMITTED = json.loads((Path(__file__).parents[3] / "pipelines" / "definition.json").read_text())
RESOURCES = Resources(**dict.fromkeys(Resources.__dataclass_fields__, "named") | {"floor_policy": "5f" * 32})
DEPLOYMENT = Deployment(**dict.fromkeys(Deployment.__dataclass_fields__, "named"))
LAPTOP = "http://127.0.0.1:14577"
NO_URIS = dict.fromkeys(("PipelineConfigUri", "LabelMapUri", "InitialCheckpointUri", "GatePolicyUri"))
NO_VALUES: dict[str, Any] = dict.fromkeys(
    ("Architecture", "TrainingSteps", "TrainingSettings", "TrainingInstanceType", "MapThreshold")
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    draw_scenes(folder, train=6, validation=2, test=2)
    return folder


def connected(environment: str, endpoint_url: str | None = None, folder: Path = ENVIRONMENTS) -> Connection:
    """A connection whose SageMaker describes an environment's pipeline."""
    sagemaker = boto3.Session("emulated", "emulated", region_name="us-east-1").client("sagemaker")
    body = json.dumps(bind(COMMITTED, Settings.read(environment, folder), RESOURCES))
    stubber = Stubber(sagemaker)
    stubber.add_response("describe_pipeline", {"PipelineDefinition": body}, {"PipelineName": "named"})
    stubber.activate()
    return Connection(endpoint_url=endpoint_url, _clients={"sagemaker": sagemaker})


def announced(
    connection: Connection, data: Path | str, start: InitialCheckpoint | None = None, **values: Any
) -> dict[str, Any]:
    chosen = with_defaults(connection, NO_URIS, NO_VALUES | values)
    return announce(connection, DEPLOYMENT, str(data), NO_URIS, chosen, start=start, ask=True, quiet=False)


def test_tells_images_classes_batch_steps_instance_time_and_cost(
    scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = announced(connected("dev"), scenes)
    said = capsys.readouterr().out
    assert "10 images in " in said and "3 classes: " in said
    assert "ssd_mobilenet_v2_fpnlite_320x320" in said
    assert f"{Settings.read('dev').training.default_steps:,} steps of batch 8, learning rate 0.1\n" in said
    assert "ml.m5.xlarge;" in said
    assert "stopped after 24.0 h" in said
    assert " USD (" in said and "time limits times prices of 20" in said
    assert (plan["training"]["images"], plan["training"]["batch_size"]) == (10, 8)


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (None, "start     from the training image's own weights where they fit the architecture, else from scratch\n"),
        (InitialCheckpoint("version 3 of mapgate-dev, s3://b/models/m"), "version 3 of mapgate-dev, s3://b/models/m"),
    ],
)
def test_tells_what_the_training_starts_from(
    scenes: Path, capsys: pytest.CaptureFixture[str], start: InitialCheckpoint | None, told: str
) -> None:
    plan = announced(connected("dev"), scenes, start)
    assert told in capsys.readouterr().out
    assert plan["initial_checkpoint"] == (start.said if start else None)


@pytest.mark.parametrize(
    ("own", "threshold", "told"),
    [
        (None, None, "gate      the environment's policy 5f5f5f5f5f5f\n"),
        (
            "mine.yaml",
            None,
            "policy 5f5f5f5f5f5f, which mine.yaml can only tighten: what would loosen it is overruled, and told",
        ),
        (
            "mine.yaml",
            0.4,
            "the environment's policy 5f5f5f5f5f5f, which mine.yaml and a mAP of at least 0.4 can only tighten",
        ),
    ],
)
def test_tells_whose_policy_decides_and_that_ones_own_only_tightens_it(
    scenes: Path, capsys: pytest.CaptureFixture[str], own: str | None, threshold: float | None, told: str
) -> None:
    uris, values = NO_URIS | {"GatePolicyUri": own}, NO_VALUES | {"MapThreshold": threshold}
    plan = announce(connected("dev"), DEPLOYMENT, str(scenes), uris, values, ask=False, quiet=False)
    assert told in capsys.readouterr().out
    assert told.strip().removeprefix("gate      ") in plan["gate"]


def test_tells_of_the_environments_own_test_set(scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "dev.yaml").write_text("gate_policy: own.yaml")
    (tmp_path / "own.yaml").write_text(f"schema_version: 2\ntest_set: {{uri: s3://fleet/t/, sha256: {'0a' * 32}}}\n")
    plan = announced(connected("dev", folder=tmp_path), scenes)
    assert plan["gate"] == "the environment's policy 5f5f5f5f5f5f; on the environment's test set s3://fleet/t/"


def test_a_checkpoint_of_the_zoo_brings_its_schedule(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = InitialCheckpoint("ssd_mobilenet_v2_fpnlite_320x320 of the zoo", zoo="a", is_zoos=True)
    announced(connected("dev"), scenes, start)
    said = capsys.readouterr().out
    assert "steps of batch 32 (the config's is 128), learning rate 0.02, in proportion" in said


def test_on_the_laptops_cloud_the_small_detector_is_trained_for_its_own_steps(
    scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    announced(connected("dev", LAPTOP), scenes)
    said = capsys.readouterr().out
    assert LAPTOPS_ARCHITECTURE in said
    assert "200 steps of batch 8, learning rate 0.1\n" in said
    assert "this machine; at most " in said
    assert "nothing: all jobs run here" in said


def test_what_does_not_fit_the_memory_or_the_time_is_refused(scenes: Path) -> None:
    with pytest.raises(BadInputError, match=r"a batch of 512 needs at least .* set batch_size=32 or batch_size=auto"):
        announced(connected("dev"), scenes, TrainingSettings="batch_size=512")
    with pytest.raises(BadInputError, match=r"take at least .* take --training-steps"):
        announced(connected("dev"), scenes, TrainingSteps=1_000_000)


def test_an_instance_that_is_not_known_is_no_reason_to_refuse(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announced(connected("dev"), scenes, TrainingInstanceType="ml.z9.huge")
    said = capsys.readouterr().out
    assert "a batch that fits, at most 8" in said


def test_only_who_sits_at_a_terminal_is_asked(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr("typer.confirm", confirm)
    announced(connected("dev"), scenes)
    assert asked == []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    announced(connected("dev"), scenes)
    assert asked == ["start?"]


@pytest.mark.parametrize(
    ("endpoint_url", "config", "given", "architecture", "steps"),
    [
        (None, None, None, None, None),
        (None, "pipeline.config", None, None, 0),
        (LAPTOP, None, None, LAPTOPS_ARCHITECTURE, 0),
        (LAPTOP, "pipeline.config", None, None, 0),
        (LAPTOP, None, "efficientdet_d0_512x512", "efficientdet_d0_512x512", None),
    ],
)
def test_a_config_of_ones_own_and_the_laptops_detector_say_their_steps_themselves(
    endpoint_url: str | None, config: str | None, given: str | None, architecture: str | None, steps: int | None
) -> None:
    connection = Connection(endpoint_url=endpoint_url)
    chosen = with_defaults(connection, NO_URIS | {"PipelineConfigUri": config}, NO_VALUES | {"Architecture": given})
    assert (chosen["Architecture"], chosen["TrainingSteps"]) == (architecture, steps)
    own = with_defaults(connection, NO_URIS | {"PipelineConfigUri": config}, NO_VALUES | {"TrainingSteps": 7})
    assert own["TrainingSteps"] == 7
