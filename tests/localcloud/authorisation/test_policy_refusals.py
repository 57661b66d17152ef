# SPDX-License-Identifier: Apache-2.0
"""Policies that cannot be evaluated are refused when they are put, by whichever service takes them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.authorisation.conftest import document, trust
from tests.localcloud.conftest import Cloud, await_true

ALLOWED = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
UNKNOWN_KEY = {"StringEquals": {"aws:PhaseOfMoon": "full"}}
UNKNOWN_OPERATOR = {"StringMatches": {"aws:PrincipalAccount": "123456789012"}}
Put = Callable[[Cloud, Any], None]


def statement(action: str, condition: Any, *, of_resource: bool = True) -> dict[str, Any]:
    principal = {"Principal": "*"} if of_resource else {}
    return {"Effect": "Allow", "Action": action, "Resource": "*", **principal, "Condition": condition}


def _role(cloud: Cloud) -> str:
    name = f"r-{secrets.token_hex(4)}"
    cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust(Service="lambda.amazonaws.com"))
    return name


def put_role_policy(cloud: Cloud, condition: Any) -> None:
    policy = document(statement("s3:GetObject", condition, of_resource=False))
    cloud.client("iam").put_role_policy(RoleName=_role(cloud), PolicyName="p", PolicyDocument=policy)


def create_policy(cloud: Cloud, condition: Any) -> None:
    policy = document(statement("s3:GetObject", condition, of_resource=False))
    cloud.client("iam").create_policy(PolicyName=f"p-{secrets.token_hex(4)}", PolicyDocument=policy)


def trust_in(cloud: Cloud, condition: Any) -> None:
    policy = document({**ALLOWED, "Condition": condition})
    cloud.client("iam").create_role(RoleName=f"r-{secrets.token_hex(4)}", AssumeRolePolicyDocument=policy)


def put_key_policy(cloud: Cloud, condition: Any) -> None:
    kms = cloud.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document(statement("kms:*", condition)))


def put_bucket_policy(cloud: Cloud, condition: Any) -> None:
    s3, name = cloud.client("s3"), f"b-{secrets.token_hex(4)}"
    s3.create_bucket(Bucket=name)
    policy = document({**statement("s3:*", condition), "Resource": f"arn:aws:s3:::{name}/*"})
    s3.put_bucket_policy(Bucket=name, Policy=policy)


def set_queue_policy(cloud: Cloud, condition: Any) -> None:
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName=f"q-{secrets.token_hex(4)}")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(statement("sqs:SendMessage", condition))})


def set_topic_policy(cloud: Cloud, condition: Any) -> None:
    sns = cloud.client("sns")
    arn = sns.create_topic(Name=f"t-{secrets.token_hex(4)}")["TopicArn"]
    policy = document(statement("sns:Publish", condition))
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)


def set_repository_policy(cloud: Cloud, condition: Any) -> None:
    ecr, name = cloud.client("ecr"), f"e-{secrets.token_hex(4)}"
    ecr.create_repository(repositoryName=name)
    policy = statement("ecr:BatchGetImage", condition)
    del policy["Resource"]
    ecr.set_repository_policy(repositoryName=name, policyText=document(policy))


PUTS: dict[Put, str] = {
    put_role_policy: "MalformedPolicyDocument",
    create_policy: "MalformedPolicyDocument",
    trust_in: "MalformedPolicyDocument",
    put_key_policy: "MalformedPolicyDocumentException",
    put_bucket_policy: "MalformedPolicy",
    set_queue_policy: "InvalidAttributeValue",
    set_topic_policy: "InvalidParameter",
    set_repository_policy: "InvalidParameterException",
}


@pytest.mark.parametrize("put", PUTS, ids=lambda put: put.__name__)
@pytest.mark.parametrize(
    ("condition", "named"), [(UNKNOWN_KEY, "aws:PhaseOfMoon"), (UNKNOWN_OPERATOR, "StringMatches")]
)
def test_an_unknown_condition_is_refused(cloud: Cloud, put: Put, condition: Any, named: str) -> None:
    with pytest.raises(ClientError) as refused:
        put(cloud, condition)

    assert refused.value.response["Error"]["Code"].endswith(PUTS[put])
    assert named in refused.value.response["Error"]["Message"]


@pytest.mark.parametrize("put", PUTS, ids=lambda put: put.__name__)
def test_a_known_condition_is_kept(cloud: Cloud, put: Put) -> None:
    put(cloud, {"StringEquals": {"aws:PrincipalAccount": "123456789012"}})


def test_a_bucket_policy_names_its_own_bucket(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html names the sentence."""
    s3, name = cloud.client("s3"), f"b-{secrets.token_hex(4)}"
    s3.create_bucket(Bucket=name)
    policy = document({**statement("s3:*", {}), "Resource": "arn:aws:s3:::another/*"})

    with pytest.raises(ClientError, match="Policy has invalid resource"):
        s3.put_bucket_policy(Bucket=name, Policy=policy)


def test_a_stack_with_an_unknown_condition_is_rolled_back(cloud: Cloud) -> None:
    cloudformation, name = cloud.client("cloudformation"), f"s-{secrets.token_hex(4)}"
    properties = {
        "AssumeRolePolicyDocument": json.loads(trust(Service="lambda.amazonaws.com")),
        "Policies": [
            {
                "PolicyName": "p",
                "PolicyDocument": json.loads(document(statement("s3:GetObject", UNKNOWN_KEY, of_resource=False))),
            }
        ],
    }
    template = {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}}
    cloudformation.create_stack(
        StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"]
    )

    def failed() -> str:
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        return str(stack["StackStatus"]) if stack["StackStatus"].startswith("ROLLBACK_COMPLETE") else ""

    assert await_true(failed)
    reasons = [
        event.get("ResourceStatusReason", "")
        for event in cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    ]
    assert any("aws:PhaseOfMoon" in reason for reason in reasons)
