# SPDX-License-Identifier: Apache-2.0
"""Overload costs those who are sent away, and nobody else: what is computed is waited for, and cores are never idle."""

import asyncio
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import simplejpeg

from inference_src.admission import PATIENCE, BusyError, Cores, FailedError, LeftError, ServiceTimes
from inference_src.app import Service
from inference_src.detections import Detections
from inference_src.errors import RequestError
from inference_src.images import Image
from inference_src.model import ObjectClass
from inference_src.protocols import Model
from inference_src.settings import Settings


class TestServiceTimes:
    def test_nothing_is_known_at_first(self) -> None:
        assert ServiceTimes().expected(100) == 0

    def test_it_follows_what_requests_take_by_the_size_of_their_bodies(self) -> None:
        times = ServiceTimes()
        for _ in range(100):
            times.add(1_000, 0.01)
            times.add(1_000_000, 0.5)
        assert times.expected(900) == pytest.approx(0.01)
        assert times.expected(800_000) == pytest.approx(0.5)
        assert times.expected(50_000) == times.mean
        assert 0.01 < times.mean < 0.5
        for _ in range(100):
            times.add(1_000, 0.02)
        assert times.expected(1_000) == pytest.approx(0.02, rel=0.01)


def staying() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


@dataclass
class Work:
    """Work that a test holds and lets go, and that leaves its number behind."""

    cores: Cores
    done: list[int] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)

    def start(self, number: int, left: "asyncio.Future[None] | None" = None, size: int = 1) -> "asyncio.Future[int]":
        return asyncio.ensure_future(self.cores.run(lambda: self._work(number), size, left or staying(), {}))

    def _work(self, number: int) -> int:
        assert self.go.wait(10)
        self.done.append(number)
        return number


