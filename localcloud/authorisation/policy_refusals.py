# SPDX-License-Identifier: Apache-2.0
"""Policies that cannot be evaluated here are refused when they are put, in each service's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from localcloud.authorisation.policies import Kind, PolicyError, parse
from localcloud.context import CloudContext
from localcloud.dispatch import Call, S3Request, ServiceError, add_check, guard_s3_by
from localcloud.s3_errors import Answer, s3_error


@dataclass(frozen=True)
class _Place:
    """Where a request carries a policy.

    Attributes:
        member: Of the request, with a dot before the name of an attribute.
        kind: Of the policy.
        code: Of the error.
    """

    member: str
    kind: Kind
    code: str


_IAM = "MalformedPolicyDocument"
_KMS = "MalformedPolicyDocumentException"
_PLACES: Mapping[tuple[str, str], _Place] = {
    ("iam", "CreateRole"): _Place("AssumeRolePolicyDocument", "trust", _IAM),
    ("iam", "UpdateAssumeRolePolicy"): _Place("PolicyDocument", "trust", _IAM),
    ("iam", "CreatePolicy"): _Place("PolicyDocument", "identity", _IAM),
    ("iam", "CreatePolicyVersion"): _Place("PolicyDocument", "identity", _IAM),
    ("iam", "PutRolePolicy"): _Place("PolicyDocument", "identity", _IAM),
    ("iam", "PutUserPolicy"): _Place("PolicyDocument", "identity", _IAM),
    ("iam", "PutGroupPolicy"): _Place("PolicyDocument", "identity", _IAM),
    ("kms", "CreateKey"): _Place("Policy", "resource", _KMS),
    ("kms", "PutKeyPolicy"): _Place("Policy", "resource", _KMS),
    ("ecr", "SetRepositoryPolicy"): _Place("policyText", "resource", "InvalidParameterException"),
    ("sqs", "CreateQueue"): _Place("Attributes.Policy", "resource", "InvalidAttributeValue"),
    ("sqs", "SetQueueAttributes"): _Place("Attributes.Policy", "resource", "InvalidAttributeValue"),
    ("sns", "CreateTopic"): _Place("Attributes.Policy", "resource", "InvalidParameter"),
    ("sns", "SetTopicAttributes"): _Place("AttributeValue", "resource", "InvalidParameter"),
}


def install(_: CloudContext) -> None:
    """Read each policy before it is kept."""
    for service in sorted({service for service, _ in _PLACES}):
        add_check(service, partial(_check, service))
    guard_s3_by(_check_bucket_policy)


def _check(service: str, action: str, call: Call) -> None:
    place = _PLACES.get((service, action))
    if place is None or (action == "SetTopicAttributes" and call.parameters.get("AttributeName") != "Policy"):
        return
    member, _, attribute = place.member.partition(".")
    document = call.parameters.get(member)
    document = (document or {}).get(attribute) if attribute else document
    if not document:
        return
    try:
        parse(document, place.kind)
    except PolicyError as error:
        raise ServiceError(place.code, str(error)) from None


def _check_bucket_policy(request: S3Request) -> Answer | None:
    """As https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList names it."""
    if request.method != "PUT" or request.key or "policy" not in request.query:
        return None
    try:
        parsed = parse(request.body.decode(), "resource")
    except PolicyError as error:
        return s3_error(400, "MalformedPolicy", str(error))
    for statement in parsed.statements:
        for arn in statement.resources[1] if statement.resources else ():
            if not re.match(rf"arn:aws:s3:::(\*|{re.escape(request.bucket)}(/|$))", arn):
                return s3_error(400, "MalformedPolicy", "Policy has invalid resource")
    return None
