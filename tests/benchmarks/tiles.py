# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.benchmarks.tiles MODEL SCENES`: what windows beside the whole picture gain, and what they cost.

Labelled pictures of a test split, whose objects the model knows, are set together into large ones, as a camera of more
pixels would show a wider view: what was large enough for the network in one of them is small in all of them.

Args:
    MODEL: A training's model.tar.gz.
    SCENES: Pascal VOC, with `ImageSets/Main/test.txt`; after `make demo` it is `.mapgate/demo/scenes`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from containers.contract.archive import extract
from inference_src.detections import Detections as Found
from inference_src.images import Image, decode_image
from inference_src.model import read_description
from inference_src.runtimes import Detector, load_detector
from inference_src.tiles import detect_in_tiles
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.coco import CocoMetrics, evaluate

SIDE = 3
"""Scenes side by side, and below one another, in one picture."""
GRIDS = ((0, 0), (2, 2), (3, 3), (4, 4))


@dataclass(frozen=True)
class Picture:
    """A picture with its labels: boxes [N, 4] as ymin, xmin, ymax, xmax in fractions, classes [N]."""

    image: Image
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]


def main() -> None:
    """Print a table of metrics and seconds of CPU by windows."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tiles", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("scenes", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mapgate-tiles-") as folder:
        extract(options.model, Path(folder) / "model")
        description = read_description(Path(folder) / "model")
        names = {entry.id: entry.name for entry in description.classes}
        detector = load_detector("openvino", Path(folder) / "model" / description.runtimes["openvino"].path, "f32", 1)
        scenes = list(_scenes(options.scenes, {name: number for number, name in names.items()}))
    pictures = list(_mosaics(scenes))
    table = Table("pictures", "windows", "mAP", "mAP_small", "mAP_medium", "AR_100", "CPU ms a picture")
    _add(table, f"{len(scenes)} scenes", scenes, detector, (0, 0), names)
    for grid in GRIDS:
        _add(table, f"{len(pictures)} of {SIDE} x {SIDE} scenes", pictures, detector, grid, names)
    Console().print(table)


def _add(
    table: Table, what: str, pictures: list[Picture], detector: Detector, grid: tuple[int, int], names: dict[int, str]
) -> None:
    begun = time.process_time()
    found = [detect_in_tiles(each.image, detector.detect, *grid) for each in pictures]
    milliseconds = (time.process_time() - begun) / len(pictures) * 1000
    metrics = _metrics(pictures, found, names)
    values = [metrics[name] for name in ("mAP", "mAP_small", "mAP_medium", "AR_100")]
    windows = f"{grid[0]} x {grid[1]}" if grid[0] else "none"
    table.add_row(what, windows, *(f"{value:.3f}" for value in values if value is not None), f"{milliseconds:.0f}")


def _scenes(folder: Path, ids: dict[str, int]) -> Iterator[Picture]:
    for stem in (folder / "ImageSets" / "Main" / "test.txt").read_text().split():
        image = decode_image((folder / "JPEGImages" / f"{stem}.jpg").read_bytes())
        tree = ElementTree.parse(folder / "Annotations" / f"{stem}.xml")
        height, width = image.shape[:2]
        boxes, classes = [], []
        for entry in tree.iterfind("object"):
            corners = [float(entry.findtext(f"bndbox/{name}", "")) for name in ("ymin", "xmin", "ymax", "xmax")]
            boxes.append(np.array(corners) / [height, width, height, width])
            classes.append(ids[entry.findtext("name", "")])
        yield Picture(image, np.array(boxes, np.float32).reshape(-1, 4), np.array(classes, np.int64))


def _mosaics(scenes: list[Picture]) -> Iterator[Picture]:
    for start in range(0, len(scenes) - SIDE * SIDE + 1, SIDE * SIDE):
        rows = [scenes[start + row * SIDE :][:SIDE] for row in range(SIDE)]
        image = np.concatenate([np.concatenate([each.image for each in row], axis=1) for row in rows])
        boxes = [
            (each.boxes + np.array([y, x, y, x])) / SIDE for y, row in enumerate(rows) for x, each in enumerate(row)
        ]
        classes = [each.classes for row in rows for each in row]
        yield Picture(np.ascontiguousarray(image), np.concatenate(boxes).astype(np.float32), np.concatenate(classes))


def _metrics(pictures: list[Picture], found: list[Found], names: dict[int, str]) -> CocoMetrics:
    truth = GroundTruth.from_images(
        sizes=[each.image.shape[:2] for each in pictures],
        boxes=[each.boxes for each in pictures],
        classes=[each.classes for each in pictures],
        ignored=[np.zeros(len(each.classes), bool) for each in pictures],
    )
    detections = Detections.from_images(
        [each.boxes[: each.count] for each in found],
        [each.scores[: each.count] for each in found],
        [each.classes[: each.count] for each in found],
    )
    return evaluate(truth, detections, names)


if __name__ == "__main__":
    main()
