# SPDX-License-Identifier: Apache-2.0
"""S3's server access logs: what was asked of a bucket arrives in another one, hours later.

So an object may appear in a log bucket that was just emptied, unless the bucket's policy denies it.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html#how-logs-delivered
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from localcloud import clock
from localcloud.authorisation.enforcement import service_may
from localcloud.clients import client
from localcloud.context import CloudContext
from localcloud.dispatch import backend, state_lock
from localcloud.moto_patches import log_requests_through

log = logging.getLogger(__name__)

SERVICE = "logging.s3.amazonaws.com"
DELAY_SECONDS = 3600
"""Of the cloud's clock, which tests move. AWS says that most records come within a few hours."""
LOOK_SECONDS = 0.5
MOST_RECORDS = 10_000
"""Of one object; what is beyond gets lost, as AWS promises no record either."""


@dataclass
class _Batch:
    due: float
    lines: list[str] = field(default_factory=list)


_lock = threading.Lock()
_pending: dict[tuple[str, str, str, str], _Batch] = {}
"""Records by account, source bucket, target bucket and prefix. They do not outlive the process."""


def install(_: CloudContext) -> None:
    """Collect records of requests."""
    log_requests_through(_collect)


def resume(_: CloudContext) -> None:
    """Start the deliveries."""
    threading.Thread(target=_deliver_for_ever, name="access logs", daemon=True).start()


def _collect(account: str, source: str, target: str, prefix: str, method: str, path: str) -> None:
    moment = datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    request = f'REST.{method} - "{method} {path} HTTP/1.1" 200'
    line = f"{account} {source} [{moment}] 127.0.0.1 - {secrets.token_hex(8).upper()} {request}\n"
    with _lock:
        batch = _pending.setdefault((account, source, target, prefix), _Batch(clock.now() + DELAY_SECONDS))
        if len(batch.lines) < MOST_RECORDS:
            batch.lines.append(line)


def _deliver_for_ever() -> None:
    while True:
        time.sleep(LOOK_SECONDS)
        with _lock:
            due = [key for key, batch in _pending.items() if batch.due <= clock.now()]
            batches = {key: _pending.pop(key) for key in due}
        for (account, source, target, prefix), batch in batches.items():
            try:
                _deliver(account, source, target, prefix, "".join(batch.lines))
            except Exception:
                log.exception("access logs of %s", source)


def _deliver(account: str, source: str, target: str, prefix: str, text: str) -> None:
    """Put an object, where the target's policy lets S3's logging do it."""
    with state_lock:
        bucket = backend("s3", account, "aws").buckets.get(target)
        policy = bucket.policy if bucket else None
    policy = policy.decode() if isinstance(policy, bytes) else policy
    name = datetime.fromtimestamp(clock.now(), UTC).strftime(f"%Y-%m-%d-%H-%M-%S-{secrets.token_hex(8).upper()}")
    context = {"aws:SourceArn": f"arn:aws:s3:::{source}", "aws:SourceAccount": account}
    arn = f"arn:aws:s3:::{target}/{prefix}{name}"
    if bucket is None or not service_may(SERVICE, "s3:PutObject", arn, policy, context):
        log.info("%s does not take the access logs of %s", target, source)
        return
    try:
        client("s3", account).put_object(Bucket=target, Key=f"{prefix}{name}", Body=text.encode())
    except ClientError as error:
        log.warning("access logs of %s: %s", source, error)
