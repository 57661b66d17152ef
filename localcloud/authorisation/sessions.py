# SPDX-License-Identifier: Apache-2.0
"""Sessions of roles: temporary credentials whose token says whose they are, so that no restart forgets one.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_use-resources.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from localcloud.authorisation.policies import Policy, parse
from localcloud.authorisation.verdicts import Principal

HOUR = 3600
TEMPORARY = "ASIA"
"""What the access key of a session begins with."""

_secret = b""


class TokenError(Exception):
    """Credentials of no session that this cloud has given, or of one that is over."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Credentials:
    """What a session's requests are signed with."""

    access_key: str
    secret_key: str
    token: str
    expires: float


@dataclass(frozen=True)
class Session:
    """Who a token belongs to.

    Attributes:
        principal: The role's session.
        policy: Which limits it; None where none was given.
    """

    principal: Principal
    policy: Policy | None


def install(secret_file: Path) -> None:
    """Sign tokens by a secret that lasts."""
    global _secret
    if not secret_file.exists():
        secret_file.parent.mkdir(parents=True, exist_ok=True)
        beside = secret_file.with_suffix(f".{os.getpid()}")
        beside.touch(mode=0o600)
        beside.write_bytes(secrets.token_bytes(32))
        beside.replace(secret_file)
    _secret = secret_file.read_bytes()
    session_of.cache_clear()


def open_session(role_arn: str, name: str, seconds: float = HOUR, policy: str = "") -> Credentials:
    """Credentials of a new session of a role; whether the role may be assumed is the caller's question.

    Args:
        role_arn: Of the role.
        name: Of the session.
        seconds: How long it lasts.
        policy: A document that limits it.
    """
    expires = time.time() + seconds
    claim = json.dumps({"role": role_arn, "name": name, "expires": expires, "policy": policy}).encode()
    body = base64.urlsafe_b64encode(claim).decode()
    letters = string.ascii_uppercase + string.digits
    access_key = TEMPORARY + "".join(secrets.choice(letters) for _ in range(16))
    return Credentials(access_key, secrets.token_hex(20), f"{body}.{_signature(body)}", expires)


def token_in(headers: Mapping[str, str], query: Mapping[str, Any]) -> str | None:
    """The session token of a request, empty for credentials of a session without one; None for lasting credentials."""
    token = (
        headers.get("X-Amz-Security-Token") or query.get("X-Amz-Security-Token") or query.get("x-amz-security-token")
    )
    if isinstance(token, list):
        token = token[0]
    signed = str(headers.get("Authorization", "")) + str(query.get("X-Amz-Credential", ""))
    return token or ("" if f"={TEMPORARY}" in signed or signed.startswith(TEMPORARY) else None)


def session_in(token: str) -> Session:
    """The session that a token belongs to.

    Raises:
        TokenError: There is none.
    """
    session, expires = session_of(token)
    if expires < time.time():
        raise TokenError("ExpiredToken", "The security token included in the request is expired")
    return session


@lru_cache(maxsize=4096)
def session_of(token: str) -> tuple[Session, float]:
    """A token's session, and when it is over.

    Raises:
        TokenError: This cloud did not give the token.
    """
    body, _, signature = token.partition(".")
    if not body or not hmac.compare_digest(signature, _signature(body)):
        raise TokenError("InvalidClientTokenId", "The security token included in the request is invalid.")
    claim = json.loads(base64.urlsafe_b64decode(body))
    policy = parse(claim["policy"], "identity") if claim["policy"] else None
    return Session(principal_of(claim["role"], claim["name"]), policy), claim["expires"]


def principal_of(role_arn: str, session: str) -> Principal:
    """The principal of a role's session, whose ARN leaves the role's path out."""
    account, role = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    return Principal(f"arn:aws:sts::{account}:assumed-role/{role}/{session}", account, role_arn)


def _signature(body: str) -> str:
    return hmac.new(_secret, body.encode(), hashlib.sha256).hexdigest()
