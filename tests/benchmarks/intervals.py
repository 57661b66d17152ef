# SPDX-License-Identifier: Apache-2.0
"""What an evaluation of 5,000 images, 80 classes and 500,000 detections costs: intervals of all that rules can name.

The challenger in two runtimes and the champion in its own are evaluated; what will be served and the champion are
resampled 1,000 times by the same draws, as is each slice of a column; and the recall of ten classes at a precision. The
work is done in processes of their own, whose CPU time and peak memory are set against the bounds that it must keep.
"""

from __future__ import annotations

import multiprocessing
import resource
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.ratio import Row
from training_src.evaluation.bootstrap import bootstrap, recall_at_precision, weighted
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.coco import evaluate
from training_src.evaluation.matches import match

IMAGES, CLASSES, BOXES, DETECTIONS, SLICES = 5_000, 80, 36, 100, 4
# Both for the whole.
CPU_SECONDS, MEGABYTES = 180.0, 1536.0
LABELS = {number + 1: f"class_{number + 1}" for number in range(CLASSES)}


def run() -> list[Row]:
    """The work once, and a single model's point values once, to compare with."""
    values, megabytes = _measured(_point_values)
    seconds, most = _measured(_everything)
    return [
        Row("intervals of all metrics, two models", "one evaluation", seconds / values, "times its CPU seconds"),
        Row("intervals of all metrics, two models", "one evaluation", most / megabytes, "times its peak memory"),
        Row("intervals of all metrics, two models", "180 s of CPU", seconds / CPU_SECONDS, "of it spent"),
        Row("intervals of all metrics, two models", "1.5 GB", most / MEGABYTES, "of it at the peak"),
    ]


def _measured(work: Any) -> tuple[float, float]:
    """CPU seconds, of user and system, and peak megabytes of a process that does the work."""
    parent, child = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_report, args=(work, child))
    process.start()
    seconds, megabytes = parent.recv()
    process.join()
    return float(seconds), float(megabytes)


def _report(work: Any, pipe: Any) -> None:
    truth, found = ground_truth(), [detections(seed) for seed in range(3)]
    before = _cpu_seconds()
    work(truth, found)
    pipe.send((_cpu_seconds() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _point_values(truth: GroundTruth, found: list[Detections]) -> None:
    evaluate(truth, found[0], LABELS)


def _everything(truth: GroundTruth, found: list[Detections]) -> None:
    for one in found:
        evaluate(truth, one, LABELS)
    challenger, champion = (match(truth, one, LABELS) for one in found[1:])
    resampled = bootstrap(challenger)
    weighted(champion, resampled.draws)
    for part in range(SLICES):
        weighted(challenger.subset(np.arange(IMAGES) % SLICES == part), resampled.draws, sizes=("all",))
    for number in range(1, 11):
        recall_at_precision(challenger.classes[number], 0.9, resampled.draws)


def ground_truth() -> GroundTruth:
    """Boxes of 2 to 40 % of their images' sides, one in a hundred a crowd."""
    random = np.random.default_rng(0)
    index = np.repeat(np.arange(IMAGES), BOXES)
    classes = random.integers(1, CLASSES + 1, len(index))
    sizes = np.tile([[480, 640]], (IMAGES, 1))
    return GroundTruth(sizes, index, _boxes(random, len(index)), classes, random.random(len(index)) < 0.01)


def detections(seed: int) -> Detections:
    """Seven of ten boxes, a little beside them, and false alarms that are less sure, a hundred an image."""
    truth, random = ground_truth(), np.random.default_rng(seed + 1)
    seen = random.random(len(truth.boxes)) < 0.7
    extents = np.diff(truth.boxes[seen].reshape(-1, 2, 2), axis=1)[:, 0]
    near = np.clip(truth.boxes[seen] + random.normal(0, 0.06, (len(extents), 4)) * np.tile(extents, 2), 0, 1)
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
    alarms = IMAGES * DETECTIONS - len(near)
    index = np.concatenate([truth.image_index[seen], random.integers(0, IMAGES, alarms)])
    classes = np.concatenate([truth.classes[seen], random.integers(1, CLASSES + 1, alarms)])
    scores = np.concatenate([random.beta(4, 2, len(near)), random.beta(1, 6, alarms)])
    order = np.lexsort((-scores, index))
    boxes = np.vstack([near, _boxes(random, alarms)])
    return Detections(index[order], boxes[order], scores[order], classes[order])


def _boxes(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    corner = random.uniform(0, 0.7, (count, 2))
    extent = np.exp(random.uniform(np.log(0.02), np.log(0.4), (count, 2)))
    return np.hstack([corner, np.minimum(corner + extent, 1)])
