# SPDX-License-Identifier: Apache-2.0
"""Lambda, and resources that a Lambda function makes."""

from __future__ import annotations

import io
import uuid
import zipfile
from typing import Any

from localcloud.cloudformation import custom_resources
from localcloud.cloudformation.resource_types.registry import ResourceType, Target, resource_type
from localcloud.cloudformation.templates import text_of

_CONFIGURATION: dict[str, Any] = {
    "DeadLetterConfig": {},
    "Description": "",
    "Environment": {"Variables": {}},
    "EphemeralStorage": {"Size": 512},
    "Handler": "",
    "KmsKeyArn": "",
    "LoggingConfig": {},
    "MemorySize": 128,
    "Role": "",
    "Runtime": "",
    "Timeout": 3,
    "TracingConfig": {"Mode": "PassThrough"},
    "VpcConfig": {},
}
"""What a function may be configured with, and what each is when the template no longer says it."""


@resource_type(
    "AWS::Lambda::Function",
    name="FunctionName",
    gives={"Arn": "arn:aws:lambda:{region}:{account}:function:{id}"},
    deletes=("lambda", "DeleteFunction", "FunctionName"),
)
class Function(ResourceType):
    """A function, its code from S3 or written in the template."""

    def create(self, it: Target) -> str:
        name = self.name_of(it, 64)
        plain = it.picked(*_CONFIGURATION, "Architectures", "PackageType", "Publish")
        it.refuse_beyond(*plain, "Code", "FunctionName", "ReservedConcurrentExecutions", "Tags")
        it.call("lambda", "CreateFunction", {**plain, "FunctionName": name, "Code": _code(it), "Tags": it.tag_map})
        it.claim(name)
        return self._reserve(it.named(name))

    def update(self, it: Target) -> str:
        name = {"FunctionName": it.physical_id}
        if it.changed("Code"):
            it.call("lambda", "UpdateFunctionCode", {**_code(it), **name})
        gone = {key: unset for key, unset in _CONFIGURATION.items() if key in it.before}
        it.call("lambda", "UpdateFunctionConfiguration", {**gone, **it.picked(*_CONFIGURATION), **name})
        return self._reserve(it)

    def _reserve(self, it: Target) -> str:
        reserved = it.picked("ReservedConcurrentExecutions")
        name = {"FunctionName": it.physical_id}
        if reserved:
            it.call("lambda", "PutFunctionConcurrency", {**reserved, **name})
        else:
            it.drop("lambda", "DeleteFunctionConcurrency", name)
        return it.physical_id


def _code(it: Target) -> dict[str, Any]:
    code: dict[str, Any] = it.properties["Code"]
    if "ZipFile" not in code:
        return code
    suffix = "py" if str(it.properties.get("Runtime", "")).startswith("python") else "js"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr(f"index.{suffix}", code["ZipFile"])
    return {"ZipFile": archive.getvalue()}


@resource_type("AWS::Lambda::Permission", gives={"Id": "{id}"})
class Permission(ResourceType):
    """Who may invoke a function."""

    def create(self, it: Target) -> str:
        statement = it.name(100)
        it.call("lambda", "AddPermission", {**it.properties, "StatementId": statement})
        return statement

    def delete(self, it: Target) -> None:
        it.drop("lambda", "RemovePermission", {**it.picked("FunctionName"), "StatementId": it.physical_id})


@resource_type(
    "AWS::Lambda::EventSourceMapping", gives={"Id": "{id}"}, deletes=("lambda", "DeleteEventSourceMapping", "UUID")
)
class EventSourceMapping(ResourceType):
    """A queue that feeds a function."""

    def create(self, it: Target) -> str:
        return str(it.call("lambda", "CreateEventSourceMapping", it.without("Tags"))["UUID"])

    def update(self, it: Target) -> str:
        plain = it.without("EventSourceArn", "StartingPosition", "Tags")
        it.call("lambda", "UpdateEventSourceMapping", {**plain, "UUID": it.physical_id})
        return it.physical_id


@resource_type("AWS::CloudFormation::CustomResource")
class CustomResource(ResourceType):
    """`Custom::X`: a function is told what to do and answers to a URL."""

    def create(self, it: Target) -> str:
        return self._ask(it, "Create")

    def update(self, it: Target) -> str:
        return self._ask(it, "Update", PhysicalResourceId=it.physical_id, OldResourceProperties=_strings(it.before))

    def delete(self, it: Target) -> None:
        self._ask(it, "Delete", PhysicalResourceId=it.physical_id)

    def _ask(self, it: Target, what: str, **more: Any) -> str:
        request = {
            "RequestType": what,
            "RequestId": str(uuid.uuid4()),
            "StackId": it.stack.id,
            "LogicalResourceId": it.resource.logical_id,
            "ResourceType": it.kind,
            "ResourceProperties": _strings(it.properties),
            **more,
        }
        function, seconds = it.properties["ServiceToken"], int(it.properties.get("ServiceTimeout", 3600))
        answer = custom_resources.ask(it.stack.account, it.stack.region, function, request, seconds)
        it.told.update(answer.get("Data") or {})
        return str(answer.get("PhysicalResourceId") or it.physical_id or it.name())


def _strings(value: Any) -> Any:
    """CloudFormation hands every plain value over as a string."""
    if isinstance(value, dict):
        return {key: _strings(part) for key, part in value.items()}
    return [_strings(part) for part in value] if isinstance(value, list) else text_of(value)


@resource_type("AWS::CDK::Metadata")
class CdkMetadata(ResourceType):
    """What the CDK says of itself; makes nothing."""

    def create(self, it: Target) -> str:
        return it.name()

    def update(self, it: Target) -> str:
        return it.physical_id
