# SPDX-License-Identifier: Apache-2.0
"""Policies and keys follow their templates."""

from __future__ import annotations

from typing import Any

ALLOWED = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}

SERVICE = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
TRUST = {"Version": "2012-10-17", "Statement": [SERVICE]}


def test_a_roles_policies_are_those_of_the_template_and_no_others(cloud: Any, stack: Any) -> None:
    def resources(inline: str, own: str) -> dict[str, Any]:
        role = {
            "RoleName": "kept",
            "AssumeRolePolicyDocument": TRUST,
            "Policies": [{"PolicyName": own, "PolicyDocument": ALLOWED}],
        }
        policy = {"PolicyName": inline, "PolicyDocument": ALLOWED, "Roles": [{"Ref": "Role"}]}
        return {
            "Role": {"Type": "AWS::IAM::Role", "Properties": role},
            "Policy": {"Type": "AWS::IAM::Policy", "Properties": policy},
        }

    iam = cloud.client("iam")
    stack.bring(resources("first", "own-first"))
    assert set(iam.list_role_policies(RoleName="kept")["PolicyNames"]) == {"first", "own-first"}
    assert stack.bring(resources("second", "own-second"))["StackStatus"] == "UPDATE_COMPLETE", stack.reasons()
    assert set(iam.list_role_policies(RoleName="kept")["PolicyNames"]) == {"second", "own-second"}
    stack.delete()


def test_a_key_is_never_replaced_by_accident(cloud: Any, stack: Any) -> None:
    def key(**properties: Any) -> dict[str, Any]:
        policy = {"Version": "2012-10-17", "Statement": []}
        return {"Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": policy, **properties}}}

    stack.bring(key())
    made = stack.physical("Key")
    stack.bring(key(EnableKeyRotation="true"))
    assert cloud.client("kms").get_key_rotation_status(KeyId=made)["KeyRotationEnabled"]
    assert stack.bring(key(KeySpec="RSA_2048"))["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.physical("Key") == made
    stack.delete()


def test_a_key_that_signs_is_made_and_its_kind_cannot_be_changed(cloud: Any, stack: Any) -> None:
    def key(**properties: Any) -> dict[str, Any]:
        policy = {"Version": "2012-10-17", "Statement": []}
        given = {"KeyPolicy": policy, "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", **properties}
        alias = {"AliasName": "alias/of-the-stack", "TargetKeyId": {"Fn::GetAtt": ["Key", "Arn"]}}
        return {
            "Key": {"Type": "AWS::KMS::Key", "Properties": given},
            "Alias": {"Type": "AWS::KMS::Alias", "Properties": alias},
        }

    kms = cloud.client("kms")
    stack.bring(key())
    asked = {"KeyId": "alias/of-the-stack", "SigningAlgorithm": "ECDSA_SHA_256", "Message": b"m"}
    signature = kms.sign(**asked)["Signature"]
    assert kms.verify(Signature=signature, **asked)["SignatureValid"]
    assert stack.bring(key(Description="d"))["StackStatus"] == "UPDATE_COMPLETE", stack.reasons()
    assert stack.bring(key(KeySpec="ECC_NIST_P384"))["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert kms.verify(Signature=signature, **asked)["SignatureValid"]
    made = stack.physical("Key")
    stack.delete()
    assert kms.describe_key(KeyId=made)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert "alias/of-the-stack" not in {each["AliasName"] for each in kms.list_aliases()["Aliases"]}
