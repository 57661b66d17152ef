# SPDX-License-Identifier: Apache-2.0
"""Verdicts of AWS that were recorded: what it was seen to refuse, a module a service or two.

Each refusal names the recorded tests in which AWS said so; `tests/localcloud/conformance` makes their calls again.
"""

from __future__ import annotations

from localcloud.context import CloudContext
from localcloud.dispatch import add_check
from localcloud.verdicts import buckets, functions, keys, log_streams, metrics, queues, roles, rules, stacks, topics
from localcloud.verdicts.registry import RECORDED

SERVICES = (buckets, functions, keys, log_streams, metrics, queues, roles, rules, stacks, topics)


def install(_: CloudContext) -> None:
    """Put every recorded refusal in front of the operations that it concerns."""
    for refusal in RECORDED:
        add_check(refusal.service, refusal.check)
