# SPDX-License-Identifier: Apache-2.0
"""Statements that several roles of SageMaker's jobs and models share."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from infra.settings import Settings


def sagemaker_arn(stack: cdk.Stack, resource: str) -> str:
    """Return the ARN of a SageMaker resource (`pipeline/mapgate-dev`) in the stack's account and region."""
    kind, _, name = resource.partition("/")
    return stack.format_arn(service="sagemaker", resource=kind, resource_name=name)


def logs_and_metrics(stack: cdk.Stack, log_group: str) -> list[iam.PolicyStatement]:
    """Return what a container needs so that its output and its metrics can be read."""
    group = stack.format_arn(
        service="logs", resource="log-group", resource_name=log_group, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
    )
    return [
        iam.PolicyStatement(
            actions=["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            resources=[group, f"{group}:*"],
        ),
        iam.PolicyStatement(
            actions=["cloudwatch:PutMetricData"],
            resources=["*"],
            conditions={"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
        ),
    ]


def network_interfaces(settings: Settings) -> list[iam.PolicyStatement]:
    """Return what SageMaker needs to put a job or an endpoint into a VPC; nothing where there is none."""
    if settings.network is None:
        return []
    return [
        iam.PolicyStatement(
            actions=[
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            resources=["*"],
        )
    ]
