# SPDX-License-Identifier: Apache-2.0
"""What the deployer may do to SageMaker: to what carries the environment's name, and to nothing else."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from infra.function import Function
from infra.permissions import sagemaker_arn
from infra.settings import Settings


def allow_deployments(
    deployer: Function,
    *,
    settings: Settings,
    bucket: s3.IBucket,
    key: kms.IKey,
    group_name: str,
    endpoint_name: str,
    model_role: iam.IRole,
) -> None:
    """Let the deployer read verdicts, make and remove endpoints, and answer the pipeline."""
    stack = cdk.Stack.of(deployer)

    def arns(*resources: str) -> list[str]:
        return [sagemaker_arn(stack, resource) for resource in resources]

    prefix = settings.prefix
    packages = arns(f"model-package/{group_name}/*")
    models = arns(f"model/{prefix}-v*", f"model/{prefix}-candidate-*")
    configurations = arns(f"endpoint-config/{prefix}-v*", f"endpoint-config/{prefix}-candidate-*")
    candidates = arns(f"endpoint/{prefix}-candidate-*")
    endpoints = [*arns(f"endpoint/{endpoint_name}"), *candidates]

    deployer.allow("sagemaker:DescribeModelPackage", on=packages)
    if settings.removal == "destroy":
        deployer.allow("sagemaker:DeleteModelPackage", on=packages)
    deployer.allow("sagemaker:CreateModel", "sagemaker:DescribeModel", "sagemaker:DeleteModel", on=models)
    deployer.allow(
        "sagemaker:CreateEndpointConfig",
        "sagemaker:DescribeEndpointConfig",
        "sagemaker:DeleteEndpointConfig",
        on=configurations,
    )
    deployer.allow("sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint", on=[*endpoints, *configurations])
    deployer.allow("sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint", on=endpoints)
    deployer.allow("sagemaker:InvokeEndpoint", on=candidates)
    deployer.allow("sagemaker:AddTags", on=[*models, *configurations, *endpoints])
    # These four have no resource to name.
    deployer.allow(
        "sagemaker:ListEndpointConfigs",
        "sagemaker:ListEndpoints",
        "sagemaker:ListModelPackages",
        "sagemaker:ListModels",
        on=["*"],
    )
    deployer.allow(
        "sagemaker:SendPipelineExecutionStepFailure",
        "sagemaker:SendPipelineExecutionStepSuccess",
        on=arns(f"pipeline/{prefix}", f"pipeline/{prefix}/execution/*"),
    )
    deployer.allow(
        "iam:PassRole",
        on=[model_role.role_arn],
        when={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    )
    deployer.allow("s3:GetObject", on=[bucket.arn_for_objects("executions/*"), bucket.arn_for_objects("models/*")])
    # Without it a missing object is "forbidden" instead of "not found".
    deployer.allow("s3:ListBucket", on=[bucket.bucket_arn])
    # The volumes of an endpoint.
    deployer.allow("kms:DescribeKey", on=[key.key_arn])
    deployer.allow("kms:CreateGrant", on=[key.key_arn], when={"Bool": {"kms:GrantIsForAWSResource": "true"}})
