# SPDX-License-Identifier: Apache-2.0
"""One pipeline execution: its durable record, its changes of state and their events."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localcloud.clients import SAGEMAKER, client_as
from localcloud.definitions.expressions import ExpressionError, Reference
from localcloud.events.event_bridge import announce
from localcloud.executions.caching import EarlierRun
from localcloud.executions.evaluation import Scope, evaluate
from localcloud.executions.schedule import Schedule
from localcloud.home import write_json
from localcloud.objects import ObjectError, split_uri
from localcloud.times import now

ENDED = ("Succeeded", "Failed", "Stopped")


class Execution:
    """An execution of a pipeline, as its record has it.

    Args:
        record: The durable state; see `actions.py` for how it begins.
        path: Where the record is written at each change.
        earlier_runs: Successful runs of a step, by its name, in other executions of this pipeline.
    """

    def __init__(self, record: dict[str, Any], path: Path, earlier_runs: Callable[[str], Iterable[EarlierRun]]) -> None:
        self.record, self._path, self.earlier_runs = record, path, earlier_runs
        self.account, self.region, self.arn, self.id = (record[key] for key in ("account", "region", "arn", "id"))
        self.changed = threading.Condition(threading.RLock())
        definition = json.loads(record["definition"])
        self.schedule = Schedule(definition["Steps"])

    def client(self, service: str) -> Any:
        """A client of a session of the pipeline's role, with which SageMaker runs it.

        https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-access.html
        """
        return client_as(self.record["role"], SAGEMAKER, service, self.region)

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
                    step |= {"status": "Stopped", "end": now()}
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
            self.record |= {"status": status, "modified": now(), "announced": True}
            if failure_reason:
                self.record["failure_reason"] = failure_reason
            if status in ENDED:
                self.record["ended"] = now()
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
                name, {"name": name, "type": self.schedule.steps[name]["Type"], "start": now(), "metadata": {}}
            )
            previous = step.get("status")
            step |= {"status": status} | fields
            if status in ENDED:
                step["end"] = now()
            self.record["modified"] = now()
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
            "CurrentDateTime": _seconds(now()),
            "TrainingJobName": job,
            "ProcessingJobName": job,
        }
        return Scope(self.record["parameters"], variables, properties, self._read_json)

    def _read_json(self, source: Reference | str) -> Any:
        if isinstance(source, str):
            return self._read_object(source)
        declared = self.schedule.steps[source.name].get("PropertyFiles", ())
        file = next((each for each in declared if each["PropertyFileName"] == source.path[1]), None)
        if file is None:
            raise ExpressionError(source.path[1], f"step {source.name} declares no property file of that name")
        reference = f"Steps.{source.name}.ProcessingOutputConfig.Outputs['{file['OutputName']}'].S3Output.S3Uri"
        uri = evaluate({"Get": reference}, self.scope())
        return self._read_object(f"{uri.rstrip('/')}/{file['FilePath']}")

    def _read_object(self, uri: str) -> Any:
        s3 = self.client("s3")
        try:
            bucket, key = split_uri(uri)
            return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except (ClientError, ObjectError) as error:
            raise ExpressionError(uri, f"the property file cannot be read: {error}") from error
        except ValueError as error:
            raise ExpressionError(uri, f"the property file is no JSON: {error}") from error

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


def _seconds(time_: str | None) -> str | None:
    return datetime.fromisoformat(time_).strftime("%Y-%m-%dT%H:%M:%SZ") if time_ else None


def _lower_case(value: Any) -> Any:
    """Metadata as events have it: member names begin with a small letter."""
    if isinstance(value, list):
        return [_lower_case(item) for item in value]
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: _lower_case(item) for key, item in value.items()}
    return value
