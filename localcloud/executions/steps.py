# SPDX-License-Identifier: Apache-2.0
"""What each type of step does when it runs: real calls to this cloud, as SageMaker Pipelines makes them.

Every runner takes the execution and the step's definition, returns the step's properties (what the type's `Describe*`
answers), and raises `StepError` or `StepStopped`.
https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps-types.html
"""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from botocore.validate import ParamValidator

from localcloud import images
from localcloud.clients import client
from localcloud.definitions.expressions import ExpressionError
from localcloud.definitions.service_model import OPERATIONS
from localcloud.executions.evaluation import evaluate, holds
from localcloud.executions.execution import Execution
from localcloud.executions.parameters import ParameterError, as_text, typed
from localcloud.executions.retries import SERVICE_FAULT, kind_of_job_failure, kind_of_refusal
from localcloud.jobs import actions as jobs

LOOK = 0.3
"""Seconds between two looks at a running job."""
NAME_LENGTH = 63
LONGEST_OUTPUT = 1024
"""Of a function's and a callback's: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_OutputParameter.html."""


class StepError(Exception):
    """A step that failed; the message is its FailureReason, `kind` what retry policies call it."""

    def __init__(self, reason: str, kind: str | None = None) -> None:
        super().__init__(reason)
        self.kind = kind


class StepStopped(Exception):  # noqa: N818  # not an error: what StopPipelineExecution asked for
    """A step that was stopped with its execution."""


def run(execution: Execution, step: Mapping[str, Any]) -> dict[str, Any]:
    """Run one step to its end; returns its properties.

    Raises:
        StepError: It failed.
        StepStopped: It was stopped.
        ExpressionError: Its arguments refer to nothing.
    """
    return _RUNNERS[step["Type"]](execution, step)


def missing_image(execution: Execution) -> str | None:
    """A sentence about the first image of the definition that was never pushed, or None."""
    for step in execution.schedule.steps.values():
        for expression in _images(step):
            try:
                uri = evaluate(expression, execution.scope())
            except ExpressionError:
                continue  # known only once a step has run
            try:
                images.resolve(str(uri), execution.region)
            except images.ImageError as error:
                return f"Step {step['Name']}: {error}"
    return None


def _run_job(execution: Execution, step: Mapping[str, Any]) -> dict[str, Any]:
    kind, name = step["Type"], _unique_name(execution, step)
    execution.note(step["Name"], job=name)
    arn = _create(execution, step, {f"{kind}JobName": name})[f"{kind}JobArn"]
    execution.enter_step(step["Name"], "Executing", metadata={f"{kind}Job": {"Arn": arn}})
    description = _await_job(execution, step["Name"], kind, name)
    status, reason = description[f"{kind}JobStatus"], description.get("FailureReason", "")
    if status == "Completed":
        return _described(execution, step, name)
    if status == "Stopped" and execution.stopping:
        raise StepStopped
    if status == "Stopped":
        raise StepError(f"ClientError: {kind} job {name} was stopped before it completed")
    raise StepError(reason, kind_of_job_failure(reason))


def _await_job(execution: Execution, step: str, kind: str, name: str) -> Mapping[str, Any]:
    asked = False
    while (description := jobs.wait(kind, execution.account, execution.region, name, LOOK)) is None:
        if execution.stopping and not asked:
            asked = True
            execution.enter_step(step, "Stopping")
            try:
                getattr(_sagemaker(execution), f"stop_{kind.lower()}_job")(**{f"{kind}JobName": name})
            except ClientError:
                continue  # it ended in between
    return description


def _run_condition(execution: Execution, step: Mapping[str, Any]) -> dict[str, Any]:
    scope = execution.scope(step["Name"])
    held = [holds(each, scope) for each in step["Arguments"]["Conditions"]]  # each: a missing value fails the step
    outcome = str(all(held))
    execution.note(step["Name"], metadata={"Condition": {"Outcome": outcome}})
    return {"Outcome": outcome}


def _run_fail(execution: Execution, step: Mapping[str, Any]) -> dict[str, Any]:
    message = str(_arguments(execution, step)["ErrorMessage"])[:3072]
    execution.note(step["Name"], metadata={"Fail": {"ErrorMessage": message}})
    raise StepError(message)


def _run_register(execution: Execution, step: Mapping[str, Any]) -> dict[str, Any]:
    arguments = _arguments(execution, step)
    generated = {"MetadataProperties": {"GeneratedBy": execution.arn} | arguments.get("MetadataProperties", {})}
    arn = _registered_before(execution, step, arguments) or _create(execution, step, generated)["ModelPackageArn"]
    execution.note(step["Name"], metadata={"RegisterModel": {"Arn": arn}})
    return _described(execution, step, arn)


def _registered_before(execution: Execution, step: Mapping[str, Any], arguments: Mapping[str, Any]) -> str | None:
    """The version that this step made before the cloud went down in its middle: registering it twice would be wrong."""
    group = arguments.get("ModelPackageGroupName")
    if step["Name"] not in execution.record.get("interrupted", ()) or not group:
        return None
    sagemaker = client("sagemaker", execution.account, execution.region)  # the cloud's own memory
    for summary in sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]:
        package = sagemaker.describe_model_package(ModelPackageName=summary["ModelPackageArn"])
        if package.get("MetadataProperties", {}).get("GeneratedBy") == execution.arn:
            return str(summary["ModelPackageArn"])
    return None


