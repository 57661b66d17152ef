# SPDX-License-Identifier: Apache-2.0
"""Stacks, their resources and their parameters as CloudFormation's API describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.cloudformation.stacks import Plan, Resource, Stack


def stack_described(stack: Stack) -> dict[str, Any]:
    """As DescribeStacks answers."""
    described: dict[str, Any] = {
        "StackId": stack.id,
        "StackName": stack.name,
        "Description": str(stack.template.get("Description", "")),
        "Parameters": parameters_described(stack.plan),
        "CreationTime": stack.created,
        "StackStatus": stack.status,
        "DisableRollback": stack.disable_rollback,
        "NotificationARNs": [],
        "Capabilities": stack.capabilities,
        "Outputs": stack.outputs,
        "Tags": stack.tags,
        "EnableTerminationProtection": stack.termination_protection,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }
    beside = {
        "StackStatusReason": stack.reason,
        "LastUpdatedTime": stack.updated,
        "DeletionTime": stack.deleted,
        "RoleARN": stack.role_arn,
    }
    return {**described, **{key: value for key, value in beside.items() if value}}


def stack_summary(stack: Stack) -> dict[str, Any]:
    """As ListStacks answers."""
    summary = {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": stack.created,
        "StackStatus": stack.status,
        "TemplateDescription": str(stack.template.get("Description", "")),
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }
    return {**summary, **({"DeletionTime": stack.deleted} if stack.deleted else {})}


def resource_described(stack: Stack, resource: Resource) -> dict[str, Any]:
    """As DescribeStackResources answers."""
    described = {"StackId": stack.id, "StackName": stack.name, **resource_summary(resource)}
    described["Timestamp"] = described.pop("LastUpdatedTimestamp")
    return described


def resource_summary(resource: Resource) -> dict[str, Any]:
    """As ListStackResources answers."""
    summary = {
        "LogicalResourceId": resource.logical_id,
        "PhysicalResourceId": resource.physical_id,
        "ResourceType": resource.kind,
        "LastUpdatedTimestamp": resource.changed,
        "ResourceStatus": resource.status,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }
    return {**summary, **({"ResourceStatusReason": resource.reason} if resource.reason else {})}


def parameters_described(plan: Plan) -> list[dict[str, str]]:
    """A plan's parameters; what must not be echoed is starred."""
    declared = plan.template.get("Parameters", {})
    listed = []
    for key, text in plan.parameters.items():
        one = {"ParameterKey": key, "ParameterValue": "****" if declared[key].get("NoEcho") else str(text)}
        if declared[key].get("Type", "").startswith("AWS::SSM::"):
            one["ResolvedValue"] = str(plan.values.get(key, ""))
        listed.append(one)
    return listed


def parameters_declared(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A template's parameters, as GetTemplateSummary answers."""
    declared = []
    for key, parameter in template.get("Parameters", {}).items():
        one = {"ParameterKey": key, "ParameterType": parameter["Type"], "NoEcho": bool(parameter.get("NoEcho", False))}
        if "Default" in parameter:
            one["DefaultValue"] = str(parameter["Default"])
        if "Description" in parameter:
            one["Description"] = parameter["Description"]
        declared.append(one)
    return declared
