# SPDX-License-Identifier: Apache-2.0
"""The condition keys whose values this cloud knows, or knows to be absent, for every request that it evaluates.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

KNOWN = frozenset(
    key.lower()
    for key in (
        "aws:CalledVia",
        "aws:CalledViaFirst",
        "aws:CalledViaLast",
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
        "aws:SourceVpc",
        "aws:SourceVpce",
        "aws:TagKeys",
        "aws:TokenIssueTime",
        "aws:UserAgent",
        "aws:ViaAWSService",
        "aws:userid",
        "aws:username",
        "cloudwatch:namespace",
        "iam:PassedToService",
        "iam:PermissionsBoundary",
        "iam:PolicyARN",
        "kms:CallerAccount",
        "kms:GrantIsForAWSResource",
        "kms:ViaService",
        "s3:ResourceAccount",
        "s3:TlsVersion",
        "s3:prefix",
        "s3:delimiter",
        "s3:max-keys",
        "s3:x-amz-acl",
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "sagemaker:ModelApprovalStatus",
        "sagemaker:InstanceTypes",
        "sagemaker:NetworkIsolation",
        "sagemaker:OutputKmsKey",
        "sagemaker:VolumeKmsKey",
        "sagemaker:VpcSecurityGroupIds",
        "sagemaker:VpcSubnets",
        "sns:Endpoint",
        "sns:Protocol",
        "sts:ExternalId",
        "sts:RoleSessionName",
    )
)
KNOWN_BEGINNINGS = (
    "aws:principaltag/",
    "aws:requesttag/",
    "aws:resourcetag/",
    "iam:resourcetag/",
    "kms:encryptioncontext:",
    "sagemaker:customermetadataproperties/",
    "sagemaker:resourcetag/",
)
"""Of keys that end in a name that somebody chose."""


def is_known(key: str) -> bool:
    """Whether this cloud can say what value a key has in a request."""
    return key.lower() in KNOWN or key.lower().startswith(KNOWN_BEGINNINGS)
