# SPDX-License-Identifier: Apache-2.0
"""One side of a comparison, in a process of its own: `PYTHON worker.py ours|reference`.

Reads one JSON object a line and answers with one. `{"prepare": TASK, ...}` makes the works of one of the module's
tasks, by name; `{"do": WORK, "times": N}` does one N times and answers with the seconds and the CPU seconds, of all
threads, of one time, and what it returned last. Uses nothing but the standard library itself: it runs in both sides'
interpreters.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


def main(module: str) -> None:
    """Answer until there are no more requests."""
    # What libraries print must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    tasks = importlib.import_module(module).TASKS
    works: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        if "prepare" in request:
            works = tasks[request.pop("prepare")](**request)
            answer: dict[str, object] = {}
        else:
            answer = _timed(works[request["do"]], request["times"])
        print(json.dumps(answer), file=answers, flush=True)


def _timed(work: Callable[[], object], times: int) -> dict[str, object]:
    began, began_cpu = time.perf_counter(), time.process_time()
    value: object = None
    for _ in range(times):
        value = work()
    return {
        "seconds": (time.perf_counter() - began) / times,
        "cpu_seconds": (time.process_time() - began_cpu) / times,
        "value": value,
    }


if __name__ == "__main__":
    main(sys.argv[1])
