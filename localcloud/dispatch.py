# SPDX-License-Identifier: Apache-2.0
"""How requests find who answers them: the modules of the cloud answer actions in moto's place, moto all others."""

from __future__ import annotations

import importlib
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.model import OperationNotFoundError
from moto.backends import get_backend
from moto.core.exceptions import ServiceException
from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
from moto.core.responses import ActionResult, BaseResponse
from moto.core.routing import get_service_router
from moto.core.serialize import XFormedAttributePicker, get_serializer_class
from moto.core.utils import (
    camelcase_to_underscores,
    extract_region_from_aws_authorization,
    get_service_model,
)
from werkzeug.exceptions import NotFound

from localcloud.s3_errors import Answer

log = logging.getLogger(__name__)

state_lock = threading.RLock()
"""Held while moto's own code runs and while its state is written. Hold it to change a moto backend by hand; never
while waiting for another request to this server."""


@dataclass(frozen=True)
class Call:
    """One request to an action.

    Attributes:
        account: 12-digit account id.
        region: Region name.
        parameters: As boto3 was given them.
        service: boto3's name of the service.
        caller: ARN of the session that asks; empty for the administrator.
    """

    account: str
    region: str
    parameters: dict[str, Any]
    service: str = ""
    caller: str = ""

    def backend(self, service: str) -> Any:
        """moto's own state of a service where the call goes; hold `state_lock` while using it."""
        return backend(service, self.account, self.region)

    def arn(self, resource: str) -> str:
        """The ARN of a resource of SageMaker's, such as `model/m`."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True)
class S3Request:
    """A request to S3, whose operations are told by method, path and query.

    Attributes:
        method: `GET`.
        bucket: Empty for a request to the service itself.
        key: Empty for a request to the bucket.
        query: Its arguments.
        headers: By any case.
        body: What it brings.
        account: Of whoever asks.
        region: Where it goes.
    """

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    account: str = ""
    region: str = ""

    @property
    def bucket_arn(self) -> str:
        return f"arn:aws:s3:::{self.bucket}"

    @property
    def object_arn(self) -> str:
        return f"{self.bucket_arn}/{self.key}"


class ServiceError(Exception):
    """An error that the client sees as AWS shapes it: `botocore.exceptions.ClientError` with this code and message.

    Args:
        members: What the error's shape has beside its message, such as ModelError's `OriginalStatusCode`.
    """

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members


def invalid(message: str) -> ServiceError:
    """The error with which SageMaker refuses a request that it cannot serve."""
    return ServiceError("ValidationException", message)


Handler = Callable[[Call], dict[str, Any]]
Check = Callable[[str, Call], None]
Commit = Callable[[str, str, str, str], None]
Guard = Callable[[BaseResponse, str, str, Call], None]
"""Given the response that is to be, service, action and call; refuses by `ServiceError`."""
S3Guard = Callable[["S3Request"], Answer | None]
"""What is answered instead of a request; None where it may go on."""

_handlers: dict[tuple[str, str], Handler] = {}
_checks: dict[str, list[Check]] = {}
_commits: list[Commit] = []
_guards: list[Guard] = []
_s3_guards: list[S3Guard] = []
_callers: list[Callable[[BaseResponse], str]] = []
EVERY_SERVICE = "*"
_UNLOCKED = frozenset({("sqs", "ReceiveMessage")})


def replace_action(service: str, action: str, handler: Handler) -> None:
    """Let `handler` answer `action` instead of moto (or where moto has nothing).

    The handler runs without `state_lock`, so it may call this server; its dict is shaped like boto3's answer.
    Raising `ServiceError` answers with that error.

    Args:
        service: boto3's name of the service ("sagemaker", "sagemaker-runtime", "lambda").
        action: The API's name ("StartPipelineExecution").
        handler: Given the call, returns the answer.
    """
    get_service_model(service).operation_model(action)  # a misspelt action fails here
    _handlers[service, action] = handler


def add_check(service: str, check: Check) -> None:
    """Run `check(action, call)` before each action of a service, whoever answers it; it refuses by `ServiceError`.

    Args:
        service: boto3's name of the service, or `EVERY_SERVICE`.
        check: Given the API's name of the action, and the call.
    """
    _checks.setdefault(service, []).append(check)


def add_commit(commit: Commit) -> None:
    """Run `commit(service, action, account, region)` after each action, before its answer is sent."""
    _commits.append(commit)


def guard_by(
    guard: Guard,
    caller_of: Callable[[BaseResponse], str],
    account_of: Callable[[Mapping[str, str], Mapping[str, Any]], str | None],
) -> None:
    """Let `guard` look at each request but S3's before anything else does.

    Args:
        guard: Refuses by `ServiceError`.
        caller_of: From a response that is to be to the ARN of who asks.
        account_of: From headers and query to the account of who asks; None leaves it to moto.
    """
    _guards.append(guard)
    _callers.append(caller_of)
    original = BaseResponse.get_current_account

    def get_current_account(self: BaseResponse) -> str:
        named = "x-moto-account-id" in self.headers
        return (None if named else account_of(self.headers, self.querystring)) or original(self)

    BaseResponse.get_current_account = get_current_account  # type: ignore[method-assign]


def guard_s3_by(guard: S3Guard) -> None:
    """Let `guard` look at each request to S3 before anything else does."""
    _s3_guards.append(guard)


def original_action(service: str, action: str, call: Call) -> dict[str, Any]:
    """moto's own answer to `action`, as a dict like boto3's (JSON services only; times as moto gives them).

    Raises:
        ServiceError: moto refused.
    """
    response = _response_class(service)()
    response.params = call.parameters
    response.uri_match = {}
    response.querystring = {}
    response.headers = {}
    response.response_headers = {}
    response.body = json.dumps(call.parameters, default=str)
    response.region = call.region
    response.current_account = call.account
    response.partition = "aws"
    try:
        with state_lock:
            result = getattr(response, camelcase_to_underscores(action))()
    except ServiceException as refusal:
        raise ServiceError(refusal.code, refusal.message) from refusal
    if isinstance(result, ActionResult):
        return dict(result.result or {})  # type: ignore[call-overload,no-any-return]
    body = result[-1] if isinstance(result, tuple) and isinstance(result[-1], str) else result
    return dict(json.loads(body)) if isinstance(body, str) and body else {}


def backend(service: str, account: str, region: str) -> Any:
    """moto's own state of a service in an account and region; hold `state_lock` while using it."""
    return get_backend(service)[account][region]  # type: ignore[call-overload]


