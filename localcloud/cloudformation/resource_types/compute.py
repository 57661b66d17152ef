# SPDX-License-Identifier: Apache-2.0
"""Lambda, Step Functions, and resources that a Lambda function makes."""

from __future__ import annotations

import io
import json
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


@resource_type("AWS::Lambda::Function", name="FunctionName", replaced_by=("PackageType",))
class Function(ResourceType):
    """A function, its code from S3 or written in the template."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 64)
        plain = picked(it.properties, *_CONFIGURATION, "Architectures", "PackageType", "Publish")
        known = {*plain, "Code", "FunctionName", "ReservedConcurrentExecutions", "Tags"}
        unknown = sorted(set(it.properties) - known)
        if unknown:
            raise ValueError(f"Encountered unsupported property {unknown[0]} in AWS::Lambda::Function")
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


@resource_type("AWS::Lambda::Permission", replaced_by=("FunctionName", "Action", "Principal", "SourceArn"))
class Permission(ResourceType):
    """Who may invoke a function."""

    def create(self, it: Target) -> Made:
        statement = it.name(100)
        it.call("lambda", "AddPermission", {**it.properties, "StatementId": statement})
        return Made(statement, {"Id": statement})

    def delete(self, it: Target) -> None:
        remove = it.client("lambda").remove_permission
        ignoring_absence(remove, FunctionName=it.properties["FunctionName"], StatementId=it.physical_id)


@resource_type("AWS::Lambda::Version", replaced_by=("FunctionName", "Description", "CodeSha256"))
class Version(ResourceType):
    """A published version of a function."""

    def create(self, it: Target) -> Made:
        plain = picked(it.properties, "FunctionName", "Description")
        made = it.call("lambda", "PublishVersion", plain)
        arn = it.arn("lambda", f"function:{made['FunctionName']}:{made['Version']}")
        return Made(arn, {"Version": made["Version"], "FunctionArn": arn})


@resource_type("AWS::Lambda::Alias", replaced_by=("FunctionName", "Name"))
class Alias(ResourceType):
    """A name for a version of a function."""

    def create(self, it: Target) -> Made:
        plain = picked(it.properties, "FunctionName", "FunctionVersion", "Name", "Description")
        arn = it.call("lambda", "CreateAlias", plain)["AliasArn"]
        return Made(arn, {"AliasArn": arn})

    def update(self, it: Target) -> Made:
        plain = picked(it.properties, "FunctionName", "FunctionVersion", "Name", "Description")
        arn = it.call("lambda", "UpdateAlias", plain)["AliasArn"]
        return Made(arn, {"AliasArn": arn})

    def delete(self, it: Target) -> None:
        remove = it.client("lambda").delete_alias
        ignoring_absence(remove, FunctionName=it.properties["FunctionName"], Name=it.properties["Name"])


@resource_type("AWS::Lambda::LayerVersion", replaced_by=("Content", "LayerName", "CompatibleRuntimes", "Description"))
class LayerVersion(ResourceType):
    """A layer: an archive that lies under /opt when a function runs."""

    def create(self, it: Target) -> Made:
        name = it.properties.get("LayerName") or it.name(64)
        arn = it.call("lambda", "PublishLayerVersion", {**it.properties, "LayerName": name})["LayerVersionArn"]
        return Made(arn, {"LayerVersionArn": arn})

    def delete(self, it: Target) -> None:
        name, version = it.physical_id.rsplit(":", 2)[1:]
        ignoring_absence(it.client("lambda").delete_layer_version, LayerName=name, VersionNumber=int(version))


@resource_type("AWS::Lambda::EventSourceMapping", replaced_by=("EventSourceArn",))
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


@resource_type("AWS::Lambda::EventInvokeConfig", replaced_by=("FunctionName", "Qualifier"))
class EventInvokeConfig(ResourceType):
    """Retries and destinations of a function's asynchronous invocations."""

    def create(self, it: Target) -> Made:
        return self.update(it.named(it.name()))

    def update(self, it: Target) -> Made:
        it.call("lambda", "PutFunctionEventInvokeConfig", without(it.properties, "Qualifier"))
        return Made(it.physical_id)

    def delete(self, it: Target) -> None:
        remove = it.client("lambda").delete_function_event_invoke_config
        ignoring_absence(remove, FunctionName=it.properties["FunctionName"])


@resource_type("AWS::StepFunctions::StateMachine", name="StateMachineName", replaced_by=("StateMachineType",))
class StateMachine(ResourceType):
    """A state machine."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 80)
        parameters = {
            "name": name,
            "definition": _definition(it.properties),
            "roleArn": it.properties["RoleArn"],
            "type": it.properties.get("StateMachineType", "STANDARD"),
        }
        arn = it.client("stepfunctions").create_state_machine(**parameters)["stateMachineArn"]
        return Made(arn, {"Arn": arn, "Name": name})

    def update(self, it: Target) -> Made:
        it.client("stepfunctions").update_state_machine(
            stateMachineArn=it.physical_id, definition=_definition(it.properties), roleArn=it.properties["RoleArn"]
        )
        return Made(it.physical_id, {"Arn": it.physical_id, "Name": it.physical_id.rsplit(":", 1)[1]})

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("stepfunctions").delete_state_machine, stateMachineArn=it.physical_id)


def _definition(properties: Properties) -> str:
    text = str(properties.get("DefinitionString") or json.dumps(properties["Definition"]))
    for key, value in (properties.get("DefinitionSubstitutions") or {}).items():
        text = text.replace("${" + key + "}", str(value))
    return text


class CustomResource(ResourceType):
    """`Custom::X`: a function is told what to do and answers to a URL."""

    replaced_by = frozenset({"ServiceToken"})

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


resource_type("AWS::CloudFormation::CustomResource")(CustomResource)


class _Nothing(ResourceType):
    """A type that makes nothing."""

    def create(self, it: Target) -> Made:
        return Made(it.name())

    def update(self, it: Target) -> Made:
        return Made(it.physical_id)


for _kind in ("AWS::CDK::Metadata", "AWS::CloudFormation::WaitConditionHandle"):
    resource_type(_kind)(type(_kind.rsplit("::")[-1], (_Nothing,), {}))
