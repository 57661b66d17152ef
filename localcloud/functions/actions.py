# SPDX-License-Identifier: Apache-2.0
"""Lambda: Invoke, asynchronous invocations with their retries, and how many runs of a function may go at once."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localcloud.authorisation.sessions import HOUR, open_session
from localcloud.clients import client_as
from localcloud.context import CloudContext
from localcloud.dispatch import Call, ServiceError, backend, replace_action, state_lock
from localcloud.functions import runs
from localcloud.functions.runs import FunctionCode, RunResult, UnsupportedRuntimeError
from localcloud.home import Home, private_directory, read_json, write_json
from localcloud.logs import write_lines

log = logging.getLogger(__name__)

MAX_SYNCHRONOUS_PAYLOAD = 6_291_456
MAX_ASYNCHRONOUS_PAYLOAD = 1_048_576
RETRY_SECONDS = (1.0, 2.0)
"""Pauses before the second and third attempt. AWS waits one and two minutes: there is nobody here who could wait."""
ACCOUNT_CONCURRENCY = 8
SESSION_SECONDS = 12.0 * HOUR

_home: Home
_endpoint_url = ""
_workers = ThreadPoolExecutor(max_workers=16, thread_name_prefix="invocation")


def install(context: CloudContext) -> None:
    """Answer Invoke."""
    global _home, _endpoint_url
    _home, _endpoint_url = Home(context.home), context.endpoint_url
    replace_action("lambda", "Invoke", _invoke)


def resume(_: CloudContext) -> None:
    """Take up the asynchronous invocations that were not done when the server was killed."""
    for file in sorted(_queue().glob("*.json")):
        _workers.submit(_work_off, file)


def run(account: str, region: str, name: str, event: Any, *, wait: bool, qualifier: str | None = None) -> RunResult:
    """Run a function and keep what it printed in its log group.

    Args:
        account: Account of the function.
        region: Region of the function.
        name: Name or ARN.
        event: JSON value.
        wait: Wait for a free place, or refuse.
        qualifier: Version or alias.

    Raises:
        ServiceError: No such function, or (without `wait`) too many runs at once.
    """
    function, reserved = _code(account, region, name, qualifier)
    with _place(f"{account}:{region}:{function.name}", reserved, wait=wait):
        try:
            outcome = runs.run(_home, function, event, _platform_variables(function, region))
        except UnsupportedRuntimeError as error:
            request_id = str(uuid.uuid4())
            problem = json.dumps({"errorType": "Runtime.Unsupported", "errorMessage": str(error)})
            outcome = RunResult(problem, "Unhandled", f"{error}\n", request_id)
    stream = runs.log_stream(function.version, outcome.request_id)
    write_lines(
        client_as(function.role, function.name, "logs", region), function.log_group, stream, outcome.log.splitlines()
    )
    return outcome


def invoke_later(account: str, region: str, name: str, event: Any) -> None:
    """Queue an asynchronous invocation, durably; it is retried twice, then goes to the function's dead-letter queue."""
    file = _queue() / f"{time.time_ns()}-{uuid.uuid4().hex}.json"
    write_json(file, {"account": account, "region": region, "name": name, "event": event, "attempt": 0})
    _workers.submit(_work_off, file)


def role_of(account: str, region: str, name: str) -> str:
    """ARN of the role that a function runs with.

    Raises:
        ServiceError: No such function.
    """
    return str(_find(account, region, name, None).role)


def policy(account: str, region: str, name: str) -> dict[str, Any]:
    """The function's resource policy.

    Raises:
        ServiceError: No such function.
    """
    return {"Statement": list(_find(account, region, name, None).policy.statements)}


def timeout(account: str, region: str, name: str) -> int:
    """The function's time-out in seconds.

    Raises:
        ServiceError: No such function.
    """
    return int(_find(account, region, name, None).timeout)


