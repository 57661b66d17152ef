# SPDX-License-Identifier: Apache-2.0
"""Event patterns get the verdict that AWS gave them.

The cases were recorded from AWS by LocalStack's tests (https://github.com/localstack/localstack, Apache-2.0,
`tests/aws/services/events/event_pattern_templates`): pattern, event and verdict are taken from there as facts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

CASES = [json.loads(line) for line in Path(__file__).with_name("event_patterns.jsonl").read_text().splitlines()]


def verdict(cloud: Any, pattern: Any, event: Any) -> str:
    events = cloud.client("events")
    try:
        answer = events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidEventPatternException"
        return "refused"
    return "match" if answer["Result"] else "no match"


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_a_pattern_gets_its_verdict(cloud: Any, case: dict[str, Any]) -> None:
    assert verdict(cloud, case["pattern"], case["event"]) == case["verdict"]


def test_a_rule_takes_the_patterns_that_are_not_refused(cloud: Any) -> None:
    for case in CASES:
        refused = case["verdict"] == "refused"
        try:
            cloud.client("events").put_rule(Name="conformance", EventPattern=json.dumps(case["pattern"]))
        except ClientError as error:
            assert refused and error.response["Error"]["Code"] == "InvalidEventPatternException", case["case"]
        else:
            assert not refused, case["case"]
