# SPDX-License-Identifier: Apache-2.0
"""`measure`, the step MeasureServing: let the real server answer the test set, for each model that is compared.

These are the challenger, the champion, which serves, and the best version that ever served, where that is another.

Every runtime of a model that this image has is started as an endpoint would start it, and gets each test image as an
HTTP request. What it answers and how fast is written down; nothing is judged here.
"""

import io
import json
import logging
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from containers.contract.archive import extract
from containers.contract.cores import cores
from containers.contract.errors import BadInputError, ConfigurationError, DataError, MapgateError
from containers.contract.files import digest_of, write_whole
from containers.contract.job import ProcessingJob, run
from containers.contract.tfrecord import shards
from inference_src.clients import Answered, ask_side_by_side, sequential_latencies
from inference_src.errors import ModelError, TooLittleTimeError
from inference_src.model import ModelDescription, read_description
from inference_src.records import count_images, read_images
from inference_src.runtimes import available
from inference_src.server_process import ServerProcess, running_server
from inference_src.time_limit import TimeLimit

REFUSED_SHARE = 0.1
"""Of the test images, one at least: where a server refuses more, the test set or the server is wrong."""
REPORT_SECONDS = 2
OTHERS = ("champion", "best")
"""The other models, in the order in which they are measured: names of inputs, and of entries in the report."""

log = logging.getLogger(__name__)


@dataclass
class TestSet:
    """What the servers are asked.

    Attributes:
        folder: Of the shards.
        limit: The number of images, and the time there is for them.
        refused: Why an image was refused, by its source id, by any of the servers.
    """

    __test__ = False  # no test class for pytest

    folder: Path
    limit: TimeLimit
    refused: dict[str, str] = field(default_factory=dict)


def measure() -> int:
    """Measure as the job directory under `MAPGATE_ML_ROOT` says.

    Returns:
        The exit code: 0 done, 1 a server could not be measured, 2 bad input; the sentence is in `output/message`.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server outlives this process
    return run(_measure_job, ProcessingJob)


def _measure_job(job: ProcessingJob) -> None:
    """Write what the challenger and, where there are any, the other models do with the test set.

    `MAPGATE_CHAMPION_RUNTIME` names the only runtime in which the champion is measured, `MAPGATE_BEST_RUNTIME` that of
    the best version that served; unset or `none` means each.
    """
    for role in OTHERS:
        if role not in job.inputs:
            raise ConfigurationError(
                f'The job has no input "{role}": one not given is a prefix with the object `none`.'
            )
    begun = time.monotonic()
    folder, target = job.required_input("test"), job.output("measurements")
    others = {role: given for role in OTHERS if (given := job.input(role))}
    images = count_images(folder)
    if not images:
        raise DataError(f"{folder}: the shards hold no image; give a data set with test images")
    test = TestSet(folder, TimeLimit(images, job.maximum_seconds, begun))
    report: dict[str, Any] = {
        "schema_version": 1,
        "test": {"sha256": digest_of(shards(folder))},
        "challenger": _measure_model(
            "challenger", job.required_input("model"), test, target, job.root, others=len(others)
        ),
        **dict.fromkeys(OTHERS),
    }
    for number, (role, given) in enumerate(others.items(), start=1):
        only = job.variable(f"MAPGATE_{role.upper()}_RUNTIME")
        report[role] = _measure_other(role, given, test, target, job.root, only, others=len(others) - number)
    report["refused"] = [{"source_id": name, "sentence": sentence} for name, sentence in test.refused.items()]
    write_whole(target / "measurements.json", json.dumps(report, indent=2))


def _measure_other(
    role: str, folder: Path, test: TestSet, target: Path, root: Path, only: str, *, others: int
) -> dict[str, Any]:
    """Measure another model; one that this image cannot serve is a fact for the gate, not the challenger's failure."""
    runtime = None if only in ("", "none") else only
    try:
        return {"runtime": runtime} | _measure_model(role, folder, test, target, root, others=others, only=runtime)
    except TooLittleTimeError:
        raise
    except MapgateError as error:
        log.warning("%s", error)
        return {"runtime": runtime, "error": str(error)}


def _measure_model(
    role: str, folder: Path, test: TestSet, target: Path, root: Path, *, others: int, only: str | None = None
) -> dict[str, Any]:
    """Measure each runtime of the one archive in a folder; so many `others` come after it, each in one runtime."""
    archive = folder / "model.tar.gz"
    work = Path(tempfile.mkdtemp(prefix="measure-", dir=root))
    try:
        extract(archive, work / "model")
        description = read_description(work / "model")
        runtimes = _runtimes(role, description, only)
        # The fastest first: the others are taken to be as fast until they are measured, and nobody is stopped too soon.
        for number, runtime in enumerate(reversed(runtimes), start=1):
            after = len(runtimes) - number + others
            _measure_runtime(role, runtime, description, test, work, target / role / runtime, after)
    except TooLittleTimeError:
        raise  # it names the server itself
    except MapgateError as error:
        raise type(error)(f"{role}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return {
        "runtimes": runtimes,
        "architecture": description.architecture,
        "classes": [entry.model_dump() for entry in description.classes],
        "model_sha256": digest_of([archive]),
        # Of 2^20 bytes, as the server's memory is told.
        "artifact_megabytes": round(archive.stat().st_size / 2**20, 3),
    }


