# SPDX-License-Identifier: Apache-2.0
"""Step caching: which earlier run of a step stands for a new one, by AWS's own list of attributes.

Objects behind an S3 URI are never looked at, only the URI.
https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-caching.html#pipelines-default-keys
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

KEY_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
    "Training": (
        "AlgorithmSpecification",
        "CheckpointConfig",
        "DebugHookConfig",
        "DebugRuleConfigurations",
        "Environment",
        "HyperParameters",
        "InputDataConfig",
    ),
    "Transform": ("DataProcessing", "Environment", "ModelName", "TransformInput"),
}
"""Of the step types that run here, those that AWS caches, with the arguments that make up the key."""


@dataclass(frozen=True)
class EarlierRun:
    """A step that succeeded in an earlier execution of the same pipeline.

    Attributes:
        execution: ARN of that execution.
        key: Its cache key.
        ended: When it ended, with time zone.
        step: The step's record, whose properties and metadata are reused.
    """

    execution: str
    key: str
    ended: datetime
    step: Mapping[str, Any]


def cache_key(step_type: str, arguments: Mapping[str, Any]) -> str | None:
    """A digest of the attributes that AWS compares, or None for a step type that is never cached.

    Args:
        step_type: The step's `Type`.
        arguments: Its `Arguments`, evaluated.
    """
    if step_type not in KEY_ATTRIBUTES:
        return None
    compared = {name: arguments.get(name) for name in KEY_ATTRIBUTES[step_type]}
    return hashlib.sha256(json.dumps(compared, sort_keys=True, default=str).encode()).hexdigest()


def find(runs: Iterable[EarlierRun], key: str, expire_after: str | None, now: datetime) -> EarlierRun | None:
    """The latest successful run with that key that is not older than `expire_after`.

    Args:
        runs: Successful runs of this step in this pipeline.
        key: From `cache_key`.
        expire_after: Duration, None for no limit.
        now: The present, with time zone.
    """
    oldest = now - duration(expire_after) if expire_after else None
    matching = [run for run in runs if run.key == key and (oldest is None or run.ended >= oldest)]
    return max(matching, key=lambda run: run.ended, default=None)


def duration(text: str) -> timedelta:
    """A duration as CacheConfig takes it: ISO 8601 ("P30D", "PT1H"), or AWS's short form of it ("30d", "30dT5h").

    A month counts 30 days and a year 365.

    Raises:
        ValueError: The text is none.
    """
    match = _DURATION.fullmatch(text.strip().upper())
    if not match or not any(match.groups()):
        raise ValueError(f"ExpireAfter {text!r} is no ISO 8601 duration such as P30D or PT1H")
    years, months, weeks, days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return timedelta(days=365 * years + 30 * months + 7 * weeks + days, hours=hours, minutes=minutes, seconds=seconds)


_DURATION = re.compile(
    r"P?(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?",
)
