# SPDX-License-Identifier: Apache-2.0
"""IAM and KMS."""

from __future__ import annotations

import contextlib

from localcloud.cloudformation.resource_types.registry import PutType, ResourceType, Target, resource_type


@resource_type("AWS::IAM::Role", name="RoleName")
class Role(ResourceType):
    """A role with its inline and attached policies."""

    def create(self, it: Target) -> str:
        name = self.name_of(it, 64)
        known = ("Path", "Description", "MaxSessionDuration", "PermissionsBoundary", "Tags", "AssumeRolePolicyDocument")
        it.call("iam", "CreateRole", {**it.picked(*known), "RoleName": name})
        it.claim(name)
        return self._settle(it.named(name))

    def update(self, it: Target) -> str:
        name = {"RoleName": it.physical_id}
        document = it.properties["AssumeRolePolicyDocument"]
        it.call("iam", "UpdateAssumeRolePolicy", {**name, "PolicyDocument": document})
        plain = it.picked("Description", "MaxSessionDuration")
        if plain:
            it.call("iam", "UpdateRole", {**plain, **name})
        return self._settle(it)

    def delete(self, it: Target) -> None:
        iam = it.client("iam")
        with contextlib.suppress(iam.exceptions.NoSuchEntityException):
            for policy in iam.list_attached_role_policies(RoleName=it.physical_id)["AttachedPolicies"]:
                iam.detach_role_policy(RoleName=it.physical_id, PolicyArn=policy["PolicyArn"])
            for inline in iam.list_role_policies(RoleName=it.physical_id)["PolicyNames"]:
                iam.delete_role_policy(RoleName=it.physical_id, PolicyName=inline)
            iam.delete_role(RoleName=it.physical_id)

    def _settle(self, it: Target) -> str:
        """Give the role its policies, and no others that the template gave it before."""
        name = {"RoleName": it.physical_id}
        wanted = it.properties.get("Policies", [])
        gone = {policy["PolicyName"] for policy in it.before.get("Policies", [])}
        for policy in sorted(gone - {policy["PolicyName"] for policy in wanted}):
            it.call("iam", "DeleteRolePolicy", {**name, "PolicyName": policy})
        for policy in wanted:
            it.call("iam", "PutRolePolicy", {**name, **policy})
        had, has = set(it.before.get("ManagedPolicyArns", [])), set(it.properties.get("ManagedPolicyArns", []))
        for arn in sorted(had - has):
            it.call("iam", "DetachRolePolicy", {**name, "PolicyArn": arn})
        for arn in sorted(has - had):
            it.call("iam", "AttachRolePolicy", {**name, "PolicyArn": arn})
        role = it.call("iam", "GetRole", name)["Role"]
        it.told.update(Arn=role["Arn"], RoleId=role["RoleId"])
        return it.physical_id


@resource_type("AWS::IAM::Policy", gives={"Id": "{id}"})
class InlinePolicy(PutType):
    """An inline policy of some roles."""

    def put(self, it: Target) -> None:
        it.refuse_beyond("PolicyDocument", "PolicyName", "Roles")
        policy = it.picked("PolicyDocument", "PolicyName")
        roles = it.properties.get("Roles", [])
        for role in roles:
            it.call("iam", "PutRolePolicy", {**policy, "RoleName": role})
        for role in it.before.get("Roles", []):
            if role not in roles or it.changed("PolicyName"):
                it.drop("iam", "DeleteRolePolicy", {"RoleName": role, "PolicyName": it.before["PolicyName"]})

    def delete(self, it: Target) -> None:
        for role in it.properties.get("Roles", []):
            it.drop("iam", "DeleteRolePolicy", {"RoleName": role, **it.picked("PolicyName")})


