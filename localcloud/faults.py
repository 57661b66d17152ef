# SPDX-License-Identifier: Apache-2.0
"""Bad moments that tests order: calls that AWS throttles or fails now and then, descriptions that come late.

`POST /mapgate/faults` with `{"service": "sns", "action": "Publish", "code": "InternalError", "status": 500}` fails the
next call; `skip` lets so many pass before, `times` fails so many (1 unless said). `{"service": "sagemaker", "action":
"DescribeEndpoint", "late": 2}` lets two descriptions after each order be those of before it. An empty object ends all.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import UnknownServiceError
from botocore.model import OperationNotFoundError
from moto.core.utils import get_service_model

from localcloud.dispatch import ServiceError, add_check

PATH = "/mapgate/faults"


@dataclass
class Fault:
    """Calls that fail.

    Attributes:
        skip: How many pass before.
        times: How many fail then.
    """

    service: str
    action: str
    code: str
    message: str
    status: int
    skip: int
    times: int


_lock = threading.Lock()
_faults: list[Fault] = []
_late: dict[tuple[str, str], int] = {}
_watched: set[str] = set()


def receive(body: bytes) -> None:
    """Take an order.

    Raises:
        ValueError: A service or an action that AWS has not.
    """
    order: dict[str, Any] = json.loads(body)
    if not order:
        with _lock:
            _faults.clear()
            _late.clear()
        return
    service, action = order["service"], order["action"]
    try:
        get_service_model(service).operation_model(action)
    except (UnknownServiceError, OperationNotFoundError) as error:
        raise ValueError(str(error)) from None
    with _lock:
        if "late" in order:
            _late[service, action] = int(order["late"])
            return
        message, status = order.get("message", "no"), int(order.get("status", 400))
        skip, times = int(order.get("skip", 0)), int(order.get("times", 1))
        _faults.append(Fault(service, action, order["code"], message, status, skip, times))
        is_new = service not in _watched
        _watched.add(service)
    if is_new:
        add_check(service, lambda action, _: _fail(service, action))


def late(service: str, action: str) -> int:
    """How many answers of an action after an order shall still be those of before it."""
    return _late.get((service, action), 0)


def _fail(service: str, action: str) -> None:
    with _lock:
        for fault in _faults:
            if (fault.service, fault.action) != (service, action) or not fault.times:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            raise ServiceError(fault.code, fault.message, fault.status)
