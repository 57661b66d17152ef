# SPDX-License-Identifier: Apache-2.0
"""The actions of SageMaker Pipelines' executions: start, describe, list, stop, retry, answer a callback."""

from __future__ import annotations

import json
import secrets
import string
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from moto.core.utils import utcnow

from localcloud.authorisation.identities import user_context
from localcloud.authorisation.needs import Need
from localcloud.authorisation.operations import know
from localcloud.clients import client
from localcloud.context import CloudContext
from localcloud.dispatch import Call, ServiceError, invalid, original_action, replace_action, state_lock
from localcloud.executions import caching, driving
from localcloud.executions.execution import ENDED, Execution
from localcloud.executions.parameters import ParameterError, as_text, bound
from localcloud.executions.schedule import DefinitionError, Schedule
from localcloud.executions.steps import StepError, answer_callback
from localcloud.home import Home
from localcloud.jobs import actions as jobs
from localcloud.listing import listed, paged
from localcloud.times import now

_executions: dict[str, Execution] = {}
_lock = threading.RLock()
_home: Home


def install(context: CloudContext) -> None:
    """Answer the actions; read back the records of earlier executions."""
    global _home
    _home = Home(context.home)
    for action, handler in {
        "StartPipelineExecution": _start,
        "DescribePipelineExecution": _describe,
        "ListPipelineExecutions": _list,
        "ListPipelineExecutionSteps": _list_steps,
        "ListPipelineParametersForExecution": _list_parameters,
        "DescribePipelineDefinitionForExecution": _describe_definition,
        "StopPipelineExecution": _stop,
        "RetryPipelineExecution": _retry,
        "SendPipelineExecutionStepSuccess": _succeed_step,
        "SendPipelineExecutionStepFailure": _fail_step,
        "DeletePipeline": _delete_pipeline,
    }.items():
        replace_action("sagemaker", action, handler)
    know("sagemaker", "SendPipelineExecutionStepSuccess SendPipelineExecutionStepFailure", _answer_needs)
    for path in sorted(_home.executions.glob("*.json")):
        _remember(json.loads(path.read_text()))


def resume(context: CloudContext) -> None:
    """Go on with the executions that the cloud's end interrupted: what had finished stays so, the rest runs again."""
    jobs.resume(context)
    for execution in list(_executions.values()):
        if execution.status not in ENDED:
            execution.forget_interrupted()
            driving.start(execution)


def _start(call: Call) -> dict[str, Any]:
    request = call.parameters
    pipeline = _pipeline(call, request["PipelineName"])
    if request.get("SelectiveExecutionConfig"):
        raise invalid("The emulated cloud does not run selected steps only")
    with _lock:
        token = request.get("ClientRequestToken")
        for known in _executions.values():
            if token and known.record["token"] == token and known.record["pipeline_arn"] == pipeline["PipelineArn"]:
                return {"PipelineExecutionArn": known.arn}
        execution = _remember(_new_record(call, pipeline))
    with state_lock:  # DescribePipeline's LastRunTime
        call.backend("sagemaker").pipelines[pipeline["PipelineName"]].last_execution_time = utcnow()
    driving.start(execution)
    return {"PipelineExecutionArn": execution.arn}


def _new_record(call: Call, pipeline: dict[str, Any]) -> dict[str, Any]:
    request, created = call.parameters, now()
    definition = json.loads(pipeline["PipelineDefinition"])
    try:
        values = bound(definition.get("Parameters", ()), request.get("PipelineParameters") or ())
        Schedule(definition["Steps"])
    except (ParameterError, DefinitionError) as error:
        raise invalid(str(error)) from error
    parallel = request.get("ParallelismConfiguration") or pipeline.get("ParallelismConfiguration") or {}
    identifier = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(12))
    return {
        "id": identifier,
        "arn": f"{pipeline['PipelineArn']}/execution/{identifier}",
        "account": call.account,
        "region": call.region,
        "pipeline_name": pipeline["PipelineName"],
        "pipeline_arn": pipeline["PipelineArn"],
        "display_name": request.get("PipelineExecutionDisplayName")
        or f"execution-{int(datetime.now(UTC).timestamp() * 1000)}",
        "description": request.get("PipelineExecutionDescription"),
        "token": request.get("ClientRequestToken"),
        "parameters": values,
        "definition": pipeline["PipelineDefinition"],
        "role": request.get("RoleArn") or pipeline.get("RoleArn"),
        "parallelism": parallel.get("MaxParallelExecutionSteps"),
        "status": "Executing",
        "created": created,
        "modified": created,
        "created_by": user_context(call),
        "steps": {},
    }


