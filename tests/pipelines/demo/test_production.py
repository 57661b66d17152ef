# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from moto import mock_aws
from rich.console import Console

from pipelines.client import invocation
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.executions import Execution
from pipelines.demo import production
from pipelines.demo.pretrained import PretrainedDetector
from pipelines.demo.telling import Telling
from pipelines.errors import WorkFailedError

DEPLOYMENT = Deployment("data", "pipeline", "group", "endpoint", "training", "inference")
# Of a machine that cannot fetch it.
NO_PRETRAINED = PretrainedDetector(lambda: None, lambda _images, _score: [])
EXECUTION = Execution("arn:x/abc", "Succeeded", datetime(2026, 1, 1, tzinfo=UTC), None, [])


@pytest.fixture
def connection() -> Iterator[Connection]:
    with mock_aws():
        connection = Connection(region="us-east-1")
        connection.client("s3").create_bucket(Bucket="data")
        yield connection


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def telling(tmp_path: Path, said: io.StringIO) -> Telling:
    return Telling(tmp_path, Console(file=said, width=200))


def test_what_the_endpoint_answers_is_drawn(
    connection: Connection, telling: Telling, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        encoded = cv2.imencode(".png", np.full((60, 80, 3), 100 + number, np.uint8))[1].tobytes()
        key = f"executions/abc/evaluation/samples/{number}.png"
        connection.client("s3").put_object(Bucket="data", Key=key, Body=encoded)
    asked: list[object] = []

    def detect(_: Connection, endpoint: str, __: bytes, *, least_score: float) -> list[invocation.Detection]:
        asked.append(endpoint)
        return [invocation.Detection("car", least_score, (0.1, 0.1, 0.9, 0.9))]

    monkeypatch.setattr(invocation, "detect", detect)

    def found_before(images: Sequence[Path], least_score: float) -> list[list[invocation.Detection]]:
        return [[invocation.Detection("Bicycle", least_score, (0.2, 0.2, 0.5, 0.5))] for _ in images]

    pretrained = PretrainedDetector(lambda: Path("checkpoint"), found_before)
    production.detect(connection, DEPLOYMENT, EXECUTION, pretrained, telling)

    assert asked == ["endpoint", "endpoint"]
    assert telling.summary.animation and telling.summary.contact_sheet
    assert Path(telling.summary.animation).read_bytes().startswith(b"GIF8")
    sheet = cv2.imread(telling.summary.contact_sheet)
    assert sheet is not None and len(np.unique(sheet.reshape(-1, 3), axis=0)) > 3
    assert "2 images, 2 detections" in said.getvalue()
    assert telling.summary.before_and_after
    both = cv2.imread(telling.summary.before_and_after)
    assert both is not None and both.shape[1] > sheet.shape[1]
    assert "found 2 things in the first 2, as Bicycle" in said.getvalue()


def test_without_the_pretrained_detector_nothing_is_compared(
    connection: Connection, telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = cv2.imencode(".png", np.full((60, 80, 3), 100, np.uint8))[1].tobytes()
    connection.client("s3").put_object(Bucket="data", Key="executions/abc/evaluation/samples/0.png", Body=encoded)
    monkeypatch.setattr(invocation, "detect", lambda *_, **__: [])

    production.detect(connection, DEPLOYMENT, EXECUTION, NO_PRETRAINED, telling)

    assert telling.summary.contact_sheet and telling.summary.before_and_after is None


def test_an_execution_without_samples_is_named(connection: Connection, telling: Telling) -> None:
    with pytest.raises(WorkFailedError, match="s3://data/executions/abc/evaluation/samples/ holds no test image"):
        production.detect(connection, DEPLOYMENT, EXECUTION, NO_PRETRAINED, telling)


def test_an_endpoint_that_does_not_come_up_is_said_with_the_place_of_the_reason(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(production, "DEPLOYMENT_SECONDS", 0.01)

    with pytest.raises(WorkFailedError, match=r"does not exist .* version 3 should serve: .*-deployer"):
        production._wait_for_endpoint(connection, DEPLOYMENT, 3)


@pytest.mark.parametrize(
    ("configuration", "version"),
    [("mapgate-dev-v3", 3), ("mapgate-dev-v12-1f9a0c", 12), ("mapgate-v1-dev-candidate-3", None), ("another", None)],
)
def test_a_configuration_tells_the_version_that_it_serves(configuration: str, version: int | None) -> None:
    assert production.version_of(configuration) == version
