# SPDX-License-Identifier: Apache-2.0
"""`mapgate run` judges what it can before anything is uploaded, by the policy that is deployed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from moto import mock_aws

from infra.settings import Settings
from infra.training.binding import bind
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.commands.data import DEFAULT_GATE_POLICY
from pipelines.commands.plan import judge
from pipelines.demo.scenes import draw_scenes
from tests.infra.training.test_binding import COMMITTED, NAMES

BUCKET = "mapgate-dev-data"
RESOURCES = replace(NAMES, data_bucket=BUCKET, floor_policy="5f" * 32)
DEPLOYMENT = Deployment(BUCKET, "mapgate-dev", "mapgate-dev", "mapgate-dev", "training:1", "inference:1")


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        made = Connection(region="us-east-1")
        made.client("s3").create_bucket(Bucket=BUCKET)
        yield made


def deploy(connection: Connection, policy: str) -> None:
    """Put an environment's gate policy and its pipeline where `cdk deploy` does."""
    key = f"defaults/gate-policy/{RESOURCES.floor_policy}/gate_policy.yaml"
    connection.client("s3").put_object(Bucket=BUCKET, Key=key, Body=policy)
    connection.client("sagemaker").create_pipeline(
        PipelineName="mapgate-dev",
        PipelineDefinition=json.dumps(bind(COMMITTED, Settings(environment="dev"), RESOURCES)),
        ClientRequestToken="t" * 32,
        RoleArn="arn:aws:iam::123456789012:role/pipeline",
    )


def test_a_folder_too_small_for_the_deployed_policy_ends_the_command(
    connection: Connection, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    draw_scenes(tmp_path / "scenes", train=3, validation=1, test=1, size=(160, 120))
    deploy(connection, DEFAULT_GATE_POLICY.read_text().replace("images: 50", "images: 7"))

    with pytest.raises(typer.Exit) as ended:
        judge(
            connection,
            DEPLOYMENT,
            {"folder": str(tmp_path / "scenes"), "config": None, "gate_policy": None},
            {"training_settings": "sead=3", "map_threshold": None},
            quiet=True,
        )

    shown = capfd.readouterr()
    assert ended.value.exit_code == 2
    assert "The test set has 1 images; 7 are required." in shown.err
    assert 'TrainingSettings holds "sead=3"' in shown.err
    assert shown.out == ""


def test_a_policy_of_ones_own_is_held_beside_the_deployed_one(
    connection: Connection, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    draw_scenes(tmp_path / "scenes", train=3, validation=1, test=1, size=(160, 120))
    policy = DEFAULT_GATE_POLICY.read_text().replace("boxes_per_class: 20", "boxes_per_class: 1")
    deploy(connection, policy.replace("  images: 50", "  images: 7"))
    own = {
        name: policy.replace("  images: 50", f"  images: {least}") for name, least in (("weaker", 1), ("stronger", 9))
    }
    for name, text in own.items():
        key = f"inputs/{name}/gate_policy.yaml"
        connection.client("s3").put_object(Bucket=BUCKET, Key=key, Body=text)
        files = {"folder": str(tmp_path / "scenes"), "gate_policy": f"s3://{BUCKET}/inputs/{name}/"}
        with pytest.raises(typer.Exit):
            judge(connection, DEPLOYMENT, files, {}, quiet=True)

    said = capfd.readouterr().err
    assert said.splitlines() == [
        "support.images: the execution's 1 is below the environment's 7, which counts.",
        "The test set has 1 images; 7 are required.",
        "The test set has 1 images; 9 are required.",
    ]


def test_what_lies_elsewhere_is_left_to_the_pipeline(connection: Connection) -> None:
    elsewhere = "s3://somebody-elses/prefix/"
    files: dict[str, str | None] = {"folder": elsewhere, "config": elsewhere, "gate_policy": elsewhere}

    judge(connection, DEPLOYMENT, files, {"architecture": "ssd_mobilenet_v2_fpnlite_160x160"})
