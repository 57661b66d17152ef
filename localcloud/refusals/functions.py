# SPDX-License-Identifier: Apache-2.0
"""What Lambda refuses."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any, NamedTuple

from moto.core.exceptions import ServiceException
from werkzeug.exceptions import HTTPException

from localcloud.dispatch import Call
from localcloud.refusals.refusal import parameter, recorded

_TESTS = "lambda_/test_lambda_api.py"
_INVALID = "InvalidParameterValueException"
_OF_ONE_FUNCTION = (
    "AddPermission CreateFunction DeleteFunction DeleteFunctionConcurrency GetFunction GetFunctionConfiguration Invoke "
    "PutFunctionConcurrency RemovePermission UpdateFunctionCode UpdateFunctionConfiguration"
)
_MAX_NAME = 64
_MAX_TAGS = 50
_MAX_LAYERS = 5
_GONE = frozenset(
    {
        "dotnetcore1.0",
        "dotnetcore2.0",
        "dotnetcore2.1",
        "dotnetcore3.1",
        "go1.x",
        "java8",
        "nodejs",
        "nodejs10.x",
        "nodejs12.x",
        "nodejs14.x",
        "nodejs4.3",
        "nodejs4.3-edge",
        "nodejs6.10",
        "nodejs8.10",
        "provided",
        "python2.7",
        "python3.6",
        "python3.7",
        "ruby2.5",
        "ruby2.7",
    }
)
"""Runtimes with which no function is created any more."""
_PRINCIPAL = re.compile(r"\*|\d{12}|arn:.+|[\w.-]+\.amazonaws\.com(\.cn)?|[\w.-]*alexa[\w-]*\.amazon\.com")


class _Named(NamedTuple):
    """The parts of a function's name or ARN, each empty where it is not said."""

    region: str
    account: str
    name: str
    qualifier: str


def _named(text: str) -> _Named:
    parts = text.split(":")
    if text.startswith("arn:") and len(parts) > 6:
        return _Named(parts[3], parts[4], parts[6], "".join(parts[7:8]))
    if len(parts) > 2 and parts[1] == "function":
        return _Named("", parts[0], parts[2], "".join(parts[3:4]))
    if len(parts) > 2:
        return _Named("", "", text, "")
    return _Named("", "", parts[0], "".join(parts[1:]))


def _function(call: Call, name: str) -> Any:
    """What is called so, or None."""
    try:
        return call.backend("lambda").get_function(name)
    except (HTTPException, ServiceException):
        return None


@recorded("lambda", _OF_ONE_FUNCTION, "ResourceNotFoundException", _TESTS)
def _function_of_another_region(call: Call) -> str:
    region = _named(parameter(call, "FunctionName")).region
    if region in ("", call.region):
        return ""
    return f"Functions from '{region}' are not reachable in this region ('{call.region}')"


@recorded("lambda", "GetFunction GetFunctionConfiguration Invoke", _INVALID, _TESTS)
def _other_qualifier(call: Call) -> str:
    given, derived = parameter(call, "Qualifier"), _named(parameter(call, "FunctionName")).qualifier
    if given and derived and given != derived:
        return "The derived qualifier from the function name does not match the specified qualifier."
    return ""


@recorded("lambda", "DeleteFunction", _INVALID, _TESTS)
def _latest_version(call: Call) -> str:
    if _named(parameter(call, "FunctionName")).qualifier == "$LATEST":
        return "$LATEST version cannot be deleted without deleting the function."
    return ""


@recorded("lambda", "PutFunctionConcurrency", _INVALID, _TESTS)
def _concurrency_of_a_version(call: Call) -> str:
    if _named(parameter(call, "FunctionName")).qualifier:
        return (
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )
    return ""


@recorded("lambda", "CreateFunction", _INVALID, _TESTS)
def _long_name(call: Call) -> str:
    name = _named(parameter(call, "FunctionName")).name
    if len(name) <= _MAX_NAME:
        return ""
    limit = f"Member must have length less than or equal to {_MAX_NAME}"
    return f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: {limit}"


@recorded("lambda", "CreateFunction UpdateFunctionConfiguration", _INVALID, _TESTS)
def _runtime_that_is_gone(call: Call) -> str:
    runtime = parameter(call, "Runtime")
    if runtime not in _GONE:
        return ""
    return (
        f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. We "
        "recommend you use a supported runtime while creating or updating functions."
    )


@recorded("lambda", "CreateFunction UpdateFunctionCode", _INVALID, _TESTS)
def _no_archive(call: Call) -> str:
    archive = (call.parameters.get("Code") or call.parameters).get("ZipFile")
    if isinstance(archive, bytes) and not zipfile.is_zipfile(io.BytesIO(archive)):
        return "Could not unzip uploaded file. Please check your file, then try to upload again."
    return ""


@recorded("lambda", "AddPermission", _INVALID, _TESTS)
def _odd_permission(call: Call) -> str:
    if _named(parameter(call, "FunctionName")).qualifier == "$LATEST":
        return "We currently do not support adding policies for $LATEST."
    if not _PRINCIPAL.fullmatch(parameter(call, "Principal")):
        return "The provided principal was invalid. Please check the principal and try again."
    return ""


@recorded("lambda", "AddPermission", "ResourceConflictException", _TESTS)
def _statement_that_is_there(call: Call) -> str:
    function, statement = _function(call, parameter(call, "FunctionName")), parameter(call, "StatementId")
    known = function.policy.statements if function else []
    if not any(one["Sid"] == statement for one in known):
        return ""
    way_out = "Please provide a new statement id, or remove the existing statement."
    return f"The statement id ({statement}) provided already exists. {way_out}"


@recorded("lambda", "CreateFunction", _INVALID, _TESTS)
def _count_of_tags(call: Call) -> str:
    tags = call.parameters.get("Tags") or {}
    return "Number of tags exceeds resource tag limit." if len(tags) > _MAX_TAGS else ""


@recorded("lambda", "CreateFunction UpdateFunctionConfiguration", _INVALID, _TESTS)
def _odd_layers(call: Call) -> str:
    arns = call.parameters.get("Layers") or []
    if len(arns) > _MAX_LAYERS:
        return f"Cannot reference more than {_MAX_LAYERS} layers."
    versions = [(arn, *arn.rsplit(":", 1)) for arn in arns if arn.count(":") == 7]
    layers = [layer for _, layer, _ in versions]
    for arn, layer, version in versions:
        if layers.count(layer) > 1:
            return "Two different versions of the same layer are not allowed to be referenced in the same function."
        region, name = layer.split(":")[3], layer.split(":")[6]
        if region != call.region:
            return (
                f"Layers are not in the same region as the function. Layers are expected to be in region {call.region}."
            )
        if not any(str(one.version) == version for one in call.backend("lambda").list_layer_versions(name)):
            return f"Layer version {arn} does not exist."
    return ""


@recorded("lambda", "CreateFunction UpdateFunctionConfiguration", _INVALID, _TESTS)
def _unknown_security_group(call: Call) -> str:
    for group in (call.parameters.get("VpcConfig") or {}).get("SecurityGroupIds") or ():
        if call.backend("ec2").get_security_group_from_id(group) is None:
            code = "Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound."
            return f"{code} EC2 Error Message: The security group '{group}' does not exist"
    return ""
