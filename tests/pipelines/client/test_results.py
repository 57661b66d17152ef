# SPDX-License-Identifier: Apache-2.0
"""What was reused is looked for where it was made."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.client import results
from pipelines.client.connection import Connection
from pipelines.client.executions import Execution, Step
from pipelines.errors import BadInputError
from tests.pipelines.display.test_progress import BEGAN


def _execution(name: str, reused_from: str | None) -> Execution:
    source = f"arn:x/{reused_from}" if reused_from else None
    step = Step("TrainDetector", "Succeeded", BEGAN, BEGAN, None, cached=bool(source), reused_from=source)
    return Execution(f"arn:x/{name}", "Succeeded", BEGAN, None, [step])


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ({}, "a"),
        ({"a": "b"}, "b"),
        ({"a": "b", "b": "c"}, "c"),
        ({"a": "gone"}, "a"),
        ({"a": "b", "b": "a"}, "a"),  # which no service should say, and which must end
    ],
)
def test_a_result_that_was_reused_is_followed_to_its_origin(
    monkeypatch: pytest.MonkeyPatch, sources: dict[str, str], found: str
) -> None:
    def describe(_: Any, arn: str) -> Execution:
        name = arn.rsplit("/", 1)[-1]
        if name == "gone":
            raise BadInputError("there is no such execution")
        return _execution(name, sources.get(name))

    monkeypatch.setattr(results, "describe", describe)
    execution = _execution("a", sources.get("a"))

    assert results.origin(Connection(), execution, execution.steps[0])[0].identifier == found
