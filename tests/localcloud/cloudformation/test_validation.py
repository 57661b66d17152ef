# SPDX-License-Identifier: Apache-2.0
"""What is refused of a template before anything is made."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.cloudformation.templates import TemplateError
from localcloud.cloudformation.validation import needed_capabilities, refuse_missing_capabilities, validate

QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "never-made"}}
NETWORK = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ({"Resources": {"Tree": {"Type": "AWS::Banana::Tree"}}}, r"Unrecognized resource types: \[AWS::Banana::Tree\]"),
        (
            {"Resources": {"Queue": QUEUE, "Network": NETWORK}},
            r"^The emulated cloud does not make AWS::EC2::VPC \(Network\): take it out .*, or deploy to AWS$",
        ),
        (
            {"Resources": {"Queue": QUEUE}, "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Queue", "Ran"]}}}},
            "resource Queue does not support attribute type Ran in Fn::GetAtt",
        ),
        (
            {"Resources": {f"Queue{number}": QUEUE for number in range(501)}},
            "501, is greater than maximum allowed, 500",
        ),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(template: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TemplateError, match=sentence):
        validate(template)


def test_custom_resources_may_give_whatever_they_like() -> None:
    custom = {"Type": "Custom::Thing", "Properties": {"ServiceToken": "arn"}}
    validate({"Resources": {"Thing": custom}, "Outputs": {"O": {"Value": {"Fn::Sub": "${Thing.Whatever}"}}}})


def test_identities_need_to_be_acknowledged() -> None:
    def template(**properties: str) -> dict[str, Any]:
        return {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}}

    assert needed_capabilities(template()) == ["CAPABILITY_IAM"]
    refuse_missing_capabilities(template(), ["CAPABILITY_NAMED_IAM"])
    refuse_missing_capabilities({"Resources": {"Queue": QUEUE}}, [])
    with pytest.raises(TemplateError, match="CAPABILITY_NAMED_IAM"):
        refuse_missing_capabilities(template(RoleName="r"), ["CAPABILITY_IAM"])


def test_refusals_reach_the_caller_and_nothing_is_made(cloud: Any, stack: Any) -> None:
    with pytest.raises(ClientError, match=r"AWS::EC2::VPC \(Network\)"):
        stack.bring({"Queue": QUEUE, "Network": NETWORK})
    assert not any("never-made" in url for url in cloud.client("sqs").list_queues().get("QueueUrls", []))
    role = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r", "AssumeRolePolicyDocument": {}}}
    with pytest.raises(ClientError, match="InsufficientCapabilities"):
        stack.bring({"Role": role}, capabilities=[])
