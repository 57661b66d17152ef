# SPDX-License-Identifier: Apache-2.0
"""Drives an execution: starts what may start, tries steps again, and ends when nothing runs and nothing more will."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localcloud.definitions.expressions import ExpressionError
from localcloud.executions import caching, retries, steps
from localcloud.executions.evaluation import evaluate
from localcloud.executions.execution import ENDED, Execution

FAILURE = "Step failure: One or multiple steps failed."
MOST_SIDE_BY_SIDE = 50


def start(execution: Execution) -> None:
    """Drive an execution from where its record stands, in a new thread."""
    threading.Thread(target=_drive, args=(execution,), name=f"execution {execution.id}", daemon=True).start()


def _drive(execution: Execution) -> None:
    try:
        execution.enter(execution.status)
        _fail_at_once(execution)
        waiting = {name for name, step in execution.steps.items() if step["status"] not in ENDED}
        for name in waiting:
            _start(execution, name)
        with execution.changed:
            while not _settled(execution):
                execution.changed.wait()
        _finish(execution)
    except Exception as error:  # the execution must end, whatever breaks here
        traceback.print_exc(file=sys.stderr)
        execution.enter("Failed", f"InternalServerError: {error}")


def _settled(execution: Execution) -> bool:
    """Start what may start; whether nothing runs and nothing more will."""
    statuses = {name: step["status"] for name, step in execution.steps.items()}
    running = sum(status not in ENDED for status in statuses.values())
    if execution.status == "Executing" and not any(status in ("Failed", "Stopped") for status in statuses.values()):
        outcomes = {
            name: step["properties"]["Outcome"]
            for name, step in execution.steps.items()
            if step["type"] == "Condition" and step["status"] == "Succeeded"
        }
        free = (execution.record.get("parallelism") or MOST_SIDE_BY_SIDE) - running
        for name in execution.schedule.ready(statuses, outcomes)[: max(free, 0)]:
            execution.enter_step(name, "Starting")
            _start(execution, name)
            running += 1
    return running == 0


def _finish(execution: Execution) -> None:
    if any(step["status"] == "Failed" for step in execution.steps.values()) and not execution.stopping:
        execution.enter("Failed", FAILURE)
    elif execution.stopping or any(step["status"] == "Stopped" for step in execution.steps.values()):
        execution.enter("Stopped")
    else:
        execution.enter("Succeeded")


def _fail_at_once(execution: Execution) -> None:
    """An image that was never pushed fails the first step before anything runs, not the last one an hour later."""
    if execution.steps or execution.stopping:
        return
    fault = steps.missing_image(execution)
    first = execution.schedule.ready({}, {})
    if fault and first:
        execution.enter_step(first[0], "Starting")
        execution.enter_step(first[0], "Failed", failure_reason=f"ClientError: {fault}")


def _start(execution: Execution, name: str) -> None:
    threading.Thread(target=_run_step, args=(execution, name), name=f"step {name}", daemon=True).start()


def _run_step(execution: Execution, name: str) -> None:
    began = time.monotonic()
    attempts = int(execution.steps[name].get("attempts", 0))
    policies = execution.schedule.steps[name].get("RetryPolicies", ())
    while True:
        attempts += 1
        try:
            _attempt(execution, name, attempts)
            return
        except steps.StepStopped:
            execution.enter_step(name, "Stopped")
            return
        except steps.StepError as failure:
            pause = retries.delay(policies, failure.kind, attempts, time.monotonic() - began)
            if pause is None or _stopped_within(execution, pause):
                execution.enter_step(name, "Failed", failure_reason=str(failure))
                return
        except Exception as error:  # a step must end, whatever breaks here
            traceback.print_exc(file=sys.stderr)
            execution.enter_step(name, "Failed", failure_reason=f"InternalServerError: {error!r}")
            return


def _attempt(execution: Execution, name: str, attempt: int) -> None:
    definition = execution.schedule.steps[name]
    if execution.stopping and definition["Type"] != "Callback":
        raise steps.StepStopped
    execution.note(name, attempts=attempt)
    try:
        key = _cache_key(execution, definition)
        earlier = _cached(execution, definition, key)
        if earlier:
            reused = {part: earlier.step[part] for part in ("properties", "metadata")}
            execution.enter_step(name, "Succeeded", cache_hit=earlier.execution, cache_key=key, **reused)
            return
        execution.enter_step(name, "Executing", cache_key=key)
        properties = steps.run(execution, definition)
    except ExpressionError as error:
        raise steps.StepError(f"ClientError: {error}") from error
    execution.enter_step(name, "Succeeded", properties=properties)


def _cache_key(execution: Execution, definition: Mapping[str, Any]) -> str | None:
    if definition["Type"] not in caching.KEY_ATTRIBUTES:
        return None
    return caching.cache_key(definition["Type"], evaluate(definition["Arguments"], execution.scope(definition["Name"])))


def _cached(execution: Execution, definition: Mapping[str, Any], key: str | None) -> caching.EarlierRun | None:
    configuration = definition.get("CacheConfig") or {}
    if key is None or not configuration.get("Enabled"):
        return None
    runs = execution.earlier_runs(definition["Name"])
    try:
        return caching.find(runs, key, configuration.get("ExpireAfter"), datetime.now(UTC))
    except ValueError as error:
        raise steps.StepError(f"ClientError: {error}") from error


def _stopped_within(execution: Execution, seconds: float) -> bool:
    """Wait before another attempt; whether the execution was stopped meanwhile."""
    with execution.changed:
        return execution.changed.wait_for(lambda: execution.stopping, seconds)
