# SPDX-License-Identifier: Apache-2.0
"""Policy documents that are read, and those that are refused.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.authorisation.policies import Kind, PolicyError, parse

READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}


def test_what_a_statement_says_is_read() -> None:
    statement = {
        **READ,
        "Sid": "Read",
        "NotAction": ["s3:Delete*"],
        "Condition": {"Bool": {"aws:SecureTransport": True}},
    }
    del statement["Action"]

    (read,) = parse({"Version": "2012-10-17", "Statement": statement}, "identity", "inline").statements

    assert (read.sid, read.allows, read.policy) == ("Read", True, "inline")
    assert read.actions == (False, ("s3:Delete*",))
    assert read.resources == (True, ("arn:aws:s3:::b/*",))
    assert read.conditions[0].values == ("true",)


@pytest.mark.parametrize(
    ("kind", "statement", "message"),
    [
        ("identity", {**READ, "Effect": "allow"}, "Invalid effect"),
        ("identity", {**READ, "Effects": "Allow"}, "Syntax errors in policy."),
        ("identity", {"Effect": "Allow", "Resource": "*"}, "Policy statement must contain actions."),
        ("identity", {"Effect": "Allow", "Action": "s3:*"}, "Policy statement must contain resources."),
        ("identity", {**READ, "Action": [1]}, "Syntax errors in policy."),
        ("identity", {**READ, "Action": "GetObject"}, "Actions/Conditions must be prefaced by a vendor"),
        ("identity", {**READ, "NotAction": "s3:*"}, "Syntax errors in policy."),
        ("identity", {**READ, "Resource": "bucket"}, 'Resource bucket must be in ARN format or "*".'),
        ("identity", {**READ, "Principal": "*"}, "Policy document should not specify a principal."),
        ("identity", {**READ, "Condition": {"StringEquals": "a"}}, "Syntax errors in policy."),
        ("identity", {**READ, "Condition": {"Equals": {"aws:userid": "1"}}}, "Invalid Condition type : Equals"),
        ("identity", {**READ, "Condition": {"StringEquals": {"aws:Moon": "1"}}}, "not know the condition key aws:Moon"),
        ("resource", READ, "must contain a principal"),
        ("resource", {**READ, "Principal": {"User": "a"}}, "Invalid principal in policy"),
        ("resource", {**READ, "Principal": {"AWS": "arn:aws:iam::123456789012:role/*"}}, "Invalid principal in policy"),
        ("trust", {**READ, "Principal": "*"}, "Has prohibited field Resource"),
    ],
)  # fmt: skip
def test_what_is_malformed_or_unknown_is_refused(kind: Kind, statement: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message.replace("*", r"\*")):
        parse({"Version": "2012-10-17", "Statement": [statement]}, kind)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("not json", "invalid Json"),
        ("[]", "Syntax errors"),
        ('{"Version": "2012-10-17"}', "Syntax errors"),
        ({"Version": "2020-01-01", "Statement": READ}, "valid version"),
        ({"Statement": [{**READ, "Sid": "a"}, {**READ, "Sid": "a"}]}, "must be unique"),
    ],
)
def test_documents_that_are_none_are_refused(document: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        parse(document, "identity")


@pytest.mark.parametrize("key", ["aws:ResourceTag/team", "AWS:SourceArn", "kms:EncryptionContext:aws:s3:arn"])
def test_keys_are_known_in_any_case_and_with_a_chosen_name_at_their_end(key: str) -> None:
    condition = {"ArnLike" if "Arn" in key else "StringLike": {key: "*"}}

    assert parse({"Statement": {**READ, "Condition": condition}}, "identity").statements[0].conditions