def backends(service: str) -> Iterator[tuple[str, str, Any]]:
    """Account, region and state, for each account and region where a service has been used."""
    yield from list(get_backend(service).iter_backends())  # type: ignore[call-overload]


def install() -> None:
    """Answer what modules have asked to answer, in moto's place. To be called once, before the server starts."""
    BaseResponse.call_action = _call_action  # type: ignore[method-assign,assignment]
    _serve_s3_as_the_rest()


def _response_class(service: str) -> Any:
    package = {"lambda": "awslambda", "sagemaker-runtime": "sagemakerruntime"}.get(service, service.replace("-", ""))
    module = importlib.import_module(f"moto.{package}.responses")
    return next(
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, BaseResponse) and c.__module__ == module.__name__
    )


_moto_call_action = BaseResponse.call_action


def _call_action(response: BaseResponse) -> Any:
    service = response.boto3_service_name
    action = response._get_action()
    handler = _handlers.get((service, action))
    try:
        call = _call(response, action) if action else None
        if call:
            _check(EVERY_SERVICE, action, call)  # what no shape allows is told before what nobody may
            for guard in _guards:
                guard(response, service, action, call)
            _check(service, action, call)
        if handler and call:
            answer = _serialized(response, handler(call))
        elif (service, action) in _UNLOCKED:
            answer = _moto_call_action(response)
        else:
            with state_lock:
                answer = _moto_call_action(response)
    except ServiceError as error:
        answer = _refusal(response, error)
    except NotImplementedError as error:
        log.error("%s.%s: %s", service, action, error)
        message = f"the emulated cloud does not know {service}'s {action}"
        answer = _refusal(response, ServiceError("NotImplemented", message, 501))
    except Exception as error:
        log.exception("%s.%s", service, action)
        answer = _refusal(response, ServiceError("InternalFailure", f"emulated cloud: {error!r}", 500))
    finally:
        for commit in _commits:
            commit(service, action, response.current_account, response.region)
    return answer


def _check(service: str, action: str, call: Call) -> None:
    for check in _checks.get(service, ()):
        check(action, call)


def _call(response: BaseResponse, action: str) -> Call:
    """What is asked for, read by the service's model.

    Raises:
        ServiceError: The service has no such action, or the request does not fit its types.
    """
    service = response.boto3_service_name
    try:
        shape = get_service_model(service).operation_model(action).input_shape
    except OperationNotFoundError as error:
        code = "UnknownOperationException" if "X-Amz-Target" in response.headers else "InvalidAction"
        raise ServiceError(code, f"Could not find operation {action}") from error
    try:
        if not response.automated_parameter_parsing:
            response.parse_parameters(response.normalized_request)
    except (ValueError, TypeError, AttributeError) as error:
        raise ServiceError("SerializationException", f"The request does not fit {action}: {error}") from error
    caller = next(filter(None, (caller_of(response) for caller_of in _callers)), "")
    return Call(response.current_account, response.region, _given(response.params, shape), service, caller)


