# SPDX-License-Identifier: Apache-2.0
"""CloudFormation's API, as far as the CDK CLI and people use it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlparse

from botocore.exceptions import ClientError
from moto.core.utils import get_service_model

from localcloud.clients import client
from localcloud.cloudformation import change_sets, custom_resources, imports, lifecycle, stacks
from localcloud.cloudformation.descriptions import (
    parameters_declared,
    parameters_described,
    resource_described,
    resource_summary,
    stack_described,
    stack_summary,
)
from localcloud.cloudformation.evaluation import present, resolver_of
from localcloud.cloudformation.parameters import given, value_of
from localcloud.cloudformation.stacks import ChangeSet, Plan, Stack
from localcloud.cloudformation.templates import TemplateError, parse
from localcloud.cloudformation.validation import needed_capabilities, refuse_missing_capabilities, validate
from localcloud.context import CloudContext
from localcloud.dispatch import Call, Handler, ServiceError, replace_action
from localcloud.times import now

MAX_TEMPLATE_BODY = 51_200
MAX_TEMPLATE_OBJECT = 1_000_000


def install(context: CloudContext) -> None:
    """Answer every CloudFormation action here instead of in moto."""
    stacks.install(context)
    custom_resources.install(context)
    for action in get_service_model("cloudformation").operation_names:
        replace_action("cloudformation", action, _refusing(ACTIONS.get(action, _unknown)))


def _refusing(handler: Handler) -> Handler:
    """The handler, with what is wrong with a template answered as an error of the service."""

    def answer(call: Call) -> dict[str, Any]:
        try:
            return handler(call)
        except TemplateError as error:
            raise ServiceError(error.code, str(error)) from error

    return answer


def _unknown(_: Call) -> dict[str, Any]:
    raise NotImplementedError  # moto's stacks are not these


def resume(_: CloudContext) -> None:
    """Bring interrupted stacks to rest."""
    lifecycle.resume()


def create_change_set(call: Call) -> dict[str, Any]:
    parameters = call.parameters
    stack = _find(call)
    under_review = stack is not None and stack.status == "REVIEW_IN_PROGRESS"
    only_imports = parameters.get("ChangeSetType") == "IMPORT"
    creates = under_review or parameters.get("ChangeSetType") == "CREATE" or (only_imports and stack is None)
    if creates:
        if stack and not under_review:
            raise ServiceError("ValidationError", f"Stack [{stack.name}] already exists and cannot be created again")
        text = _template_text(call)
        stack = stack or stacks.new_stack(call.account, call.region, parameters["StackName"], text)
    else:
        stack = _living(call)
        _refuse_busy(stack)
        text = stack.template_text if parameters.get("UsePreviousTemplate") else _template_text(call)
    plan = _plan(stack, text, parameters, is_new=creates)
    changes = change_sets.changes(stack, plan, is_new=creates)
    imported = imports.found(stack, plan, parameters, changes)
    imports.mark(changes, imported)
    change_set = ChangeSet(
        described=_described(call, stack, plan, changes),
        plan=plan,
        creates=creates,
        role_arn=parameters.get("RoleARN", ""),
        stays_on_failure=parameters.get("OnStackFailure") == "DO_NOTHING",
        imports=imported,
        only_imports=only_imports,
    )
    stack.change_sets[parameters["ChangeSetName"]] = change_set
    stacks.save(stack)
    return {"Id": change_set.described["ChangeSetId"], "StackId": stack.id}


def _described(call: Call, stack: Stack, plan: Plan, changes: list[dict[str, Any]]) -> dict[str, Any]:
    name = call.parameters["ChangeSetName"]
    return {
        "ChangeSetName": name,
        "ChangeSetId": f"arn:aws:cloudformation:{call.region}:{call.account}:changeSet/{name}/{uuid.uuid4()}",
        "StackId": stack.id,
        "StackName": stack.name,
        "Description": call.parameters.get("Description"),
        "Parameters": parameters_described(plan),
        "CreationTime": now(),
        "ExecutionStatus": "AVAILABLE" if changes else "UNAVAILABLE",
        "Status": "CREATE_COMPLETE" if changes else "FAILED",
        "StatusReason": None
        if changes
        else "The submitted information didn't contain changes. Submit different information to create a change set.",
        "Capabilities": call.parameters.get("Capabilities", []),
        "Tags": call.parameters.get("Tags", []),
        "Changes": changes,
        "IncludeNestedStacks": False,
    }


def describe_change_set(call: Call) -> dict[str, Any]:
    return _change_set(call)[1].described


def list_change_sets(call: Call) -> dict[str, Any]:
    stack = _living(call)
    hidden = ("Parameters", "Changes", "Capabilities", "Tags")
    summaries = [
        {key: value for key, value in change_set.described.items() if key not in hidden}
        for change_set in stack.change_sets.values()
    ]
    return {"Summaries": summaries}


def execute_change_set(call: Call) -> dict[str, Any]:
    stack, change_set = _change_set(call)
    described = change_set.described
    if described["ExecutionStatus"] != "AVAILABLE":
        message = (
            f"ChangeSet [{described['ChangeSetId']}] cannot be executed in its current execution status of "
            f"[{described['ExecutionStatus']}]"
        )
        raise ServiceError("InvalidChangeSetStatus", message)
    _refuse_busy(stack)
    stack.change_sets.clear()
    stack.tags, stack.capabilities = described["Tags"], described["Capabilities"]
    stack.role_arn = change_set.role_arn
    stack.disable_rollback = bool(call.parameters.get("DisableRollback")) or change_set.stays_on_failure
    stack.imports_under_way = change_set.imports
    begin = lifecycle.begin_creation if change_set.creates else lifecycle.begin_update
    if change_set.only_imports:
        begin = lifecycle.begin_import
    begin(stack, change_set.plan)
    return {}


def delete_change_set(call: Call) -> dict[str, Any]:
    try:
        stack, change_set = _change_set(call)
    except ServiceError:
        return {}
    del stack.change_sets[change_set.described["ChangeSetName"]]
    stacks.save(stack)
    return {}


def create_stack(call: Call) -> dict[str, Any]:
    parameters = call.parameters
    if _find(call):
        raise ServiceError("AlreadyExistsException", f"Stack [{parameters['StackName']}] already exists")
    text = _template_text(call)
    stack = stacks.new_stack(call.account, call.region, parameters["StackName"], text)
    try:
        plan = _plan(stack, text, parameters, is_new=True)
    except TemplateError:
        del stacks.stacks[stack.id]
        raise
    stack.tags = parameters.get("Tags", [])
    stack.capabilities = parameters.get("Capabilities", [])
    stack.termination_protection = parameters.get("EnableTerminationProtection", False)
    stack.disable_rollback = parameters.get("DisableRollback", False) or parameters.get("OnFailure") == "DO_NOTHING"
    lifecycle.begin_creation(stack, plan)
    return {"StackId": stack.id}


def update_stack(call: Call) -> dict[str, Any]:
    stack = _living(call)
    _refuse_busy(stack)
    text = stack.template_text if call.parameters.get("UsePreviousTemplate") else _template_text(call)
    plan = _plan(stack, text, call.parameters, is_new=False)
    if not change_sets.changes(stack, plan, is_new=False):
        raise ServiceError("ValidationError", "No updates are to be performed.")
    stack.tags = call.parameters.get("Tags", stack.tags)
    stack.imports_under_way = {}
    lifecycle.begin_update(stack, plan)
    return {"StackId": stack.id}


def delete_stack(call: Call) -> dict[str, Any]:
    stack = _find(call)
    if not stack or stack.status == "DELETE_IN_PROGRESS":
        return {}
    if stack.termination_protection:
        message = f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
        raise ServiceError("ValidationError", message)
    if stack.is_busy:
        _refuse_busy(stack)
    lifecycle.begin_deletion(stack)
    return {}


def describe_stacks(call: Call) -> dict[str, Any]:
    return {"Stacks": [stack_described(stack) for stack in _named_or_living(call)]}


def list_stacks(call: Call) -> dict[str, Any]:
    wanted = call.parameters.get("StackStatusFilter")
    return {"StackSummaries": [stack_summary(one) for one in _all(call) if not wanted or one.status in wanted]}


def describe_stack_events(call: Call) -> dict[str, Any]:
    return {"StackEvents": list(reversed(_existing(call).events))}


def describe_stack_resources(call: Call) -> dict[str, Any]:
    physical = call.parameters.get("PhysicalResourceId")
    wanted = call.parameters.get("LogicalResourceId")
    resources = [
        resource_described(stack, resource)
        for stack in _named_or_living(call)
        for resource in stack.resources.values()
        if wanted in (None, resource.logical_id) and physical in (None, resource.physical_id)
    ]
    return {"StackResources": resources}


def list_stack_resources(call: Call) -> dict[str, Any]:
    return {"StackResourceSummaries": [resource_summary(one) for one in _existing(call).resources.values()]}


def get_template(call: Call) -> dict[str, Any]:
    if call.parameters.get("ChangeSetName"):
        text = _change_set(call)[1].plan.template_text
    else:
        text = _existing(call).template_text
    return {"TemplateBody": text, "StagesAvailable": ["Original", "Processed"]}


def get_template_summary(call: Call) -> dict[str, Any]:
    named = "StackName" in call.parameters
    template = _existing(call).template if named else parse(_template_text(call))
    return {
        "Parameters": parameters_declared(template),
        "Description": str(template.get("Description", "")),
        "Capabilities": needed_capabilities(template),
        "ResourceTypes": sorted({resource["Type"] for resource in template["Resources"].values()}),
        "ResourceIdentifierSummaries": imports.identifiers(template),
        "Metadata": json.dumps(template.get("Metadata", {})),
    }


def list_exports(call: Call) -> dict[str, Any]:
    exports = [
        {"ExportingStackId": stack.id, "Name": name, "Value": value}
        for stack in _all(call)
        if not stack.deleted
        for name, value in stack.exports.items()
    ]
    return {"Exports": exports}


def update_termination_protection(call: Call) -> dict[str, Any]:
    stack = _living(call)
    stack.termination_protection = call.parameters["EnableTerminationProtection"]
    stacks.save(stack)
    return {"StackId": stack.id}


ACTIONS: dict[str, Handler] = {
    "CreateChangeSet": create_change_set,
    "CreateStack": create_stack,
    "DeleteChangeSet": delete_change_set,
    "DeleteStack": delete_stack,
    "DescribeChangeSet": describe_change_set,
    "DescribeStackEvents": describe_stack_events,
    "DescribeStackResources": describe_stack_resources,
    "DescribeStacks": describe_stacks,
    "ExecuteChangeSet": execute_change_set,
    "GetTemplate": get_template,
    "GetTemplateSummary": get_template_summary,
    "ListChangeSets": list_change_sets,
    "ListExports": list_exports,
    "ListStackResources": list_stack_resources,
    "ListStacks": list_stacks,
    "UpdateStack": update_stack,
    "UpdateTerminationProtection": update_termination_protection,
}


def _plan(stack: Stack, text: str, parameters: Mapping[str, Any], *, is_new: bool) -> Plan:
    """Check template, parameters, conditions and capabilities.

    Raises:
        TemplateError: What CloudFormation refuses before it makes anything.
    """
    template = parse(text)
    validate(template)
    refuse_missing_capabilities(template, parameters.get("Capabilities", []))
    declared = template.get("Parameters", {})
    texts = given(declared, parameters.get("Parameters", []), {} if is_new else stack.parameters)
    plan = Plan(text, texts, {key: value_of(stack, key, declared[key], one) for key, one in texts.items()})
    present(resolver_of(stack, plan))
    return plan


def _template_text(call: Call) -> str:
    body = call.parameters.get("TemplateBody")
    if body:
        if len(body.encode()) > MAX_TEMPLATE_BODY:
            raise TemplateError(
                "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have "
                f"length less than or equal to {MAX_TEMPLATE_BODY}"
            )
        return str(body)
    url = call.parameters.get("TemplateURL")
    if not url:
        raise TemplateError("Either Template URL or Template Body must be specified.")
    parsed = urlparse(url)
    path = unquote(parsed.path).lstrip("/")
    virtual_host = re.match(r"(.+)\.s3[.-]", parsed.netloc)
    bucket, key = (virtual_host.group(1), path) if virtual_host else path.split("/", 1)
    try:
        answer = client("s3", call.account, call.region).get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        raise TemplateError(f"S3 error: {error.response['Error'].get('Message', error)}") from error
    content = answer["Body"].read()
    if len(content) > MAX_TEMPLATE_OBJECT:
        raise TemplateError("Template may not exceed 1000000 bytes in size.")
    return str(content.decode())


def _all(call: Call) -> list[Stack]:
    return stacks.stacks_of(call.account, call.region)


def _find(call: Call) -> Stack | None:
    """The living stack whose name or ARN the call gives, or a deleted one by its ARN."""
    name = call.parameters["StackName"]
    if name.startswith("arn:"):
        return stacks.stacks.get(name)
    return next((stack for stack in _all(call) if stack.name == name and not stack.deleted), None)


def _existing(call: Call) -> Stack:
    stack = _find(call)
    if not stack:
        raise ServiceError("ValidationError", f"Stack with id {call.parameters['StackName']} does not exist")
    return stack


def _named_or_living(call: Call) -> list[Stack]:
    """The stack that the call names, or all that live."""
    if call.parameters.get("StackName"):
        return [_existing(call)]
    return [stack for stack in _all(call) if not stack.deleted]


def _living(call: Call) -> Stack:
    stack = _existing(call)
    if stack.deleted:
        raise ServiceError("ValidationError", f"Stack [{call.parameters['StackName']}] does not exist")
    return stack


def _refuse_busy(stack: Stack) -> None:
    unusable = stack.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
    if stack.is_busy or unusable:
        message = f"Stack:{stack.id} is in {stack.status} state and can not be updated."
        raise ServiceError("ValidationError", message)


def _change_set(call: Call) -> tuple[Stack, ChangeSet]:
    name = call.parameters["ChangeSetName"]
    for stack in _all(call):
        wanted = call.parameters.get("StackName")
        if wanted and wanted not in (stack.name, stack.id):
            continue
        for change_set in stack.change_sets.values():
            if name in (change_set.described["ChangeSetName"], change_set.described["ChangeSetId"]):
                return stack, change_set
    raise ServiceError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)
