# SPDX-License-Identifier: Apache-2.0
"""IAM and KMS."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from botocore.exceptions import ClientError

from localcloud.cloudformation.resource_types.registry import (
    Made,
    Properties,
    ResourceType,
    Target,
    ignoring_absence,
    picked,
    resource_type,
    tag_map,
)


@resource_type("AWS::IAM::Role", name="RoleName")
class Role(ResourceType):
    """A role with its inline and attached policies."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 64)
        plain = picked(it.properties, "Path", "Description", "MaxSessionDuration", "PermissionsBoundary", "Tags")
        document = json.dumps(it.properties["AssumeRolePolicyDocument"])
        role = it.call("iam", "CreateRole", {**plain, "RoleName": name, "AssumeRolePolicyDocument": document})
        it.claim(name)
        self._settle(it, name, it.properties, {})
        return Made(name, {"Arn": role["Role"]["Arn"], "RoleId": role["Role"]["RoleId"]})

    def update(self, it: Target) -> Made:
        iam = it.client("iam")
        document = json.dumps(it.properties["AssumeRolePolicyDocument"])
        iam.update_assume_role_policy(RoleName=it.physical_id, PolicyDocument=document)
        plain = picked(it.properties, "Description", "MaxSessionDuration")
        if plain:
            it.call("iam", "UpdateRole", {**plain, "RoleName": it.physical_id})
        self._settle(it, it.physical_id, it.properties, it.before)
        role = iam.get_role(RoleName=it.physical_id)["Role"]
        return Made(it.physical_id, {"Arn": role["Arn"], "RoleId": role["RoleId"]})

    def delete(self, it: Target) -> None:
        iam = it.client("iam")
        with contextlib.suppress(iam.exceptions.NoSuchEntityException):
            for policy in iam.list_attached_role_policies(RoleName=it.physical_id)["AttachedPolicies"]:
                iam.detach_role_policy(RoleName=it.physical_id, PolicyArn=policy["PolicyArn"])
            for inline in iam.list_role_policies(RoleName=it.physical_id)["PolicyNames"]:
                iam.delete_role_policy(RoleName=it.physical_id, PolicyName=inline)
            iam.delete_role(RoleName=it.physical_id)

    def _settle(self, it: Target, name: str, properties: Properties, before: Properties) -> None:
        iam = it.client("iam")
        wanted = {policy["PolicyName"]: policy["PolicyDocument"] for policy in properties.get("Policies", [])}
        for policy in before.get("Policies", []):
            if policy["PolicyName"] not in wanted:
                iam.delete_role_policy(RoleName=name, PolicyName=policy["PolicyName"])
        for policy_name, document in wanted.items():
            iam.put_role_policy(RoleName=name, PolicyName=policy_name, PolicyDocument=json.dumps(document))
        had, has = set(before.get("ManagedPolicyArns", [])), set(properties.get("ManagedPolicyArns", []))
        for arn in sorted(had - has):
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)
        for arn in sorted(has - had):
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)


@resource_type("AWS::IAM::Policy")
class InlinePolicy(ResourceType):
    """An inline policy of some roles."""

    def create(self, it: Target) -> Made:
        return self.update(it.named(it.name(128)))

    def update(self, it: Target) -> Made:
        if it.properties.get("Users") or it.properties.get("Groups"):
            raise ValueError("the emulated cloud attaches AWS::IAM::Policy to Roles only")
        iam, name = it.client("iam"), it.properties["PolicyName"]
        document = json.dumps(it.properties["PolicyDocument"])
        for role in it.properties.get("Roles", []):
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)
        for role in it.before.get("Roles", []):
            if it.before["PolicyName"] != name or role not in it.properties.get("Roles", []):
                ignoring_absence(iam.delete_role_policy, RoleName=role, PolicyName=it.before["PolicyName"])
        return Made(it.physical_id, {"Id": it.physical_id})

    def delete(self, it: Target) -> None:
        for role in it.properties.get("Roles", []):
            remove = it.client("iam").delete_role_policy
            ignoring_absence(remove, RoleName=role, PolicyName=it.properties["PolicyName"])


