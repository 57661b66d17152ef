# SPDX-License-Identifier: Apache-2.0
"""`mapgate local` as a person types it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from localcloud import cloud
from pipelines.commands import local
from tests.conftest import CHECKOUT

Mapgate = Callable[..., subprocess.CompletedProcess[str]]


def test_the_cloud_that_is_down_is_told_by_the_exit_code(mapgate: Mapgate) -> None:
    result = mapgate("local", "status", "--json")

    assert (result.returncode, json.loads(result.stdout)["running"]) == (1, False)


@pytest.mark.parametrize(
    ("given", "told"), [("", CHECKOUT / ".mapgate"), ("~/street", Path.home() / "street"), ("/srv/x", Path("/srv/x"))]
)
def test_home_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, given: str, told: Path) -> None:
    monkeypatch.chdir(CHECKOUT)
    monkeypatch.setenv("MAPGATE_HOME", given)

    assert local.home() == told


def test_what_up_tells_to_export_is_all_that_a_tool_needs(typed: Mapgate, monkeypatch: pytest.MonkeyPatch) -> None:
    info = cloud.CloudInfo("http://127.0.0.1:4999", 4999, 1, "now")
    monkeypatch.setattr(cloud, "up", lambda *_: info)

    lines = [line.split() for line in typed("local", "up").stdout.splitlines()]

    exported = dict(word.split("=", 1) for words in lines if words[0] == "export" for word in words[1:])
    for name, value in exported.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_REGION")  # which boto3 does not read
    client = boto3.client("sts", config=Config(signature_version=UNSIGNED))
    assert client.meta.endpoint_url == "http://127.0.0.1:4999"
    assert client.meta.region_name == "us-east-1"


def test_a_home_that_cannot_be_is_one_sentence(mapgate: Mapgate, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = mapgate("local", "up", MAPGATE_HOME=str(tmp_path / "file" / "home"))

    assert result.returncode == 2
    assert "Not a directory; a part of this path is a file" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_cloud_that_is_not_running_is_told_with_its_home(typed: Mapgate, nowhere: dict[str, str]) -> None:
    result = typed("--local", "executions", "list")

    assert result.returncode == 2
    assert f"the laptop's cloud of {nowhere['MAPGATE_HOME']} is not running" in result.stderr


def test_down_says_whether_there_was_one(typed: Mapgate) -> None:
    assert "no cloud of" in typed("local", "down").stdout
    assert json.loads(typed("local", "down", "--json").stdout)["was_running"] is False
