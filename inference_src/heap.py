# SPDX-License-Identifier: Apache-2.0
"""Memory that is free in this process and that the system could use.

The C library keeps what lies between things that are still in use: after some large bodies and pictures hundreds of
megabytes. `malloc_trim` (https://man7.org/linux/man-pages/man3/malloc_trim.3.html) gives whole pages of it back.
"""

import ctypes
from collections.abc import Callable

WORTHWHILE_BYTES = 64 * 2**20
"""So much must have been used since the last time: the pages that come back into use cost time."""


def _find_trim() -> Callable[[int], object] | None:
    """The C library's function; None where there is none, as on macOS."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


_trim = _find_trim()


def give_back_free_memory() -> None:
    """Give the system what is free; nothing is done where the C library cannot."""
    if _trim is not None:
        _trim(0)


class Heap:
    """How much has been used since free memory was given back."""

    def __init__(self) -> None:
        self._used = 0

    def use(self, size: int) -> None:
        """Note that bytes were used and are free again."""
        self._used += size

    def give_back(self) -> bool:
        """Give free pages to the system if that is worthwhile; returns whether it was."""
        if _trim is None or self._used < WORTHWHILE_BYTES:
            return False
        self._used = 0
        give_back_free_memory()
        return True
