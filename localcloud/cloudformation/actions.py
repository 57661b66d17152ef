# SPDX-License-Identifier: Apache-2.0
"""CloudFormation's API, as far as the CDK CLI and people use it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlparse

from botocore.exceptions import ClientError

from localcloud.clients import client
from localcloud.cloudformation import custom_resources, stacks, templates
from localcloud.cloudformation.resource_types import known_types
from localcloud.cloudformation.stacks import Plan, Stack
from localcloud.context import CloudContext
from localcloud.dispatch import Call, Handler, ServiceError, replace_action

MAX_TEMPLATE_BODY = 51_200
MAX_TEMPLATE_OBJECT = 1_000_000
MAX_RESOURCES = 500


def install(context: CloudContext) -> None:
    """Answer every CloudFormation action here instead of in moto."""
    stacks.install(context)
    custom_resources.install(context)
    for action, handler in ACTIONS.items():
        replace_action("cloudformation", action, handler)


def resume(_: CloudContext) -> None:
    """Bring interrupted stacks to rest."""
    stacks.resume()


def create_change_set(call: Call) -> dict[str, Any]:
    parameters = call.parameters
    kind = parameters.get("ChangeSetType", "UPDATE")
    stack = _find(call, parameters["StackName"])
    if stack and stack.status == "REVIEW_IN_PROGRESS":
        kind = "CREATE"
    if kind == "CREATE":
        if stack and stack.status != "REVIEW_IN_PROGRESS":
            raise ServiceError("ValidationError", f"Stack [{stack.name}] already exists and cannot be created again")
        text = _template_text(call)
        stack = stack or stacks.new_stack(call.account, call.region, parameters["StackName"], text)
    else:
        stack = _living(call, parameters["StackName"])
        _refuse_busy(stack)
        text = stack.template_text if parameters.get("UsePreviousTemplate") else _template_text(call)
    name = parameters["ChangeSetName"]
    arn = f"arn:aws:cloudformation:{call.region}:{call.account}:changeSet/{name}/{uuid.uuid4()}"
    plan = _plan(stack, text, parameters, is_new=kind == "CREATE")
    changes = _changes(stack, plan, is_new=kind == "CREATE")
    stack.change_sets[name] = {
        "ChangeSetName": name,
        "ChangeSetId": arn,
        "StackId": stack.id,
        "StackName": stack.name,
        "Description": parameters.get("Description", ""),
        "Parameters": _parameter_list(plan.parameters, plan.values, templates.parse(text)),
        "CreationTime": _now(),
        "ExecutionStatus": "AVAILABLE" if changes else "UNAVAILABLE",
        "Status": "CREATE_COMPLETE" if changes else "FAILED",
        "StatusReason": ""
        if changes
        else "The submitted information didn't contain changes. Submit different information to create a change set.",
        "Capabilities": parameters.get("Capabilities", []),
        "Tags": parameters.get("Tags", []),
        "Changes": changes,
        "IncludeNestedStacks": False,
        "_kind": kind,
        "_template": text,
        "_values": plan.values,
        "_parameters": plan.parameters,
        "_role": parameters.get("RoleARN", ""),
        "_on_failure": parameters.get("OnStackFailure", ""),
    }
    stacks.save(stack)
    return {"Id": arn, "StackId": stack.id}


def describe_change_set(call: Call) -> dict[str, Any]:
    _, change_set = _change_set(call)
    return {key: value for key, value in change_set.items() if not key.startswith("_") and value != ""}


def list_change_sets(call: Call) -> dict[str, Any]:
    stack = _living(call, call.parameters["StackName"])
    hidden = ("Parameters", "Changes", "Capabilities", "Tags")
    summaries = [
        {key: value for key, value in change_set.items() if key not in hidden and not key.startswith("_")}
        for change_set in stack.change_sets.values()
    ]
    return {"Summaries": summaries}


def execute_change_set(call: Call) -> dict[str, Any]:
    stack, change_set = _change_set(call)
    if change_set["ExecutionStatus"] != "AVAILABLE":
        state = change_set["ExecutionStatus"]
        message = (
            f"ChangeSet [{change_set['ChangeSetId']}] cannot be executed in its current execution status of [{state}]"
        )
        raise ServiceError("InvalidChangeSetStatus", message)
    _refuse_busy(stack)
    stack.change_sets.clear()
    stack.tags, stack.capabilities = change_set["Tags"], change_set["Capabilities"]
    stack.role_arn = change_set["_role"]
    stack.disable_rollback = bool(call.parameters.get("DisableRollback")) or change_set["_on_failure"] == "DO_NOTHING"
    plan = Plan(change_set["_template"], change_set["_parameters"], change_set["_values"])
    if change_set["_kind"] == "CREATE":
        _begin_creation(stack, plan)
    else:
        _begin_update(stack, plan)
    return {}


def delete_change_set(call: Call) -> dict[str, Any]:
    try:
        stack, change_set = _change_set(call)
    except ServiceError:
        return {}
    del stack.change_sets[change_set["ChangeSetName"]]
    stacks.save(stack)
    return {}


def create_stack(call: Call) -> dict[str, Any]:
    parameters = call.parameters
    if _find(call, parameters["StackName"]):
        raise ServiceError("AlreadyExistsException", f"Stack [{parameters['StackName']}] already exists")
    text = _template_text(call)
    stack = stacks.new_stack(call.account, call.region, parameters["StackName"], text)
    try:
        plan = _plan(stack, text, parameters, is_new=True)
    except ServiceError:
        del stacks.stacks[stack.id]
        raise
    stack.tags = parameters.get("Tags", [])
    stack.capabilities = parameters.get("Capabilities", [])
    stack.termination_protection = parameters.get("EnableTerminationProtection", False)
    stack.disable_rollback = parameters.get("DisableRollback", False) or parameters.get("OnFailure") == "DO_NOTHING"
    _begin_creation(stack, plan)
    return {"StackId": stack.id}


def update_stack(call: Call) -> dict[str, Any]:
    stack = _living(call, call.parameters["StackName"])
    _refuse_busy(stack)
    text = stack.template_text if call.parameters.get("UsePreviousTemplate") else _template_text(call)
    plan = _plan(stack, text, call.parameters, is_new=False)
    if not _changes(stack, plan, is_new=False):
        raise ServiceError("ValidationError", "No updates are to be performed.")
    stack.tags = call.parameters.get("Tags", stack.tags)
    _begin_update(stack, plan)
    return {"StackId": stack.id}


def delete_stack(call: Call) -> dict[str, Any]:
    stack = _find(call, call.parameters["StackName"])
    if not stack:
        return {}
    if stack.termination_protection:
        raise ServiceError(
            "ValidationError",
            f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled",
        )
    if stack.is_busy:
        if stack.status == "DELETE_IN_PROGRESS":
            return {}
        _refuse_busy(stack)
    try:
        stacks.refuse_used_exports(stack)
    except templates.TemplateError as error:
        raise ServiceError("ValidationError", str(error)) from error
    stacks.start_status(stack, "DELETE_IN_PROGRESS")
    stacks.start(stack, stacks.delete)
    return {}


def describe_stacks(call: Call) -> dict[str, Any]:
    name = call.parameters.get("StackName")
    found = [_existing(call, name)] if name else [stack for stack in _all(call) if not stack.deleted]
    return {"Stacks": [_described(stack) for stack in found]}


def list_stacks(call: Call) -> dict[str, Any]:
    wanted = call.parameters.get("StackStatusFilter")
    summaries = []
    for stack in _all(call):
        if wanted and stack.status not in wanted:
            continue
        one = {
            "StackId": stack.id,
            "StackName": stack.name,
            "CreationTime": stack.created,
            "StackStatus": stack.status,
            "TemplateDescription": str(stack.template.get("Description", "")),
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        }
        summaries.append({**one, **({"DeletionTime": stack.deleted} if stack.deleted else {})})
    return {"StackSummaries": summaries}


def describe_stack_events(call: Call) -> dict[str, Any]:
    stack = _existing(call, call.parameters["StackName"])
    return {"StackEvents": list(reversed(stack.events))}


def describe_stack_resource(call: Call) -> dict[str, Any]:
    stack = _existing(call, call.parameters["StackName"])
    logical_id = call.parameters["LogicalResourceId"]
    if logical_id not in stack.resources:
        message = f"Resource {logical_id} does not exist for stack {stack.name}"
        raise ServiceError("ValidationError", message)
    detail = _resource(stack, stack.resources[logical_id])
    detail["LastUpdatedTimestamp"] = detail.pop("Timestamp")
    detail["Metadata"] = json.dumps(stack.template["Resources"].get(logical_id, {}).get("Metadata", {}))
    return {"StackResourceDetail": detail}


def describe_stack_resources(call: Call) -> dict[str, Any]:
    name = call.parameters.get("StackName")
    physical = call.parameters.get("PhysicalResourceId")
    found = [_existing(call, name)] if name else [stack for stack in _all(call) if not stack.deleted]
    wanted = call.parameters.get("LogicalResourceId")
    resources = [
        _resource(stack, resource)
        for stack in found
        for resource in stack.resources.values()
        if wanted in (None, resource.logical_id) and physical in (None, resource.physical_id)
    ]
    return {"StackResources": resources}


def list_stack_resources(call: Call) -> dict[str, Any]:
    stack = _existing(call, call.parameters["StackName"])
    summaries = []
    for resource in stack.resources.values():
        one = _resource(stack, resource)
        del one["StackId"], one["StackName"]
        one["LastUpdatedTimestamp"] = one.pop("Timestamp")
        summaries.append(one)
    return {"StackResourceSummaries": summaries}


def get_template(call: Call) -> dict[str, Any]:
    if call.parameters.get("ChangeSetName"):
        text = _change_set(call)[1]["_template"]
    else:
        text = _existing(call, call.parameters["StackName"]).template_text
    return {"TemplateBody": text, "StagesAvailable": ["Original", "Processed"]}


def get_template_summary(call: Call) -> dict[str, Any]:
    name = call.parameters.get("StackName")
    template = _existing(call, name).template if name else _parsed(_template_text(call))
    kinds = sorted({resource["Type"] for resource in template["Resources"].values()})
    return {
        "Parameters": _declared(template),
        "ResourceTypes": kinds,
        "Capabilities": _needed_capabilities(template),
        "Description": str(template.get("Description", "")),
        "Metadata": json.dumps(template.get("Metadata", {})),
    }


def validate_template(call: Call) -> dict[str, Any]:
    template = _parsed(_template_text(call))
    return {
        "Parameters": _declared(template),
        "Description": str(template.get("Description", "")),
        "Capabilities": _needed_capabilities(template),
    }


def list_exports(call: Call) -> dict[str, Any]:
    exports = [
        {"ExportingStackId": stack.id, "Name": name, "Value": value}
        for stack in _all(call)
        if not stack.deleted
        for name, value in stack.exports.items()
    ]
    return {"Exports": exports}


def list_imports(call: Call) -> dict[str, Any]:
    name = call.parameters["ExportName"]
    users = [stack.name for stack in _all(call) if name in stack.imports and not stack.deleted]
    if not users:
        raise ServiceError("ValidationError", f"Export '{name}' is not imported by any stack.")
    return {"Imports": users}


def update_termination_protection(call: Call) -> dict[str, Any]:
    stack = _living(call, call.parameters["StackName"])
    stack.termination_protection = call.parameters["EnableTerminationProtection"]
    stacks.save(stack)
    return {"StackId": stack.id}


def get_stack_policy(call: Call) -> dict[str, Any]:
    policy = _existing(call, call.parameters["StackName"]).policy
    return {"StackPolicyBody": policy} if policy else {}


def set_stack_policy(call: Call) -> dict[str, Any]:
    stack = _living(call, call.parameters["StackName"])
    stack.policy = call.parameters.get("StackPolicyBody", "")
    stacks.save(stack)
    return {}


ACTIONS: dict[str, Handler] = {
    "CreateChangeSet": create_change_set,
    "CreateStack": create_stack,
    "DeleteChangeSet": delete_change_set,
    "DeleteStack": delete_stack,
    "DescribeChangeSet": describe_change_set,
    "DescribeStackEvents": describe_stack_events,
    "DescribeStackResource": describe_stack_resource,
    "DescribeStackResources": describe_stack_resources,
    "DescribeStacks": describe_stacks,
    "ExecuteChangeSet": execute_change_set,
    "GetStackPolicy": get_stack_policy,
    "GetTemplate": get_template,
    "GetTemplateSummary": get_template_summary,
    "ListChangeSets": list_change_sets,
    "ListExports": list_exports,
    "ListImports": list_imports,
    "ListStackResources": list_stack_resources,
    "ListStacks": list_stacks,
    "SetStackPolicy": set_stack_policy,
    "UpdateStack": update_stack,
    "UpdateTerminationProtection": update_termination_protection,
    "ValidateTemplate": validate_template,
}


def _begin_creation(stack: Stack, plan: Plan) -> None:
    stack.template_text, stack.parameters, stack.values = plan.template_text, plan.parameters, plan.values
    stacks.start_status(stack, "CREATE_IN_PROGRESS")
    stacks.start(stack, stacks.create)


def _begin_update(stack: Stack, plan: Plan) -> None:
    stacks.start_status(stack, "UPDATE_IN_PROGRESS")
    stacks.start(stack, lambda stack: stacks.update(stack, plan))


def _plan(stack: Stack, text: str, parameters: Mapping[str, Any], *, is_new: bool) -> Plan:
    """Check template, parameters, rules and capabilities; a new stack that fails the check does not stay."""
    template = _parsed(text)
    _refuse_missing_capabilities(template, parameters.get("Capabilities", []))
    given: dict[str, str] = {}
    for one in parameters.get("Parameters", []):
        key = one["ParameterKey"]
        if key not in template.get("Parameters", {}):
            raise ServiceError("ValidationError", f"Parameters: [{key}] do not exist in the template")
        if one.get("UsePreviousValue") and not is_new:
            given[key] = stack.parameters[key]
        elif "ParameterValue" in one:
            given[key] = one["ParameterValue"]
    for key, declared in template.get("Parameters", {}).items():
        if key not in given and "Default" in declared:
            given[key] = str(declared["Default"])
    missing = sorted(set(template.get("Parameters", {})) - set(given))
    if missing:
        raise ServiceError("ValidationError", f"Parameters: [{', '.join(missing)}] must have values")
    values = {key: _value(stack, key, template["Parameters"][key], text_) for key, text_ in given.items()}
    try:
        stacks.resolved_conditions(stack, template, values)
    except templates.TemplateError as error:
        raise ServiceError("ValidationError", str(error)) from error
    return Plan(text, given, values)


def _value(stack: Stack, key: str, declared: Mapping[str, Any], text: str) -> Any:
    """A parameter's value: checked, looked up if it is the name of an SSM parameter, split if it is a list."""
    kind = declared.get("Type", "String")
    allowed = declared.get("AllowedValues")
    if allowed and text not in map(str, allowed):
        message = f"Parameter '{key}' must be one of AllowedValues"
        raise ServiceError("ValidationError", message)
    pattern = declared.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, text):
        raise ServiceError("ValidationError", f"Parameter '{key}' must match pattern {pattern}")
    if kind.startswith("AWS::SSM::Parameter::Value"):
        try:
            answer = client("ssm", stack.account, stack.region).get_parameter(Name=text, WithDecryption=True)
        except ClientError as error:
            message = f"Unable to fetch parameters [{text}] from parameter store for this account."
            raise ServiceError("ValidationError", message) from error
        text = answer["Parameter"]["Value"]
    if kind == "Number" and not re.fullmatch(r"-?\d+(\.\d+)?", text):
        raise ServiceError("ValidationError", f"Parameter '{key}' must be a number.")
    if kind == "CommaDelimitedList" or kind.startswith("List<") or "<List<" in kind:
        return [part.strip() for part in text.split(",")] if text else []
    return text


