# SPDX-License-Identifier: Apache-2.0
"""What identity, resource, boundary and session policies decide together."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.authorisation.policies import Policy, parse
from localcloud.authorisation.verdicts import Policies, Principal, Request, Verdict, evaluate

GUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide"
SAME_ACCOUNT = f"{GUIDE}/reference_policies_evaluation-logic_policy-eval-basics.html"
CROSS_ACCOUNT = f"{GUIDE}/reference_policies_evaluation-logic-cross-account.html"
PRINCIPAL = f"{GUIDE}/reference_policies_elements_principal.html"
BOUNDARIES = f"{GUIDE}/access_policies_boundaries.html"
KEY_POLICIES = "https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html"
NOT_ACTION = f"{GUIDE}/reference_policies_elements_notaction.html"
NOT_RESOURCE = f"{GUIDE}/reference_policies_elements_notresource.html"
NOT_PRINCIPAL = f"{GUIDE}/reference_policies_elements_notprincipal.html"

ACCOUNT, OTHER = "123456789012", "210987654321"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/trainer"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/trainer/job"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
OBJECT = "arn:aws:s3:::data/models/a:b.tar.gz"
EVENTS = "events.amazonaws.com"
RULE = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/r"


def allow(action: Any = "s3:GetObject", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(**more: Any) -> dict[str, Any]:
    return {**allow(**more), "Effect": "Deny"}


def identity(*statements: dict[str, Any]) -> list[Policy]:
    return [parse({"Statement": list(statements)}, "identity", "inline")] if statements else []


def resource(*statements: dict[str, Any]) -> Policy | None:
    return parse({"Statement": list(statements)}, "resource") if statements else None


def decide(policies: Policies, action: str = "s3:GetObject", account: str = "", **context: str) -> Verdict:
    told = {key.replace("__", ":").lower(): (value,) for key, value in context.items()}
    return evaluate(Request(Principal(SESSION, ACCOUNT, ROLE), action, OBJECT, told, account), policies)


@pytest.mark.parametrize(
    ("statements", "allowed", "page"),
    [
        ([], False, SAME_ACCOUNT),
        ([allow()], True, SAME_ACCOUNT),
        ([allow(), deny()], False, SAME_ACCOUNT),
        ([allow("S3:getobject")], True, SAME_ACCOUNT),
        ([allow("s3:Get*")], True, SAME_ACCOUNT),
        ([allow("s3:GetObjec?")], True, SAME_ACCOUNT),
        ([allow("*")], True, SAME_ACCOUNT),
        ([allow("s3:PutObject")], False, SAME_ACCOUNT),
        ([allow(resource="arn:aws:s3:::data/models/*")], True, SAME_ACCOUNT),
        ([allow(resource="arn:aws:s3:::data/Models/*")], False, SAME_ACCOUNT),
        ([allow(resource="arn:aws:s3:::data")], False, SAME_ACCOUNT),
        ([allow(resource="arn:aws:s3:::*")], True, SAME_ACCOUNT),
        ([allow(resource="arn:aws:*")], True, SAME_ACCOUNT),
        ([allow(resource=["arn:aws:s3:::x", OBJECT])], True, SAME_ACCOUNT),
        ([{"Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*"}], True, NOT_ACTION),
        ([{"Effect": "Allow", "NotAction": ["s3:Get*", "s3:Put*"], "Resource": "*"}], False, NOT_ACTION),
        ([{"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::other/*"}], True, NOT_RESOURCE),
        ([{"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::data/*"}], False, NOT_RESOURCE),
        ([allow(Condition={"StringEquals": {"aws:PrincipalAccount": ACCOUNT}})], True, SAME_ACCOUNT),
        ([allow(Condition={"StringEquals": {"aws:PrincipalAccount": OTHER}})], False, SAME_ACCOUNT),
        (
            [
                allow(
                    Condition={
                        "StringEquals": {"aws:PrincipalAccount": ACCOUNT},
                        "Bool": {"aws:ViaAWSService": "true"},
                    }
                )
            ],
            False,
            SAME_ACCOUNT,
        ),
    ],
)
def test_identity_policies(statements: list[dict[str, Any]], allowed: bool, page: str) -> None:
    verdict = decide(Policies(identity=identity(*statements)), aws__PrincipalAccount=ACCOUNT)

    assert verdict.allowed is allowed, page


MINE, GIVEN = [allow()], [allow(Principal={"AWS": ROLE})]
LEFT_TO_ACCOUNT = [allow(Principal={"AWS": ROOT})]


@pytest.mark.parametrize(
    ("own", "of_resource", "needs_resource", "owner", "allowed", "page"),
    [
        ([], GIVEN, False, ACCOUNT, True, SAME_ACCOUNT),
        ([], [allow(Principal={"AWS": SESSION})], False, ACCOUNT, True, PRINCIPAL),
        ([], [allow(Principal="*")], False, ACCOUNT, True, PRINCIPAL),
        ([], [allow(Principal={"AWS": "*"})], False, ACCOUNT, True, PRINCIPAL),
        ([], [allow(Principal={"AWS": f"{ROLE}x"})], False, ACCOUNT, False, PRINCIPAL),
        ([], [allow(Principal={"Service": EVENTS})], False, ACCOUNT, False, PRINCIPAL),
        ([], LEFT_TO_ACCOUNT, False, ACCOUNT, False, PRINCIPAL),
        ([], [allow(Principal={"AWS": ACCOUNT})], False, ACCOUNT, False, PRINCIPAL),
        (MINE, LEFT_TO_ACCOUNT, False, ACCOUNT, True, PRINCIPAL),
        (MINE, [deny(Principal={"AWS": ROOT})], False, ACCOUNT, False, PRINCIPAL),
        (MINE, [deny(Principal="*")], False, ACCOUNT, False, PRINCIPAL),
        (MINE, [deny(Principal={"Service": EVENTS})], False, ACCOUNT, True, PRINCIPAL),
        (
            MINE,
            [{"Effect": "Deny", "Action": "s3:*", "Resource": "*", "NotPrincipal": {"AWS": ROLE}}],
            False,
            ACCOUNT,
            True,
            NOT_PRINCIPAL,
        ),
        (
            MINE,
            [{"Effect": "Deny", "Action": "s3:*", "Resource": "*", "NotPrincipal": {"AWS": f"{ROLE}x"}}],
            False,
            ACCOUNT,
            False,
            NOT_PRINCIPAL,
        ),
        (MINE, [], False, OTHER, False, CROSS_ACCOUNT),
        ([], GIVEN, False, OTHER, False, CROSS_ACCOUNT),
        (MINE, GIVEN, False, OTHER, True, CROSS_ACCOUNT),
        (MINE, LEFT_TO_ACCOUNT, False, OTHER, True, CROSS_ACCOUNT),
        (MINE, [], True, ACCOUNT, False, KEY_POLICIES),
        (MINE, LEFT_TO_ACCOUNT, True, ACCOUNT, True, KEY_POLICIES),
        ([], LEFT_TO_ACCOUNT, True, ACCOUNT, False, KEY_POLICIES),
        ([], GIVEN, True, ACCOUNT, True, KEY_POLICIES),
    ],
)
def test_resource_policies(
    own: list[dict[str, Any]],
    of_resource: list[dict[str, Any]],
    needs_resource: bool,
    owner: str,
    allowed: bool,
    page: str,
) -> None:
    policies = Policies(identity(*own), resource(*of_resource), needs_resource=needs_resource)

    assert decide(policies, account=owner).allowed is allowed, page


@pytest.mark.parametrize(
    ("own", "of_resource", "limit", "allowed"),
    [
        (MINE, [], [allow()], True),
        (MINE, [], [allow("s3:PutObject")], False),
        ([], [], [allow()], False),
        ([], GIVEN, [allow("s3:PutObject")], False),
        ([], [allow(Principal={"AWS": SESSION})], [allow("s3:PutObject")], True),
        ([], [allow(Principal={"AWS": SESSION})], [deny()], False),
    ],
)
@pytest.mark.parametrize("limited_by", ["boundary", "session"])
def test_what_limits_allows_nothing_by_itself(
    own: list[dict[str, Any]],
    of_resource: list[dict[str, Any]],
    limit: list[dict[str, Any]],
    allowed: bool,
    limited_by: str,
) -> None:
    (policy,) = identity(*limit)
    boundary, session = (policy, None) if limited_by == "boundary" else (None, policy)
    policies = Policies(identity(*own), resource(*of_resource), boundary=boundary, session=session)

    assert decide(policies).allowed is allowed, BOUNDARIES


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        (allow(Principal={"Service": EVENTS}), True),
        (allow(Principal={"Service": "sns.amazonaws.com"}), False),
        (allow(Principal={"AWS": ROOT}), False),
        (allow(Principal={"Service": EVENTS}, Condition={"ArnEquals": {"aws:SourceArn": RULE}}), True),
        (allow(Principal={"Service": EVENTS}, Condition={"ArnEquals": {"aws:SourceArn": f"{RULE}x"}}), False),
        (allow(Principal={"Service": EVENTS}, Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}}), False),
        (allow(Principal={"Service": EVENTS}, Condition={"StringEqualsIfExists": {"aws:SourceAccount": "1"}}), True),
    ],
)
def test_a_service_may_do_what_the_resource_lets_it(statement: dict[str, Any], allowed: bool) -> None:
    asked = Request(Principal(EVENTS, ACCOUNT), "s3:GetObject", OBJECT, {"aws:sourcearn": (RULE,)})

    assert evaluate(asked, Policies(resource=resource(statement))).allowed is allowed


def test_variables_in_resources_are_those_of_the_request() -> None:
    own = Policies(identity(allow(resource="arn:aws:s3:::data/${aws:PrincipalTag/folder}/*")))

    assert decide(own, **{"aws__PrincipalTag/folder": "models"}).allowed
    assert not decide(own, **{"aws__PrincipalTag/folder": "*"}).allowed
    assert not decide(own).allowed


@pytest.mark.parametrize(
    ("policies", "ending"),
    [
        (Policies(), "because no identity-based policy allows the s3:GetObject action"),
        (Policies(identity(*MINE, deny())), "with an explicit deny in an identity-based policy"),
        (
            Policies(identity(*MINE), resource(deny(Principal="*"))),
            "with an explicit deny in a resource-based policy",
        ),
        (
            Policies(identity(*MINE), needs_resource=True),
            "because no resource-based policy allows the s3:GetObject action",
        ),
        (
            Policies(identity(*MINE), boundary=identity(allow("s3:Put*"))[0]),
            "because no permissions boundary allows the s3:GetObject action",
        ),
        (
            Policies(identity(*MINE), session=identity(deny())[0]),
            "with an explicit deny in a session policy",
        ),
    ],
)
def test_a_denial_says_why_in_the_words_of_aws(policies: Policies, ending: str) -> None:
    asked = Request(Principal(SESSION, ACCOUNT, ROLE), "s3:GetObject", OBJECT)

    sentence = evaluate(asked, policies).sentence(asked)

    opening = f"User: {SESSION} is not authorized to perform: s3:GetObject on resource: {OBJECT}"
    assert sentence == f"{opening} {ending}", f"{GUIDE}/troubleshoot_access-denied.html"


@pytest.mark.parametrize("operator", ["StringEquals", "StringNotEquals", "StringLikeIfExists"])
def test_a_key_that_is_unknown_in_a_policy_of_aws_allows_nothing_and_denies(operator: str) -> None:
    unknown = {operator: {"s3express:SessionMode": "ReadOnly"}}
    allowing, denying = (
        [parse({"Statement": [*more, statement(Condition=unknown)]}, "identity", strict=False)]
        for more, statement in (([], allow), (MINE, deny))
    )

    assert not decide(Policies(allowing), aws__PrincipalAccount=ACCOUNT).allowed
    assert not decide(Policies(denying), aws__PrincipalAccount=ACCOUNT).allowed


def test_what_allowed_it_is_told() -> None:
    verdict = decide(Policies(identity(allow("s3:PutObject"), allow(Sid="Read")), resource(*GIVEN)))

    assert [statement.sid for statement in verdict.statements] == ["Read", ""]
