# SPDX-License-Identifier: Apache-2.0
"""A Callback step whose message nobody could handle is answered, for it would wait for ever."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.delivery.step_failures.index import answer

LOG = "/aws/lambda/mapgate-dev-deployer"


class Waiting:
    """A pipeline that waits for one token."""

    def __init__(self) -> None:
        self.answers: list[dict[str, str]] = []
        self.refusal = ""

    def send_pipeline_execution_step_failure(self, **answer: str) -> None:
        if self.refusal:
            problem: Any = {"Error": {"Code": self.refusal, "Message": "no"}}
            raise ClientError(problem, "SendPipelineExecutionStepFailure")
        self.answers.append(answer)


def test_step_is_told_that_it_failed_and_where_to_look() -> None:
    pipeline: Any = Waiting()
    answer(pipeline, {"token": "0123456789", "arguments": {}, "status": "Executing"}, LOG)
    assert [one["CallbackToken"] for one in pipeline.answers] == ["0123456789"]
    assert LOG in pipeline.answers[0]["FailureReason"]
    assert len(pipeline.answers[0]["FailureReason"]) <= 256


@pytest.mark.parametrize("code", ["ResourceNotFound", "ValidationException"])
def test_step_that_waits_no_longer_is_no_error(code: str) -> None:
    pipeline: Any = Waiting()
    pipeline.refusal = code
    assert "nobody waits" in answer(pipeline, {"token": "0123456789"}, LOG)


def test_answer_that_could_not_be_given_is_given_again() -> None:
    pipeline: Any = Waiting()
    pipeline.refusal = "ThrottlingException"
    with pytest.raises(ClientError):
        answer(pipeline, {"token": "0123456789"}, LOG)


def test_reminders_are_dropped_and_what_is_neither_goes_to_people() -> None:
    pipeline: Any = Waiting()
    answer(pipeline, {"endpoint": "mapgate-dev"}, LOG)
    with pytest.raises(ValueError, match="request"):
        answer(pipeline, {"request": {"RequestType": "Delete"}}, LOG)
    assert pipeline.answers == []