def _run_record(execution: Execution, step: Mapping[str, Any]) -> dict[str, Any]:
    """A model or an endpoint configuration, which is there as soon as it is asked for."""
    kind = step["Type"]
    name = _arguments(execution, step).get(f"{kind}Name") or _unique_name(execution, step)
    arn = _create(execution, step, {f"{kind}Name": name})[f"{kind}Arn"]
    execution.note(step["Name"], metadata={kind: {"Arn": arn}})
    return _described(execution, step, name)


def _run_endpoint(execution: Execution, step: Mapping[str, Any]) -> dict[str, Any]:
    arguments, sagemaker = _arguments(execution, step), _sagemaker(execution)
    name = arguments["EndpointName"]
    known = sagemaker.list_endpoints(NameContains=name)["Endpoints"]
    there = any(each["EndpointName"] == name for each in known)
    arn = _create(execution, step, {}, "UpdateEndpoint" if there else "CreateEndpoint")["EndpointArn"]
    execution.note(step["Name"], metadata={"Endpoint": {"Arn": arn}})
    while True:
        endpoint = _described(execution, step, name)
        if endpoint["EndpointStatus"] not in ("Creating", "Updating"):
            break
        with execution.changed:
            execution.changed.wait(LOOK)
    if endpoint["EndpointStatus"] != "InService" or endpoint["EndpointConfigName"] != arguments["EndpointConfigName"]:
        raise StepError(
            f"ClientError: endpoint {name} is {endpoint['EndpointStatus']}: {endpoint.get('FailureReason')}"
        )
    return endpoint


def _run_lambda(execution: Execution, step: Mapping[str, Any]) -> dict[str, Any]:
    function = evaluate(step["FunctionArn"], execution.scope(step["Name"]))
    payload = json.dumps(_arguments(execution, step)).encode()
    with _failing_the_step("lambda:InvokeFunction"):
        answer = execution.client("lambda").invoke(FunctionName=function, Payload=payload)
    text = answer["Payload"].read().decode()
    returned = json.loads(text) if text else None
    if answer.get("FunctionError"):
        message = returned.get("errorMessage", text) if isinstance(returned, dict) else text
        raise StepError(f"ClientError: The Lambda function {function} returned an error: {message}")
    outputs = _outputs(step, returned if isinstance(returned, dict) else {}, f"The Lambda function {function}")
    execution.note(step["Name"], metadata={"Lambda": {"Arn": function, "OutputParameters": _listed(outputs)}})
    return {"OutputParameters": outputs}


def _run_callback(execution: Execution, step: Mapping[str, Any]) -> dict[str, Any]:
    """Send the message once, then wait for an answer; stopping sends another message and waits on.

    https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps-types.html#step-type-callback
    """
    name = step["Name"]
    record = execution.steps[name]
    if "callback" not in record:
        url = evaluate(step["SqsQueueUrl"], execution.scope(name))
        token = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(10))
        callback = {"token": token, "queue": url, "arguments": _arguments(execution, step), "sent": []}
        execution.note(name, callback=callback, metadata={"Callback": {"CallbackToken": token, "SqsQueueUrl": url}})
    _tell_queue(execution, name, "Executing")
    with execution.changed:
        execution.changed.wait_for(lambda: "answer" in execution.steps[name] or execution.stopping)
    if "answer" not in execution.steps[name]:
        execution.enter_step(name, "Stopping")
        _tell_queue(execution, name, "Stopping")
        with execution.changed:
            execution.changed.wait_for(lambda: "answer" in execution.steps[name])
    answer = execution.steps[name]["answer"]
    if "failure" in answer:
        if execution.stopping:
            raise StepStopped
        raise StepError(answer["failure"])
    metadata = execution.steps[name]["metadata"]["Callback"] | {"OutputParameters": _listed(answer["outputs"])}
    execution.note(name, metadata={"Callback": metadata})
    return {"OutputParameters": answer["outputs"]}