@resource_type("AWS::IAM::ManagedPolicy", name="ManagedPolicyName", gives={"PolicyArn": "{id}"})
class ManagedPolicy(ResourceType):
    """A policy of its own, attached to roles."""

    def create(self, it: Target) -> str:
        plain = it.picked("Path", "Description", "PolicyDocument")
        made = it.call("iam", "CreatePolicy", {**plain, "PolicyName": self.name_of(it, 128)})["Policy"]
        it.claim(made["Arn"])
        return self._attach(it.named(made["Arn"]))

    def update(self, it: Target) -> str:
        self._delete_old_versions(it)
        version = {**it.picked("PolicyDocument"), "PolicyArn": it.physical_id, "SetAsDefault": True}
        it.call("iam", "CreatePolicyVersion", version)
        return self._attach(it)

    def delete(self, it: Target) -> None:
        iam = it.client("iam")
        with contextlib.suppress(iam.exceptions.NoSuchEntityException):
            for role in iam.list_entities_for_policy(PolicyArn=it.physical_id)["PolicyRoles"]:
                iam.detach_role_policy(RoleName=role["RoleName"], PolicyArn=it.physical_id)
            self._delete_old_versions(it)
            iam.delete_policy(PolicyArn=it.physical_id)

    def _delete_old_versions(self, it: Target) -> None:
        iam = it.client("iam")
        for version in iam.list_policy_versions(PolicyArn=it.physical_id)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=it.physical_id, VersionId=version["VersionId"])

    def _attach(self, it: Target) -> str:
        arn = {"PolicyArn": it.physical_id}
        had, has = set(it.before.get("Roles", [])), set(it.properties.get("Roles", []))
        for role in had - has:
            it.drop("iam", "DetachRolePolicy", {"RoleName": role, **arn})
        for role in has - had:
            it.call("iam", "AttachRolePolicy", {"RoleName": role, **arn})
        it.told.update(PolicyId=it.call("iam", "GetPolicy", arn)["Policy"]["PolicyId"])
        return it.physical_id


_FIXED_OF_KEYS = {
    name: f"https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-kms-key.html#cfn-kms-key-{name.lower()}"
    for name in ("KeySpec", "KeyUsage")
}
_KEY_PROPERTIES = ("Description", "EnableKeyRotation", "KeyPolicy", "PendingWindowInDays", "Tags", *_FIXED_OF_KEYS)


@resource_type("AWS::KMS::Key", gives={"Arn": "arn:aws:kms:{region}:{account}:key/{id}", "KeyId": "{id}"})
class Key(ResourceType):
    """A key; deleting it makes it pending deletion, as AWS does."""

    def exists(self, it: Target, name: str) -> bool:
        return it.finds("kms", "DescribeKey", {"KeyId": name})

    def create(self, it: Target) -> str:
        it.refuse_beyond(*_KEY_PROPERTIES)
        tags = [{"TagKey": key, "TagValue": value} for key, value in it.tag_map.items()]
        policy = {"Policy": it.properties["KeyPolicy"]} if "KeyPolicy" in it.properties else {}
        given = {**it.picked("Description", *_FIXED_OF_KEYS), **policy, "Tags": tags}
        key = it.call("kms", "CreateKey", given)["KeyMetadata"]
        it.claim(key["KeyId"])
        return self._rotate(it.named(key["KeyId"]), rotated=False)

    def update(self, it: Target) -> str:
        it.refuse_beyond(*_KEY_PROPERTIES)
        for name in _FIXED_OF_KEYS:
            if it.changed(name):
                raise ValueError(f"{name} of a key that exists cannot be changed: {_FIXED_OF_KEYS[name]}")
        key = {"KeyId": it.physical_id}
        if it.changed("KeyPolicy") and "KeyPolicy" in it.properties:
            it.call("kms", "PutKeyPolicy", {**key, "PolicyName": "default", "Policy": it.properties["KeyPolicy"]})
        if it.changed("Description"):
            it.call("kms", "UpdateKeyDescription", {**key, "Description": it.properties.get("Description", "")})
        status = it.call("kms", "GetKeyRotationStatus", key)
        return self._rotate(it, rotated=status["KeyRotationEnabled"])

    def delete(self, it: Target) -> None:
        kms = it.client("kms")
        with contextlib.suppress(kms.exceptions.NotFoundException):
            if kms.describe_key(KeyId=it.physical_id)["KeyMetadata"]["KeyState"] != "PendingDeletion":
                days = int(it.properties.get("PendingWindowInDays", 30))
                kms.schedule_key_deletion(KeyId=it.physical_id, PendingWindowInDays=days)

    def _rotate(self, it: Target, *, rotated: bool) -> str:
        if it.is_true("EnableKeyRotation") != rotated:
            it.call("kms", "DisableKeyRotation" if rotated else "EnableKeyRotation", {"KeyId": it.physical_id})
        return it.physical_id


@resource_type("AWS::KMS::Alias", name="AliasName", deletes=("kms", "DeleteAlias", "AliasName"))
class KeyAlias(ResourceType):
    """A name for a key."""

    def create(self, it: Target) -> str:
        it.call("kms", "CreateAlias", it.properties)
        return str(it.properties["AliasName"])

    def update(self, it: Target) -> str:
        it.call("kms", "UpdateAlias", it.properties)
        return it.physical_id
