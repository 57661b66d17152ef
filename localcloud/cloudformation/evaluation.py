# SPDX-License-Identifier: Apache-2.0
"""What a template's expressions come to in a stack: its resources, its outputs, and other stacks' exports."""

from __future__ import annotations

from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from localcloud.clients import client
from localcloud.cloudformation.stacks import Plan, Stack, neighbours
from localcloud.cloudformation.templates import Resolver, TemplateError, order, references


def resolver_of(stack: Stack, plan: Plan) -> Resolver:
    """What resolves the plan's template against the stack's resources as they are."""

    def reference(logical_id: str) -> str:
        resource = stack.resources.get(logical_id)
        if not resource or not resource.physical_id:
            raise TemplateError(f"Unresolved resource dependencies [{logical_id}]")
        return resource.physical_id

    def attribute(logical_id: str, name: str) -> Any:
        reference(logical_id)
        resource = stack.resources[logical_id]
        value: Any = resource.attributes
        for part in [name] if name in resource.attributes else name.split("."):
            if not isinstance(value, dict) or part not in value:
                raise TemplateError(f"{resource.kind} {logical_id} has no {name}, but {sorted(resource.attributes)}")
            value = value[part]
        return value

    def imported(name: str) -> str:
        for other in neighbours(stack):
            if name in other.exports:
                if name not in stack.imports:
                    stack.imports.append(name)
                return other.exports[name]
        raise TemplateError(f"No export named {name} found.")

    pseudo = {
        "AWS::AccountId": stack.account,
        "AWS::NotificationARNs": [],
        "AWS::Partition": "aws",
        "AWS::Region": stack.region,
        "AWS::StackId": stack.id,
        "AWS::StackName": stack.name,
        "AWS::URLSuffix": "amazonaws.com",
    }
    dynamic = partial(_dynamic_reference, stack)
    return Resolver(plan.template, plan.values, pseudo, reference, attribute, imported, dynamic)


def _dynamic_reference(stack: Stack, what: str) -> str:
    service, _, name = what.partition(":")
    if service not in ("ssm", "ssm-secure"):
        raise TemplateError(f"the emulated cloud has no dynamic reference {what}")
    try:
        answer = client("ssm", stack.account, stack.region).get_parameter(Name=name, WithDecryption=True)
    except ClientError as error:
        raise TemplateError(f"{what}: {error.response['Error']['Message']}") from error
    return str(answer["Parameter"]["Value"])


def present(resolver: Resolver) -> list[str]:
    """Logical ids of the resources that the template has under its conditions, in the order of making.

    Raises:
        TemplateError: A reference to nothing, a circle.
    """
    included = {
        logical_id
        for logical_id, resource in resolver.template["Resources"].items()
        if "Condition" not in resource or resolver.condition(resource["Condition"])
    }
    ordered = order(resolver.template, included)
    for logical_id in ordered:
        properties = resolver.template["Resources"][logical_id].get("Properties")
        used = {name for name, _ in references(_taken(properties, resolver))}
        if left_out := sorted(used & set(resolver.template["Resources"]) - included):
            unresolved = f"Unresolved resource dependencies [{', '.join(left_out)}]"
            raise TemplateError(f"Template format error: {unresolved} in the Resources block of the template")
    return ordered


def _taken(value: Any, resolver: Resolver) -> Any:
    """`value` without the branches of Fn::If whose condition does not hold."""
    if isinstance(value, list):
        return [_taken(part, resolver) for part in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Fn::If"}:
        condition, then, otherwise = value["Fn::If"]
        return _taken(then if resolver.condition(condition) else otherwise, resolver)
    return {key: _taken(part, resolver) for key, part in value.items()}


def outputs_of(stack: Stack, resolver: Resolver) -> list[dict[str, str]]:
    """The outputs, as DescribeStacks lists them.

    Raises:
        TemplateError: Another stack exports a value of the same name.
    """
    made = []
    taken = {name: other.name for other in neighbours(stack) for name in other.exports}
    for key, output in (resolver.template.get("Outputs") or {}).items():
        if "Condition" in output and not resolver.condition(output["Condition"]):
            continue
        one = {"OutputKey": key, "OutputValue": str(resolver.resolve(output["Value"]))}
        if "Description" in output:
            one["Description"] = output["Description"]
        if "Export" in output:
            name = one["ExportName"] = str(resolver.resolve(output["Export"]["Name"]))
            if name in taken:
                raise TemplateError(f"Export with name {name} is already exported by stack {taken[name]}.")
        made.append(one)
    return made


def refuse_lost_exports(stack: Stack, kept: list[dict[str, str]]) -> None:
    """Refuse to go on without exports that are in use.

    Args:
        stack: The stack that changes or goes.
        kept: The outputs that it will have.

    Raises:
        TemplateError: Another stack imports one that it will not have.
    """
    for name in set(stack.exports) - {output.get("ExportName") for output in kept}:
        for other in neighbours(stack):
            if name in other.imports:
                raise TemplateError(f"Cannot delete export {name} as it is in use by {other.name}.")
