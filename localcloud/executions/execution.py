# SPDX-License-Identifier: Apache-2.0
"""One pipeline execution: its durable record, its threads, its changes of state and their events."""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localcloud.definitions.expressions import ExpressionError, Reference
from localcloud.events.announcing import announce
from localcloud.executions import caching, retries, steps
from localcloud.executions.expressions import Scope, evaluate
from localcloud.executions.graph import Graph
from localcloud.home import write_json

ENDED = ("Succeeded", "Failed", "Stopped")
FAILURE = "Step failure: One or multiple steps failed."
MOST_SIDE_BY_SIDE = 50


class Execution:
    """An execution of a pipeline, driven by a thread of its own.

    Args:
        record: The durable state; see `executions.py` for how it begins.
        path: Where the record is written at each change.
        earlier_runs: Successful runs of a step, by its name, in other executions of this pipeline.
    """

    def __init__(
        self, record: dict[str, Any], path: Path, earlier_runs: Callable[[str], Iterable[caching.EarlierRun]]
    ) -> None:
        self.record, self._path, self._earlier_runs = record, path, earlier_runs
        self.account, self.region, self.arn, self.id = (record[key] for key in ("account", "region", "arn", "id"))
        self.changed = threading.Condition(threading.RLock())
        definition = json.loads(record["definition"])
        self.graph = Graph(definition["Steps"])

    @property
    def status(self) -> str:
        return str(self.record["status"])

    @property
    def stopping(self) -> bool:
        return self.status == "Stopping"

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """Records of the steps that have started, by name, in the order in which they did."""
        return self.record["steps"]  # type: ignore[no-any-return]

    def start(self) -> None:
        """Drive the execution from where its record stands, in a new thread."""
        threading.Thread(target=self._drive, name=f"execution {self.id}", daemon=True).start()

    def forget_interrupted(self) -> None:
        """Make the steps that ran when the cloud went down run again; a callback goes on waiting for its answer."""
        with self.changed:
            for name in [name for name, step in self.steps.items() if step["status"] in ("Starting", "Executing")]:
                if self.steps[name]["type"] == "Callback":
                    continue
                self.record.setdefault("interrupted", []).append(name)
                del self.steps[name]
            for step in self.steps.values():
                if step["status"] == "Stopping" and step["type"] != "Callback":
                    step |= {"status": "Stopped", "end": _now()}
            self._save()

    def forget_failed(self) -> None:
        """Make the steps that failed or were stopped run again, for RetryPipelineExecution."""
        with self.changed:
            for name in [name for name, step in self.steps.items() if step["status"] != "Succeeded"]:
                del self.steps[name]
            self.record["failure_reason"] = None
        self.enter("Executing")

    def enter(self, status: str, failure_reason: str | None = None) -> None:
        """Change the execution's status, durably, and tell EventBridge."""
        with self.changed:
            previous = self.record["status"]
            if previous == status and self.record.get("announced"):
                return
            self.record |= {"status": status, "modified": _now(), "announced": True}
            if failure_reason:
                self.record["failure_reason"] = failure_reason
            if status in ENDED:
                self.record["ended"] = _now()
            self._save()
            self.changed.notify_all()
            detail = self._event_detail() | {
                "currentPipelineExecutionStatus": status,
                "previousPipelineExecutionStatus": previous if previous != status else None,
                "executionStartTime": _seconds(self.record["created"]),
                "executionEndTime": _seconds(self.record.get("ended")),
                "pipelineExecutionDisplayName": self.record["display_name"],
                "pipelineExecutionDescription": self.record.get("description"),
            }
        self._emit("Execution Status Change", detail)

    def enter_step(self, name: str, status: str, **fields: Any) -> None:
        """Change a step's status, durably, and tell EventBridge.

        Args:
            name: The step.
            status: Starting, Executing, Stopping, Stopped, Failed or Succeeded.
            **fields: Further members of its record.
        """
        with self.changed:
            step = self.steps.setdefault(
                name, {"name": name, "type": self.graph.steps[name]["Type"], "start": _now(), "metadata": {}}
            )
            previous = step.get("status")
            step |= {"status": status} | fields
            if status in ENDED:
                step["end"] = _now()
            self.record["modified"] = _now()
            self._save()
            self.changed.notify_all()
            detail = self._event_detail() | {
                "stepName": name,
                "stepType": step["type"],
                "stepStartTime": _seconds(step["start"]),
                "stepEndTime": _seconds(step.get("end")),
                "previousStepStatus": previous,
                "currentStepStatus": status,
                "metadata": _lower_case(step["metadata"]),
                "failureReason": step.get("failure_reason"),
                "cacheHitResult": {"sourcePipelineExecutionArn": step["cache_hit"]} if step.get("cache_hit") else None,
            }
        if previous != status:
            self._emit("Execution Step Status Change", detail)

    def note(self, name: str, **fields: Any) -> None:
        """Change members of a step's record durably, silently."""
        with self.changed:
            self.steps[name] |= fields
            self._save()
            self.changed.notify_all()

    def update(self, **fields: Any) -> None:
        """Change members of the execution's record durably, silently."""
        with self.changed:
            self.record |= fields | {"modified": _now()}
            self._save()

    def scope(self, step: str | None = None) -> Scope:
        """What the expressions of `step` may refer to now."""
        with self.changed:
            properties = {
                name: each["properties"] for name, each in self.steps.items() if each["status"] == "Succeeded"
            }
        job = self.steps.get(step or "", {}).get("job", "")
        variables = {
            "PipelineName": self.record["pipeline_name"],
            "PipelineArn": self.record["pipeline_arn"],
            "PipelineExecutionId": self.id,
            "PipelineExecutionArn": self.arn,
            "StartDateTime": _seconds(self.record["created"]),
            "CurrentDateTime": _seconds(_now()),
            "TrainingJobName": job,
            "ProcessingJobName": job,
        }
        return Scope(self.record["parameters"], variables, properties, self._read_json)

    def _read_json(self, source: Reference | str) -> Any:
        if isinstance(source, str):
            return steps.read_json_object(self, source)
        declared = self.graph.steps[source.name].get("PropertyFiles", ())
        file = next((each for each in declared if each["PropertyFileName"] == source.path[1]), None)
        if file is None:
            raise ExpressionError(source.path[1], f"step {source.name} declares no property file of that name")
        reference = f"Steps.{source.name}.ProcessingOutputConfig.Outputs['{file['OutputName']}'].S3Output.S3Uri"
        uri = evaluate({"Get": reference}, self.scope())
        return steps.read_json_object(self, f"{uri.rstrip('/')}/{file['FilePath']}")

    def _drive(self) -> None:
        try:
            self.enter(self.status)
            self._fail_at_once()
            waiting = {name for name, step in self.steps.items() if step["status"] not in ENDED}
            for name in waiting:
                self._start(name)
            with self.changed:
                while not self._settled():
                    self.changed.wait()
            self._finish()
        except Exception as error:  # the execution must end, whatever breaks here
            traceback.print_exc(file=sys.stderr)
            self.enter("Failed", f"InternalServerError: {error}")

    def _settled(self) -> bool:
        """Start what may start; whether nothing runs and nothing more will."""
        statuses = {name: step["status"] for name, step in self.steps.items()}
        running = sum(status not in ENDED for status in statuses.values())
        if self.status == "Executing" and not any(status in ("Failed", "Stopped") for status in statuses.values()):
            outcomes = {
                name: step["properties"]["Outcome"]
                for name, step in self.steps.items()
                if step["type"] == "Condition" and step["status"] == "Succeeded"
            }
            free = (self.record.get("parallelism") or MOST_SIDE_BY_SIDE) - running
            for name in self.graph.ready(statuses, outcomes)[: max(free, 0)]:
                self.enter_step(name, "Starting")
                self._start(name)
                running += 1
        return running == 0

    def _finish(self) -> None:
        if any(step["status"] == "Failed" for step in self.steps.values()) and not self.stopping:
            self.enter("Failed", FAILURE)
        elif self.stopping or any(step["status"] == "Stopped" for step in self.steps.values()):
            self.enter("Stopped")
        else:
            self.enter("Succeeded")

    def _fail_at_once(self) -> None:
        """An image that was never pushed fails the first step before anything runs, not the last one an hour later."""
        if self.steps or self.stopping:
            return
        fault = steps.missing_image(self)
        first = self.graph.ready({}, {})
        if fault and first:
            self.enter_step(first[0], "Starting")
            self.enter_step(first[0], "Failed", failure_reason=f"ClientError: {fault}")

    def _start(self, name: str) -> None:
        threading.Thread(target=self._run_step, args=(name,), name=f"step {name}", daemon=True).start()

    def _run_step(self, name: str) -> None:
        began = time.monotonic()
        attempts = int(self.steps[name].get("attempts", 0))
        policies = self.graph.steps[name].get("RetryPolicies", ())
        while True:
            attempts += 1
            try:
                self._attempt(name, attempts)
                return
            except steps.StepStopped:
                self.enter_step(name, "Stopped")
                return
            except steps.StepError as failure:
                pause = retries.delay(policies, failure.kind, attempts, time.monotonic() - began)
                if pause is None or self._stopped_within(pause):
                    self.enter_step(name, "Failed", failure_reason=str(failure))
                    return
            except Exception as error:  # a step must end, whatever breaks here
                traceback.print_exc(file=sys.stderr)
                self.enter_step(name, "Failed", failure_reason=f"InternalServerError: {error!r}")
                return

    def _attempt(self, name: str, attempt: int) -> None:
        definition = self.graph.steps[name]
        if self.stopping and definition["Type"] != "Callback":
            raise steps.StepStopped
        self.note(name, attempts=attempt)
        try:
            key = self._cache_key(definition)
            earlier = self._cached(definition, key)
            if earlier:
                reused = {part: earlier.step[part] for part in ("properties", "metadata")}
                self.enter_step(name, "Succeeded", cache_hit=earlier.execution, cache_key=key, **reused)
                return
            self.enter_step(name, "Executing", cache_key=key)
            properties = steps.run(self, definition)
        except ExpressionError as error:
            raise steps.StepError(f"ClientError: {error}") from error
        self.enter_step(name, "Succeeded", properties=properties)

    def _cache_key(self, definition: Mapping[str, Any]) -> str | None:
        if definition["Type"] not in caching.KEY_ATTRIBUTES:
            return None
        return caching.cache_key(definition["Type"], evaluate(definition["Arguments"], self.scope(definition["Name"])))

    def _cached(self, definition: Mapping[str, Any], key: str | None) -> caching.EarlierRun | None:
        configuration = definition.get("CacheConfig") or {}
        if key is None or not configuration.get("Enabled"):
            return None
        runs = self._earlier_runs(definition["Name"])
        try:
            return caching.find(runs, key, configuration.get("ExpireAfter"), datetime.now(UTC))
        except ValueError as error:
            raise steps.StepError(f"ClientError: {error}") from error

    def _stopped_within(self, seconds: float) -> bool:
        """Wait before another attempt; whether the execution was stopped meanwhile."""
        with self.changed:
            return self.changed.wait_for(lambda: self.stopping, seconds)

    def _event_detail(self) -> dict[str, Any]:
        return {"pipelineArn": self.record["pipeline_arn"], "pipelineExecutionArn": self.arn}

    def _emit(self, what: str, detail: Mapping[str, Any]) -> None:
        announce(
            self.account,
            self.region,
            f"Model Building Pipeline {what}",
            {key: value for key, value in detail.items() if value is not None},
            [self.record["pipeline_arn"], self.arn],
        )

    def _save(self) -> None:
        write_json(self._path, self.record)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _seconds(time_: str | None) -> str | None:
    return datetime.fromisoformat(time_).strftime("%Y-%m-%dT%H:%M:%SZ") if time_ else None


def _lower_case(value: Any) -> Any:
    """Metadata as events have it: member names begin with a small letter."""
    if isinstance(value, list):
        return [_lower_case(item) for item in value]
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: _lower_case(item) for key, item in value.items()}
    return value
