# SPDX-License-Identifier: Apache-2.0
"""The command as somebody types it, where it needs no cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.demo.scenes import draw_scenes

CHECKOUT = Path(__file__).resolve().parents[2]
Mapgate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def mapgate(tmp_path: Path) -> Mapgate:
    """Run the command where neither AWS nor the laptop's cloud is to be had."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    nowhere = {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    environment = {
        **kept,
        **nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MAPGATE_HOME": str(tmp_path / ".mapgate"),
        "COLUMNS": "200",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipelines.cli", *arguments]
        return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("command", [[], ["run"], ["executions"], ["models"], ["images", "push"], ["invoke"], ["demo"]])
def test_every_command_explains_itself(mapgate: Mapgate, command: list[str]) -> None:
    result = mapgate(*command, "--help")

    assert result.returncode == 0
    assert "Usage: mapgate" in result.stdout


def test_the_committed_definition_has_no_fault(mapgate: Mapgate) -> None:
    result = mapgate("check", "--json")

    assert (result.returncode, json.loads(result.stdout)) == (0, [])


def test_a_faulty_definition_is_bad_input_and_each_fault_is_named(mapgate: Mapgate, tmp_path: Path) -> None:
    definition = json.loads((CHECKOUT / "pipelines" / "definition.json").read_text())
    definition["Steps"][0]["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceType"] = "ml.banana.huge"
    (tmp_path / "definition.json").write_text(json.dumps(definition))

    result = mapgate("check", str(tmp_path / "definition.json"))

    assert result.returncode == 2
    assert "PrepareDataset" in result.stdout and "ml.banana.huge" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--local", "models", "list"], "mapgate local up"),
        (["models", "list"], "--region"),
        (["--region", "us-east-1", "models", "list"], "credentials"),
        (["--endpoint-url", "http://127.0.0.1:1", "models", "list"], "Could not connect"),
        (["check", "nowhere.json"], "nowhere.json"),
        (["images", "push", "--accelerator", "tpu"], "cpu or gpu"),
        (["demo", "--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_gives_one_sentence_with_the_way_out(mapgate: Mapgate, arguments: list[str], told: str) -> None:
    result = mapgate(*arguments)

    assert result.returncode == 2, result.stderr
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_data_are_checked_without_any_cloud(mapgate: Mapgate, tmp_path: Path) -> None:
    draw_scenes(tmp_path / "scenes", train=10, validation=3, test=4)

    result = mapgate("data", "check", str(tmp_path / "scenes"), "--json")

    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["images"], told["faults"], told["format"]) == (17, [], "pascal_voc")


def test_the_cloud_that_is_down_is_told_by_the_exit_code(mapgate: Mapgate) -> None:
    result = mapgate("local", "status", "--json")

    assert (result.returncode, json.loads(result.stdout)["running"]) == (1, False)