class TestCores:
    def test_they_are_given_in_the_order_of_asking(self) -> None:
        async def order() -> list[int]:
            work = Work(Cores(1, 10))
            asked = [work.start(number) for number in range(5)]
            await asyncio.sleep(0)
            work.go.set()
            assert await asyncio.gather(*asked) == work.done
            return work.done

        assert asyncio.run(order()) == [0, 1, 2, 3, 4]

    def test_who_would_wait_too_long_is_sent_away_at_once_and_told_when_to_come_again(self) -> None:
        async def refused() -> int:
            work = Work(Cores(2, 1))
            for _ in range(50):
                work.cores.times.add(1, 0.9)
            asked = [work.start(number) for number in range(7)]
            await asyncio.sleep(0)
            with pytest.raises(BusyError, match="try again in a moment") as busy:
                await work.start(7)
            assert busy.value.status == 429
            work.go.set()
            assert await asyncio.gather(*asked) == list(range(7))
            return busy.value.retry_after

        assert asyncio.run(refused()) == 4  # seven requests of 0.9 s on two cores

    def test_nobody_is_sent_away_for_those_who_have_just_left(self) -> None:
        async def comes_after() -> list[int]:
            work = Work(Cores(1, 1))
            for _ in range(50):
                work.cores.times.add(1, 0.9)
            leaving = [staying() for _ in range(7)]
            impatient = [work.start(number, left) for number, left in enumerate(leaving)]
            await asyncio.sleep(0.02)
            for left in leaving:  # what a closed connection sets in motion takes some turns of the event loop
                asyncio.get_running_loop().call_later(0.001, left.set_result, None)
            stays = work.start(7)
            await asyncio.sleep(0.1)
            work.go.set()
            assert await stays == 7
            await asyncio.gather(*impatient, return_exceptions=True)
            return work.done

        assert asyncio.run(comes_after()) == [0, 7]  # the first had its core already

    def test_one_may_wait_for_a_slow_model(self) -> None:
        cores = Cores(1, 1)
        cores.times.add(1, 40)
        assert cores.longest_wait == PATIENCE * 40

    def test_a_wait_that_becomes_too_long_ends(self) -> None:
        async def waits() -> list[int]:
            work = Work(Cores(1, 0.05))
            first = work.start(1)
            await asyncio.sleep(0.01)
            with pytest.raises(BusyError):
                await work.start(2)
            work.go.set()
            await first
            return work.done

        assert asyncio.run(waits()) == [1]

    def test_a_turn_that_comes_too_late_goes_to_the_next(self) -> None:
        """The event loop stood still: the timer of the first could not end its wait."""

        async def late() -> tuple[Any, Any]:
            work = Work(Cores(1, 0.2))
            work.start(1)
            await asyncio.sleep(0.01)
            first = work.start(2)
            await asyncio.sleep(0.15)
            second = work.start(3)
            await asyncio.sleep(0)
            time.sleep(0.1)
            work.go.set()
            outcomes = await asyncio.gather(first, second, return_exceptions=True)
            return outcomes[0], outcomes[1]

        first, second = asyncio.run(late())
        assert isinstance(first, BusyError)
        assert second == 3

    @pytest.mark.parametrize("way", ["left", "cancelled"])
    @pytest.mark.parametrize("moment", ["waiting", "working"])
    def test_who_goes_takes_no_core_along(self, way: str, moment: str) -> None:
        """And is not computed, unless a core has it already; that core is taken until it is done."""

        async def goes() -> list[int]:
            work, left = Work(Cores(1, 10)), staying()
            gone = work.start(1, left) if moment == "working" else None
            first = work.start(0) if gone is None else None
            await asyncio.sleep(0.05)
            gone = gone or work.start(1, left)
            await asyncio.sleep(0)
            if way == "left":
                left.set_result(None)
            else:
                gone.cancel()
            last = work.start(2)
            await asyncio.sleep(0.01)
            assert not work.done
            work.go.set()
            (outcome,) = await asyncio.gather(gone, return_exceptions=True)
            if way == "cancelled":
                assert isinstance(outcome, asyncio.CancelledError)
            else:
                assert outcome == 1 if moment == "working" else isinstance(outcome, LeftError)
            await asyncio.gather(*([first] if first else []), last)
            return work.done

        assert asyncio.run(goes()) == ([1, 2] if moment == "working" else [0, 2])

    def test_a_request_s_own_error_comes_through(self) -> None:
        def refuse() -> int:
            raise RequestError(400, "no")

        with pytest.raises(RequestError, match="no"):
            asyncio.run(run_alone(refuse))

    @pytest.mark.parametrize("error", [ValueError("x"), StopIteration(), SystemExit(1), asyncio.CancelledError()])
    def test_any_other_end_is_a_failure_that_holds_its_cause(self, error: BaseException) -> None:
        def fail() -> int:
            raise error

        with pytest.raises(FailedError, match=type(error).__name__) as failed:
            asyncio.run(run_alone(fail))
        assert failed.value.__cause__ is error


async def run_alone(work: Callable[[], int]) -> int:
    cores = Cores(1, 1)
    try:
        return await cores.run(work, 1, staying(), {})
    finally:
        cores.close()


@dataclass
class Sleeper:
    """A model that takes a known time for a picture and knows what it has done."""

    seconds: float
    done: int = 0
    busy: float = 0.0

    def detect(self, _: Image, further: bool = False) -> Detections:  # noqa: ARG002
        begun = time.monotonic()
        time.sleep(self.seconds)
        self.done += 1
        self.busy += time.monotonic() - begun
        return Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.ones(1, np.int32), 1)


@dataclass
class Client:
    """One request; it leaves after `patience` seconds."""

    body: bytes
    patience: float = 60.0
    status: int = 0
    seconds: float = 0.0
    _given: bool = False
    _left: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, service: Service) -> "Client":
        begun = time.monotonic()
        timer = asyncio.get_running_loop().call_later(self.patience, self._left.set)
        headers = [(b"content-type", b"image/jpeg")]
        await service({"method": "POST", "path": "/invocations", "headers": headers}, self._receive, self._send)
        timer.cancel()
        self.seconds = time.monotonic() - begun
        return self

    async def _receive(self) -> dict[str, Any]:
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": self.body}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)


