# SPDX-License-Identifier: Apache-2.0
"""What the server writes to standard error: one JSON object a line, for CloudWatch Logs and whoever searches there.

Three kinds of lines: what the server itself has to say (`level`, `message`), each request (`request`), and metrics in
CloudWatch's embedded metric format, which CloudWatch Logs turns into metrics without any permission of the endpoint's
role (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
A line of metrics holds up to 100 requests, as many as the format takes in one array, or those of a minute: every value
is there, so percentiles are exact, at a tenth of the bytes of a line a request. No picture, no custom attribute and no
sentence that quotes a request is written down.
"""

import json
import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

MAX_LINES = 10_000
"""Lines that wait to be written when nobody reads standard error; the server does not wait for it."""
GATHER_SECONDS = 0.1
"""How long lines are gathered before they are written: waking a thread for each would cost more than writing it."""
MAX_VALUES = 100
"""Values of a metric in one line, by the format's specification."""
METRICS_SECONDS = 60.0
"""CloudWatch's own resolution."""
STAGES = ("read", "wait", "decode", "detect", "encode")
"""What a request's time is made of: the body comes, a core gets free, bytes become pixels, pixels become detections,
detections become bytes."""
OUTCOMES = ("answered", "refused", "busy", "left", "failed")
"""`refused`: the client has to mend something; `busy`: 429; `left`: the client had gone; `failed`: 500."""
_LONGEST = 200


Write = Callable[[Mapping[str, Any]], None]
"""Takes what becomes one line."""

_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


@dataclass
class Entry:
    """What is written down of a request.

    Attributes:
        request_id, inference_id: As the platform names the request; empty where it does not.
        status: Of the answer; 0 where nobody was left to answer.
        outcome: One of `OUTCOMES`.
        bytes_in, bytes_out: Of the request's body, as far as it was read, and the answer's.
        images, pixels, detections: What was looked at and found.
        milliseconds: By stage; see `STAGES`.
    """

    request_id: str = ""
    inference_id: str = ""
    status: int = 0
    outcome: str = "left"
    bytes_in: int = 0
    bytes_out: int = 0
    images: int = 0
    pixels: int = 0
    detections: int = 0
    milliseconds: dict[str, float] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Entry":
        """Begin an entry with the names that a request has.

        `X-Amzn-SageMaker-Inference-Id` is what `InvokeEndpoint` was given as InferenceId or SageMaker made up
        (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html); `X-Amzn-RequestId`
        is how AWS's services name a request, taken where whatever stands in front passes it on.
        """
        return cls(headers.get("x-amzn-requestid", ""), headers.get("x-amzn-sagemaker-inference-id", ""))