def _describe(call: Call) -> dict[str, Any]:
    record = _find(call).record
    return {
        "PipelineArn": record["pipeline_arn"],
        "PipelineExecutionArn": record["arn"],
        "PipelineExecutionDisplayName": record["display_name"],
        "PipelineExecutionStatus": record["status"],
        "PipelineExecutionDescription": record["description"],
        "PipelineExperimentConfig": {"ExperimentName": record["pipeline_name"], "TrialName": record["id"]},
        "FailureReason": record.get("failure_reason"),
        "CreationTime": record["created"],
        "LastModifiedTime": record["modified"],
        "CreatedBy": record.get("created_by", {}),
        "LastModifiedBy": record.get("modified_by", record.get("created_by", {})),
        "ParallelismConfiguration": _parallelism(record),
        "RoleArn": record.get("role"),
    }


def _list(call: Call) -> dict[str, Any]:
    pipeline = _pipeline(call, call.parameters["PipelineName"])
    summaries = [
        {
            "PipelineExecutionArn": record["arn"],
            "StartTime": record["created"],
            "CreationTime": record["created"],
            "PipelineExecutionStatus": record["status"],
            "PipelineExecutionDescription": record["description"],
            "PipelineExecutionDisplayName": record["display_name"],
            "PipelineExecutionFailureReason": record.get("failure_reason"),
        }
        for record in (execution.record for execution in _of_pipeline(pipeline["PipelineArn"]))
    ]
    window = {
        "CreationTimeAfter": call.parameters.get("CreatedAfter"),
        "CreationTimeBefore": call.parameters.get("CreatedBefore"),
    }
    request = {key: value for key, value in call.parameters.items() if key != "SortBy"} | window
    page = listed(request, summaries, "PipelineExecutionSummaries", "PipelineExecutionArn", "PipelineExecutionStatus")
    for summary in page["PipelineExecutionSummaries"]:
        del summary["CreationTime"]
    return page


def _list_steps(call: Call) -> dict[str, Any]:
    execution = _find(call)
    with execution.changed:
        steps = [_step_summary(execution, step) for step in execution.steps.values()]
    steps.sort(key=lambda step: step["StartTime"])  # stable: those that began together stay in the definition's order
    if call.parameters.get("SortOrder", "Descending") == "Descending":
        steps.reverse()
    return paged(call.parameters, steps, "PipelineExecutionSteps")


def _step_summary(execution: Execution, step: dict[str, Any]) -> dict[str, Any]:
    definition = execution.schedule.steps[step["name"]]
    return {
        "StepName": step["name"],
        "StepDisplayName": definition.get("DisplayName"),
        "StepDescription": definition.get("Description"),
        "StartTime": step["start"],
        "EndTime": step.get("end"),
        "StepStatus": step["status"],
        "CacheHitResult": {"SourcePipelineExecutionArn": step["cache_hit"]} if step.get("cache_hit") else None,
        "FailureReason": step["failure_reason"][:1024] if step.get("failure_reason") else None,
        "Metadata": step["metadata"],
        "AttemptCount": step.get("attempts", 1),
    }


def _list_parameters(call: Call) -> dict[str, Any]:
    values = _find(call).record["parameters"]
    told = [{"Name": name, "Value": as_text(value)} for name, value in values.items()]
    return paged(call.parameters, told, "PipelineParameters")


def _describe_definition(call: Call) -> dict[str, Any]:
    record = _find(call).record
    return {"PipelineDefinition": record["definition"], "CreationTime": record["created"]}


def _stop(call: Call) -> dict[str, Any]:
    execution = _find(call)
    with execution.changed:
        if execution.status in ENDED:
            raise ServiceError(
                "ConflictException",
                f"Pipeline execution {execution.arn} is in status {execution.status}; only a running one can stop",
            )
        execution.record["modified_by"] = user_context(call)
        execution.enter("Stopping")
    return {"PipelineExecutionArn": execution.arn}


def _retry(call: Call) -> dict[str, Any]:
    execution = _find(call)
    with execution.changed:
        if execution.status not in ("Failed", "Stopped"):
            raise ServiceError(
                "ConflictException",
                f"Pipeline execution {execution.arn} is in status {execution.status}; only a failed or stopped one can "
                "be retried",
            )
        execution.record["modified_by"] = user_context(call)
        execution.forget_failed()
    driving.start(execution)
    return {"PipelineExecutionArn": execution.arn}


