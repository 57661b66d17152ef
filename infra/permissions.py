# SPDX-License-Identifier: Apache-2.0
"""Granting: who may do what on which resources, and why wherever an asterisk stands."""

from collections.abc import Iterable, Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import IConstruct

from infra.settings import Settings

Grantee = iam.Role | iam.ManagedPolicy


def allow(
    role: Grantee, *actions: str, on: Sequence[str], when: Mapping[str, object] | None = None, because: str = ""
) -> None:
    """Let a role, or whoever has a managed policy, do `actions` on the ARNs `on`, under the IAM conditions `when`.

    Raises:
        ValueError: An asterisk stands among actions or resources and nothing says why.
    """
    named = [*(f"Action::{action}" for action in actions), *(f"Resource::{arn}" for arn in on)]
    wildcards = [name for name in named if "*" in name]
    if wildcards and not because:
        raise ValueError(f"{role.node.path}: {', '.join(wildcards)} needs a reason")
    _add(role, iam.PolicyStatement(actions=list(actions), resources=list(on), conditions=dict(when) if when else None))
    acknowledge(role, *(f"AwsSolutions-IAM5[{wildcard}]" for wildcard in wildcards), reason=because)


def deny(role: Grantee, *actions: str, on: Sequence[str], when: Mapping[str, object] | None = None) -> None:
    """Keep a role from `actions` on the ARNs `on` whenever the IAM conditions hold, whatever else allows them."""
    conditions = dict(when) if when else None
    _add(
        role,
        iam.PolicyStatement(effect=iam.Effect.DENY, actions=list(actions), resources=list(on), conditions=conditions),
    )


def _add(role: Grantee, statement: iam.PolicyStatement) -> None:
    if isinstance(role, iam.ManagedPolicy):
        role.add_statements(statement)
    else:
        role.add_to_policy(statement)


def acknowledge(construct: IConstruct, *rules: str, reason: str) -> None:
    """Accept findings of the security checks (`AwsSolutions-IAM5[Resource::*]`) on a construct and what it contains."""
    for rule in rules:
        cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))


def allow_key(role: iam.Role, key: kms.IKey, *, writes: bool = False) -> None:
    """Let a role read what the environment's key encrypts, and write it: objects, messages, notices."""
    allow(role, "kms:Decrypt", *(["kms:GenerateDataKey"] if writes else []), on=[key.key_arn])


def allow_signing(role: iam.Role, key: kms.IKey) -> None:
    """Let a role sign evidence, and verify what was signed before it."""
    allow(role, "kms:Sign", "kms:Verify", on=[key.key_arn])


def allow_volumes(role: iam.Role, key: kms.IKey, settings: Settings, instance_types: Iterable[str]) -> None:
    """Let a role hand the key to the volumes of jobs and endpoints on these types, which AWS opens by a grant."""
    if not any(settings.gives_volume_key(instance_type) for instance_type in instance_types):
        return
    allow(role, "kms:CreateGrant", on=[key.key_arn], when={"Bool": {"kms:GrantIsForAWSResource": "true"}})


def sagemaker_arns(scope: cdk.Stack, *resources: str) -> list[str]:
    """Return ARNs of SageMaker resources (`pipeline/mapgate-dev`) in the stack's account and region."""
    arns = []
    for resource in resources:
        kind, _, name = resource.partition("/")
        arns.append(scope.format_arn(service="sagemaker", resource=kind, resource_name=name))
    return arns


def allow_container(role: iam.Role, *, repositories: Sequence[ecr.IRepository], log_group: str) -> None:
    """Let SageMaker, as `role`, pull a container's image and keep its output and metrics."""
    stack = cdk.Stack.of(role)
    allow(
        role,
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        on=[repository.repository_arn for repository in repositories],
    )
    allow(role, "ecr:GetAuthorizationToken", on=["*"], because=NO_RESOURCE)
    group = stack.format_arn(
        service="logs", resource="log-group", resource_name=log_group, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
    )
    allow(
        role,
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
        # With ":*", also for what is done to the group itself:
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
        on=[f"{group}:*"],
        because="SageMaker names the streams, and an endpoint's group after the endpoint.",
    )
    allow(
        role,
        "cloudwatch:PutMetricData",
        on=["*"],
        when={"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
        because=NO_RESOURCE,
    )


def allow_network(role: iam.Role, settings: Settings) -> None:
    """Let SageMaker, as `role`, put a job or an endpoint into the settings' VPC, where there is one."""
    if settings.network is None:
        return
    allow(
        role,
        "ec2:CreateNetworkInterface",
        "ec2:CreateNetworkInterfacePermission",
        "ec2:DeleteNetworkInterface",
        "ec2:DeleteNetworkInterfacePermission",
        "ec2:DescribeDhcpOptions",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        on=["*"],
        because="SageMaker makes network interfaces whose names nobody knows before.",
    )


NO_RESOURCE = "These actions have no resource that a statement could name."
EVERY_OBJECT = "Objects below one prefix of the environment's own bucket."
EVERY_VERSION = "Versions of the environment's own model package group."
OWN_JOBS = "Pipelines names its jobs pipelines-<execution>-<step>-<random>; they are known only when they run."