class Journal:
    """Writes requests, and their metrics.

    Args:
        namespace: Of the metrics.
        write: Where its lines go; nowhere if not given.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        namespace: str,
        write: Write | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._namespace = namespace
        self._write = write or (lambda _: None)
        self._clock = clock
        self._counts = dict.fromkeys(OUTCOMES, 0)
        self._values: dict[str, list[float]] = {}
        self._requests = 0
        self._since = 0.0

    def request(self, entry: Entry) -> None:
        """Write a request down, and the metrics when it is time."""
        spent = {stage: round(entry.milliseconds[stage], 2) for stage in STAGES if stage in entry.milliseconds}
        spent["total"] = round((time.monotonic() - entry.begun) * 1000, 2)
        self._write(
            {
                "time": _written(self._clock()),
                "level": "ERROR" if entry.outcome == "failed" else "INFO",
                "request": {
                    "id": entry.request_id[:_LONGEST],
                    "inference_id": entry.inference_id[:_LONGEST],
                    "status": entry.status,
                    "outcome": entry.outcome,
                    "bytes_in": entry.bytes_in,
                    "bytes_out": entry.bytes_out,
                    "images": entry.images,
                    "pixels": entry.pixels,
                    "detections": entry.detections,
                    "milliseconds": spent,
                },
            }
        )
        self._count(entry, spent)

    def _count(self, entry: Entry, spent: Mapping[str, float]) -> None:
        if not self._requests:
            self._since = self._clock()
        self._requests += 1
        self._counts[entry.outcome] += 1
        if entry.outcome == "answered":
            told = {f"{stage.capitalize()}Time": milliseconds for stage, milliseconds in spent.items()}
            for name, value in (told | {"RequestBytes": entry.bytes_in, "Pixels": entry.pixels}).items():
                self._values.setdefault(name, []).append(value)
        if self._requests >= MAX_VALUES:
            self.flush()

    def tick(self) -> None:
        """Write the metrics of the last minute, if any are due."""
        if self._requests and self._clock() - self._since >= METRICS_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write all metrics that are not written yet."""
        if not self._requests:
            return
        told = {name.capitalize(): count for name, count in self._counts.items()} | self._values
        self._write(
            {
                "_aws": {
                    "Timestamp": int(self._clock() * 1000),
                    "CloudWatchMetrics": [
                        {
                            "Namespace": self._namespace,
                            "Dimensions": [[]],
                            "Metrics": [{"Name": name, "Unit": _unit(name)} for name in told],
                        }
                    ],
                },
                **told,
            }
        )
        self._counts, self._values, self._requests = dict.fromkeys(OUTCOMES, 0), {}, 0


def _unit(name: str) -> str:
    """CloudWatch's name: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html ."""
    return "Milliseconds" if name.endswith("Time") else "Bytes" if name.endswith("Bytes") else "Count"


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON, whatever is in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Level, message and trace."""
        content = {"time": _written(record.created), "level": record.levelname, "message": record.getMessage()}
        if record.exc_info:
            content["trace"] = "".join(traceback.format_exception(*record.exc_info))
        return _encode(content)


class BackgroundHandler(logging.Handler):
    """Writes lines from a thread of its own, many at once: a reader that stands still stops no request.

    When `MAX_LINES` wait, further ones are dropped and their number is written once there is room.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._news = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="journal", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record's line."""
        self._queue(self.format(record))

    def write(self, content: Mapping[str, Any]) -> None:
        """Queue a line that is no record: logging's own ways would cost more than all of the line."""
        self._queue(_encode(content))

    def _queue(self, line: str) -> None:
        if len(self._lines) >= MAX_LINES:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._news.is_set():
            self._news.set()

    def close(self) -> None:
        """Write what waits, for at most two seconds."""
        self._closed.set()
        self._news.set()
        self._thread.join(2)
        super().close()

    def _write_on(self) -> None:
        while True:
            self._news.wait()
            closed = self._closed.wait(GATHER_SECONDS)
            self._news.clear()
            try:
                self._stream.write("".join(f"{line}\n" for line in self._taken()))
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads it any more
                return
            if closed:
                return

    def _taken(self) -> Iterator[str]:
        for _ in range(len(self._lines)):
            yield self._lines.popleft()
        if dropped := self._dropped:
            self._dropped -= dropped
            content = {"time": _written(time.time()), "level": "WARNING", "message": f"{dropped} lines were lost"}
            yield _encode(content)


def write_json_lines(stream: TextIO | None = None) -> Write:
    """Have everything that is logged in this process written as JSON to standard error; returns what writes more."""
    handler = BackgroundHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    threading.excepthook = _log_end_of_thread
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # it tells of every request that is none
    return handler.write


def _log_end_of_thread(end: threading.ExceptHookArgs) -> None:
    error = end.exc_value or end.exc_type()
    name = end.thread.name if end.thread else "unknown"
    logging.getLogger(__name__).error("the thread %s ended", name, exc_info=error)


def message(line: str) -> str:
    """What a line of the server says: its message, or the line itself if it has none."""
    try:
        content = json.loads(line)
    except ValueError:
        return line
    return str(content.get("message", line)) if isinstance(content, dict) else line


def _written(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
