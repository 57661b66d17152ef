# SPDX-License-Identifier: Apache-2.0
"""Labelled images as the preparation writes them, artifacts of random weights, and real weights on photographs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from containers.contract.tfrecord import write_record
from tests.conftest import MadeOnce
from training_src.data.label_map import LabelMap, read_label_map
from training_src.data.records.example import DetectionExample, encode
from training_src.export.artifact import Provenance, write_artifact
from training_src.export.litert_parity import float32_detections
from training_src.export.litert_run import Found
from training_src.models.architectures import build_detector
from training_src.models.checkpoints.checkpoint import restore
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import CONFIGS, PipelineConfig, load
from training_src.models.ssd import SsdDetector
from training_src.text_format import parse
from training_src.training.records import Records

if TYPE_CHECKING:
    from tests.conftest import OpenImages

COUNT = 6
LABELS = LabelMap({1: "vehicle", 2: "pedestrian", 4: "cyclist"})


def picture(seed: int) -> NDArray[np.uint8]:
    """Blurred noise: smooth like a photograph, each another."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (200, 150), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture(scope="session")
def validation_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of a few images."""
    folder: Path = tmp_path_factory.mktemp("validation")
    write_split(folder, [cv2.imencode(".jpg", picture(index))[1].tobytes() for index in range(COUNT)], 200, 150)
    return folder


def write_split(folder: Path, pictures: Sequence[bytes], width: int, height: int) -> None:
    """Write pictures without boxes, all of one size in pixels, as the preparation writes a validation split."""
    none = np.zeros(0, np.int64)
    with (folder / "validation-00000-of-00001.tfrecord").open("wb") as stream:
        for index, encoded in enumerate(pictures):
            example = DetectionExample(
                source_id=str(index),
                filename=f"{index}.jpg",
                encoded=encoded,
                format="jpeg",
                width=width,
                height=height,
                boxes=np.zeros((0, 4), np.float32),
                labels=none,
                names=(),
                difficult=none,
                truncated=none,
                crowd=none,
            )
            write_record(stream, encode(example))


@pytest.fixture(scope="session")
def validation(validation_folder: Path) -> Records:
    return Records(validation_folder)


@pytest.fixture(scope="session")
def calibrated_artifact(validation: Records, made_once: MadeOnce) -> Path:
    """An artifact with each runtime, and what was said in `said.txt`."""

    def make(folder: Path) -> None:
        with (folder / "said.txt").open("w") as said, contextlib.redirect_stdout(said):
            export_random_weights(folder, "fixed_shape_resizer { height: 160 width: 160 }", validation)

    return made_once("calibrated-artifact", make)


def export_random_weights(
    folder: Path, resizer: str, calibration: Records | None = None, suppression: str = ""
) -> None:
    """An artifact of a detector whose random weights give scores and boxes that differ from each other."""
    text = _config(resizer, suppression)
    provenance = Provenance("small", text, "0" * 64, 600, 17, "f" * 16, 540, [{"step": 1, "loss": 2.0}])
    write_artifact(folder, random_detector(resizer, suppression), LABELS, provenance, calibration)


def random_detector(resizer: str, suppression: str = "") -> SsdDetector:
    """The same detector."""
    keras.utils.set_random_seed(5)
    detector = build_detector(decode(PipelineConfig, parse(_config(resizer, suppression))).model)
    assert isinstance(detector, SsdDetector)
    rng = np.random.default_rng(5)
    for variable in detector.variables().values():
        if variable.name in ("beta", "moving_mean"):
            variable.assign(rng.normal(0, 0.3, variable.shape))
    return detector


def _config(resizer: str, suppression: str) -> str:
    text = (CONFIGS / "ssd_mobilenet_v2_fpnlite_160x160.config").read_text()
    text = text.replace("num_classes: 90", "num_classes: 4").replace("bias_init: -3.0", "bias_init: -2.0")
    text = text.replace("batch_non_max_suppression {", "batch_non_max_suppression { " + suppression)
    return re.sub(r"fixed_shape_resizer \{[^}]*\}", resizer, text)


@dataclass(frozen=True)
class Street:
    """Real weights, and photographs that are labelled with what the detector sees clearly in them.

    Attributes:
        photographs: Labelled as a person would: not quite where it sees it.
    """

    detector: SsdDetector
    labels: LabelMap
    photographs: Records


@pytest.fixture(scope="session")
def street(
    open_images: OpenImages, street_frames: dict[str, NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory
) -> Street:
    detector = restored(open_images)
    labels = read_label_map(open_images.folder / "label_map.pbtxt")
    return Street(detector, labels, labelled(detector, labels, list(street_frames.values()), tmp_path_factory))


def restored(open_images: OpenImages) -> SsdDetector:
    """The pre-trained detector with its own classes."""
    detector = build_detector(load(open_images.folder / "pipeline.config", 23).config.model)
    restore(detector.variables(), open_images.folder, "full")
    assert isinstance(detector, SsdDetector)
    return detector


def labelled(
    detector: SsdDetector, labels: LabelMap, frames: list[NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory
) -> Records:
    """Photographs with what the detector sees in them."""
    plain, folder = tmp_path_factory.mktemp("photographs"), tmp_path_factory.mktemp("labelled")
    write_found(plain, frames, None)
    write_found(folder, frames, float32_detections(detector, sorted(labels.names), Records(plain)))
    return Records(folder)


def write_found(folder: Path, frames: list[NDArray[np.uint8]], found: list[Found] | None) -> None:
    """Write photographs as a split; what was seen clearly in them is labelled, but for every fifth box."""
    with (folder / "validation-00000-of-00001.tfrecord").open("wb") as stream:
        for place, image in enumerate(frames):
            boxes, scores, classes = found[place] if found else (np.zeros((0, 4)), np.zeros(0), np.zeros(0))
            clear = np.flatnonzero(scores > 0.3)
            clear = clear[np.arange(len(clear)) % 5 > 0]
            flags = np.zeros(len(clear), np.int64)
            height, width = image.shape[:2]
            example = DetectionExample(
                source_id=str(place),
                filename=f"{place}.png",
                encoded=cv2.imencode(".png", image[..., ::-1])[1].tobytes(),
                format="png",
                width=width,
                height=height,
                boxes=_by_hand(boxes[clear], place),
                labels=classes[clear].astype(np.int64),
                names=tuple("" for _ in clear),
                difficult=flags,
                truncated=flags,
                crowd=flags,
            )
            write_record(stream, encode(example))


def _by_hand(boxes: NDArray[np.floating], seed: int) -> NDArray[np.float32]:
    """Each side moved by some per cent: nobody's boxes are the detector's own."""
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved = boxes + np.random.default_rng(seed).normal(0, 0.05, boxes.shape) * sides
    return np.asarray(np.clip(moved, 0.0, 1.0), np.float32)
