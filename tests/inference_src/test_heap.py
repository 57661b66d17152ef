# SPDX-License-Identifier: Apache-2.0
"""Free memory is given back when enough was used, and not for every request."""

import sys

import pytest

from inference_src.heap import WORTHWHILE_BYTES, Heap, give_back_free_memory


@pytest.mark.skipif(sys.platform != "linux", reason="only the C library of Linux has malloc_trim")
def test_it_is_given_back_once_enough_was_used() -> None:
    heap = Heap()
    heap.use(WORTHWHILE_BYTES - 1)
    assert not heap.give_back()
    heap.use(1)
    assert heap.give_back()
    assert not heap.give_back()


def test_where_the_library_cannot_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference_src.heap._trim", None)
    give_back_free_memory()
    heap = Heap()
    heap.use(10 * WORTHWHILE_BYTES)
    assert not heap.give_back()
