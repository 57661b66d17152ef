# SPDX-License-Identifier: Apache-2.0
"""The deployed pipeline is the committed definition, without fault, and its role cannot approve."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest

from pipelines.check import check

EXAMPLES = {
    "CallbackQueue": "https://sqs.us-east-1.amazonaws.com/123456789012/mapgate-dev-callback",
    "CheckPlan": "arn:aws:lambda:us-east-1:123456789012:function:mapgate-dev-check-plan",
    "DataBucket": "mapgate-dev-data-123456789012-us-east-1",
    "Endpoint": "mapgate-dev",
    "FloorPolicy": "5f" * 32,
    "FindChampion": "arn:aws:lambda:us-east-1:123456789012:function:mapgate-dev-find-champion",
    "InferenceImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/mapgate-dev-inference:0123456789abcdef",
    "Key": "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000",
    "ModelPackageGroup": "mapgate-dev",
    "ProcessingRole": "arn:aws:iam::123456789012:role/mapgate-dev-processing",
    "PublishDossier": "arn:aws:lambda:us-east-1:123456789012:function:mapgate-dev-publish-dossier",
    "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/mapgate-dev-training:0123456789abcdef",
    "TrainingRole": "arn:aws:iam::123456789012:role/mapgate-dev-training",
}


def pipeline(assembly: Any) -> dict[str, Any]:
    (resource,) = assembly.resources("AWS::SageMaker::Pipeline").values()
    properties: dict[str, Any] = resource["Properties"]
    return properties


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_deploys_a_definition_without_fault(environment: str, synthesize: Any) -> None:
    body, variables = pipeline(synthesize(environment))["PipelineDefinition"]["PipelineDefinitionBody"]["Fn::Sub"]
    assert set(re.findall(r"\$\{([^!}]+)\}", body)) == set(EXAMPLES) >= set(variables)
    for name, example in EXAMPLES.items():
        body = body.replace(f"${{{name}}}", example)
    assert check(json.loads(body.replace("${!", "${"))) == []


def test_every_function_and_queue_of_the_definition_is_one_of_the_stacks(dev: Any) -> None:
    _, variables = pipeline(dev)["PipelineDefinition"]["PipelineDefinitionBody"]["Fn::Sub"]
    functions = dev.resources("AWS::Lambda::Function", "training")
    assert variables["CheckPlan"]["Fn::GetAtt"][0] in functions
    assert variables["FindChampion"]["Fn::GetAtt"][0] in functions
    assert variables["PublishDossier"]["Fn::GetAtt"][0] in functions
    assert "Callback" in json.dumps(variables["CallbackQueue"])


def statements(assembly: Any, role_name: str) -> list[dict[str, Any]]:
    roles = [
        name
        for name, role in assembly.resources("AWS::IAM::Role").items()
        if role["Properties"]["RoleName"] == role_name
    ]
    assert len(roles) == 1
    return [
        statement
        for policy in assembly.resources("AWS::IAM::Policy").values()
        if {"Ref": roles[0]} in policy["Properties"]["Roles"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


def actions(statement: dict[str, Any]) -> list[str]:
    found = statement["Action"]
    return [found] if isinstance(found, str) else list(found)


def test_pipeline_registers_versions_as_pending_only(dev: Any) -> None:
    creating = [
        each for each in statements(dev, "mapgate-dev-pipeline") if "sagemaker:CreateModelPackage" in actions(each)
    ]
    assert [each["Condition"] for each in creating] == [
        {"StringEquals": {"sagemaker:ModelApprovalStatus": "PendingManualApproval"}}
    ]
    everything = [action for each in statements(dev, "mapgate-dev-pipeline") for action in actions(each)]
    assert "sagemaker:UpdateModelPackage" not in everything


def test_dossier_cannot_decide(dev: Any) -> None:
    denied = [each for each in statements(dev, "mapgate-dev-publish-dossier-function") if each["Effect"] == "Deny"]
    assert [actions(each) for each in denied] == [["sagemaker:UpdateModelPackage"]]
    assert denied[0]["Condition"] == {"Null": {"sagemaker:ModelApprovalStatus": "false"}}


def test_check_plan_reads_and_does_nothing_else(dev: Any) -> None:
    granted = {action for each in statements(dev, "mapgate-dev-check-plan-function") for action in actions(each)}
    assert {action for action in granted if not action.startswith(("kms:", "logs:"))} == {
        "dynamodb:GetItem",
        "ecr:DescribeImages",
        "s3:GetObject",
        "s3:ListBucket",
        "ssm:GetParameterHistory",
    }


def test_find_champion_reads_and_does_nothing_else(dev: Any) -> None:
    granted = {action for each in statements(dev, "mapgate-dev-find-champion-function") for action in actions(each)}
    assert {action for action in granted if not action.startswith(("kms:", "logs:"))} == {
        "dynamodb:GetItem",
        "dynamodb:Query",
        "ecr:DescribeImages",
        "s3:GetObject",
        "s3:ListBucket",
        "ssm:GetParameterHistory",
    }


def test_the_floor_that_is_bound_is_the_one_that_is_deployed(dev: Any) -> None:
    """A policy whose hash and whose object were not of one reading would judge nothing, or by another's rules."""
    _, variables = pipeline(dev)["PipelineDefinition"]["PipelineDefinitionBody"]["Fn::Sub"]
    contents = [each["Properties"]["Objects"] for each in dev.resources("Custom::BucketContents").values()]
    (objects,) = [each for each in contents if each]
    policy = objects[f"defaults/gate-policy/{variables['FloorPolicy']}/gate_policy.yaml"]
    assert hashlib.sha256(policy.encode()).hexdigest() == variables["FloorPolicy"]


def test_nobody_here_can_waive_the_comparison_with_a_champion(dev: Any) -> None:
    for policy in dev.resources("AWS::IAM::Policy").values():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            assert "ssm:PutParameter" not in actions(statement)


def test_jobs_write_only_their_own_prefixes(dev: Any) -> None:
    def prefixes(role: str, action: str) -> set[str]:
        on = [each["Resource"] for each in statements(dev, role) if action in actions(each)]
        return {arn.split("/", 1)[1] for each in on for arn in ([each] if isinstance(each, str) else each)}

    assert prefixes("mapgate-dev-processing", "s3:PutObject") == {"executions/*"}
    assert prefixes("mapgate-dev-training", "s3:PutObject") == {"checkpoints/*", "models/*", "tensorboard/*"}
    assert prefixes("mapgate-dev-training", "s3:DeleteObject") == {"checkpoints/*"}
    assert prefixes("mapgate-dev-processing", "s3:DeleteObject") == set()
    assert prefixes("mapgate-dev-model", "s3:PutObject") == set()


def test_no_role_has_a_managed_policy_or_may_do_everything(dev: Any) -> None:
    for role in dev.resources("AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role["Properties"]
    for policy in dev.resources("AWS::IAM::Policy").values():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            assert not any("*" in action for action in actions(statement))


def test_roles_are_passed_to_sagemaker_only(dev: Any) -> None:
    passing = [
        statement
        for policy in dev.resources("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "iam:PassRole" in actions(statement)
    ]
    assert len(passing) == 2
    for statement in passing:
        assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
        assert statement["Resource"] != "*"
