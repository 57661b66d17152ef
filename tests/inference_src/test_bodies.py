# SPDX-License-Identifier: Apache-2.0
"""Bodies are held up to a number of bytes, and who sends slowly takes none of it from others."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from inference_src.admission import BusyError
from inference_src.bodies import Bodies, Body
from inference_src.errors import RequestError


async def parts_of(*parts: bytes, pause: float = 0) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    await asyncio.sleep(pause)


def test_a_body_is_held_until_it_is_let_go() -> None:
    async def read() -> tuple[list[bytes], int, int]:
        bodies = Bodies(100)
        body = await bodies.read(parts_of(b"ab", b"c"), 1, 3)
        parts, held = list(body.parts), bodies.held
        bodies.let_go(body)
        return parts, held, bodies.held

    assert asyncio.run(read()) == ([b"ab", b"c"], 3, 0)


def test_what_is_announced_and_has_no_room_is_sent_away_before_it_is_read() -> None:
    async def read() -> None:
        bodies = Bodies(100)
        await bodies.read(parts_of(bytes(60)), 1, 60)
        await bodies.read(parts_of(b""), 1, 41)

    with pytest.raises(BusyError, match="100 bytes together"):
        asyncio.run(read())


def test_what_is_announced_and_does_not_come_takes_nothing() -> None:
    async def read() -> Body:
        bodies = Bodies(100)
        slow = [asyncio.ensure_future(bodies.read(parts_of(b"abc", pause=9), 9, 90)) for _ in range(20)]
        await asyncio.sleep(0)
        body = await bodies.read(parts_of(bytes(40)), 1, 40)
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert bodies.held == 40
        return body

    assert asyncio.run(read()).size == 40


def test_where_there_is_no_room_the_slow_body_gives_way() -> None:
    async def read() -> tuple[BaseException, int, int]:
        bodies = Bodies(100)
        slow = asyncio.ensure_future(bodies.read(parts_of(bytes(70), pause=9), 9, 0))
        await asyncio.sleep(0.01)
        body = await bodies.read(parts_of(bytes(50)), 1, 0)
        (error,) = await asyncio.gather(slow, return_exceptions=True)
        assert isinstance(error, BaseException)
        return error, body.size, bodies.held

    error, size, held = asyncio.run(read())
    assert isinstance(error, BusyError)
    assert (size, held) == (50, 50)


def test_bodies_that_wait_for_a_core_do_not_give_way() -> None:
    async def read() -> None:
        bodies = Bodies(100)
        await bodies.read(parts_of(bytes(70)), 1, 0)
        await bodies.read(parts_of(bytes(20), bytes(20)), 1, 0)

    with pytest.raises(BusyError):
        asyncio.run(read())


def test_a_body_that_does_not_come_in_time_is_told_so() -> None:
    async def read() -> None:
        await Bodies(100).read(parts_of(b"a", pause=9), 0.05, 0)

    with pytest.raises(RequestError, match=r"within 0\.05 s") as late:
        asyncio.run(read())
    assert late.value.status == 408