def _given(parameters: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    """The parameters, without the lists that moto reads out of an address that has none, and with an empty payload."""
    members = shape.members if shape else {}
    absent = {name for name, each in members.items() if each.serialization.get("location") == "querystring"}
    given = {name: value for name, value in parameters.items() if value != [] or name not in absent}
    payload = shape.serialization.get("payload") if shape else None
    if payload and members[payload].type_name == "blob":
        given.setdefault(payload, b"")
    return given


def _serialized(response: BaseResponse, result: dict[str, Any]) -> Any:
    """As moto serialises, but without the transformations that fit only what moto's own code returns."""
    service_model = get_service_model(response.boto3_service_name)
    operation_model = service_model.operation_model(response._get_action())
    protocol = response.determine_response_protocol(service_model)
    serializer = get_serializer_class(service_model.service_name, protocol)(
        operation_model=operation_model, value_picker=XFormedAttributePicker()
    )
    serialized = serializer.serialize(result)
    status, body = serialized["status_code"], serialized["body"]
    headers = {**serialized["headers"], **response.response_headers}
    output = operation_model.output_shape
    for name, member in output.members.items() if output else ():  # moto's serializer prints its own
        if member.serialization.get("name") == "Content-Type" and name in result:
            headers["Content-Type"] = result[name]
        if member.serialization.get("location") == "statusCode" and name in result:
            status = result[name]
    return status, headers, body


class _RefusedError(ServiceException):
    """Lives outside moto, so that moto looks for the error's shape in the service that was asked."""


def _refusal(response: BaseResponse, error: ServiceError) -> Any:
    refusal = _RefusedError(error.code, error.message)
    for name, value in error.members.items():
        setattr(refusal, name, value)
        setattr(refusal, camelcase_to_underscores(name), value)
    status, headers, body = response.serialized(ActionResult(refusal))
    return (error.status if error.status != 400 else status), headers, body


def _serve_s3_as_the_rest() -> None:
    """S3 has a dispatch of its own in moto: it is given the checks, lock and commit that the other services have."""
    from moto.s3.responses import S3Response

    def locked(original: Callable[..., Any]) -> Callable[..., Any]:
        def respond(self: S3Response, request: Any, full_url: str, headers: Any) -> Any:
            request.get_data()  # the body arrives before the lock is taken
            refused = _refused(self, request, full_url)
            if refused:
                return refused
            try:
                _check_s3(self, request)
                with state_lock:
                    return original(self, request, full_url, headers)
            except ServiceError as error:
                self.setup_class(request)
                return self._send_response(_refusal(self, error))
            finally:
                reads = request.method in ("GET", "HEAD", "OPTIONS")
                for commit in _commits:
                    commit("s3", "GetObject" if reads else "PutObject", self.current_account, self.region)

        return respond

    def _refused(self: S3Response, request: Any, full_url: str) -> Any:
        if not _s3_guards:
            return None
        self.setup_class(request)
        asked = S3Request(
            method=request.method,
            bucket=self.parse_bucket_name_from_url(request, full_url) or "",
            key=self.parse_key_name(),
            query=dict(request.args),
            headers=request.headers,
            body=request.get_data(),
            account=self.current_account,
            region=self.region,
        )
        return next(filter(None, (guard(asked) for guard in _s3_guards)), None)

    S3Response.bucket_response = locked(S3Response.bucket_response)  # type: ignore[method-assign]
    S3Response.key_response = locked(S3Response.key_response)  # type: ignore[method-assign]


def _check_s3(response: Any, request: Any) -> None:
    """Run the checks of S3 on a request that its model knows; the bytes of objects are not looked at."""
    try:
        operation, address = get_service_router("s3").match(request)
    except NotFound:
        return
    shape = operation.input_shape
    payload = shape.members[name] if shape and (name := shape.serialization.get("payload")) else None
    framed = request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    try:
        given = PROTOCOL_PARSERS["rest-xml"](operation).parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": b"" if framed or (payload and payload.type_name == "blob") else request.data,
                "url_path": request.path,
                "url_params": address,
            }
        )
    except (ValueError, TypeError, AttributeError, RequestParserError):
        return  # moto says so in S3's words
    response.headers, response.querystring = request.headers, {}
    region = extract_region_from_aws_authorization(request.headers.get("Authorization", "")) or "us-east-1"
    call = Call(response.get_current_account(), region, _given(given, shape), "s3")
    for service in (EVERY_SERVICE, "s3"):
        _check(service, operation.name, call)