@resource_type("AWS::IAM::ManagedPolicy", name="ManagedPolicyName")
class ManagedPolicy(ResourceType):
    """A policy of its own, attached to roles."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 128)
        plain = picked(it.properties, "Path", "Description")
        document = json.dumps(it.properties["PolicyDocument"])
        made = it.call("iam", "CreatePolicy", {**plain, "PolicyName": name, "PolicyDocument": document})
        arn = made["Policy"]["Arn"]
        it.claim(arn)
        self._attach(it, arn, it.properties, {})
        return Made(arn, {"PolicyArn": arn, "PolicyId": made["Policy"]["PolicyId"]})

    def update(self, it: Target) -> Made:
        iam = it.client("iam")
        for version in iam.list_policy_versions(PolicyArn=it.physical_id)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=it.physical_id, VersionId=version["VersionId"])
        document = json.dumps(it.properties["PolicyDocument"])
        iam.create_policy_version(PolicyArn=it.physical_id, PolicyDocument=document, SetAsDefault=True)
        self._attach(it, it.physical_id, it.properties, it.before)
        return Made(it.physical_id, {"PolicyArn": it.physical_id})

    def delete(self, it: Target) -> None:
        iam = it.client("iam")
        with contextlib.suppress(iam.exceptions.NoSuchEntityException):
            for role in iam.list_entities_for_policy(PolicyArn=it.physical_id)["PolicyRoles"]:
                iam.detach_role_policy(RoleName=role["RoleName"], PolicyArn=it.physical_id)
            for version in iam.list_policy_versions(PolicyArn=it.physical_id)["Versions"]:
                if not version["IsDefaultVersion"]:
                    iam.delete_policy_version(PolicyArn=it.physical_id, VersionId=version["VersionId"])
            iam.delete_policy(PolicyArn=it.physical_id)

    def _attach(self, it: Target, arn: str, properties: Properties, before: Properties) -> None:
        iam = it.client("iam")
        for role in set(before.get("Roles", [])) - set(properties.get("Roles", [])):
            ignoring_absence(iam.detach_role_policy, RoleName=role, PolicyArn=arn)
        for role in set(properties.get("Roles", [])) - set(before.get("Roles", [])):
            iam.attach_role_policy(RoleName=role, PolicyArn=arn)


@resource_type("AWS::KMS::Key")
class Key(ResourceType):
    """A key; deleting it makes it pending deletion, as AWS does."""

    def create(self, it: Target) -> Made:
        plain = picked(it.properties, "Description", "KeySpec", "KeyUsage", "MultiRegion")
        policy = json.dumps(it.properties["KeyPolicy"]) if "KeyPolicy" in it.properties else None
        tags = [{"TagKey": key, "TagValue": value} for key, value in tag_map(it.properties).items()]
        parameters = {**plain, "Tags": tags, **({"Policy": policy} if policy else {})}
        key = it.call("kms", "CreateKey", parameters)["KeyMetadata"]
        it.claim(key["KeyId"])
        self._settle(it, key["KeyId"], it.properties, {})
        return Made(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})

    def update(self, it: Target) -> Made:
        for name in ("KeySpec", "KeyUsage", "MultiRegion"):
            if it.properties.get(name) != it.before.get(name):  # AWS does not replace a key by accident either
                raise ValueError(f"{name} of a key cannot be changed; make another key")
        kms = it.client("kms")
        if it.properties.get("KeyPolicy") != it.before.get("KeyPolicy") and "KeyPolicy" in it.properties:
            document = json.dumps(it.properties["KeyPolicy"])
            kms.put_key_policy(KeyId=it.physical_id, PolicyName="default", Policy=document)
        if it.properties.get("Description") != it.before.get("Description"):
            kms.update_key_description(KeyId=it.physical_id, Description=it.properties.get("Description", ""))
        self._settle(it, it.physical_id, it.properties, it.before)
        return Made(it.physical_id, {"Arn": it.arn("kms", f"key/{it.physical_id}"), "KeyId": it.physical_id})

    def delete(self, it: Target) -> None:
        kms = it.client("kms")
        with contextlib.suppress(kms.exceptions.NotFoundException):
            if kms.describe_key(KeyId=it.physical_id)["KeyMetadata"]["KeyState"] != "PendingDeletion":
                days = int(it.properties.get("PendingWindowInDays", 30))
                kms.schedule_key_deletion(KeyId=it.physical_id, PendingWindowInDays=days)

    def _settle(self, it: Target, key_id: str, properties: Properties, before: Properties) -> None:
        kms = it.client("kms")
        rotates = str(properties.get("EnableKeyRotation", False)).lower() == "true"
        rotated = str(before.get("EnableKeyRotation", False)).lower() == "true"
        if rotates != rotated:
            (kms.enable_key_rotation if rotates else kms.disable_key_rotation)(KeyId=key_id)


@resource_type("AWS::KMS::Alias", name="AliasName")
class KeyAlias(ResourceType):
    """A name for a key."""

    def create(self, it: Target) -> Made:
        call: dict[str, Any] = {"AliasName": it.properties["AliasName"], "TargetKeyId": it.properties["TargetKeyId"]}
        it.client("kms").create_alias(**call)
        return Made(it.properties["AliasName"])

    def update(self, it: Target) -> Made:
        it.client("kms").update_alias(AliasName=it.physical_id, TargetKeyId=it.properties["TargetKeyId"])
        return Made(it.physical_id)

    def delete(self, it: Target) -> None:
        with contextlib.suppress(ClientError):
            it.client("kms").delete_alias(AliasName=it.physical_id)
