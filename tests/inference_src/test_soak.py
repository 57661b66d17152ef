# SPDX-License-Identifier: Apache-2.0
"""Hours of work in minutes: the server near its limit, some requests bad, and nothing that grows."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.benchmarks.serving.client import (
    BUSY,
    LEFT,
    Client,
    Exchange,
    allow_many_files,
    closed_loop,
    poisson,
    raw_request,
    request,
)
from tests.benchmarks.serving.cores import Cores, pinned
from tests.benchmarks.serving.models import DEMO
from tests.benchmarks.serving.photographs import photographs
from tests.benchmarks.serving.sides import OverHttp, export, our_server
from tests.conftest import Record
from tests.fuzzing.pictures import pictures

LOAD = 0.8
"""Of what the server can do, as measured before."""
BAD = 0.05
PATIENCE = 60.0
"""Seconds: SageMaker's own limit for an answer."""
LEAVING_SECONDS = 0.2
"""After which a client hangs up that has not sent all it announced."""
WARM = 0.25
"""Of the time: what grows until then is taken for buffers that are kept."""
MEGABYTES = 24.0
"""By which memory may seem to grow. Were a third of the bodies kept, it would be more within twenty seconds."""
SAMPLE_SECONDS = 0.25


@dataclass(frozen=True)
class Sent:
    """A request, the statuses with which it may be answered, and whether it is sent to its end."""

    content: bytes
    statuses: tuple[int, ...]
    whole: bool = True


@dataclass
class Soaked:
    """What became of the requests, and of the server.

    Attributes:
        rate: Requests a second.
        ends: How many good ones ended with each status.
        bad: How many bad ones were sent.
        faults: Answers that no request should have got.
        moments: Seconds at which memory was looked at.
        megabytes: Resident then.
        files: Open files before the first request and after the last connection was closed.
        threads: The same of threads.
    """

    rate: float
    ends: Counter[int] = field(default_factory=Counter)
    bad: int = 0
    faults: list[str] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    files: tuple[int, int] = (0, 0)
    threads: tuple[int, int] = (0, 0)

    def growth(self) -> float:
        """Megabytes by which memory grows from the first request to the last, by the line that fits best once warm."""
        moments, megabytes = np.array(self.moments), np.array(self.megabytes)
        warm = moments >= WARM * moments[-1]
        slope = np.polyfit(moments[warm], megabytes[warm], 1)[0]
        return float(slope * moments[-1])


