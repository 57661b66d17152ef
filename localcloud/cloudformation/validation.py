# SPDX-License-Identifier: Apache-2.0
"""What CloudFormation refuses of a template before it makes anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.cloudformation.resource_types import known_types, type_of
from localcloud.cloudformation.schemas import is_aws_type
from localcloud.cloudformation.structure import refuse_odd_structure
from localcloud.cloudformation.templates import TemplateError, references

MAX_RESOURCES = 500

NAMED_IDENTITIES = {"AWS::IAM::Role": "RoleName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName"}


class MissingCapabilityError(TemplateError):
    """The template makes identities, and nobody said that it may."""

    code = "InsufficientCapabilitiesException"


def validate(template: Mapping[str, Any]) -> None:
    """Refuse a template that cannot be made whatever its parameters are.

    Raises:
        TemplateError: Too many resources, a type that AWS or the emulated cloud has not, or an attribute that a
            resource has not.
    """
    refuse_odd_structure(template)
    resources = template["Resources"]
    if len(resources) > MAX_RESOURCES:
        raise TemplateError(
            f"Template format error: Number of resources, {len(resources)}, is greater than maximum allowed, "
            f"{MAX_RESOURCES}"
        )
    kinds = {logical_id: resource.get("Type", "") for logical_id, resource in resources.items()}
    _refuse_types(kinds)
    _refuse_policies(resources)
    for name, attribute in references([resources, template.get("Outputs")]):
        if not attribute or name not in kinds or _is_custom(kinds[name]):
            continue
        kind = type_of(kinds[name])
        if attribute not in kind.schema.attributes | set(kind.gives):
            raise TemplateError(
                f"Template error: resource {name} does not support attribute type {attribute} in Fn::GetAtt"
            )


def needed_capabilities(template: Mapping[str, Any]) -> list[str]:
    """What a caller must acknowledge before the template may be used."""
    needed: list[str] = []
    for resource in template["Resources"].values():
        kind = resource.get("Type", "")
        if kind in NAMED_IDENTITIES and NAMED_IDENTITIES[kind] in resource.get("Properties", {}):
            return ["CAPABILITY_NAMED_IAM"]
        if kind in NAMED_IDENTITIES or kind == "AWS::IAM::Policy":
            needed = ["CAPABILITY_IAM"]
    return needed


def refuse_missing_capabilities(template: Mapping[str, Any], given: list[str]) -> None:
    """Refuse a template that makes identities nobody acknowledged.

    Raises:
        MissingCapabilityError: Names the capability.
    """
    needed = needed_capabilities(template)
    if not set(needed) <= {*given, *(["CAPABILITY_IAM"] if "CAPABILITY_NAMED_IAM" in given else [])}:
        raise MissingCapabilityError(f"Requires capabilities : [{needed[0]}]")


def _refuse_policies(resources: Mapping[str, Any]) -> None:
    """Refuse what no policy is called; what replaces a resource is never rolled back to nothing.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatereplacepolicy.html
    """
    allowed = {
        "DeletionPolicy": ("Delete", "Retain", "RetainExceptOnCreate", "Snapshot"),
        "UpdateReplacePolicy": ("Delete", "Retain", "Snapshot"),
    }
    for logical_id, resource in resources.items():
        for attribute, policies in allowed.items():
            if resource.get(attribute, "Delete") not in policies:
                raise TemplateError(
                    f"Template format error: Unrecognized {attribute} {resource[attribute]} for resource {logical_id}"
                )


def _refuse_types(kinds: Mapping[str, str]) -> None:
    unknown = sorted({kind for kind in kinds.values() if not is_aws_type(kind) and not _is_custom(kind)})
    if unknown:
        raise TemplateError(f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]")
    beyond = [f"{kind} ({key})" for key, kind in kinds.items() if kind not in known_types() and not _is_custom(kind)]
    if beyond:
        raise TemplateError(
            f"The emulated cloud does not make {', '.join(beyond)}: take it out of the template, or deploy to AWS"
        )


def _is_custom(kind: str) -> bool:
    return kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource"
