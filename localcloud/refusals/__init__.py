# SPDX-License-Identifier: Apache-2.0
"""What AWS refuses and an emulation would naively accept, each with the address where AWS says so.

`documented` holds what AWS's pages and reports say, the other modules, one a service or two, what AWS was recorded to
answer. In front of them come the limits of the services' models, and what is not emulated.
"""

from __future__ import annotations

from moto.core.utils import get_service_model

from localcloud.context import CloudContext
from localcloud.dispatch import EVERY_SERVICE, Call, ServiceError, add_check
from localcloud.emulated import what_is_not_emulated
from localcloud.refusals import (
    buckets,
    documented,
    functions,
    keys,
    log_streams,
    metrics,
    queues,
    roles,
    rules,
    stacks,
    topics,
)
from localcloud.refusals.refusal import REFUSALS
from localcloud.service_limits import limit_error

SOURCES = (buckets, functions, keys, log_streams, metrics, queues, roles, rules, stacks, topics, documented)


def install(_: CloudContext) -> None:
    """Put every refusal in front of the actions that it concerns, whoever answers them."""
    add_check(EVERY_SERVICE, _check_limits)
    add_check(EVERY_SERVICE, _check_emulated)
    for refusal in REFUSALS:
        add_check(refusal.service, refusal.check)


def _check_limits(action: str, call: Call) -> None:
    """Required members, enums, patterns, lengths and sizes of the service models, which boto3 mostly leaves to AWS."""
    if refused := limit_error(call.service, get_service_model(call.service).operation_model(action), call.parameters):
        raise ServiceError(refused.code, refused.message)


def _check_emulated(action: str, call: Call) -> None:
    """What AWS would do and nothing here does: its name is told, where moto would answer that all is well."""
    shape = get_service_model(call.service).operation_model(action).input_shape
    if sentence := what_is_not_emulated(call.service, action, call.parameters, shape):
        raise ServiceError("NotImplemented", sentence, 501)
