# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent to `/invocations`, the real server answers it, with 2xx or 4xx, and goes on."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.benchmarks.serving.client import PING, Client, Exchange
from tests.benchmarks.serving.cores import Cores
from tests.benchmarks.serving.sides import OverHttp, our_server
from tests.conftest import Record
from tests.fuzzing.cases import Cases

SEED = 20_26
CLIENTS = 3
PING_SECONDS = 2.0
"""SageMaker takes an endpoint for dead whose `/ping` takes longer."""
MEGABYTES = 1_500
"""By how much the server's memory may be above what it was: two pictures of the largest size, decoded progressively."""
CASE_SECONDS = 60.0
"""SageMaker's own limit for an answer."""


@dataclass
class Fuzzed:
    """What became of mutated requests.

    Attributes:
        ends: How many ended with each status.
        pings: Seconds of each `/ping` meanwhile.
        megabytes: By how much the server's memory was above what it was before, at most.
        faults: Sentences of what went wrong.
    """

    ends: Counter[int] = field(default_factory=Counter)
    pings: list[float] = field(default_factory=list)
    megabytes: float = 0.0
    faults: list[str] = field(default_factory=list)


def test_some_hundreds_of_mutated_requests_are_answered(model_dir: Path, tmp_path: Path) -> None:
    with _served(model_dir, tmp_path) as server:
        fuzzed = fuzz(server, Cases(SEED), 700, tmp_path)
    _assert_sound(fuzzed)


@pytest.mark.verify
@pytest.mark.timeout(7200)
def test_eighty_thousand_mutated_requests_are_answered(model_dir: Path, tmp_path: Path, record: Record) -> None:
    with _served(model_dir, tmp_path) as server:
        fuzzed = fuzz(server, Cases(SEED + 1), 80_000, tmp_path)
    _assert_sound(fuzzed)
    ends = ", ".join(f"{status}: {count:,}" for status, count in sorted(fuzzed.ends.items()))
    record(
        "mutated requests (pictures, JSON, arrays, headers): answers other than 2xx and 4xx in 80,000", f"0 ({ends})"
    )
    record("mutated requests: the longest /ping meanwhile", f"{1000 * max(fuzzed.pings):.0f} ms")
    record("mutated requests: the server's memory above what it was, at most", f"{fuzzed.megabytes:.0f} MB")


def test_the_corpus_itself_is_right(model_dir: Path, tmp_path: Path) -> None:
    """Mutations of requests that nobody understands would try nothing."""
    cases = Cases(SEED)
    with _served(model_dir, tmp_path) as server:
        understood = {
            name: _status(server, cases, kind, name) for kind, names in cases.corpus.items() for name in names
        }
    assert all(understood[name] == 200 for name in cases.corpus["picture"])
    assert understood["instances of pixels"] == understood["instances of base64"] == 200


def fuzz(server: OverHttp, cases: Cases, count: int, folder: Path) -> Fuzzed:
    """Send mutations, and ask all the time whether the server is well.

    Args:
        server: Which answers.
        cases: The mutations.
        count: How many.
        folder: Where requests that were not answered right are kept.
    """
    found = Fuzzed()
    numbers = iter(range(count))
    start = _megabytes(server.process)

    async def send(client: Client) -> None:
        for number in numbers:
            case = cases.case(number)
            exchange = await client.ask(case.request, patience=CASE_SECONDS)
            found.ends[exchange.status] += 1
            if not 200 <= exchange.status < 500 or not _is_told(exchange):
                file = folder / f"case-{number}.request"
                file.write_bytes(case.request)
                found.faults.append(
                    f"case {number} ({case.name}) ended with {_told(exchange)}; its bytes are in {file}"
                )

    async def watch(over: asyncio.Event) -> None:
        while not over.is_set():
            client = Client(server.port)
            ping = await client.ask(PING, patience=CASE_SECONDS)
            client.close()
            found.pings.append(ping.latency if ping.status == 200 else float("inf"))
            found.megabytes = max(found.megabytes, _megabytes(server.process) - start)
            await asyncio.sleep(0.05)

    async def both() -> None:
        over, client = asyncio.Event(), Client(server.port)
        watching = asyncio.ensure_future(watch(over))
        await asyncio.gather(*(send(client) for _ in range(CLIENTS)))
        over.set()
        await watching
        client.close()

    asyncio.run(both())
    return found


def _status(server: OverHttp, cases: Cases, kind: str, name: str) -> int:
    request = cases.unmutated(kind, name)

    async def ask() -> Exchange:
        return await Client(server.port).ask(request)

    return asyncio.run(ask()).status


def _assert_sound(fuzzed: Fuzzed) -> None:
    told = "\n".join(fuzzed.faults[:20])
    assert not fuzzed.faults, (
        f"{len(fuzzed.faults)} of {fuzzed.ends.total()} requests, of seed {SEED} or the next:\n{told}"
    )
    assert max(fuzzed.pings) < PING_SECONDS
    assert fuzzed.megabytes < MEGABYTES
    assert fuzzed.ends[200] > 0.05 * fuzzed.ends.total()  # else the mutations go too far to reach what is behind
    assert fuzzed.ends[429] < 0.1 * fuzzed.ends.total()


def _is_told(exchange: Exchange) -> bool:
    """Whether a refusal says why; what is no HTTP is refused before our part begins, without a sentence."""
    if exchange.status < 300 or not exchange.body:
        return True
    try:
        answer = json.loads(exchange.body)
    except ValueError:
        return False
    return isinstance(answer.get("error"), str) and bool(answer["error"])


def _told(exchange: Exchange) -> str:
    return f"{exchange.status} {exchange.body[:300]!r} after {exchange.latency:.1f} s"


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20


@contextmanager
def _served(model_dir: Path, root: Path) -> Iterator[OverHttp]:
    (root / "model").symlink_to(model_dir)
    with our_server(root, "openvino", Cores((), ())) as server:
        yield server
        assert server.process.is_running() and server.process.status() != psutil.STATUS_ZOMBIE
