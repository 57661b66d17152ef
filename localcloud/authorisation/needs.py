# SPDX-License-Identifier: Apache-2.0
"""What an operation needs: one permission for each resource that it touches, and the keys that these are under.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localcloud.authorisation.deployed import key_arn


@dataclass(frozen=True)
class Need:
    """One permission.

    Attributes:
        action: `s3:GetObject`.
        resource: ARN, or `*` for an action without resources.
        context: Values of condition keys that this request alone gives, by key as AWS writes it.
        or_by: ARN of a role that may have the permission instead of who asks; empty for none.
    """

    action: str
    resource: str = "*"
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    or_by: str = ""


def pass_role(role_arn: str, service: str) -> Need:
    """To hand a role to a service.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    """
    return Need("iam:PassRole", role_arn, {"iam:PassedToService": service})


def use_key(key: str | None, account: str, region: str, service: str, *actions: str) -> list[Need]:
    """To use a customer's key through a service; nothing where there is no such key.

    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service

    Args:
        key: Id, ARN or alias.
        account: Of whoever asks.
        region: Of the service.
        service: `s3`.
        actions: `Decrypt`.
    """
    arn = key_arn(key or "", account, region)
    via = {"kms:ViaService": f"{service}.{region}.amazonaws.com", "kms:CallerAccount": account}
    return [Need(f"kms:{action}", arn, {**via, **VIA_SERVICE}) for action in actions] if arn else []


def grant_key(key: str | None, account: str, region: str, or_by: str = "") -> list[Need]:
    """To let AWS open the volumes of a job or endpoint with a customer's key; the role of a job may be let do it, too.

    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-grant-is-for-aws-resource
    https://docs.aws.amazon.com/sagemaker/latest/dg/api-permissions-reference.html
    """
    arn = key_arn(key or "", account, region)
    context = {"kms:GrantIsForAWSResource": "true", "kms:CallerAccount": account}
    return [Need("kms:CreateGrant", arn, context, or_by)] if arn else []


def pull_image(uri: str) -> list[Need]:
    """To pull an image, as SageMaker does with an execution role.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createtrainingjob-perms
    """
    registry, _, name = uri.partition("/")
    account, region = registry.split(".")[0], registry.split(".")[3]
    arn = f"arn:aws:ecr:{region}:{account}:repository/{name.split('@')[0].split(':')[0]}"
    actions = ("BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "BatchGetImage")
    return [Need("ecr:GetAuthorizationToken"), *(Need(f"ecr:{action}", arn) for action in actions)]


def watch_container(group: str, namespace: str, account: str, region: str) -> list[Need]:
    """To keep a container's output and measurements, beside what writing the log itself needs.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createtrainingjob-perms
    """
    return [
        Need("logs:DescribeLogStreams", f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:"),
        Need("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": namespace}),
    ]


def join_network(vpc: Mapping[str, Any] | None) -> list[Need]:
    """To put a job or an endpoint into a VPC, as SageMaker does with an execution role.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createtrainingjob-perms
    """
    actions = (
        "CreateNetworkInterface",
        "CreateNetworkInterfacePermission",
        "DeleteNetworkInterface",
        "DeleteNetworkInterfacePermission",
        "DescribeDhcpOptions",
        "DescribeNetworkInterfaces",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeVpcs",
    )
    return [Need(f"ec2:{action}") for action in actions] if vpc else []


def tags_of(given: Any) -> dict[str, str | Sequence[str]]:
    """The condition keys of the tags that a request gives, as lists of `Key` and `Value`."""
    tags = given if isinstance(given, list) else []
    keys: dict[str, str | Sequence[str]] = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags}
    return {**keys, "aws:TagKeys": [tag["Key"] for tag in tags]} if tags else {}


VIA_SERVICE = {"aws:ViaAWSService": "true"}
