# SPDX-License-Identifier: Apache-2.0
"""Requests of roles' sessions, let through or refused; whoever signs with lasting credentials is the administrator.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localcloud.authorisation import deployed, operations, records, s3_requests, sessions
from localcloud.authorisation.identities import ADMINISTRATOR, arn_of, principal_id_of
from localcloud.authorisation.needs import Need
from localcloud.authorisation.policies import PolicyError, parse
from localcloud.authorisation.verdicts import Policies, Principal, Request, Verdict, evaluate
from localcloud.context import CloudContext
from localcloud.dispatch import (
    Call,
    S3Request,
    ServiceError,
    backend,
    guard_by,
    guard_s3_by,
    replace_action,
    state_lock,
)
from localcloud.home import Home
from localcloud.s3_errors import Answer, s3_error

DENIED = {
    "cloudformation": ("AccessDenied", 403),
    "cloudwatch": ("AccessDenied", 403),
    "iam": ("AccessDenied", 403),
    "lambda": ("AccessDeniedException", 403),
    "s3": ("AccessDenied", 403),
    "sns": ("AuthorizationError", 403),
    "sqs": ("AccessDenied", 403),
    "sts": ("AccessDenied", 403),
}
"""The code and status of a denial, by service; of the others `AccessDeniedException` and 400."""
EVERYBODY_MAY = frozenset({("sts", "GetCallerIdentity")})
"""https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
POLICY_BESIDE_IDENTITY = frozenset({"kms"})
"""Services in which nothing is allowed that the resource's own policy does not let in.
https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html
"""
HOME_REGION = "us-east-1"
"""Of requests that name none."""
_ARN = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+")


class DeniedError(Exception):
    """A permission that is missing; the message is AWS's."""


def install(context: CloudContext) -> None:
    """Stand in front of every operation."""
    home = Home(context.home)
    sessions.install(home.state / "sessions.key")
    records.install(home.state / "permissions.jsonl")
    guard_by(_guard, _caller_of, account_of)
    guard_s3_by(_guard_s3)
    replace_action("sts", "AssumeRole", _assume_role)
    replace_action("sts", "GetCallerIdentity", _caller_identity)


def require(role_arn: str, session: str, *needs: Need) -> None:
    """Refuse what a service is about to do for a role, where the role may not.

    Raises:
        DeniedError: A permission is missing.
    """
    caller = sessions.Session(sessions.principal_of(role_arn, session), None)
    for need in needs:
        _require(caller, need)


def service_may_assume(service: str, role_arn: str) -> bool:
    """Whether there is such a role, and its trust policy lets a service assume it."""
    principal = Principal(service, role_arn.split(":")[4])
    asked = Request(
        principal, "sts:AssumeRole", role_arn, _lowered({**_ALWAYS, "aws:SourceAccount": principal.account})
    )
    try:
        return evaluate(asked, Policies(resource=deployed.trust_policy(role_arn))).allowed
    except PolicyError:
        return False


def service_may(service: str, action: str, resource_arn: str, policy: Any, context: Mapping[str, str]) -> bool:
    """Whether a resource's policy lets a service act by itself.

    Args:
        service: `events.amazonaws.com`.
        action: `sqs:SendMessage`.
        resource_arn: Of the resource.
        policy: Its policy, as JSON or parsed; None for none.
        context: Values of condition keys, such as `aws:SourceArn`.
    """
    if not policy:
        return False
    try:
        read = parse(policy, "resource")
    except PolicyError:
        return False
    told = {**_ALWAYS, "aws:PrincipalIsAWSService": "true", "aws:PrincipalServiceName": service, **context}
    principal = Principal(service, context.get("aws:SourceAccount", ""))
    asked = Request(principal, action, resource_arn, _lowered(told))
    return evaluate(asked, Policies(resource=read)).allowed


def service_may_use_key(service: str, key: str, account: str, region: str, context: Mapping[str, str]) -> bool:
    """Whether the key of a queue or topic lets a service encrypt what it puts there; no key of AWS's own does.

    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services

    Args:
        key: Its id, ARN or alias.
        account: Of the queue or topic.
        region: Of the queue or topic.
        context: Values of condition keys.
    """
    arn = deployed.key_arn(key, account, region)
    if arn is None:
        return False
    owner, place = arn.split(":")[4], arn.split(":")[3]
    with state_lock:
        policy = backend("kms", owner, place).keys[arn.split("/")[-1]].policy
    actions = ("kms:GenerateDataKey", "kms:Decrypt")
    return all(service_may(service, action, arn, policy, context) for action in actions)


