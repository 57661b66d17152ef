# SPDX-License-Identifier: Apache-2.0
"""`mapgate doctor` where nothing is set up yet."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

Mapgate = Callable[..., subprocess.CompletedProcess[str]]


def test_without_credentials_it_says_what_is_missing(typed: Mapgate) -> None:
    result = typed("--region", "us-east-1", "doctor", "--json")
    found = {each["thing"]: each for each in json.loads(result.stdout)}

    assert result.returncode == 1
    assert list(found) == [
        "settings", "region", "credentials", "bootstrap", "quotas", "service-linked roles", "images", "docker", "node",
    ]  # fmt: skip
    assert found["settings"]["verdict"] == found["region"]["verdict"] == found["node"]["verdict"] == "good"
    assert found["credentials"]["verdict"] == "wrong"
    assert "aws sso login" in found["credentials"]["told"]
    assert found["quotas"] == {"thing": "quotas", "verdict": "unknown", "told": "needs credentials to be looked at"}


def test_an_environment_that_is_wrong_is_told_first(typed: Mapgate) -> None:
    result = typed("--environment", "nowhere", "doctor")

    assert result.returncode == 1
    assert result.stdout.splitlines()[0].startswith("✘ settings: ")
    assert "nowhere.yaml: no such environment; there are dev, prod, staging" in result.stdout
    assert "region: none is named" in result.stdout
