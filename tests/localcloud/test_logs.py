# SPDX-License-Identifier: Apache-2.0
"""Lines on their way into log streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from localcloud.logs import LogFollower, write_lines


@pytest.fixture(name="logs")
def _logs(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield boto3.client("logs")


def messages(logs: Any) -> list[str]:
    events = logs.get_log_events(logGroupName="group", logStreamName="stream", startFromHead=True)["events"]
    return [event["message"] for event in events]


def test_lines_make_their_stream_and_are_added_to_it(logs: Any) -> None:
    write_lines(logs, "group", "stream", ["one", "", "two"])
    write_lines(logs, "group", "stream", ["three"])
    assert messages(logs) == ["one", "two", "three"]


def test_a_followed_file_is_sent_to_its_last_line(logs: Any, tmp_path: Path) -> None:
    seen: list[str] = []
    file = tmp_path / "log.txt"
    follower = LogFollower(logs, "group", "stream", file, seen.append)
    file.write_bytes(b"first\r\nprogress 1\rprogress 2\nno end")
    follower.finish()
    assert messages(logs) == seen == ["first", "progress 1", "progress 2", "no end"]
