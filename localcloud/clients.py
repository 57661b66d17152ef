# SPDX-License-Identifier: Apache-2.0
"""boto3 clients of this very server, for any account: parts of the cloud use each other as a user would."""

from __future__ import annotations

import threading
from functools import cache, lru_cache
from typing import Any

import boto3
from botocore.config import Config

ACCOUNT = "123456789012"
REGION = "us-east-1"

_session_lock = threading.Lock()
_endpoint_url = ""


def use_endpoint(endpoint_url: str) -> None:
    """Name the server that `client` talks to; done once, before the first request is served."""
    global _endpoint_url
    _endpoint_url = endpoint_url
    client.cache_clear()


@lru_cache(maxsize=256)
def client(service: str, account: str = ACCOUNT, region: str = REGION) -> Any:
    """A boto3 client (thread-safe, kept) whose calls act in `account`.

    Args:
        service: boto3's name of the service, as in `boto3.client`.
        account: 12-digit account id. moto takes it from a header, so no role needs to be assumed.
        region: Region name.
    """
    with _session_lock:  # making clients on one session is not thread-safe
        made = _session().client(
            service,
            region_name=region,
            endpoint_url=_endpoint_url,
            aws_access_key_id="mapgate",
            aws_secret_access_key="mapgate",  # noqa: S106  # every key opens the emulated cloud
            config=Config(
                retries={"max_attempts": 0},
                s3={"addressing_style": "path"},
                parameter_validation=False,  # the server refuses, in AWS's words
                max_pool_connections=32,
                read_timeout=960,
            ),
        )

    def name_account(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["x-moto-account-id"] = account

    made.meta.events.register("before-call", name_account)
    return made


@cache
def _session() -> Any:
    """One for all clients, since each reads the tables of endpoints and defaults anew."""
    return boto3.session.Session()
