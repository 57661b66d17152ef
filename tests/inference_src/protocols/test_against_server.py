# SPDX-License-Identifier: Apache-2.0
"""Bodies that would stop a server that parses JSON the usual way, against the real one."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.inference_src.conftest import Served

MEGABYTES = 17


def nested_lists() -> bytes:
    image = np.random.default_rng(0).integers(0, 256, (700, 1500, 3), dtype=np.uint8)
    return json.dumps({"instances": [image.tolist()]}).encode()


@pytest.mark.parametrize(
    ("make", "status"),
    [
        (lambda: b'{"instances": [' + b"[]," * (MEGABYTES * 2**20 // 3) + b"[]]}", 400),
        (lambda: b"[" * (MEGABYTES * 2**20), 400),
        (lambda: b'{"instances": [[' + b"[[0,0,0]]," * (MEGABYTES * 2**20 // 10) + b"[]]]}", 400),
        (lambda: b'{"instances": [{"b64": "' + b"\\u0041" * (MEGABYTES * 2**20 // 24 * 4) + b'"}]}', 415),
        (lambda: b'{"instances": [{"b64": "' + b"A" * (MEGABYTES * 2**20) + b'"}]}', 415),
        (nested_lists, 200),
    ],
    ids=["empty lists", "deep lists", "rows of one pixel", "escaped base64", "base64", "pixels"],
)
def test_ping_is_answered_in_time_whatever_json_comes(server: "Served", make: Callable[[], bytes], status: int) -> None:
    """SageMaker gives `/ping` 2 seconds."""
    body = make()
    with ThreadPoolExecutor(2) as pool:
        work = [pool.submit(server.request, body, "application/json") for _ in range(2)]
        slowest = 0.0
        while not all(task.done() for task in work):
            begun = time.monotonic()
            assert server.request(None, path="/ping")[0] == 200
            slowest = max(slowest, time.monotonic() - begun)
            time.sleep(0.01)
    assert slowest < 2
    for task in work:
        answered, answer = task.result()
        assert answered in (status, 429), answer
