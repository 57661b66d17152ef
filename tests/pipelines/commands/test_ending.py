# SPDX-License-Identifier: Apache-2.0
"""What is told at the end of an execution."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.client.executions import Execution, Step
from pipelines.client.results import Report, Results
from pipelines.commands.ending import next_command, reason_of
from tests.pipelines.display.test_progress import BEGAN

JOB = {"ProcessingJob": {"Arn": "arn:j/job"}}
REPORT = Report("data set", "s3://b/report.html")


def _ended(status: str, *steps: Step, reason: str | None = None) -> Execution:
    return Execution("arn:x/abc", status, BEGAN, reason, list(steps))


def _failed(name: str, reason: str | None = "it broke") -> Step:
    return Step(name, "Failed", BEGAN, BEGAN, reason, cached=False, metadata=JOB)


@pytest.mark.parametrize(
    ("results", "command"),
    [
        (Results(_ended("Succeeded"), {}, version="arn:m/3"), "m models show 3 --report report.html, then m models ap"),
        (Results(_ended("Failed", _failed("TrainDetector")), {}, reports=[REPORT]), "m executions logs TrainDetector"),
        (
            Results(_ended("Failed", _failed("PrepareDataset")), {}, reports=[REPORT]),
            "m executions report abc",
        ),
        (Results(_ended("Failed", _failed("PrepareDataset")), {}), "m executions logs PrepareDataset abc"),
        (Results(_ended("Stopped"), {}), "m executions show abc"),
        # It was registered, and its candidate failed: nothing to approve.
        (Results(_ended("Failed", _failed("DeployCandidate")), {}, version="arn:m/3"), "m executions logs DeployCand"),
    ],
)
def test_the_next_command_is_the_one_that_helps(results: Results, command: str) -> None:
    assert next_command(results, "m").startswith(command)


@pytest.mark.parametrize(
    ("execution", "reason"),
    [
        (_ended("Failed", _failed("TrainDetector"), reason="Step failure"), "TrainDetector: it broke"),
        (_ended("Failed", replace(_failed("CheckPlan"), failure_reason=None), reason="No role"), "No role"),
        (_ended("Failed"), "SageMaker gives no reason; its steps may say more"),
        (_ended("Stopped"), "somebody stopped it; the same run goes on from its last checkpoint"),
    ],
)
def test_no_end_is_without_a_reason(execution: Execution, reason: str) -> None:
    assert reason_of(Results(execution, {})) == reason