def service_of(model: Sleeper) -> Service:
    return Service(Model(model, [ObjectClass(id=1, name="vehicle")]), 1, Settings(max_wait_seconds=0.2))


async def at_rate(service: Service, bodies: list[bytes], every: float, patience: float = 60.0) -> list[Client]:
    """Ask once every so many seconds, whatever becomes of those that asked before."""
    begun, tasks = time.monotonic(), []
    for number, body in enumerate(bodies):
        await asyncio.sleep(max(0.0, begun + number * every - time.monotonic()))
        tasks.append(asyncio.ensure_future(Client(body, patience).ask(service)))
    return await asyncio.gather(*tasks)


def test_three_times_too_many_requests_leave_nine_tenths_of_the_answers(jpeg: bytes) -> None:
    """And the others know at once; nothing here depends on the machine but the ratios."""

    async def rates() -> tuple[float, float, list[Client]]:
        model = Sleeper(0.01)
        service = service_of(model)
        begun = time.monotonic()
        for _ in range(40):
            await Client(jpeg).ask(service)
        each = (time.monotonic() - begun) / 40
        begun = time.monotonic()
        clients = await at_rate(service, [jpeg] * 360, each / 3)
        return each, time.monotonic() - begun, clients

    each, spent, clients = asyncio.run(rates())
    good = [client for client in clients if client.status == 200]
    sent_away = [client for client in clients if client.status == 429]
    assert len(good) + len(sent_away) == len(clients)
    assert len(good) >= 0.9 * spent / each
    assert max(client.seconds for client in good) < 4 * 0.2
    assert statistics.median(client.seconds for client in sent_away) < 0.2 / 4


def test_a_core_does_not_idle_under_a_mix_of_sizes(jpeg: bytes) -> None:
    """One picture in ten takes ten times as long; what the time is spent on is work that is waited for."""

    class Mixed(Sleeper):
        def detect(self, image: Image, further: bool = False) -> Detections:  # noqa: ARG002
            self.seconds = 0.005 if image.shape[0] < 100 else 0.05
            return super().detect(image)

    large = bytes(simplejpeg.encode_jpeg(np.zeros((200, 200, 3), np.uint8))) + bytes(4 * len(jpeg))
    mix = [*[jpeg] * 9, large]

    async def share_busy(every: float, rounds: int) -> float:
        """Of the core's time, where a request comes every so many seconds, or each when the one before is answered."""
        model = Mixed(0)
        service = service_of(model)
        for body in mix:
            await Client(body).ask(service)
        model.busy, begun = 0.0, time.monotonic()
        if every:
            await at_rate(service, mix * rounds, every)
        else:
            for body in mix * rounds:
                await Client(body).ask(service)
        return model.busy / (time.monotonic() - begun)

    alone = asyncio.run(share_busy(0, 8))
    assert asyncio.run(share_busy(0.0095 / 3, 30)) >= 0.9 * alone


def test_nothing_is_computed_for_who_left_while_waiting(jpeg: bytes) -> None:
    async def ask() -> tuple[int, list[Client], Client]:
        model = Sleeper(0.05)
        service = service_of(model)
        impatient = await at_rate(service, [jpeg] * 4, 0.0, patience=0.02)
        asked = model.done
        return asked, impatient, await Client(jpeg).ask(service)

    computed, impatient, live = asyncio.run(ask())
    assert computed == 1  # the first had its core already
    assert [client.status for client in impatient] == [0] * 4
    assert live.status == 200


def test_a_busy_server_says_in_whole_seconds_when_to_ask_again(jpeg: bytes) -> None:
    told: list[dict[bytes, bytes]] = []

    class Listens(Client):
        async def _send(self, message: Any) -> None:
            if message.get("status") == 429:
                told.append(dict(message["headers"]))

    async def ask() -> None:
        service = service_of(Sleeper(0.05))
        await Client(jpeg).ask(service)
        await asyncio.gather(*(Listens(jpeg).ask(service) for _ in range(20)))

    asyncio.run(ask())
    assert told
    assert {headers[b"retry-after"] for headers in told} == {b"1"}
