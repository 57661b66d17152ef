# SPDX-License-Identifier: Apache-2.0
"""Each line is one JSON object, whoever wrote what is in it, and metrics are as CloudWatch's format wants them."""

import io
import json
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from inference_src import journal as journals
from inference_src.journal import BackgroundHandler, Entry, Journal, JsonFormatter, message


class Written:
    """A journal that keeps its lines, and a clock that tests set."""

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.now = 1_700_000_000.25
        self.journal = Journal("birds-dev", self._write, lambda: self.now)

    def _write(self, content: Mapping[str, Any]) -> None:
        self.lines.append(json.loads(json.dumps(content)))

    @property
    def metrics(self) -> list[Any]:
        return [line for line in self.lines if "_aws" in line]


def answered(**changes: Any) -> Entry:
    stages = {"read": 1.0, "wait": 2.0, "decode": 3.0, "detect": 4.004, "encode": 0.5}
    return Entry(**{"status": 200, "outcome": "answered", "bytes_in": 1000, "milliseconds": stages, **changes})


def test_a_request_is_one_object() -> None:
    written = Written()
    written.journal.request(answered(request_id="r" * 500, inference_id="i", images=1, pixels=64, detections=2))
    (line,) = written.lines
    assert line["time"] == "2023-11-14T22:13:20.250Z"
    request = line["request"]
    spent = request.pop("milliseconds")
    assert request == {
        "id": "r" * 200,
        "inference_id": "i",
        "status": 200,
        "outcome": "answered",
        "bytes_in": 1000,
        "bytes_out": 0,
        "images": 1,
        "pixels": 64,
        "detections": 2,
    }
    assert spent.pop("total") >= 0
    assert spent == {"read": 1.0, "wait": 2.0, "decode": 3.0, "detect": 4.0, "encode": 0.5}


def test_metrics_follow_the_embedded_metric_format() -> None:
    """CloudWatch_Embedded_Metric_Format_Specification.html in AWS's documentation, see `journal.py`."""
    written = Written()
    for number in range(250):
        written.journal.request(answered() if number % 5 else answered(status=429, outcome="busy"))
    written.journal.flush()
    assert [line["Answered"] + line["Busy"] for line in written.metrics] == [100, 100, 50]
    for line in written.metrics:
        metadata = line["_aws"]
        assert metadata["Timestamp"] == 1_700_000_000_250
        (directive,) = metadata["CloudWatchMetrics"]
        assert directive["Namespace"] == "birds-dev"
        assert directive["Dimensions"] == [[]]
        names = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
        assert set(names) == set(line) - {"_aws"}
        assert len(names) <= 100
        for name, unit in names.items():
            assert unit in ("Milliseconds", "Bytes", "Count")
            values = line[name] if isinstance(line[name], list) else [line[name]]
            assert len(values) <= 100
            assert all(isinstance(value, int | float) for value in values)
        assert len(line["DetectTime"]) == line["Answered"]
        assert names["DetectTime"] == "Milliseconds"
        assert names["RequestBytes"] == "Bytes"


def test_metrics_are_written_after_a_minute_and_never_twice() -> None:
    written = Written()
    written.journal.tick()
    written.journal.request(answered())
    written.now += 59
    written.journal.tick()
    assert not written.metrics
    written.now += 1
    written.journal.tick()
    written.journal.tick()
    written.journal.flush()
    assert len(written.metrics) == 1


def test_where_nobody_was_answered_no_time_is_told() -> None:
    written = Written()
    written.journal.request(Entry())
    written.journal.flush()
    (metrics,) = written.metrics
    assert metrics["Left"] == 1
    assert not [name for name in metrics if name.endswith("Time")]


@pytest.mark.parametrize("text", ['"}\n{"level":"ERROR', "\u2028 \x00 \r\n", "\ud800", "%s %d"])
def test_nothing_breaks_a_line(text: str) -> None:
    record = logging.LogRecord("a", logging.WARNING, "", 0, "%s", (text,), None)
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == text
    assert message(line) == text


def test_a_trace_is_part_of_its_line() -> None:
    try:
        raise ValueError("inside")
    except ValueError as error:
        record = logging.LogRecord("a", logging.ERROR, "", 0, "failed", (), (type(error), error, error.__traceback__))
    line = JsonFormatter().format(record)
    assert len(line.splitlines()) == 1
    assert "ValueError: inside" in json.loads(line)["trace"]


def test_lines_of_others_are_their_own_message() -> None:
    assert [message(line) for line in ("plain", "[1]", '{"a": 1}')] == ["plain", "[1]", '{"a": 1}']


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("a", logging.INFO, "", 0, text, (), None)


def test_a_reader_that_stands_still_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MAX_LINES", 1000)
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        handler = BackgroundHandler(stream)
        handler.setFormatter(JsonFormatter())
        for number in range(5000):  # more than a pipe and the queue hold
            handler.emit(record(str(number)))
        lines: list[str] = []
        read = threading.Thread(target=lambda: lines.extend(reader))
        read.start()
        handler.close()
        stream.close()
        read.join(10)
    told = [json.loads(line)["message"] for line in lines]
    lost = [text for text in told if text.endswith("lines were lost")]
    assert told[0] == "0"
    assert sum(int(text.split()[0]) for text in lost) == 5000 - (len(told) - len(lost)) > 0


def test_a_reader_that_has_gone_stops_nobody() -> None:
    stream = io.StringIO()
    handler = BackgroundHandler(stream)
    handler.setFormatter(JsonFormatter())
    stream.close()
    handler.emit(record("a"))
    handler.emit(record("b"))
    handler.close()


def test_a_thread_that_ends_is_a_line(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(logging.root, "handlers", logging.root.handlers)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    write = journals.write_json_lines(io.StringIO())
    thread = threading.Thread(target=lambda: 1 / 0, name="detect")
    thread.start()
    thread.join()
    assert "the thread detect ended" in caplog.text
    assert callable(write)
