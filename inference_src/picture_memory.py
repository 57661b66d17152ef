# SPDX-License-Identifier: Apache-2.0
"""Memory of decoded pictures: how it is laid out, and how many bytes all may take together.

No mixture of requests is to end in an out-of-memory kill.
"""

import math
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from containers.contract.errors import BadInputError
from inference_src.errors import RequestError

VARIABLE = "MAPGATE_PICTURE_MEGABYTES"
SHARE = 4
"""A quarter of the container's memory: the rest is the model's, its activations', and that of bodies in reading."""

ALIGNMENT = 64
"""Bytes of whose multiple a picture's address is one: others TensorFlow would copy (`EIGEN_MAX_ALIGN_BYTES`)."""

_MEGA = 10**6
# Version 2's file, and version 1's: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
_CGROUP_FILES = ("memory.max", "memory/memory.limit_in_bytes")


def aligned(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array of uint8 whose numbers are whatever was in memory, at an address that every runtime takes."""
    count = math.prod(shape)
    memory = np.empty(count + ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT
    return memory[begin : begin + count].reshape(shape)


class PictureMemory:
    """Bytes of decoded pictures. Whoever needs some waits in its own thread, in the order of coming.

    Args:
        most: Bytes that may be taken together. What alone is more is let in while nothing else is taken, so nobody
            waits for what can never be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, count: int, seconds: float) -> Iterator[None]:
        """Hold so many bytes until the block ends. A thread that holds some must not ask for more.

        Args:
            count: Bytes.
            seconds: For how long to wait for them.

        Raises:
            RequestError: 429 they were not there in time.
        """
        self._take(count, seconds)
        try:
            yield
        finally:
            with self._changed:
                self._taken -= count
                self._changed.notify_all()

    def _take(self, count: int, seconds: float) -> None:
        place = object()
        with self._changed:
            self._waiting.append(place)
            try:
                if not self._changed.wait_for(lambda: self._waiting[0] is place and self._has(count), seconds):
                    held = f"{self._taken / _MEGA:.0f} of {self._most / _MEGA:.0f} MB"
                    raise RequestError(429, f"pictures at work take {held}: try again in a moment")
                self._taken += count
            finally:
                self._waiting.remove(place)
                self._changed.notify_all()  # another is the first now

    def _has(self, count: int) -> bool:
        return not self._taken or self._taken + count <= self._most


def most_picture_bytes(
    environment: Mapping[str, str], cgroup: Path = Path("/sys/fs/cgroup"), meminfo: Path = Path("/proc/meminfo")
) -> int:
    """How many bytes decoded pictures may take: `MAPGATE_PICTURE_MEGABYTES`, or a share of the container's memory.

    Args:
        environment: The process's variables.
        cgroup: Where the kernel tells the container's limit.
        meminfo: Where it tells the machine's memory, which counts where the container has no limit.

    Raises:
        BadInputError: The variable is no whole number above 0.
    """
    given = environment.get(VARIABLE)
    if given:
        if not (given.isascii() and given.isdigit() and len(given) < 10 and int(given)):
            raise BadInputError(f"{VARIABLE}={given[:30]}: give a whole number of megabytes above 0")
        return int(given) * _MEGA
    limits = [_machine(meminfo), *(_number(cgroup / name) for name in _CGROUP_FILES)]
    return min((limit for limit in limits if limit), default=4 * 10**9) // SHARE


def _machine(meminfo: Path) -> int:
    try:
        total = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemTotal:"))
        return int(total.split()[1]) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        return 0


def _number(file: Path) -> int:
    """A file's number; 0 where there is none, or the word `max`."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0
