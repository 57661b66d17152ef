# SPDX-License-Identifier: Apache-2.0
"""The policies that are deployed, read from the cloud's own state."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import ServiceException

from localcloud.authorisation.policies import Policy, parse
from localcloud.dispatch import backend, backends, state_lock

PARTITION = "aws"


def role_named(arn: str) -> Any | None:
    """moto's role of an ARN, path and all; None where there is none."""
    roles = backend("iam", arn.split(":")[4], PARTITION).roles
    with state_lock:
        return next((role for role in roles.values() if role.arn == arn), None)


def role_of_session(arn: str) -> Any | None:
    """moto's role of a session's ARN, `arn:aws:sts::123456789012:assumed-role/role/session`; None where there is none.

    The ARN leaves a role's path out, and names of roles are unique without it.
    """
    account, name = arn.split(":")[4], arn.split("/")[1]
    with state_lock:
        roles = list(backend("iam", account, PARTITION).roles.values())
    return next((role for role in roles if role.name == name), None)


def identity_policies(role_arn: str) -> tuple[list[Policy], Policy | None]:
    """The policies of a role, inline and managed, and its permissions boundary.

    Raises:
        PolicyError: One has what cannot be evaluated here.
    """
    with state_lock:
        role = role_named(role_arn)
        if role is None:
            return [], None
        inline = dict(role.policies)
        managed = {policy.arn: _default_version(policy) for policy in role.managed_policies.values()}
        boundary = role.permissions_boundary_arn
        limit = managed_policy(role_arn.split(":")[4], boundary) or _NOTHING if boundary else None
    policies = [_read(document, name) for name, document in {**inline, **managed}.items()]
    return policies, _read(limit, boundary) if limit else None


def trust_policy(role_arn: str) -> Policy | None:
    """Who may assume a role; None where there is no such role."""
    role = role_named(role_arn)
    return parse(_text(role.assume_role_policy_document), "trust") if role else None


def resource_policy(arn: str) -> Policy | None:
    """The policy of a resource; None where it has none, or where its kind knows none.

    Raises:
        PolicyError: It has what cannot be evaluated here.
    """
    service, region, account, name = arn.split(":", 5)[2:]
    reader = _READERS.get(service)
    with state_lock:
        document = reader(account, region, name) if reader else None
    return parse(_text(document), "resource") if document else None


def key_arn(key: str, account: str, region: str) -> str | None:
    """The ARN of a customer's key, named by id, ARN or alias; None where it is AWS's own, or there is no such key."""
    if not key or key.rsplit(":", 1)[-1].startswith("alias/aws/"):
        return None
    if key.startswith("arn:"):
        region, account, key = key.split(":")[3], key.split(":")[4], key.split(":", 5)[5]
    with state_lock:
        state = backend("kms", account, region)
        key = key.removeprefix("key/")
        found = key if key in state.keys else state.get_key_id_from_alias(key)
    return f"arn:aws:kms:{region}:{account}:key/{found}" if found else None


def bucket_named(name: str) -> Any | None:
    """moto's bucket, in whichever account it is."""
    for _, _, state in backends("s3"):
        if name in state.buckets:
            return state.buckets[name]
    return None


def managed_policy(account: str, arn: str) -> str | None:
    """The document of a managed policy, of the account's or of AWS's; None where there is none."""
    with state_lock:
        state = backend("iam", account, PARTITION)
        try:
            return _text(_default_version(state.get_policy(arn)))
        except ServiceException:
            return None


def _read(document: Any, name: str) -> Policy:
    return parse(_text(document), "identity", name, strict=not name.startswith(f"arn:{PARTITION}:iam::aws:"))


def _default_version(policy: Any) -> Any:
    return next(version.document for version in policy.versions if version.is_default)


def _text(document: Any) -> str:
    text = document if isinstance(document, str) else json.dumps(document)
    return urllib.parse.unquote(text) if text.startswith("%7B") else text


def _bucket_policy(_: str, __: str, name: str) -> Any:
    bucket = bucket_named(name.split("/", 1)[0])
    policy = bucket.policy if bucket else None
    return policy.decode() if isinstance(policy, bytes) else policy


def _queue_policy(account: str, region: str, name: str) -> Any:
    queue = backend("sqs", account, region).queues.get(name)
    return queue.policy if queue else None


def _topic_policy(account: str, region: str, name: str) -> Any:
    topic = backend("sns", account, region).topics.get(f"arn:aws:sns:{region}:{account}:{name}")
    return topic.policy if topic else None


def _key_policy(account: str, region: str, name: str) -> Any:
    key = backend("kms", account, region).keys.get(name.removeprefix("key/"))
    return key.policy if key else None


def _function_policy(account: str, region: str, name: str) -> Any:
    state = backend("lambda", account, region)
    try:
        function = state.get_function(name.removeprefix("function:").split(":")[0])
    except Exception:  # moto's own, of several kinds
        return None
    statements = list(function.policy.statements)
    return {"Statement": statements} if statements else None


def _repository_policy(account: str, region: str, name: str) -> Any:
    repository = backend("ecr", account, region).repositories.get(name.removeprefix("repository/"))
    return repository.policy if repository else None


_NOTHING = '{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}'
_READERS: dict[str, Callable[[str, str, str], Any]] = {
    "ecr": _repository_policy,
    "kms": _key_policy,
    "lambda": _function_policy,
    "s3": _bucket_policy,
    "sns": _topic_policy,
    "sqs": _queue_policy,
}
