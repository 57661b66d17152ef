# SPDX-License-Identifier: Apache-2.0
"""The form of MLPerf's server scenario: how many requests a second may come at random and be answered soon.

Arrivals are Poisson's, from a seed. Latency counts from the moment when a request was to be sent. The highest rate at
which 99 % of the requests are answered within ten times the median of a server that has nothing else to do is found by
halving the range; a request that was sent away was not answered. It is the scenario's form only, no result of MLPerf.
"""

from __future__ import annotations

import sys

import numpy as np

from tests.benchmarks.ratio import Row
from tests.benchmarks.serving.client import Client, Exchange, open_loop, poisson
from tests.benchmarks.serving.load import Loaded, loaded_servers, on_clients_cores

SECONDS = 30.0
"""Of arrivals at each rate that is tried."""
BOUND = 10
"""Times the unloaded median that a request may take."""
HALVINGS = 7
"""To 1 % of the capacity."""
SEED = 1


def run(seconds: float = SECONDS, only: str = "") -> list[Row]:
    """The highest rate of each detector, against its rate where clients wait for each other."""
    with loaded_servers("arrivals", seconds / 2, only) as servers:
        return [_row(loaded, seconds) for loaded in servers]


def _row(loaded: Loaded, seconds: float) -> Row:
    low, high, best = 0.0, 1.2 * loaded.capacity, 0.0
    for _ in range(HALVINGS):
        rate = (low + high) / 2
        latency = _p99(loaded, rate, seconds)
        fits = latency <= BOUND * loaded.median
        print(
            f"arrivals: {loaded.name}: {rate:.1f} a second: p99 {1000 * latency:.0f} ms, "
            f"{'within' if fits else 'beyond'} {1000 * BOUND * loaded.median:.0f}",
            file=sys.stderr,
        )
        low, high, best = (rate, high, rate) if fits else (low, rate, best)
    return Row(
        f"{loaded.name}: Poisson's arrivals, p99 within {BOUND} times the unloaded median",
        "clients that keep it busy",
        best / loaded.capacity,
        f"of their rate; {best:.1f} and {loaded.capacity:.1f} requests a second, "
        f"unloaded median {1000 * loaded.median:.1f} ms, {round(best * seconds)} requests at that rate",
    )


def _p99(loaded: Loaded, rate: float, seconds: float) -> float:
    """Seconds, infinite where more than 1 % were not answered."""

    async def load() -> list[Exchange]:
        client = Client(loaded.server.port)
        try:
            # What waits longer than this has failed already.
            return await open_loop(client, loaded.requests, poisson(rate, seconds, SEED), 10 * BOUND * loaded.median)
        finally:
            client.close()

    exchanges = on_clients_cores(loaded.server, load())
    latencies = [exchange.latency if exchange.status == 200 else np.inf for exchange in exchanges]
    return float(np.quantile(latencies, 0.99, method="higher"))
