# SPDX-License-Identifier: Apache-2.0
"""Lambda, and resources that a Lambda function makes."""

from __future__ import annotations

import io
import uuid
import zipfile
from typing import Any

from localcloud.cloudformation import custom_resources
from localcloud.cloudformation.resource_types.registry import (
    Made,
    Properties,
    ResourceType,
    Target,
    ignoring_absence,
    picked,
    refuse_beyond,
    resource_type,
    tag_map,
    without,
)

_CONFIGURATION = (
    "DeadLetterConfig",
    "Description",
    "Environment",
    "EphemeralStorage",
    "Handler",
    "KmsKeyArn",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "Role",
    "Runtime",
    "Timeout",
    "TracingConfig",
    "VpcConfig",
)


@resource_type("AWS::Lambda::Function", name="FunctionName")
class Function(ResourceType):
    """A function, its code from S3 or written in the template."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 64)
        plain = picked(it.properties, *_CONFIGURATION, "Architectures", "PackageType", "Publish")
        refuse_beyond(it, *plain, "Code", "FunctionName", "ReservedConcurrentExecutions", "Tags")
        parameters = {**plain, "FunctionName": name, "Code": _code(it.properties), "Tags": tag_map(it.properties)}
        arn = it.call("lambda", "CreateFunction", parameters)["FunctionArn"]
        it.claim(name)
        self._reserve(it, name, it.properties)
        return Made(name, {"Arn": arn})

    def update(self, it: Target) -> Made:
        if it.properties["Code"] != it.before["Code"]:
            code = {**_code(it.properties), "FunctionName": it.physical_id}
            it.call("lambda", "UpdateFunctionCode", code)
        configuration = picked(it.properties, *_CONFIGURATION)
        for gone in set(picked(it.before, *_CONFIGURATION)) - set(configuration):
            configuration[gone] = _RESETS.get(gone, "")
        it.call("lambda", "UpdateFunctionConfiguration", {**configuration, "FunctionName": it.physical_id})
        self._reserve(it, it.physical_id, it.properties)
        return Made(it.physical_id, {"Arn": it.arn("lambda", f"function:{it.physical_id}")})

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("lambda").delete_function, FunctionName=it.physical_id)

    def _reserve(self, it: Target, name: str, properties: Properties) -> None:
        reserved = properties.get("ReservedConcurrentExecutions")
        if reserved is not None:
            parameters = {"FunctionName": name, "ReservedConcurrentExecutions": reserved}
            it.call("lambda", "PutFunctionConcurrency", parameters)
        else:
            ignoring_absence(it.client("lambda").delete_function_concurrency, FunctionName=name)


_RESETS: dict[str, Any] = {
    "DeadLetterConfig": {},
    "Environment": {"Variables": {}},
    "Layers": [],
    "MemorySize": 128,
    "Timeout": 3,
    "VpcConfig": {},
    "TracingConfig": {"Mode": "PassThrough"},
}


def _code(properties: Properties) -> dict[str, Any]:
    code = properties["Code"]
    if "ZipFile" not in code:
        return picked(code, "S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri")
    suffix = "py" if str(properties.get("Runtime", "")).startswith("python") else "js"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr(f"index.{suffix}", code["ZipFile"])
    return {"ZipFile": archive.getvalue()}


@resource_type("AWS::Lambda::Permission")
class Permission(ResourceType):
    """Who may invoke a function."""

    def create(self, it: Target) -> Made:
        statement = it.name(100)
        it.call("lambda", "AddPermission", {**it.properties, "StatementId": statement})
        return Made(statement, {"Id": statement})

    def delete(self, it: Target) -> None:
        remove = it.client("lambda").remove_permission
        ignoring_absence(remove, FunctionName=it.properties["FunctionName"], StatementId=it.physical_id)


@resource_type("AWS::Lambda::EventSourceMapping")
class EventSourceMapping(ResourceType):
    """A queue that feeds a function."""

    def create(self, it: Target) -> Made:
        made = it.call("lambda", "CreateEventSourceMapping", without(it.properties, "Tags"))
        return Made(made["UUID"], {"Id": made["UUID"]})

    def update(self, it: Target) -> Made:
        plain = without(it.properties, "EventSourceArn", "StartingPosition", "Tags")
        it.call("lambda", "UpdateEventSourceMapping", {**plain, "UUID": it.physical_id})
        return Made(it.physical_id, {"Id": it.physical_id})

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("lambda").delete_event_source_mapping, UUID=it.physical_id)


@resource_type("AWS::CloudFormation::CustomResource")
class CustomResource(ResourceType):
    """`Custom::X`: a function is told what to do and answers to a URL."""

    def create(self, it: Target) -> Made:
        return self._ask(it, "Create", it.properties, {})

    def update(self, it: Target) -> Made:
        more = {"PhysicalResourceId": it.physical_id, "OldResourceProperties": _strings(it.before)}
        return self._ask(it, "Update", it.properties, more)

    def delete(self, it: Target) -> None:
        self._ask(it, "Delete", it.properties, {"PhysicalResourceId": it.physical_id})

    def _ask(self, it: Target, what: str, properties: Properties, more: dict[str, Any]) -> Made:
        request = {
            "RequestType": what,
            "RequestId": str(uuid.uuid4()),
            "StackId": it.stack_id,
            "LogicalResourceId": it.logical_id,
            "ResourceType": it.kind,
            "ResourceProperties": _strings(properties),
            **more,
        }
        seconds = int(properties.get("ServiceTimeout", 3600))
        answer = custom_resources.ask(it.account, it.region, properties["ServiceToken"], request, seconds)
        physical_id = answer.get("PhysicalResourceId") or more.get("PhysicalResourceId") or it.name()
        return Made(str(physical_id), answer.get("Data") or {})


def _strings(value: Any) -> Any:
    """CloudFormation hands every plain value over as a string."""
    if isinstance(value, dict):
        return {key: _strings(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_strings(part) for part in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


@resource_type("AWS::CDK::Metadata")
class CdkMetadata(ResourceType):
    """What the CDK says of itself; makes nothing."""

    def create(self, it: Target) -> Made:
        return Made(it.name())

    def update(self, it: Target) -> Made:
        return Made(it.physical_id)