def _changes(stack: Stack, plan: Plan, *, is_new: bool) -> list[dict[str, Any]]:
    """What the plan would do, as DescribeChangeSet lists it."""
    after = _with_types(stack, plan.template_text, plan.values)
    before = {} if is_new else _with_types(stack, stack.template_text, stack.values)
    changed_values = {key for key in plan.values if plan.values[key] != stack.values.get(key)}
    changes = []
    for logical_id, resource in after.items():
        old = before.get(logical_id)
        if old is None:
            changes.append(_change("Add", logical_id, resource["Type"]))
        elif not _same(old, resource) or set(templates.references(resource)) & changed_values:
            changes.append(_modification(stack, logical_id, old, resource))
    for logical_id, resource in before.items():
        if logical_id not in after:
            physical_id = stack.resources[logical_id].physical_id if logical_id in stack.resources else ""
            changes.append(_change("Remove", logical_id, resource["Type"], PhysicalResourceId=physical_id))
    if not changes and not is_new and _outputs_of(plan.template_text) != _outputs_of(stack.template_text):
        changes.append(_change("Dynamic", "Outputs", "AWS::CloudFormation::Stack"))
    return changes


def _with_types(stack: Stack, text: str, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    template = templates.parse(text)
    return {key: template["Resources"][key] for key in stacks.resolved_conditions(stack, template, values)}


def _outputs_of(text: str) -> Any:
    return templates.parse(text).get("Outputs", {})


def _same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return {key: old[key] for key in old if key != "Metadata"} == {key: new[key] for key in new if key != "Metadata"}


def _modification(stack: Stack, logical_id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    had, has = old.get("Properties", {}), new.get("Properties", {})
    names = sorted(key for key in {*had, *has} if had.get(key) != has.get(key))
    kind = known_types().get(new["Type"])
    replaced_by = kind.replaced_by if kind else frozenset({"ServiceToken"})
    details = [
        {
            "Target": {
                "Attribute": "Properties",
                "Name": name,
                "RequiresRecreation": "Always" if name in replaced_by else "Never",
            },
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
        for name in names
    ]
    replacement = "True" if set(names) & replaced_by or old["Type"] != new["Type"] else "False"
    physical_id = stack.resources[logical_id].physical_id if logical_id in stack.resources else ""
    return _change(
        "Modify",
        logical_id,
        new["Type"],
        PhysicalResourceId=physical_id,
        Replacement=replacement,
        Scope=["Properties"],
        Details=details,
    )


def _change(action: str, logical_id: str, kind: str, **more: Any) -> dict[str, Any]:
    change = {"Action": action, "LogicalResourceId": logical_id, "ResourceType": kind, "Scope": [], "Details": []}
    return {"Type": "Resource", "ResourceChange": {**change, **more}}


def _template_text(call: Call) -> str:
    body = call.parameters.get("TemplateBody")
    if body:
        if len(body.encode()) > MAX_TEMPLATE_BODY:
            message = (
                "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have "
                f"length less than or equal to {MAX_TEMPLATE_BODY}"
            )
            raise ServiceError("ValidationError", message)
        return str(body)
    url = call.parameters.get("TemplateURL")
    if not url:
        raise ServiceError("ValidationError", "Either Template URL or Template Body must be specified.")
    parsed = urlparse(url)
    path = unquote(parsed.path).lstrip("/")
    virtual_host = re.match(r"(.+)\.s3[.-]", parsed.netloc)
    bucket, key = (virtual_host.group(1), path) if virtual_host else path.split("/", 1)
    try:
        answer = client("s3", call.account, call.region).get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        raise ServiceError("ValidationError", f"S3 error: {error.response['Error'].get('Message', error)}") from error
    content = answer["Body"].read()
    if len(content) > MAX_TEMPLATE_OBJECT:
        raise ServiceError("ValidationError", "Template may not exceed 1000000 bytes in size.")
    return str(content.decode())


def _parsed(text: str) -> dict[str, Any]:
    try:
        template = templates.parse(text)
    except templates.TemplateError as error:
        raise ServiceError("ValidationError", str(error)) from error
    if len(template["Resources"]) > MAX_RESOURCES:
        raise ServiceError(
            "ValidationError",
            f"Template format error: Number of resources, {len(template['Resources'])}, is greater "
            f"than maximum allowed, {MAX_RESOURCES}",
        )
    return template


def _needed_capabilities(template: Mapping[str, Any]) -> list[str]:
    names = {
        "AWS::IAM::Role": "RoleName",
        "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
        "AWS::IAM::User": "UserName",
        "AWS::IAM::Group": "GroupName",
    }
    needed: list[str] = []
    for resource in template["Resources"].values():
        kind = resource.get("Type", "")
        if kind in names and names[kind] in resource.get("Properties", {}):
            return ["CAPABILITY_NAMED_IAM"]
        if kind in names or kind == "AWS::IAM::Policy":
            needed = ["CAPABILITY_IAM"]
    return needed


def _refuse_missing_capabilities(template: Mapping[str, Any], given: list[str]) -> None:
    needed = _needed_capabilities(template)
    enough = set(needed) <= set(given) or ("CAPABILITY_NAMED_IAM" in given)
    if needed and not enough:
        raise ServiceError("InsufficientCapabilitiesException", f"Requires capabilities : [{needed[0]}]")


def _declared(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    declared = []
    for key, parameter in template.get("Parameters", {}).items():
        one = {"ParameterKey": key, "ParameterType": parameter["Type"], "NoEcho": bool(parameter.get("NoEcho", False))}
        if "Default" in parameter:
            one["DefaultValue"] = str(parameter["Default"])
        if "Description" in parameter:
            one["Description"] = parameter["Description"]
        declared.append(one)
    return declared


def _parameter_list(
    parameters: Mapping[str, str], values: Mapping[str, Any], template: Mapping[str, Any]
) -> list[dict[str, str]]:
    listed = []
    for key, value in parameters.items():
        declared = template.get("Parameters", {}).get(key, {})
        one = {"ParameterKey": key, "ParameterValue": "****" if declared.get("NoEcho") else str(value)}
        if declared.get("Type", "").startswith("AWS::SSM::"):
            one["ResolvedValue"] = str(values.get(key, ""))
        listed.append(one)
    return listed


def _described(stack: Stack) -> dict[str, Any]:
    template = stack.template
    described: dict[str, Any] = {
        "StackId": stack.id,
        "StackName": stack.name,
        "Description": str(template.get("Description", "")),
        "Parameters": _parameter_list(stack.parameters, stack.values, template),
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
    for key, value in (
        ("StackStatusReason", stack.reason),
        ("LastUpdatedTime", stack.updated),
        ("DeletionTime", stack.deleted),
        ("RoleARN", stack.role_arn),
    ):
        if value:
            described[key] = value
    return described


def _resource(stack: Stack, resource: stacks.Resource) -> dict[str, Any]:
    described = {
        "StackId": stack.id,
        "StackName": stack.name,
        "LogicalResourceId": resource.logical_id,
        "PhysicalResourceId": resource.physical_id,
        "ResourceType": resource.kind,
        "Timestamp": resource.changed,
        "ResourceStatus": resource.status,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }
    return {**described, **({"ResourceStatusReason": resource.reason} if resource.reason else {})}


def _all(call: Call) -> list[Stack]:
    return [s for s in list(stacks.stacks.values()) if (s.account, s.region) == (call.account, call.region)]


def _find(call: Call, name: str) -> Stack | None:
    """The living stack of that name or ARN, or a deleted one by its ARN."""
    if name.startswith("arn:"):
        return stacks.stacks.get(name)
    return next((stack for stack in _all(call) if stack.name == name and not stack.deleted), None)


def _existing(call: Call, name: str) -> Stack:
    stack = _find(call, name)
    if not stack:
        raise ServiceError("ValidationError", f"Stack with id {name} does not exist")
    return stack


def _living(call: Call, name: str) -> Stack:
    stack = _existing(call, name)
    if stack.deleted:
        raise ServiceError("ValidationError", f"Stack [{name}] does not exist")
    return stack


def _refuse_busy(stack: Stack) -> None:
    unusable = stack.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
    if stack.is_busy or unusable:
        message = f"Stack:{stack.id} is in {stack.status} state and can not be updated."
        raise ServiceError("ValidationError", message)


def _change_set(call: Call) -> tuple[Stack, dict[str, Any]]:
    name = call.parameters["ChangeSetName"]
    for stack in _all(call):
        wanted = call.parameters.get("StackName")
        if wanted and wanted not in (stack.name, stack.id):
            continue
        for change_set in stack.change_sets.values():
            if name in (change_set["ChangeSetName"], change_set["ChangeSetId"]):
                return stack, change_set
    raise ServiceError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)


def _now() -> str:
    return datetime.now(UTC).isoformat()
