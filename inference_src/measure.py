# SPDX-License-Identifier: Apache-2.0
"""`measure`, the step MeasureServing: let the real server answer the test set, for challenger and champion.

Every runtime of a model is started as an endpoint would start it, and gets each test image as an HTTP request. What it
answers and how fast is written down; nothing is judged here.
"""

import io
import json
import logging
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from containers.contract.archive import extract
from containers.contract.errors import BadInputError, ConfigurationError, DataError, MapgateError
from containers.contract.files import digest_of, write_whole
from containers.contract.job import ProcessingJob, run
from containers.contract.tfrecord import shards
from inference_src.errors import MeasurementError, ModelError
from inference_src.model import ModelDescription, read_description
from inference_src.records import EncodedImage, read_images
from inference_src.runtimes import available
from inference_src.server_process import ServerProcess, running_server

CLIENTS = 2
WARM_UP_IMAGES = 3
LATENCY_IMAGES = 100

log = logging.getLogger(__name__)


def measure() -> int:
    """Measure as the job directory under `MAPGATE_ML_ROOT` says.

    Returns:
        The exit code: 0 done, 1 a server could not be measured, 2 bad input; the sentence is in `output/message`.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server outlives this process
    return run(_measure_job, ProcessingJob)


def _measure_job(job: ProcessingJob) -> None:
    """Write what the challenger and, where there is one, the champion do with the test set.

    `MAPGATE_CHAMPION_RUNTIME` names the only runtime in which the champion is measured; unset or `none` means each.
    """
    if "champion" not in job.inputs:
        raise ConfigurationError('The job has no input "champion": one not given is a prefix with the object `none`.')
    test, champion, target = job.required_input("test"), job.input("champion"), job.output("measurements")
    only = job.variable("MAPGATE_CHAMPION_RUNTIME")
    report = {
        "schema_version": 1,
        "test": {"sha256": digest_of(shards(test))},
        "challenger": _measure_model("challenger", job.required_input("model"), test, target, job.root),
        "champion": _measure_champion(champion, test, target, job.root, only) if champion else None,
    }
    write_whole(target / "measurements.json", json.dumps(report, indent=2))


def _measure_champion(folder: Path, test: Path, target: Path, root: Path, only: str) -> dict[str, Any]:
    """Measure the champion; one that this image cannot serve is a fact for the gate, not the challenger's failure."""
    runtime = None if only in ("", "none") else only
    try:
        return {"runtime": runtime} | _measure_model("champion", folder, test, target, root, runtime)
    except MapgateError as error:
        log.warning("%s", error)
        return {"runtime": runtime, "error": str(error)}


def _measure_model(
    role: str, folder: Path, test: Path, target: Path, root: Path, only: str | None = None
) -> dict[str, Any]:
    """Measure each runtime of the one archive in a folder."""
    archive = folder / "model.tar.gz"
    work = Path(tempfile.mkdtemp(prefix="measure-", dir=root))
    try:
        extract(archive, work / "model")
        description = read_description(work / "model")
        runtimes = sorted(set(available()) & set(description.runtimes), key=lambda name: (name != "tensorflow", name))
        if only is not None and only not in runtimes:
            raise ModelError(f"the {role} has no runtime {only!r}: it has {', '.join(runtimes)}")
        runtimes = runtimes if only is None else [only]
        for runtime in runtimes:
            _measure_runtime(role, runtime, description, test, work, target / role / runtime)
    except MapgateError as error:
        raise type(error)(f"{role}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return {
        "runtimes": runtimes,
        "architecture": description.architecture,
        "classes": [entry.model_dump() for entry in description.classes],
        "model_sha256": digest_of([archive]),
    }