def _runtimes(role: str, description: ModelDescription, only: str | None) -> list[str]:
    """The model's runtimes that this image has, which may be none: all, or the only one that is asked for."""
    runtimes = sorted(set(available()) & set(description.runtimes), key=lambda name: (name != "tensorflow", name))
    has = f"it has {', '.join(sorted(description.runtimes))}, and this image runs {', '.join(available())}"
    if only is not None and only not in runtimes:
        raise ModelError(f"the {role} has no runtime {only!r} here: {has}")
    if not runtimes:
        log.warning("none of the %s's runtimes can be measured here: %s", role, has)
    return runtimes if only is None else [only]


def _measure_runtime(
    role: str, runtime: str, description: ModelDescription, test: TestSet, work: Path, target: Path, runs_after: int
) -> None:
    """Write `detections.npz` and `timings.json`: what one server did with the test set."""
    begun = time.monotonic()
    precision = description.runtimes[runtime].precisions[0]
    log_name = f"{role} on {runtime} {precision}"
    print(f"{log_name}: starting the server", flush=True)
    with running_server(work, {"MAPGATE_RUNTIME": runtime, "MAPGATE_PRECISION": precision}) as server:
        print(f"{log_name}: ready after {server.load_seconds:.1f} s", flush=True)
        clients = cores()  # as many images as the server detects at once
        latencies = sequential_latencies(server, test.folder)
        pace = Pace(log_name, test.limit, runs_after, time.monotonic() - begun)
        if latencies:
            pace.check(0, clients * len(latencies) / sum(latencies))  # at best
        answers, seconds = _answers(server, test, pace, clients)
    timings = {
        "images": len(answers),
        "images_per_second": round(len(answers) / seconds, 3),
        "side_by_side": clients,
        "latency_milliseconds": {
            name: round(float(np.percentile(latencies, at)) * 1000, 3)
            for name, at in (("p50", 50), ("p90", 90), ("p99", 99))
            if latencies
        },
        "latency_samples": len(latencies),
        "told_to_wait": server.told_to_wait,
        "load_seconds": round(server.load_seconds, 3),
        "resident_megabytes": server.resident_megabytes and round(server.resident_megabytes, 1),
        "precision": precision,
    }
    print(f"{log_name}: {json.dumps(timings)}", flush=True)
    detections = io.BytesIO()
    arrays = _arrays(answers, [entry.id for entry in description.classes])
    np.savez_compressed(detections, allow_pickle=False, **arrays)
    write_whole(target / "detections.npz", detections.getvalue())
    write_whole(target / "timings.json", json.dumps(timings, indent=2))


@dataclass(frozen=True)
class Pace:
    """How fast one server answers, told while it does.

    Attributes:
        what: Which server.
        limit: The job's.
        runs_after: Servers that are to be measured after it.
        start_seconds: What it took besides answering the test set.
    """

    what: str
    limit: TimeLimit
    runs_after: int
    start_seconds: float

    def check(self, answered: int, images_per_second: float) -> None:
        """Stop where the job would be stopped before it is done."""
        self.limit.check(self.what, answered, images_per_second, self.runs_after, self.start_seconds)

    def tell(self, answered: int, images_per_second: float) -> None:
        """Print how far it is."""
        print(f"{self.what}: images={answered} images_per_second={images_per_second:.1f}", flush=True)


def _answers(server: ServerProcess, test: TestSet, pace: Pace, clients: int) -> tuple[list[Answered], float]:
    """Give the answer to each image, in the images' order, and the seconds that all of them took."""
    answers: list[Answered] = []
    refused = 0
    started = reported = time.monotonic()
    for answer in ask_side_by_side(server, read_images(test.folder), clients):
        answers.append(answer)
        if answer.refused:
            refused += 1
            _note_refusal(answer.source_id, answer.refused, refused, test)
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            rate = len(answers) / (reported - started)
            pace.tell(len(answers), rate)
            pace.check(len(answers), rate)
    return answers, time.monotonic() - started


def _note_refusal(source_id: str, sentence: str, refused: int, test: TestSet) -> None:
    """Have an image count as one without detections, as long as it is one of few."""
    test.refused.setdefault(source_id, sentence)
    log.warning("%s; it counts as an image without detections", sentence)
    images = test.limit.images
    if refused == images or refused > max(1, REFUSED_SHARE * images):
        raise BadInputError(
            f"{sentence}; so were {refused - 1} before it, which is too much of {images} test images: mend these "
            "images or leave them out of the data set"
        )


def _arrays(answers: list[Answered], ids: list[int]) -> dict[str, NDArray[Any]]:
    """The answers to I images with M detections in all, by a model whose sorted classes are `ids`.

    Returns:
        `image_index` int32 [M], the image's position in the test set; `boxes` float32 [M, 4], ymin, xmin, ymax, xmax as
        fractions; `scores` float32 [M]; `classes` int32 [M], ids of the label map; `images`, I; `source_ids` str [I].
    """
    counts = [len(answer.scores) for answer in answers]
    return {
        "image_index": np.repeat(np.arange(len(answers), dtype=np.int32), counts),
        "boxes": np.concatenate([answer.boxes for answer in answers]),
        "scores": np.concatenate([answer.scores for answer in answers]),
        "classes": np.array(ids, np.int32)[np.concatenate([answer.classes for answer in answers])],
        "images": np.array(len(answers), np.int64),
        "source_ids": np.array([answer.source_id for answer in answers], np.str_),
    }
