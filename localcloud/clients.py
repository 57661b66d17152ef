# SPDX-License-Identifier: Apache-2.0
"""boto3 clients of this very server, for any account: parts of the cloud use each other as a user would."""

from __future__ import annotations

import threading
from functools import cache, lru_cache
from typing import Any

import boto3
from botocore.config import Config

from localcloud.authorisation.sessions import open_session

ACCOUNT = "123456789012"
REGION = "us-east-1"
SAGEMAKER = "SageMaker"
"""Name of the sessions in which SageMaker acts for a role."""
AS_LONG_AS_THE_PROCESS = 10 * 365 * 24 * 3600.0
"""Seconds of a session whose credentials never leave this process."""

_session_lock = threading.Lock()
_endpoint_url = ""


def use_endpoint(endpoint_url: str) -> None:
    """Name the server that `client` talks to; done once, before the first request is served."""
    global _endpoint_url
    _endpoint_url = endpoint_url
    client.cache_clear()
    client_as.cache_clear()


def endpoint_url() -> str:
    """The server that `client` talks to."""
    return _endpoint_url


@lru_cache(maxsize=256)
def client(service: str, account: str = ACCOUNT, region: str = REGION) -> Any:
    """A boto3 client (thread-safe, kept) whose calls act in `account`.

    Args:
        service: boto3's name of the service, as in `boto3.client`.
        account: 12-digit account id. moto takes it from a header, so no role needs to be assumed.
        region: Region name.
    """
    made = _made(service, region, "mapgate", "mapgate", None)  # lasting keys are the administrator's

    def name_account(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["x-moto-account-id"] = account

    made.meta.events.register("before-call", name_account)
    return made


@lru_cache(maxsize=256)
def client_as(role_arn: str, session: str, service: str, region: str = REGION) -> Any:
    """A boto3 client (thread-safe, kept) of a session of a role, by which a service acts for it.

    Args:
        role_arn: Whose policies decide.
        session: Name of the session, as AWS's own service gives it.
        service: boto3's name of the service, as in `boto3.client`.
        region: Region name.
    """
    opened = open_session(role_arn, session, AS_LONG_AS_THE_PROCESS)
    return _made(service, region, opened.access_key, opened.secret_key, opened.token)


def _made(service: str, region: str, access_key: str, secret_key: str, token: str | None) -> Any:
    with _session_lock:  # making clients on one session is not thread-safe
        return _session().client(
            service,
            region_name=region,
            endpoint_url=_endpoint_url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=token,
            config=Config(
                retries={"max_attempts": 0},
                s3={"addressing_style": "path"},
                parameter_validation=False,  # the server refuses, in AWS's words
                max_pool_connections=32,
                read_timeout=960,
            ),
        )


@cache
def _session() -> Any:
    """One for all clients, since each reads the tables of endpoints and defaults anew."""
    return boto3.session.Session()
