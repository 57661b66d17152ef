# SPDX-License-Identifier: Apache-2.0
"""Whether a resource's policy lets a service act."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.resource_policies import permits

RULE = "arn:aws:events:us-east-1:123456789012:rule/approved"
EVENTS = {"Service": "events.amazonaws.com"}


def statement(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": EVENTS, "Action": "lambda:InvokeFunction", **more}


@pytest.mark.parametrize(
    ("statements", "permitted"),
    [
        ([], False),
        ([statement()], True),
        ([statement(Principal={"Service": "sns.amazonaws.com"})], False),
        ([statement(Principal="*")], True),
        ([statement(Action=["lambda:*"])], True),
        ([statement(Action="lambda:GetFunction")], False),
        ([statement(Condition={"ArnLike": {"AWS:SourceArn": RULE}})], True),
        ([statement(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/appr*"}})], True),
        ([statement(Condition={"ArnEquals": {"aws:SourceArn": RULE + "x"}})], False),
        ([statement(Condition={"StringEquals": {"aws:SourceAccount": "123456789012"}})], True),
        ([statement(Condition={"StringEquals": {"aws:SourceAccount": "210987654321"}})], False),
        ([statement(), statement(Effect="Deny")], False),
        (
            [
                statement(),
                statement(Effect="Deny", Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}}),
            ],
            True,
        ),
    ],
)
def test_statements_permit_or_not(statements: list[dict[str, Any]], permitted: bool) -> None:
    policy = {"Statement": statements}
    assert permits(policy, "events.amazonaws.com", "lambda:InvokeFunction", RULE, "123456789012") is permitted


def test_no_policy_permits_nothing() -> None:
    assert not permits(None, "events.amazonaws.com", "sqs:SendMessage", RULE, "123456789012")
