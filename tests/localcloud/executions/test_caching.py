# SPDX-License-Identifier: Apache-2.0
"""Step caching by AWS's list of attributes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcloud.executions.caching import KEY_ATTRIBUTES, EarlierRun, cache_key, duration, find

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ARGUMENTS: dict[str, Any] = {
    "AppSpecification": {"ImageUri": "image:1"},
    "Environment": {"A": "1"},
    "ProcessingInputs": [{"InputName": "data", "S3Input": {"S3Uri": "s3://b/data"}}],
    "ProcessingOutputConfig": {"Outputs": []},
    "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large"}},
    "RoleArn": "role",
}


@pytest.mark.parametrize("attribute", KEY_ATTRIBUTES["Processing"])
def test_a_listed_attribute_changes_the_key(attribute: str) -> None:
    assert cache_key("Processing", ARGUMENTS) != cache_key("Processing", ARGUMENTS | {attribute: {"other": 1}})


@pytest.mark.parametrize("attribute", ["ProcessingOutputConfig", "ProcessingResources", "RoleArn", "NetworkConfig"])
def test_an_unlisted_attribute_does_not(attribute: str) -> None:
    assert cache_key("Processing", ARGUMENTS) == cache_key("Processing", ARGUMENTS | {attribute: {"other": 1}})


def test_training_compares_checkpoints_and_hyperparameters_but_no_resources() -> None:
    training: dict[str, Any] = {"HyperParameters": {"seed": "17"}, "ResourceConfig": {"InstanceCount": 1}}
    key = cache_key("Training", training)
    assert cache_key("Training", training | {"ResourceConfig": {"InstanceCount": 2}}) == key
    assert cache_key("Training", training | {"HyperParameters": {"seed": "18"}}) != key
    assert cache_key("Training", training | {"CheckpointConfig": {"S3Uri": "s3://b/c"}}) != key


@pytest.mark.parametrize("step_type", ["Lambda", "Condition", "RegisterModel", "Callback"])
def test_other_types_are_never_cached(step_type: str) -> None:
    assert cache_key(step_type, ARGUMENTS) is None


def run(name: str, days: float, key: str = "key") -> EarlierRun:
    return EarlierRun(name, key, NOW - timedelta(days=days), {})


def test_the_latest_matching_run_within_the_limit_wins() -> None:
    runs = [run("old", 40), run("older", 3), run("newest", 2), run("other", 1, "other key")]
    assert find(runs, "key", "P30D", NOW) == runs[2]
    assert find(runs[:1], "key", "P30D", NOW) is None
    assert find(runs[:1], "key", None, NOW) == runs[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P30D", timedelta(days=30)),
        ("PT1H", timedelta(hours=1)),
        ("30d", timedelta(days=30)),
        ("T16m", timedelta(minutes=16)),
        ("30dT5h", timedelta(days=30, hours=5)),
        ("P1Y2M", timedelta(days=425)),
        ("P2W", timedelta(weeks=2)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "P", "soon", "PT", "30"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no ISO 8601 duration"):
        duration(text)