def _measure_runtime(
    role: str, runtime: str, description: ModelDescription, test: Path, work: Path, target: Path
) -> None:
    """Write `detections.npz` and `timings.json`: what one server did with the test set."""
    precision = description.runtimes[runtime].precisions[0]
    log_name = f"{role} on {runtime} {precision}"
    print(f"{log_name}: starting the server", flush=True)
    with running_server(work, {"MAPGATE_RUNTIME": runtime, "MAPGATE_PRECISION": precision}) as server:
        print(f"{log_name}: ready after {server.load_seconds:.1f} s", flush=True)
        latencies = _latencies(server, test)
        answers, seconds = _answers(server, test, log_name)
    timings = {
        "images": len(answers),
        "images_per_second": round(len(answers) / seconds, 3),
        "latency_milliseconds": {
            name: round(float(np.percentile(latencies, at)) * 1000, 3)
            for name, at in (("p50", 50), ("p90", 90), ("p99", 99))
        },
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


def _latencies(server: ServerProcess, test: Path) -> list[float]:
    """Give the seconds of each of the first requests, one after the other, after a few that do not count."""
    images = list(islice(read_images(test), LATENCY_IMAGES))
    for image in images[:WARM_UP_IMAGES]:
        _answer(server, image)
    latencies = []
    for image in images:
        started = time.monotonic()
        _answer(server, image)
        latencies.append(time.monotonic() - started)
    return latencies


def _answers(server: ServerProcess, test: Path, log_name: str) -> tuple[list[dict[str, Any]], float]:
    """Give the answer to each image, in the images' order, and the seconds that all of them took."""
    answers: list[dict[str, Any]] = []
    started = reported = time.monotonic()
    for answer in _ask_side_by_side(server, read_images(test)):
        answers.append(answer)
        if time.monotonic() - reported > 2:
            reported = time.monotonic()
            rate = len(answers) / (reported - started)
            print(f"{log_name}: images={len(answers)} images_per_second={rate:.1f}", flush=True)
    if not answers:
        raise DataError(f"{test}: the shards hold no image; give a data set with test images")
    return answers, time.monotonic() - started


def _ask_side_by_side(server: ServerProcess, images: Iterable[EncodedImage]) -> Iterator[dict[str, Any]]:
    """Keep the clients busy, hold few images in memory, and give the answers in the images' order."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        ahead: deque[Future[dict[str, Any]]] = deque()
        for image in images:
            ahead.append(clients.submit(_answer, server, image))
            if len(ahead) > 2 * CLIENTS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _answer(server: ServerProcess, image: EncodedImage) -> dict[str, Any]:
    status, body = server.ask(image.encoded)
    if status == 200:
        answer: dict[str, Any] = json.loads(body)
        return answer | {"source_id": image.source_id}
    sentence = f"test image {image.source_id!r} was answered with {status}: {body[:300].decode(errors='replace')}"
    raise BadInputError(sentence) if 400 <= status < 500 else MeasurementError(sentence)


def _arrays(answers: list[dict[str, Any]], ids: list[int]) -> dict[str, NDArray[Any]]:
    """The answers to I images with M detections in all; a class in an answer is its position in the sorted `ids`.

    Returns:
        `image_index` int32 [M], the image's position in the test set; `boxes` float32 [M, 4], ymin, xmin, ymax, xmax as
        fractions; `scores` float32 [M]; `classes` int32 [M], ids of the label map; `images`, I; `source_ids` str [I].
    """
    counts = [len(answer["scores"]) for answer in answers]
    corners = np.array([box for answer in answers for box in answer["normalized_boxes"]], np.float32).reshape(-1, 4)
    indices = np.array([index for answer in answers for index in answer["classes"]], np.intp)
    return {
        "image_index": np.repeat(np.arange(len(answers), dtype=np.int32), counts),
        "boxes": np.ascontiguousarray(corners[:, [1, 0, 3, 2]]),
        "scores": np.array([score for answer in answers for score in answer["scores"]], np.float32),
        "classes": np.array(ids, np.int32)[indices],
        "images": np.array(len(answers), np.int64),
        "source_ids": np.array([answer["source_id"] for answer in answers], np.str_),
    }
