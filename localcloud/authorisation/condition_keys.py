# SPDX-License-Identifier: Apache-2.0
"""The condition keys whose values this cloud gives to each request that has them, or that no request here has.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

KNOWN = frozenset(
    key.lower()
    for key in (
        "aws:CurrentTime",
        "aws:EpochTime",
        "aws:MultiFactorAuthPresent",
        "aws:PrincipalAccount",
        "aws:PrincipalArn",
        "aws:PrincipalIsAWSService",
        "aws:PrincipalServiceName",
        "aws:PrincipalType",
        "aws:RequestedRegion",
        "aws:ResourceAccount",
        "aws:SecureTransport",
        "aws:SourceAccount",
        "aws:SourceArn",
        "aws:SourceIp",
        "aws:SourceOwner",
        "aws:TagKeys",
        "aws:ViaAWSService",
        "cloudwatch:namespace",
        "iam:PassedToService",
        "kms:CallerAccount",
        "kms:GrantIsForAWSResource",
        "kms:ViaService",
        "s3:ObjectCreationOperation",
        "s3:ResourceAccount",
        "s3:delimiter",
        "s3:if-match",
        "s3:if-none-match",
        "s3:max-keys",
        "s3:prefix",
        "s3:x-amz-copy-source",
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "sagemaker:ModelApprovalStatus",
        "sts:ExternalId",
        "sts:RoleSessionName",
        # Of requests through a VPC's endpoint and of IAM users, which are not here.
        "aws:SourceVpc",
        "aws:SourceVpce",
        "aws:username",
    )
)
KNOWN_BEGINNINGS = ("aws:requesttag/", "sagemaker:customermetadataproperties/")
"""Of keys that end in a name that somebody chose."""


def is_known(key: str) -> bool:
    """Whether this cloud can say what value a key has in a request."""
    return key.lower() in KNOWN or key.lower().startswith(KNOWN_BEGINNINGS)
