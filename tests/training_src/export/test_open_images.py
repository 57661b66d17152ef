# SPDX-License-Identifier: Apache-2.0
"""With real weights, on real photographs, every form of a model finds what TensorFlow finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.training_src.export.conftest import write_split
from training_src.data.label_map import read_label_map
from training_src.evaluation.boxes import Detections, intersection_over_union
from training_src.evaluation.parity import compare
from training_src.export.artifact import OPENVINO, OPENVINO_INT8, SAVED_MODEL, Provenance, write_artifact
from training_src.export.openvino_core import core
from training_src.models.architectures import build_detector
from training_src.models.checkpoints.checkpoint import restore
from training_src.models.config.pipeline import load
from training_src.training.records import Records

if TYPE_CHECKING:
    from tests.conftest import MadeOnce, OpenImages

Frames = dict[str, NDArray[np.uint8]]
Answer = dict[str, NDArray[np.float32]]
Find = Callable[[NDArray[np.uint8]], Answer]
OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes")
FRAMES = Path(__file__).resolve().parents[2] / "data" / "urban_frames"


@pytest.fixture(scope="module")
def artifact(open_images: OpenImages, made_once: MadeOnce, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector in each runtime's form; the int8 form is calibrated on the photographs."""

    def make(folder: Path) -> None:
        description = load(open_images.folder / "pipeline.config", 23)
        detector = build_detector(description.config.model)
        restore(detector.variables(), open_images.folder, "full")
        labels = read_label_map(open_images.folder / "label_map.pbtxt")
        split = tmp_path_factory.mktemp("validation")
        write_split(split, [file.read_bytes() for file in sorted(FRAMES.glob("*.jpg"))], 640, 640)
        provenance = Provenance("open-images", description.text(), "0" * 64, 0, 17, "f" * 16, 0, [])
        write_artifact(folder, detector, labels, provenance, Records(split))

    return made_once("open-images-artifact", make)


@pytest.fixture(scope="module")
def tensorflow(artifact: Path) -> Find:
    serve = tf.saved_model.load(str(artifact / SAVED_MODEL)).signatures["serving_default"]
    return lambda image: {name: value.numpy() for name, value in serve(input_tensor=tf.constant(image[None])).items()}


def openvino(model: Path) -> Find:
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda image: {name: compiled({"input_tensor": image[None]})[name] for name in OUTPUTS}


def found(find: Find, frames: Frames) -> Detections:
    """What a runtime detects in the photographs, as the evaluation takes it."""
    answers = [find(image) for image in frames.values()]
    index = np.repeat(np.arange(len(answers)), [len(answer["detection_scores"][0]) for answer in answers])
    boxes, scores, classes = (np.concatenate([answer[name][0] for answer in answers]) for name in OUTPUTS)
    return Detections(index, boxes.astype(np.float64), scores.astype(np.float64), classes.astype(np.int64))


def test_openvino_finds_what_tensorflow_finds(artifact: Path, tensorflow: Find, street_frames: Frames) -> None:
    parity = compare(found(tensorflow, street_frames), found(openvino(artifact / OPENVINO), street_frames), 3)
    assert parity.compared > 100
    assert parity.matched == 1.0
    assert parity.greatest_score_difference < 1e-4
    assert parity.least_iou > 0.999


def test_int8_finds_what_tensorflow_finds(artifact: Path, tensorflow: Find, street_frames: Frames) -> None:
    reference, other = (found(find, street_frames) for find in (tensorflow, openvino(artifact / OPENVINO_INT8)))
    plain = np.flatnonzero(reference.scores > 0.35)
    assert len(plain) > 20
    alike = (reference.image_index[plain, None] == other.image_index) & (
        reference.classes[plain, None] == other.classes
    )
    overlap = intersection_over_union(reference.boxes[plain], other.boxes) * alike
    differences = np.abs(reference.scores[plain] - other.scores[overlap.argmax(axis=1)])
    # Rounding to eight bits moves a box by a pixel or two of 300, and a score by hundredths.
    assert (overlap.max(axis=1).min() > 0.7, overlap.max(axis=1).mean() > 0.85) == (True, True)
    assert (differences.max() < 0.05, differences.mean() < 0.02) == (True, True)