def answer_callback(execution: Execution, name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """The outputs of a Callback step, typed as it declares them.

    Raises:
        StepError: One is missing, unknown, or of another type.
    """
    step = execution.schedule.steps[name]
    declared = {each["OutputName"] for each in step.get("OutputParameters", ())}
    unknown = sorted(set(given) - declared)
    if unknown:
        raise StepError(f"step {name} declares no output {unknown[0]}; it declares {sorted(declared)}")
    return _outputs(step, given, f"The answer to step {name}")


def _tell_queue(execution: Execution, name: str, status: str) -> None:
    callback = execution.steps[name]["callback"]
    if status in callback["sent"]:
        return
    message = {
        "token": callback["token"],
        "pipelineExecutionArn": execution.arn,
        "arguments": callback["arguments"],
        "status": status,
    }
    with _failing_the_step("sqs:SendMessage"):
        execution.client("sqs").send_message(QueueUrl=callback["queue"], MessageBody=json.dumps(message))
    execution.note(name, callback=callback | {"sent": [*callback["sent"], status]})


def _outputs(step: Mapping[str, Any], given: Mapping[str, Any], who: str) -> dict[str, Any]:
    outputs = {}
    for declared in step.get("OutputParameters", ()):
        name, kind = declared["OutputName"], declared["OutputType"]
        if given.get(name) is None:
            raise StepError(f"ClientError: {who} did not give the output {name}, which step {step['Name']} declares")
        try:
            outputs[name] = typed(kind, name, given[name] if not isinstance(given[name], bool) else str(given[name]))
        except ParameterError as error:
            raise StepError(f"ClientError: {who} gave a wrong output: {error}") from error
        if len(as_text(outputs[name])) > LONGEST_OUTPUT:
            raise StepError(
                f"ClientError: {who} gave the output {name} {len(as_text(outputs[name])):,} characters, and "
                f"{LONGEST_OUTPUT:,} are the most"
            )
    return outputs


def _listed(outputs: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": as_text(value)} for name, value in outputs.items()]


def _create(
    execution: Execution, step: Mapping[str, Any], supplied: Mapping[str, Any], action: str | None = None
) -> dict[str, Any]:
    """Call the action that a step's arguments are for, as the service does.

    Args:
        execution: Of the step.
        step: Its definition.
        supplied: Arguments that Pipelines fills in itself.
        action: Another one than the step type's own.

    Raises:
        StepError: The arguments do not fit the action, or it refused.
    """
    sagemaker, action = _sagemaker(execution), action or OPERATIONS[step["Type"]].create
    arguments = {**_arguments(execution, step), **supplied}
    report = ParamValidator().validate(arguments, sagemaker.meta.service_model.operation_model(action).input_shape)
    if report.has_errors():
        raise StepError(f"ClientError: Failed to invoke sagemaker:{action}. Error Details: {report.generate_report()}")
    with _failing_the_step(f"sagemaker:{action}"):
        return dict(getattr(sagemaker, xform_name(action))(**arguments))


def _described(execution: Execution, step: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the step's `Describe*` answers of what it has made, as JSON: times as ISO 8601."""
    action = OPERATIONS[step["Type"]].describe
    answer = getattr(_sagemaker(execution), xform_name(action))(**{f"{action.removeprefix('Describe')}Name": name})
    kept = {key: value for key, value in answer.items() if key != "ResponseMetadata"}
    return dict(
        json.loads(json.dumps(kept, default=lambda each: each.isoformat() if isinstance(each, datetime) else str(each)))
    )


@contextmanager
def _failing_the_step(action: str) -> Iterator[None]:
    """What goes wrong with a call is told as SageMaker Pipelines tells it, by `StepError`."""
    try:
        yield
    except ClientError as error:
        told, status = error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        sentence = f"ClientError: Failed to invoke {action}. Error Details: {told.get('Message')}"
        raise StepError(sentence, kind_of_refusal(str(told.get("Code")), status)) from error
    except BotoCoreError as error:
        raise StepError(f"ClientError: Failed to invoke {action}. {error}", SERVICE_FAULT) from error


def _arguments(execution: Execution, step: Mapping[str, Any]) -> dict[str, Any]:
    return dict(evaluate(step["Arguments"], execution.scope(step["Name"])))


def _unique_name(execution: Execution, step: Mapping[str, Any]) -> str:
    """`pipelines-<execution>-<step>-<random>`, as SageMaker Pipelines names what it makes."""
    random = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(10))
    start = f"pipelines-{execution.id}-{re.sub('[^a-zA-Z0-9-]', '', step['Name'])}"
    return f"{start[: NAME_LENGTH - 11].rstrip('-')}-{random}"


def _images(step: Mapping[str, Any]) -> list[Any]:
    arguments = step.get("Arguments", {})
    if step["Type"] == "Training":
        found = [arguments.get("AlgorithmSpecification", {}).get("TrainingImage")]
    elif step["Type"] == "Processing":
        found = [arguments.get("AppSpecification", {}).get("ImageUri")]
    elif step["Type"] == "RegisterModel":
        found = [each.get("Image") for each in arguments.get("InferenceSpecification", {}).get("Containers", ())]
    elif step["Type"] == "Model":
        found = [
            each.get("Image") for each in (arguments.get("PrimaryContainer", {}), *arguments.get("Containers", ()))
        ]
    else:
        found = []
    return [each for each in found if each is not None]


def _sagemaker(execution: Execution) -> Any:
    return execution.client("sagemaker")


_RUNNERS: dict[str, Callable[[Execution, Mapping[str, Any]], dict[str, Any]]] = {
    "Processing": _run_job,
    "Training": _run_job,
    "Transform": _run_job,
    "Condition": _run_condition,
    "RegisterModel": _run_register,
    "Model": _run_record,
    "EndpointConfig": _run_record,
    "Endpoint": _run_endpoint,
    "Lambda": _run_lambda,
    "Callback": _run_callback,
    "Fail": _run_fail,
}
