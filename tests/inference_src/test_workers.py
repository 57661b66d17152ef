# SPDX-License-Identifier: Apache-2.0
"""Work comes back with its result or its error, and its place is free again, however it ends."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from inference_src.errors import RequestError
from inference_src.workers import FailedError, Workers


def run(work: Callable[[], int]) -> tuple[int, list[str]]:
    """The result, and what happened beside it."""
    happened: list[str] = []

    async def ask() -> int:
        workers = Workers(1)
        try:
            return await workers.run(work, expected=RequestError, after=lambda: happened.append("free"))
        finally:
            workers.close()

    return asyncio.run(ask()), happened


def test_work_comes_back_with_its_result() -> None:
    assert run(lambda: 7) == (7, ["free"])


def test_a_request_s_own_error_comes_through() -> None:
    def refuse() -> int:
        raise RequestError(400, "no")

    with pytest.raises(RequestError, match="no"):
        run(refuse)


@pytest.mark.parametrize("error", [ValueError("x"), StopIteration(), SystemExit(1), asyncio.CancelledError()])
def test_any_other_end_is_a_failure_that_holds_its_cause(error: BaseException) -> None:
    def fail() -> int:
        raise error

    with pytest.raises(FailedError, match=type(error).__name__) as failed:
        run(fail)
    assert failed.value.__cause__ is error


def test_a_place_is_taken_until_its_thread_is_free_though_nobody_waits_for_it() -> None:
    async def ask() -> list[str]:
        happened: list[str] = []
        go = threading.Event()
        workers = Workers(1)
        task = asyncio.ensure_future(
            workers.run(lambda: go.wait(10), expected=RequestError, after=lambda: happened.append("free"))
        )
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        happened.append("cancelled")
        go.set()
        deadline = time.monotonic() + 10
        while len(happened) < 2 and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return happened

    assert asyncio.run(ask()) == ["cancelled", "free"]