def test_nothing_grows_in_some_seconds_near_the_limit(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(model_dir)
    first = Cores.shared_out().server[:1]
    with our_server(tmp_path, "openvino", Cores(first, ())) as server:
        soaked = soak(server, 20)
    _assert_sound(soaked, answered=0.5)


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_nothing_grows_in_twenty_minutes_near_the_limit(tmp_path: Path, record: Record) -> None:
    export(DEMO.name, tmp_path)
    minutes = 20
    with our_server(tmp_path, "openvino", Cores.shared_out()) as server:
        soaked = soak(server, 60 * minutes)
    _assert_sound(soaked, answered=0.95)
    what, good = f"soak of {minutes} minutes at {LOAD:g} of capacity, {BAD:.0%} bad requests", soaked.ends.total()
    ends = ", ".join(f"{status}: {count:,}" for status, count in sorted(soaked.ends.items()))
    record(f"{what}: requests a second; good ones by status", f"{soaked.rate:.1f}; {ends}")
    record(f"{what}: answers that no request should have got", f"0 of {good + soaked.bad:,}")
    record(
        f"{what}: growth of memory by regression, bound {MEGABYTES:g} MB",
        f"{soaked.growth():+.1f} MB of {soaked.megabytes[-1]:.0f}",
    )
    record(f"{what}: open files before and after", f"{soaked.files[0]} and {soaked.files[1]}")


def _assert_sound(soaked: Soaked, answered: float) -> None:
    """No wrong answer, nothing left open, memory flat; and so many of the good requests answered."""
    assert not soaked.faults, "\n".join([f"{len(soaked.faults)} answers are wrong:", *soaked.faults[:20]])
    assert soaked.growth() < MEGABYTES
    assert soaked.files[1] <= soaked.files[0] + 2
    assert soaked.threads[1] <= soaked.threads[0] + 2
    assert soaked.ends[200] >= answered * soaked.ends.total()
    assert soaked.bad > 0.02 * soaked.ends.total()


def soak(server: OverHttp, seconds: float) -> Soaked:
    """Measure what a server can do, and ask for `LOAD` of it at random moments."""
    allow_many_files()
    with pinned(server.cores.clients):
        return asyncio.run(_soak(server, seconds))


async def _soak(server: OverHttp, seconds: float) -> Soaked:
    good, bad = good_requests(), bad_requests()
    draw, client, over = random.Random(1), Client(server.port), asyncio.Event()
    turns = (each.content for each in iter(lambda: draw.choice(good), None))
    clients = 2 * server.cores.serving
    await closed_loop(client, turns, clients, 0.0, 10 * clients)
    began, done = time.monotonic(), await closed_loop(client, turns, clients, max(3.0, seconds / 60), 10)
    soaked = Soaked(LOAD * len(done) / (time.monotonic() - began))
    client.close()
    before = await _open(server.process)

    async def send(sent: Sent, due: float, is_good: bool) -> None:
        exchange = await client.ask(sent.content, due, PATIENCE if sent.whole else LEAVING_SECONDS, whole=sent.whole)
        if is_good:
            soaked.ends[exchange.status] += 1
        else:
            soaked.bad += 1
        # On a machine that others use too, capacity may not be what it was: anybody may be sent away.
        if exchange.status not in (*sent.statuses, BUSY) or (exchange.status == 200 and not _is_answer(exchange)):
            soaked.faults.append(f"{exchange.status} {exchange.body[:200]!r} where {sent.statuses} was expected")

    watching = asyncio.ensure_future(_watch(server.process, soaked, over))
    began, sending = time.monotonic(), set()
    for arrival in poisson(soaked.rate, seconds):
        await asyncio.sleep(max(0.0, began + arrival - time.monotonic()))
        is_good = draw.random() >= BAD
        task = asyncio.ensure_future(send(draw.choice(good if is_good else bad), began + arrival, is_good))
        sending.add(task)
        task.add_done_callback(sending.discard)
    await asyncio.gather(*sending)
    over.set()
    await watching
    client.close()
    after = await _open(server.process, before)
    soaked.files, soaked.threads = (before[0], after[0]), (before[1], after[1])
    return soaked


async def _watch(process: psutil.Process, soaked: Soaked, over: asyncio.Event) -> None:
    began = time.monotonic()
    while not over.is_set():
        soaked.moments.append(time.monotonic() - began)
        soaked.megabytes.append(process.memory_info().rss / 2**20)
        await asyncio.sleep(SAMPLE_SECONDS)


async def _open(process: psutil.Process, expected: tuple[int, int] | None = None) -> tuple[int, int]:
    """Open files and threads, once connections that were closed are forgotten, or after ten seconds."""
    until = time.monotonic() + 10
    await asyncio.sleep(1)
    found = process.num_fds(), process.num_threads()
    while expected and found[0] > expected[0] and time.monotonic() < until:
        await asyncio.sleep(0.2)
        found = process.num_fds(), process.num_threads()
    return found


def _is_answer(exchange: Exchange) -> bool:
    answer = json.loads(exchange.body)
    return "scores" in answer or "predictions" in answer


def good_requests() -> list[Sent]:
    """Photographs as JPEG, PNG and JSON."""
    encoded = {"b64": base64.b64encode(photographs("640x640")[0]).decode()}
    bodies: Mapping[str, list[bytes]] = {
        "image/jpeg": photographs("640x640") + photographs("1280x720")[:1],
        "image/png": [content for name, content in pictures().items() if name.startswith("png")],
        "application/json": [json.dumps({"instances": [encoded]}).encode()],
    }
    return [Sent(request(body, {"Content-Type": kind}), (200,)) for kind, all_of in bodies.items() for body in all_of]


def bad_requests() -> list[Sent]:
    """What a client can mend, by the status that says so; a client that goes away; and one that asks elsewhere."""
    jpeg, png = pictures()["jpeg"], pictures()["png"]
    bomb = png[:16] + (60_000).to_bytes(4, "big") * 2 + png[24:]
    images: list[tuple[bytes, str, int]] = [
        (b"", "image/jpeg", 400),
        (b"GIF89a and what follows", "image/gif", 415),
        (jpeg[: len(jpeg) // 2], "image/jpeg", 400),
        (png[: len(png) // 2], "image/png", 400),
        (b"[" * 10_000, "application/json", 400),
        (b'{"instances": [{"b64": "!"}]}', "application/json", 400),
    ]
    sent = [Sent(request(body, {"Content-Type": kind}), (status,)) for body, kind, status in images]
    leaving = raw_request(jpeg, [b"Host: x", b"Content-Type: image/jpeg"])[:-10]
    return [
        *sent,
        Sent(request(bomb, {"Content-Type": "image/png"}), (400, 413)),
        Sent(request(jpeg, {"Accept": "text/html"}), (406,)),
        Sent(request(jpeg, path="/models"), (404,)),
        Sent(leaving, (LEFT,), whole=False),
    ]


def test_growth_is_the_slope_times_the_time() -> None:
    soaked = Soaked(1.0, moments=[float(number) for number in range(101)])
    soaked.megabytes = [500.0] * 25 + [100 + 0.5 * number for number in range(25, 101)]
    assert soaked.growth() == pytest.approx(50.0)
