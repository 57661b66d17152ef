# SPDX-License-Identifier: Apache-2.0
"""Clients keep a server busy, and ask again where it has them wait."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from inference_src import clients
from inference_src.clients import ask_side_by_side, sequential_latencies
from inference_src.errors import MeasurementError
from inference_src.records import EncodedImage
from inference_src.server_process import ServerProcess

ANSWER = json.dumps({"scores": [0.5], "normalized_boxes": [[0.1, 0.2, 0.3, 0.4]], "classes": [0]}).encode()
Answer = tuple[int, dict[str, str], bytes]
Serve = Callable[[Callable[[bytes], Answer]], ServerProcess]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that answers a body as it is told to."""
    running: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[bytes], Answer]) -> ServerProcess:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                status, headers, body = answer(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        running.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=running[-1].serve_forever, daemon=True).start()
        return ServerProcess(running[-1].server_address[1], 0.0)

    yield start
    for each in running:
        each.shutdown()
        each.server_close()


def _images(count: int) -> list[EncodedImage]:
    return [EncodedImage(str(number), str(number).encode()) for number in range(count)]


def test_answers_come_in_the_images_order_from_several_clients(serve: Serve) -> None:
    together = threading.Barrier(3)

    def answer(_: bytes) -> Answer:
        together.wait(timeout=20)  # nobody is answered before three ask at once
        return 200, {}, ANSWER

    answers = list(ask_side_by_side(serve(answer), _images(12), clients=3))
    assert [one.source_id for one in answers] == [str(number) for number in range(12)]
    assert answers[0].boxes.tolist() == [pytest.approx([0.2, 0.1, 0.4, 0.3])]


def test_a_busy_server_is_asked_again_and_that_is_counted(serve: Serve) -> None:
    asked: list[bytes] = []

    def answer(body: bytes) -> Answer:
        asked.append(body)
        return (429, {"Retry-After": "0"}, b"busy") if asked.count(body) < 3 else (200, {}, ANSWER)

    server = serve(answer)
    answers = list(ask_side_by_side(server, _images(4), clients=2))
    assert [one.refused for one in answers] == [None] * 4
    assert server.told_to_wait == 8
    assert sorted(asked) == sorted([b"0", b"1", b"2", b"3"] * 3)


def test_a_server_that_stays_busy_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference_src.server_process.BUSY_SECONDS", 0)
    with pytest.raises(MeasurementError, match="said for 0 s that it is busy: all seats are taken"):
        serve(lambda _: (429, {"Retry-After": "0"}, b"all seats are taken")).ask(b"")


def test_what_a_server_refuses_is_the_images_fault_and_what_it_cannot_do_is_its_own(serve: Serve) -> None:
    status = 413
    server = serve(lambda _: (status, {}, b'{"error": "too much"}'))
    (answer,) = ask_side_by_side(server, _images(1), clients=1)
    assert answer.refused == "test image '0' was answered with 413: too much"
    assert (answer.boxes.shape, answer.scores.shape, answer.classes.shape) == ((0, 4), (0,), (0,))
    status = 500
    with pytest.raises(MeasurementError, match="test image '0' was answered with 500: too much"):
        list(ask_side_by_side(server, _images(1), clients=1))


def test_few_images_are_sent_again_until_there_are_enough_samples(
    serve: Serve, tmp_path: Path, write_shard: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    def answer(body: bytes) -> Answer:
        asked.append(body)
        if body == b"busy" and asked.count(body) % 2:
            return 429, {"Retry-After": "0"}, b""
        return (415 if body == b"bad" else 200), {}, ANSWER

    write_shard(tmp_path / "a.tfrecord", [(name, name.encode()) for name in ("bad", "busy", "good")])
    monkeypatch.setattr(clients, "LATENCY_SAMPLES", 20)
    latencies = sequential_latencies(serve(answer), tmp_path)
    assert len(latencies) == 20
    assert asked.count(b"good") == 20 + 1
    assert asked.count(b"bad") == 1 + 1
    monkeypatch.setattr(clients, "LATENCY_SECONDS", 0)
    assert sequential_latencies(serve(answer), tmp_path) == []
