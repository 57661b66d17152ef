# SPDX-License-Identifier: Apache-2.0
"""`mapgate endpoints`: what serves where since when, and what waits and why."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from localcloud import cloud as local_cloud
from tests.pipelines.registered import APPROVED_AT, Registered

Mapgate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("cloud") / ".mapgate"
    yield local_cloud.up(home).endpoint_url
    local_cloud.down(home)


def test_what_serves_and_what_waits_is_told(url: str, typed: Mapgate) -> None:
    deployed = Registered(url, "shop")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return typed("--endpoint-url", url, "--project", "shop", "endpoints", *words)

    told = run()
    assert told.returncode == 0, told.stderr
    assert "shop-dev no endpoint" in told.stdout
    assert "nothing yet" in told.stdout

    for _ in range(3):
        deployed.version()
    approve = deployed.client("sagemaker").update_model_package
    for number in (1, 2):
        approve(ModelPackageArn=deployed.arn(number), ModelApprovalStatus="Approved")
    deployed.serves(1)
    deployed.approved(2, Outcome="waiting", Sentence="v2 could not be deployed: quota [ml.c5.xlarge] is 0")
    at = APPROVED_AT
    deployed.record(f"event#{at:013d}#1", Version=1, Kind="serves", Sentence="v1 serves production", At=at)

    told = run()
    assert told.returncode == 0, told.stderr
    assert "version 1 since 2026-09-21 14:13:20 UTC" in told.stdout
    assert "openvino (f32)" in told.stdout and "ml.c5.xlarge" in told.stdout
    assert "version 2 waiting: v2 could not be deployed: quota [ml.c5.xlarge] is 0" in told.stdout
    assert "version 3 for a decision: `mapgate --project shop" in told.stdout
    found = json.loads(run("--json").stdout)
    assert found["endpoints"][0]["version"] == 1
    assert found["endpoints"][0]["since"] == "2026-09-21T14:13:20+00:00"
    assert [one["version"] for one in found["waiting"]] == [3, 2]


def test_records_that_may_not_be_read_leave_the_rest(url: str, typed: Mapgate) -> None:
    deployed = Registered(url, "kiosk")
    deployed.version()
    deployed.client("dynamodb").delete_table(TableName=deployed.names["deployment_table"])
    told = typed("--endpoint-url", url, "--project", "kiosk", "endpoints")
    assert told.returncode == 0, told.stderr
    assert "the deployer's records cannot be read" in told.stdout
    assert "version 1 for a decision" in told.stdout