def _invoke(call: Call) -> dict[str, Any]:
    parameters = call.parameters
    payload = parameters.get("Payload") or b""
    kind = parameters.get("InvocationType", "RequestResponse")
    most = MAX_SYNCHRONOUS_PAYLOAD if kind == "RequestResponse" else MAX_ASYNCHRONOUS_PAYLOAD
    if len(payload) > most:
        message = f"{len(payload)} byte payload is too large for the {kind} invocation type (limit {most} bytes)"
        raise ServiceError("RequestTooLargeException", message, 413)
    try:
        event = json.loads(payload) if payload else {}
    except ValueError as error:
        message = f"Could not parse request body into json: {error}"
        raise ServiceError("InvalidRequestContentException", message) from error
    name, qualifier = parameters["FunctionName"], parameters.get("Qualifier")
    function = _find(call.account, call.region, name, qualifier)
    if kind == "DryRun":
        return {"StatusCode": 204}
    if kind == "Event":
        invoke_later(call.account, call.region, function.function_arn, event)
        return {"StatusCode": 202, "Payload": b""}
    outcome = run(call.account, call.region, name, event, wait=False, qualifier=qualifier)
    answer: dict[str, Any] = {"StatusCode": 200, "Payload": outcome.payload.encode(), "ExecutedVersion": "$LATEST"}
    if outcome.error:
        answer["FunctionError"] = outcome.error
    if parameters.get("LogType") == "Tail":
        answer["LogResult"] = base64.b64encode(outcome.log.encode()[-4096:]).decode()
    return answer


def _work_off(file: Path) -> None:
    """Run a queued invocation until it succeeds, its retries are used up, or its function is gone."""
    try:
        queued = read_json(file)
        if queued is None:
            return
        account, region, name = queued["account"], queued["region"], queued["name"]
        while True:
            try:
                outcome = run(account, region, name, queued["event"], wait=True)
                attempts = _find(account, region, name, None)
            except ServiceError as error:
                log.warning("asynchronous invocation of %s: %s", name, error)
                break
            if not outcome.error:
                break
            if queued["attempt"] >= _retries(attempts):
                _give_up(attempts, queued["event"], outcome)
                break
            time.sleep(RETRY_SECONDS[min(queued["attempt"], len(RETRY_SECONDS) - 1)])
            queued["attempt"] += 1
            write_json(file, queued)
        file.unlink(missing_ok=True)
    except Exception:
        log.exception("asynchronous invocation %s", file.name)


def _retries(function: Any) -> int:
    config = _invoke_config(function)
    return int(config.get("MaximumRetryAttempts", 2))


def _invoke_config(function: Any) -> dict[str, Any]:
    return dict(function.event_invoke_config[-1].config) if function.event_invoke_config else {}


