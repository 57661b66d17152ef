# SPDX-License-Identifier: Apache-2.0
"""What roles are granted, each by the use that it has; the story counts that every use is there."""

from __future__ import annotations

import json
from typing import Any

import pytest

PREFIX = "mapgate-dev-"


def grants(assembly: Any) -> dict[str, dict[str, str]]:
    """By role and action, the resources as the template writes them."""
    names = {
        logical: resource["Properties"]["RoleName"].removeprefix(PREFIX)
        for logical, resource in assembly.resources("AWS::IAM::Role").items()
        if isinstance(resource["Properties"].get("RoleName"), str)
    }
    found: dict[str, dict[str, str]] = {name: {} for name in names.values()}
    for policy in assembly.resources("AWS::IAM::Policy").values():
        (role,) = policy["Properties"]["Roles"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            for action in actions if statement["Effect"] == "Allow" else ():
                of_role = found[names[role["Ref"]]]
                of_role[action] = of_role.get(action, "") + json.dumps(statement["Resource"])
    return found


@pytest.fixture(scope="module")
def dev(synthesize: Any) -> dict[str, dict[str, str]]:
    return grants(synthesize("dev"))


@pytest.mark.parametrize(
    ("action", "roles"),
    [
        (
            "kms:GenerateDataKey",
            "cleaner-function deployer-function notifier-function publish-dossier-function "
            "pipeline processing training",
        ),
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_OutputDataConfig.html
        ("kms:Encrypt", "processing training"),
        # https://docs.aws.amazon.com/sagemaker/latest/dg/api-permissions-reference.html: the caller's or the job's role
        ("kms:CreateGrant", "deployer-function processing training"),
        ("kms:DescribeKey", ""),
        ("s3:GetBucketLocation", ""),
        ("s3:DeleteObject", "cleaner-function training"),
        ("dynamodb:PutItem", "deployer-function publish-dossier-function"),
        ("dynamodb:UpdateItem", ""),
        ("dynamodb:DeleteItem", ""),
        ("sagemaker:DescribeModelPackageGroup", ""),
        ("sagemaker:UpdateModelPackage", "publish-dossier-function"),
        ("iam:PassRole", "deployer-function pipeline"),
    ],
)
def test_only_those_who_use_an_action_may(dev: dict[str, dict[str, str]], action: str, roles: str) -> None:
    assert {role for role, actions in dev.items() if action in actions} == set(roles.split())


def test_the_functions_that_keep_evidence_alone_sign_it(dev: dict[str, dict[str, str]]) -> None:
    signers = {role for role, actions in dev.items() if "kms:Sign" in actions}
    assert "publish-dossier-function" in signers
    assert signers <= {"publish-dossier-function", "deployer-function"}
    for role in signers:
        assert "SigningKey" in dev[role]["kms:Sign"]


def test_publish_dossier_writes_evidence_and_no_other_object(dev: dict[str, dict[str, str]]) -> None:
    written = dev["publish-dossier-function"]["s3:PutObject"]
    assert written.count("arn:") == written.count("/evidence/*") == 1


def test_a_job_reads_what_it_is_given_and_no_other_jobs_data(dev: dict[str, dict[str, str]]) -> None:
    reads = {role: dev[role]["s3:GetObject"] for role in ("processing", "training")}

    assert all(f"/{prefix}/*" in read for prefix in ("defaults", "executions", "inputs") for read in reads.values())
    assert "/datasets/*" in reads["processing"] and "/datasets/*" not in reads["training"]
    assert "/checkpoints/*" in reads["training"] and "/checkpoints/*" not in reads["processing"]


def test_logs_are_named_as_policies_name_them(dev: dict[str, dict[str, str]]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html: with `:*`."""
    for role in ("processing", "training", "model"):
        assert json.dumps(":*")[1:-1] in dev[role]["logs:PutLogEvents"]
        assert dev[role]["logs:PutLogEvents"].count("log-group") == 1


def test_the_notifier_asks_after_jobs_of_each_kind_by_the_action_of_that_kind(dev: dict[str, dict[str, str]]) -> None:
    notifier = dev["notifier-function"]

    assert "training-job" not in notifier["sagemaker:DescribeProcessingJob"]
    assert "processing-job" not in notifier["sagemaker:DescribeTrainingJob"]


def test_inline_policies_and_functions_variables_have_room_for_the_longest_names(synthesize: Any) -> None:
    """10,240 characters a role, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html.

    4 kB a function, https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html. What CloudFormation fills
    in later is counted as it is written; a quarter is left for where that is shorter.
    """
    assembly = synthesize("dev")
    longest = "m" * 28  # of which the names of buckets can still be made

    def size(value: Any) -> int:
        return len(json.dumps(value, separators=(",", ":")).replace(assembly.prefix, longest))

    policies = [each["Properties"] for each in assembly.resources("AWS::IAM::Policy").values()]
    by_role: dict[str, int] = {}
    for policy in policies:
        (role,) = policy["Roles"]
        by_role[role["Ref"]] = by_role.get(role["Ref"], 0) + size(policy["PolicyDocument"])
    assert 5_000 < max(by_role.values()) < 0.75 * 10_240
    functions = assembly.resources("AWS::Lambda::Function").values()
    variables = [size(each["Properties"].get("Environment", {})) for each in functions]
    assert 1_000 < max(variables) < 0.75 * 4_096
