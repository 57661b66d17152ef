# SPDX-License-Identifier: Apache-2.0
"""A server that is asked for three times what it can do, and clients that leave before they are answered.

Requests come at Poisson's moments, whatever became of those before. Counted are the answers that come within the bound
on waiting and two requests' work (its own, and what a core was at when it came), from when the first ones can have
waited as long as they may. A refusal's time counts from the last byte of its request's body. Whether anything was
computed for those who left, the CPU seconds of the server say.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

import numpy as np

from tests.benchmarks.ratio import Row
from tests.benchmarks.serving.client import LEFT, Client, Exchange, allow_many_files, open_loop, poisson
from tests.benchmarks.serving.cores import cpu_seconds
from tests.benchmarks.serving.load import Loaded, loaded_servers, on_clients_cores
from tests.benchmarks.serving.targets import at_least, at_most

SECONDS = 20.0
"""Of the overload, and of each number of clients; but at least `ROUNDS` times the longest wait."""
ROUNDS = 4
OVERLOAD, GOODPUT = 3, 0.9
REFUSAL_SECONDS = 0.05
PATIENCE = 2.0
CLIENTS = (2, 16, 64, 100)
RETRY_SECONDS = 1.0
LEAVING = 60
"""Clients that leave all at once."""
WORK_FOR_WHO_LEFT = 4
"""Requests' worth of CPU, for each core, that may be spent on them: what was at work, and reading what they sent."""


def run(seconds: float = SECONDS, only: str = "") -> list[Row]:
    """All rows of each detector."""
    allow_many_files()
    rows = []
    with loaded_servers("overload", seconds / 4, only) as servers:
        for loaded in servers:
            lasting = max(seconds, ROUNDS * loaded.wait)
            rows += _overloaded(loaded, lasting)
            rows += [_impatient(loaded, count, lasting) for count in CLIENTS]
            rows += _left(loaded)
    return rows


def _overloaded(loaded: Loaded, seconds: float) -> list[Row]:
    """Three times the capacity."""
    arrivals = poisson(OVERLOAD * loaded.capacity, seconds)

    async def load() -> list[Exchange]:
        client = Client(loaded.server.port)
        try:
            return await open_loop(client, loaded.requests, arrivals, max(PATIENCE, 2 * loaded.wait))
        finally:
            client.close()

    cpu, busy, began = cpu_seconds(loaded.server.process), time.thread_time(), time.monotonic()
    exchanges = on_clients_cores(loaded.server, load())
    elapsed = time.monotonic() - began
    cpu, busy = cpu_seconds(loaded.server.process) - cpu, time.thread_time() - busy
    # Before and after, so that a machine whose speed drifts does so for both.
    capacity = (loaded.capacity + loaded.capacity_again(seconds / 4)) / 2
    start = min(exchange.due for exchange in exchanges)
    good = [each for each in exchanges if each.status == 200 and each.latency <= loaded.wait + 2 * loaded.service]
    counted = [each for each in good if loaded.wait <= each.answered - start < arrivals[-1]]
    goodput = len(counted) / (arrivals[-1] - loaded.wait) / capacity
    answered = sum(each.status == 200 for each in exchanges)
    dearer = cpu / max(answered, 1) / loaded.cpu
    statuses = {status: sum(each.status == status for each in exchanges) for status in {e.status for e in exchanges}}
    what = f"{loaded.name}: {OVERLOAD} times what it can do"
    told = ", ".join(f"{_NAMES.get(status, status)}: {count}" for status, count in sorted(statuses.items()))
    waits = _quantiles([each.latency for each in exchanges if each.status == 200])
    return [
        Row(
            f"{what}: answers in time",
            "its capacity",
            goodput,
            f"of its rate; {at_least(goodput, GOODPUT)}; {goodput * capacity:.1f} and {capacity:.1f} a "
            f"second; {told}; {waits}; the clients' core {100 * busy / elapsed:.0f} % busy",
        ),
        _refusals(what, exchanges),
        Row(f"{what}: CPU of an answer", "CPU of an answer at capacity", dearer, "times as much, refusals included"),
    ]


_NAMES = {LEFT: "lost patience", 0: "connections refused or closed"}


def _refusals(what: str, exchanges: list[Exchange]) -> Row:
    delays = [max(0.0, each.answered - each.sent) for each in exchanges if each.status == 429]
    median = statistics.median(delays) if delays else float("nan")
    means = f"s, median; {at_most(median, REFUSAL_SECONDS)}; {_quantiles(delays)}" if delays else "none was refused"
    return Row(f"{what}: refusals (429)", "the last byte of the body", median, means)


def _quantiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "no such answer"
    middle, high = np.quantile(seconds, [0.5, 0.99])
    return f"p50 {1000 * middle:.0f} ms, p99 {1000 * high:.0f} ms"


def _impatient(loaded: Loaded, count: int, seconds: float) -> Row:
    """Clients that leave after some seconds and ask again; who is sent away comes back after what Retry-After says."""

    async def load() -> list[Exchange]:
        client, exchanges, until = Client(loaded.server.port), [], time.monotonic() + seconds

        async def go_on() -> None:
            while time.monotonic() < until:
                exchange = await client.ask(next(loaded.requests), patience=PATIENCE)
                exchanges.append(exchange)
                if exchange.status != 200:
                    await asyncio.sleep(RETRY_SECONDS if exchange.status == 429 else 0.0)

        await asyncio.gather(*(go_on() for _ in range(count)))
        client.close()
        return exchanges

    began = time.monotonic()
    exchanges = on_clients_cores(loaded.server, load())
    rate = sum(each.status == 200 for each in exchanges) / (time.monotonic() - began)
    left = sum(each.status == LEFT for each in exchanges)
    return Row(
        f"{loaded.name}: {count} clients with {PATIENCE:g} s of patience",
        "its capacity",
        rate / loaded.capacity,
        f"of its rate; {rate:.1f} answers a second, {left} left",
    )


def _left(loaded: Loaded) -> list[Row]:
    """Many send a request, leave once one of them can have been answered, and one asks that stays."""

    async def load() -> tuple[float, int, float]:
        client, cpu = Client(loaded.server.port), cpu_seconds(loaded.server.process)
        patience = loaded.median
        leaving = [client.ask(next(loaded.requests), patience=patience) for _ in range(LEAVING)]
        left = await asyncio.gather(*leaving)
        alive = await client.ask(next(loaded.requests))
        quiet = cpu_seconds(loaded.server.process)
        for _ in range(600):
            await asyncio.sleep(0.5)
            before, quiet = quiet, cpu_seconds(loaded.server.process)
            if quiet - before < 0.05:
                break
        client.close()
        answered = sum(each.status == 200 for each in left) + (alive.status == 200)
        return (quiet - cpu) / loaded.cpu - answered, answered, alive.latency / loaded.median

    worth, answered, slower = on_clients_cores(loaded.server, load())
    most = WORK_FOR_WHO_LEFT * loaded.server.cores.serving
    return [
        Row(
            f"{loaded.name}: {LEAVING} clients leave at once: CPU spent on them",
            "CPU of an answer",
            worth,
            f"answers' worth; {at_most(worth, most)}; beside {answered} answers that were read",
        ),
        Row(
            f"{loaded.name}: the next client after {LEAVING} have left",
            "the unloaded median",
            slower,
            "times as long",
        ),
    ]
