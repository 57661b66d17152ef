# SPDX-License-Identifier: Apache-2.0
"""docs/gate.md has every key of the gate's policy, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from training_src.evaluation.errors import PolicyError
from training_src.evaluation.policy import METRICS, GatePolicy

PAGE = Path(__file__).parents[2] / "docs" / "gate.md"
SOUND: dict[str, Any] = {
    "schema_version": 2,
    "metrics": {"mAP": 0.1},
    "every_class": {},
    "support": {"images": 1, "boxes_per_class": 1},
    "champion": {"greatest_fall": {"mAP": 0}},
    "serving": {"least_matched": 1, "greatest_difference": {"mAP": 0}},
    "recall": {"CLASS": {"precision": 1, "recall": 1}},
    "test_set": {"uri": "s3://bucket/test/", "sha256": "a" * 64},
    "exclusion": {"least_images": 1},
}
SECTIONS = ("", "support", "champion", "serving", "recall.CLASS", "test_set", "exclusion")


def test_the_table_has_every_key_of_a_policy_and_no_other() -> None:
    table = PAGE.read_text().partition("<!-- keys -->")[2].partition("<!-- end -->")[0]
    documented = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    known = [f"{section}.{key}" if section else key for section in SECTIONS for key in keys(section)]
    assert sorted(documented) == sorted(known)


def test_every_metric_of_the_table_is_one() -> None:
    line = next(line for line in PAGE.read_text().splitlines() if line.startswith("| `metrics` |"))
    assert set(re.findall(r"`(\w+)`", line)) - {"metrics"} <= set(METRICS)


def keys(section: str) -> list[str]:
    """What a policy may say in a section, as the refusal of another key tells it."""
    content = {**SOUND}
    if section.startswith("recall."):
        content["recall"] = {"CLASS": {**SOUND["recall"]["CLASS"], "other": 1}}
    elif section:
        content[section] = {**SOUND[section], "other": 1}
    else:
        content["other"] = 1
    with pytest.raises(PolicyError) as caught:
        GatePolicy.of(content)
    return str(caught.value).partition("the known are ")[2].split(", ")