def _succeed_step(call: Call) -> dict[str, Any]:
    given = call.parameters.get("OutputParameters") or ()
    execution, name = _waiting_callback(call)
    try:
        outputs = answer_callback(execution, name, {each["Name"]: each["Value"] for each in given})
    except StepError as error:
        raise invalid(str(error)) from error
    return _answer(call, execution, name, {"outputs": outputs})


def _fail_step(call: Call) -> dict[str, Any]:
    execution, name = _waiting_callback(call)
    return _answer(
        call, execution, name, {"failure": call.parameters.get("FailureReason") or "The callback step failed."}
    )


def _answer(call: Call, execution: Execution, name: str, answer: dict[str, Any]) -> dict[str, Any]:
    with execution.changed:
        before = execution.steps[name].get("answer")
        token = call.parameters.get("ClientRequestToken")
        if before and not (token and before.get("token") == token):
            raise ServiceError("ConflictException", f"Step {name} of {execution.arn} has been answered before")
        if not before:
            execution.note(name, answer=answer | {"token": token})
    return {"PipelineExecutionArn": execution.arn}


def _answer_needs(action: str, call: Call) -> list[Need]:
    """Permission on the execution that a callback's token belongs to.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
    """
    return [Need(f"sagemaker:{action}", _waiting_callback(call)[0].arn)]


def _waiting_callback(call: Call) -> tuple[Execution, str]:
    token = call.parameters["CallbackToken"]
    for execution in list(_executions.values()):
        if (execution.account, execution.region) != (call.account, call.region):
            continue
        with execution.changed:
            for name, step in execution.steps.items():
                if step.get("callback", {}).get("token") == token:
                    return execution, name
    raise ServiceError("ResourceNotFound", f"Callback token {token} belongs to no pipeline execution")


def _delete_pipeline(call: Call) -> dict[str, Any]:
    """A pipeline's executions go with it; while one runs, it stays."""
    pipeline = _pipeline(call, call.parameters["PipelineName"])
    own = _of_pipeline(pipeline["PipelineArn"])
    running = [execution.arn for execution in own if execution.status not in ENDED]
    if running:
        raise ServiceError(
            "ConflictException",
            f"Pipeline {pipeline['PipelineName']} has running executions; stop them first: {', '.join(running)}",
        )
    answer = original_action("sagemaker", "DeletePipeline", call)
    with _lock:
        for execution in own:
            del _executions[execution.arn]
            _path(execution.id).unlink(missing_ok=True)
    return answer


def _find(call: Call) -> Execution:
    arn = call.parameters["PipelineExecutionArn"]
    execution = _executions.get(arn)
    if execution is None or execution.account != call.account:
        raise ServiceError("ResourceNotFound", f"Pipeline execution with ARN '{arn}' does not exist.")
    return execution


def _pipeline(call: Call, name_or_arn: str) -> dict[str, Any]:
    name = name_or_arn.rsplit("/", 1)[-1]
    try:
        found = client("sagemaker", call.account, call.region).describe_pipeline(PipelineName=name)
    except ClientError as error:
        arn = call.arn(f"pipeline/{name}")
        raise ServiceError("ResourceNotFound", f"Pipeline '{arn}' does not exist.") from error
    return dict(found)


def _of_pipeline(arn: str) -> list[Execution]:
    with _lock:
        return [execution for execution in _executions.values() if execution.record["pipeline_arn"] == arn]


def _remember(record: dict[str, Any]) -> Execution:
    arn = record["pipeline_arn"]

    def earlier_runs(step: str) -> Iterator[caching.EarlierRun]:
        for other in _of_pipeline(arn):
            with other.changed:
                run = other.steps.get(step)
                if run and run["status"] == "Succeeded" and run.get("cache_key") and not run.get("cache_hit"):
                    yield caching.EarlierRun(other.arn, run["cache_key"], datetime.fromisoformat(run["end"]), dict(run))

    execution = Execution(record, _path(record["id"]), earlier_runs)
    with _lock:
        _executions[execution.arn] = execution
    return execution


def _path(identifier: str) -> Path:
    return _home.executions / f"{identifier}.json"


def _parallelism(record: dict[str, Any]) -> dict[str, Any] | None:
    return {"MaxParallelExecutionSteps": record["parallelism"]} if record.get("parallelism") else None
