# SPDX-License-Identifier: Apache-2.0
"""One server under load: what it can do, asked by one client and by as many as keep it busy."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.benchmarks.serving.client import Client, closed_loop, request
from tests.benchmarks.serving.cores import Cores, pinned
from tests.benchmarks.serving.models import DEMO, FPNLITE
from tests.benchmarks.serving.photographs import forever, photographs
from tests.benchmarks.serving.sides import LeftOutError, OverHttp, export, our_server

SIZE = "640x640"
MODELS = (FPNLITE, DEMO)
# One after the other, before anything is measured.
WARM_UP = 5
UNLOADED = 20

T = TypeVar("T")


@dataclass(frozen=True)
class Loaded:
    """A server, and what it does without too much to do.

    Attributes:
        name: Of its model and of the picture that it gets.
        server: Where it listens; its process.
        requests: The same few in turn, without end.
        median: Seconds of an answer to one client that is alone.
        capacity: Answers a second to clients that keep it busy.
        cpu: CPU seconds of an answer then.
    """

    name: str
    server: OverHttp
    requests: Iterator[bytes]
    median: float
    capacity: float
    cpu: float

    @property
    def wait(self) -> float:
        """Seconds that a request may wait for a core, as the server's default has it: 1, or 3 times its own work."""
        return max(1.0, 3 * self.service)

    @property
    def service(self) -> float:
        """Seconds of a core for a request."""
        return self.server.cores.serving / self.capacity

    def capacity_again(self, seconds: float) -> float:
        """What `capacity` is now."""
        return self.server.measure(photographs(SIZE), seconds, UNLOADED).rate


def on_clients_cores(server: OverHttp, work: Coroutine[Any, Any, T]) -> T:
    """Run what asks on the cores that are the clients'."""
    with pinned(server.cores.clients):
        return asyncio.run(work)


@contextmanager
def loaded_servers(benchmark: str, seconds: float, only: str) -> Iterator[Iterator[Loaded]]:
    """Our server on OpenVINO of one model after the other, each until the next is taken."""
    cores = Cores.shared_out()
    print(f"{benchmark}: {cores}", file=sys.stderr)
    with ExitStack() as last:

        def each() -> Iterator[Loaded]:
            for model in MODELS:
                name = f"{model.name} at {SIZE}"
                if only not in name:
                    continue
                last.close()
                root = Path(last.enter_context(tempfile.TemporaryDirectory(prefix=f"{benchmark}-")))
                try:
                    export(model.name, root)
                    server = last.enter_context(our_server(root, "openvino", cores))
                except LeftOutError as reason:
                    print(f"{benchmark}: left out: {reason}", file=sys.stderr)
                    continue
                yield _unloaded(name, server, seconds)

        yield each()


def _unloaded(name: str, server: OverHttp, seconds: float) -> Loaded:
    requests = forever([request(body) for body in photographs(SIZE)])

    async def ask() -> float:
        client = Client(server.port)
        await closed_loop(client, requests, 1, 0.0, WARM_UP)
        exchanges = await closed_loop(client, requests, 1, 0.0, UNLOADED)
        client.close()
        return statistics.median(exchange.latency for exchange in exchanges)

    median = on_clients_cores(server, ask())
    measured = server.measure(photographs(SIZE), seconds, UNLOADED)
    return Loaded(name, server, requests, median, measured.rate, measured.cpu)
