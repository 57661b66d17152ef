# SPDX-License-Identifier: Apache-2.0
"""Decoded pictures share a bound; nobody waits for ever, and nobody is passed by those who came later."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from containers.contract.errors import BadInputError
from inference_src.errors import RequestError
from inference_src.picture_memory import PictureMemory, most_picture_bytes

PATIENT = 30.0


def test_bytes_in_hand_never_exceed_the_bound() -> None:
    memory, taken, greatest, lock = PictureMemory(100), 0, 0, threading.Lock()

    def work(count: int) -> None:
        nonlocal taken, greatest
        with memory.taken(count, PATIENT):
            with lock:
                taken += count
                greatest = max(greatest, taken)
            time.sleep(0.001)
            with lock:
                taken -= count

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, [7, 30, 55, 90, 100, 1] * 30))
    assert taken == 0
    assert 55 < greatest <= 100


def test_what_is_more_than_all_runs_alone() -> None:
    memory, together = PictureMemory(100), 0

    def work(count: int) -> None:
        nonlocal together
        with memory.taken(count, PATIENT):
            together += count > 100
            assert together <= 1
            time.sleep(0.002)
            together -= count > 100

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [1000, 10, 500] * 10))
    with memory.taken(1000, 0):
        pass


def test_who_waits_too_long_is_sent_away_and_holds_up_nobody() -> None:
    memory = PictureMemory(100)
    with memory.taken(60, 0):
        with pytest.raises(RequestError, match="try again in a moment") as refused, memory.taken(60, 0.01):
            pass
        assert refused.value.status == 429
        with memory.taken(40, 0):
            pass


def test_a_large_picture_is_not_passed_by_small_ones_for_ever() -> None:
    memory, order = PictureMemory(100), []

    def work(count: int) -> None:
        with memory.taken(count, PATIENT):
            order.append(count)

    with ThreadPoolExecutor(2) as threads:
        with memory.taken(60, 0):
            large = threads.submit(work, 90)
            _until(lambda: len(memory._waiting) == 1)
            small = threads.submit(work, 10)  # it would fit, but came later
            _until(lambda: len(memory._waiting) == 2)
            assert order == []
        large.result()
        small.result()
    assert order == [90, 10]


def test_bytes_are_given_back_whatever_happens() -> None:
    memory = PictureMemory(100)
    with pytest.raises(ZeroDivisionError), memory.taken(100, 0):
        raise ZeroDivisionError
    with memory.taken(100, 0):
        pass


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cgroup/memory.max": "2000000000\n", "meminfo": "MemTotal: 8000000 kB\n"}, 500_000_000),
        ({"cgroup/memory/memory.limit_in_bytes": "1000000000\n", "meminfo": "MemTotal: 8000000 kB\n"}, 250_000_000),
        ({"cgroup/memory.max": "max\n", "meminfo": "MemTotal:       4000000 kB\n"}, 1_024_000_000),
        # Version 1 without a limit says a number near 2^63.
        ({"cgroup/memory/memory.limit_in_bytes": "9223372036854771712", "meminfo": "MemTotal: 4000 kB"}, 1_024_000),
        ({}, 1_000_000_000),
    ],
)
def test_a_quarter_of_the_container_s_memory_is_for_pictures(
    tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert most_picture_bytes({}, tmp_path / "cgroup", tmp_path / "meminfo") == expected
    assert most_picture_bytes({"MAPGATE_PICTURE_MEGABYTES": "300"}, tmp_path / "cgroup") == 300_000_000


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "9" * 20])
def test_a_bound_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="MAPGATE_PICTURE_MEGABYTES"):
        most_picture_bytes({"MAPGATE_PICTURE_MEGABYTES": text})


def _until(holds: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not holds() and time.monotonic() - begun < PATIENT:
        time.sleep(0.001)
    assert holds()
