# SPDX-License-Identifier: Apache-2.0
"""Sessions of roles with just these statements, on the cloud of all tests."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.localcloud.conftest import Cloud

Statement = dict[str, Any]


def document(*statements: Statement) -> str:
    """A policy document of these statements; of one that denies nothing where there are none."""
    nothing = {"Effect": "Deny", "Action": "sts:TagSession", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements) or [nothing]})


def trust(**principal: str) -> str:
    """A trust policy."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
        }
    )


@dataclass
class Actor:
    """A session of a role.

    Attributes:
        role: ARN of the role.
        arn: Of the session.
    """

    cloud: Cloud
    role: str
    arn: str
    credentials: dict[str, Any]

    def client(self, service: str) -> Any:
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=self.cloud.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=self.credentials["AccessKeyId"],
            aws_secret_access_key=self.credentials["SecretAccessKey"],
            aws_session_token=self.credentials["SessionToken"],
            config=Config(retries={"max_attempts": 0}),
        )


ActorWith = Callable[..., Actor]


@pytest.fixture
def actor_with(cloud: Cloud) -> ActorWith:
    """Makes a role with statements, and opens a session of it."""

    def make(*statements: Statement, boundary: str = "", **session: Any) -> Actor:
        name = f"actor-{secrets.token_hex(4)}"
        iam = cloud.client("iam")
        trusted = trust(AWS="arn:aws:iam::123456789012:root")
        limit = {"PermissionsBoundary": boundary} if boundary else {}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted, **limit)["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
        given = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="test", **session)
        return Actor(cloud, arn, given["AssumedRoleUser"]["Arn"], given["Credentials"])

    return make