def account_of(headers: Mapping[str, str], query: Mapping[str, Any]) -> str | None:
    """The account of a request's session; None where no session signed it."""
    try:
        session = _session_of(headers, query)
    except ServiceError:
        return None
    return session.principal.account if session else None


def _guard(response: Any, service: str, action: str, call: Call) -> None:
    """Refuse a session's request for which a permission is missing.

    Raises:
        ServiceError: As the service words it.
    """
    session = _session_of(response.headers, response.querystring)
    code, status = DENIED.get(service, ("AccessDeniedException", 400))
    try:
        if (service, action) == ("sts", "AssumeRole"):
            _require_trust(session, call)
        elif session is not None and (service, action) not in EVERYBODY_MAY:
            for need in _needs_of(session, service, action, call):
                _require(session, need)
    except DeniedError as denied:
        raise ServiceError(code, str(denied), status) from None


def _caller_of(response: Any) -> str:
    session = _session_of(response.headers, response.querystring)
    return session.principal.arn if session else ""


def _needs_of(session: sessions.Session, service: str, action: str, call: Call) -> list[Need]:
    with state_lock:
        needs = operations.needs_of(service, action, call)
    if needs is None:
        raise DeniedError(_unknown(session.principal, f"{service}:{action}"))
    return needs


def _guard_s3(request: S3Request) -> Answer | None:
    """The refusal of a session's request to S3; None where it may go on."""
    try:
        session = _session_of(request.headers, request.query)
        with state_lock:
            needs = s3_requests.needs_of(request)
        if session is None:
            _require_no_denial(request, needs or [])
            return None
        if needs is None:
            raise DeniedError(_unknown(session.principal, f"s3: {request.method} {request.bucket_arn}"))
        for need in needs:
            _require(session, need)
        _hide_absence(session, request)
    except DeniedError as denied:
        return s3_error(403, "AccessDenied", str(denied))
    except ServiceError as refused:
        return s3_error(403, refused.code, refused.message)
    return None


def _require_no_denial(request: S3Request, needs: list[Need]) -> None:
    """The administrator may do whatever a bucket's policy does not deny to all; but policies it may always change.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-policy-language-overview.html
    """
    administrator = Principal(f"arn:aws:iam::{request.account}:user/{ADMINISTRATOR}", request.account)
    for need in needs if "policy" not in request.query else ():
        policy = deployed.resource_policy(need.resource) if need.resource.startswith("arn:aws:s3:") else None
        if policy:
            context = _lowered({**_ALWAYS, **_of_principal(administrator), **need.context})
            asked = Request(administrator, need.action, need.resource, context)
            verdict = evaluate(asked, Policies([_EVERYTHING], policy))
            if not verdict.allowed:
                raise DeniedError(verdict.sentence(asked))