def _give_up(function: Any, event: Any, outcome: RunResult) -> None:
    """Hand the event to the function's failure destination and dead-letter target, as the function's role.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    own = partial(client_as, function.role, function.function_name)
    dead_letter = (getattr(function, "beyond_moto", {}).get("DeadLetterConfig") or {}).get("TargetArn")
    if dead_letter:
        message = str(json.loads(outcome.payload).get("errorMessage", ""))[:1000] or "-"
        attributes = {"RequestID": outcome.request_id, "ErrorCode": 200, "ErrorMessage": message}
        send(own, dead_letter, json.dumps(event), attributes)
    on_failure = _invoke_config(function).get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if on_failure:
        record = {
            "version": "1.0",
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            "requestContext": {
                "requestId": outcome.request_id,
                "functionArn": f"{function.function_arn}:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": _retries(function) + 1,
            },
            "requestPayload": event,
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": outcome.error},
            "responsePayload": json.loads(outcome.payload),
        }
        send(own, on_failure, json.dumps(record), {})


def send(clients: Callable[..., Any], arn: str, body: str, attributes: Mapping[str, Any]) -> None:
    """Send what nobody took to a queue, a topic or a function; what goes wrong is written to the cloud's log.

    Args:
        clients: From the names of a service and a region to a client of whoever sends.
        arn: Of the destination.
        body: JSON text.
        attributes: Of the message.
    """
    _, _, service, region, _, *_, name = arn.split(":")
    typed = {
        key: {"DataType": "Number" if isinstance(value, int) else "String", "StringValue": str(value)}
        for key, value in attributes.items()
    }
    try:
        if service == "sqs":
            sqs = clients("sqs", region)
            url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=typed)
        elif service == "sns":
            clients("sns", region).publish(TopicArn=arn, Message=body, MessageAttributes=typed)
        elif service == "lambda":
            clients("lambda", region).invoke(FunctionName=arn, InvocationType="Event", Payload=body)
        else:
            log.error("the emulated cloud cannot send failed events to %s", arn)
    except ClientError as error:
        log.error("a failed event could not be sent to %s: %s", arn, error)


def _code(account: str, region: str, name: str, qualifier: str | None) -> tuple[FunctionCode, int | None]:
    function = _find(account, region, name, qualifier)
    with state_lock:
        layers = [
            backend("lambda", account, region).layers_versions_by_arn(layer["Arn"]).code_bytes
            for layer in function.layers
        ]
        latest = _find(account, region, function.function_name, None)
        logging_config = getattr(function, "beyond_moto", {}).get("LoggingConfig") or {}
        version = str(function.version)
        code = FunctionCode(
            name=function.function_name,
            arn=latest.function_arn,
            runtime=function.run_time or "",
            handler=function.handler or "",
            archive=function.code_bytes,
            layers=tuple(layers),
            environment={key: str(value) for key, value in function.environment_vars.items()},
            seconds=int(function.timeout),
            megabytes=int(function.memory_size),
            version=version if version.isdigit() and function is not latest else "$LATEST",
            log_group=logging_config.get("LogGroup") or f"/aws/lambda/{function.function_name}",
            role=function.role,
        )
    reserved = latest.reserved_concurrency
    return code, None if reserved is None else int(reserved)


def _find(account: str, region: str, name: str, qualifier: str | None) -> Any:
    from moto.awslambda.exceptions import UnknownFunctionException

    try:
        with state_lock:
            return backend("lambda", account, region).get_function(name, qualifier)
    except (UnknownFunctionException, KeyError) as error:
        arn = name if name.startswith("arn:") else f"arn:aws:lambda:{region}:{account}:function:{name}"
        raise ServiceError("ResourceNotFoundException", f"Function not found: {arn}", 404) from error


def _platform_variables(function: FunctionCode, region: str) -> dict[str, str]:
    """Region, address, and credentials of a session of the function's role, which bears the function's name.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
    """
    opened = open_session(function.role, function.name, SESSION_SECONDS)
    return {
        "AWS_ACCESS_KEY_ID": opened.access_key,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": _endpoint_url,
        "AWS_REGION": region,
        "AWS_SECRET_ACCESS_KEY": opened.secret_key,
        "AWS_SESSION_TOKEN": opened.token,
    }


_running: dict[str, int] = {}
_places = threading.Condition()


@contextmanager
def _place(key: str, reserved: int | None, *, wait: bool) -> Iterator[None]:
    """Hold one of the function's places while it runs."""

    def is_free() -> bool:
        if reserved is not None:
            return _running.get(key, 0) < reserved
        return sum(_running.values()) < ACCOUNT_CONCURRENCY * 4

    with _places:
        if reserved == 0 or (not wait and not is_free()):
            raise ServiceError("TooManyRequestsException", "Rate Exceeded.", 429)
        _places.wait_for(is_free)
        _running[key] = _running.get(key, 0) + 1
    try:
        yield
    finally:
        with _places:
            _running[key] -= 1
            _places.notify_all()


def _queue() -> Path:
    return private_directory(_home.state / "invocations")