def _hide_absence(session: sessions.Session, request: S3Request) -> None:
    """Who may not list a bucket is not told that an object is missing.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    if request.method not in ("GET", "HEAD") or not request.key or "uploadId" in request.query:
        return
    bucket = deployed.bucket_named(request.bucket)
    if bucket is not None and request.key not in bucket.keys:
        _require(session, Need("s3:ListBucket", request.bucket_arn))


def _session_of(headers: Mapping[str, str], query: Mapping[str, Any]) -> sessions.Session | None:
    token = sessions.token_in(headers, query)
    if token is None:
        return None
    try:
        return sessions.session_in(token)
    except sessions.TokenError as error:
        raise ServiceError(error.code, str(error), 403) from None


def _require(session: sessions.Session, need: Need) -> None:
    """Raise `DeniedError` unless the deployed policies allow it; note what did."""
    request, verdict = _verdict(session, need)
    if not verdict.allowed and need.or_by:
        other = sessions.Session(sessions.principal_of(need.or_by, session.principal.arn.rsplit("/", 1)[-1]), None)
        other_request, other_verdict = _verdict(other, need)
        if other_verdict.allowed:
            request, verdict = other_request, other_verdict
    records.note(request, verdict)
    if not verdict.allowed:
        raise DeniedError(verdict.sentence(request))


def _verdict(session: sessions.Session, need: Need) -> tuple[Request, Verdict]:
    principal = session.principal
    region, owner = _place(need.resource, principal.account)
    of_resource = {"aws:RequestedRegion": region, "aws:ResourceAccount": owner, "s3:ResourceAccount": owner}
    context = _lowered({**_ALWAYS, **_of_principal(principal), **of_resource, **need.context})
    request = Request(principal, need.action, need.resource, context, owner)
    try:
        with state_lock:
            identity, boundary = deployed.identity_policies(principal.role_arn)
            resource = deployed.resource_policy(need.resource) if need.resource.startswith("arn:") else None
        needs_resource = need.action.split(":")[0] in POLICY_BESIDE_IDENTITY and need.resource.startswith("arn:")
        verdict = evaluate(request, Policies(identity, resource, boundary, session.policy, needs_resource))
    except PolicyError as error:
        verdict = Verdict(False, f"because a policy cannot be evaluated: {error}")
    return request, verdict


def _place(resource: str, account: str) -> tuple[str, str]:
    """Region and account of a resource; those of whoever asks where its ARN does not say them."""
    if not resource.startswith("arn:"):
        return HOME_REGION, account
    service, region, owner, name = resource.split(":", 5)[2:]
    if service == "s3":
        bucket = deployed.bucket_named(name.split("/", 1)[0])
        owner = bucket.account_id if bucket else ""
    return region or HOME_REGION, owner or account


def _of_principal(principal: Principal) -> dict[str, str]:
    return {
        "aws:PrincipalAccount": principal.account,
        "aws:PrincipalArn": principal.role_arn or principal.arn,
        "aws:PrincipalType": "AssumedRole" if principal.role_arn else "User",
        "aws:MultiFactorAuthPresent": "false",
        "aws:SourceOwner": principal.account,
        "aws:PrincipalIsAWSService": "false",
        "aws:CurrentTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:EpochTime": str(int(time.time())),
    }


_ALWAYS = {"aws:SecureTransport": "true", "aws:SourceIp": "127.0.0.1", "aws:ViaAWSService": "false"}
"""The loopback stands for TLS."""


def _lowered(context: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {key.lower(): (value,) if isinstance(value, str) else tuple(value) for key, value in context.items()}


def _unknown(principal: Principal, operation: str) -> str:
    return (
        f"User: {principal.arn} is not authorized to perform: {operation}: the emulated cloud does not know which "
        "permissions it needs (localcloud/authorisation)"
    )


def _require_trust(session: sessions.Session | None, call: Call) -> None:
    """A role is assumed by those whom its trust policy lets, and their own policies, too.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html; that what is no ARN is told first was
    recorded in LocalStack's tests, tests/aws/services/sts/test_sts.py.
    """
    role_arn = call.parameters["RoleArn"]
    if not _ARN.fullmatch(role_arn):
        raise ServiceError("ValidationError", f"{role_arn} is invalid")
    account = call.account
    administrator = sessions.Session(Principal(f"arn:aws:iam::{account}:user/{ADMINISTRATOR}", account), None)
    principal = (session or administrator).principal
    told = {
        "sts:ExternalId": call.parameters.get("ExternalId"),
        "sts:RoleSessionName": call.parameters["RoleSessionName"],
    }
    context = {**_ALWAYS, **_of_principal(principal), **{key: value for key, value in told.items() if value}}
    request = Request(principal, "sts:AssumeRole", role_arn, _lowered(context), role_arn.split(":")[4])
    try:
        trust = deployed.trust_policy(role_arn)
        identity = deployed.identity_policies(principal.role_arn)[0] if session else [_EVERYTHING]
        verdict = evaluate(request, Policies(identity, trust, needs_resource=True))
    except PolicyError as error:
        verdict = Verdict(False, f"because a policy cannot be evaluated: {error}")
    if session:
        records.note(request, verdict)
    if not verdict.allowed:
        raise DeniedError(f"User: {principal.arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}")


def _assume_role(call: Call) -> dict[str, Any]:
    given = call.parameters
    role_arn, name = given["RoleArn"], given["RoleSessionName"]
    try:
        policy = given.get("Policy") or ""
        if policy:
            parse(policy, "identity")
    except PolicyError as error:
        raise ServiceError("MalformedPolicyDocument", str(error)) from None
    opened = sessions.open_session(role_arn, name, given.get("DurationSeconds") or sessions.HOUR, policy)
    role = deployed.role_named(role_arn)
    return {
        "Credentials": {
            "AccessKeyId": opened.access_key,
            "SecretAccessKey": opened.secret_key,
            "SessionToken": opened.token,
            "Expiration": datetime.fromtimestamp(opened.expires, UTC),
        },
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role.id if role else ''}:{name}",
            "Arn": sessions.principal_of(role_arn, name).arn,
        },
        "PackedPolicySize": 6,
    }


def _caller_identity(call: Call) -> dict[str, Any]:
    return {"UserId": principal_id_of(call), "Account": call.account, "Arn": arn_of(call)}


_EVERYTHING = parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}, "identity")
