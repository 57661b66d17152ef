# SPDX-License-Identifier: Apache-2.0
"""With real weights, on real photographs, every form of a model finds what TensorFlow finds."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from inference_src.detections import Detections as Answer
from inference_src.model import read_description
from inference_src.runtimes import Detector, load_detector
from tests.training_src.export.conftest import write_split
from training_src.data.label_map import read_label_map
from training_src.evaluation.boxes import Detections, GroundTruth, intersection_over_union
from training_src.evaluation.coco import evaluate
from training_src.evaluation.parity import compare
from training_src.export.artifact import write_untrained
from training_src.models.architectures import build_detector
from training_src.models.checkpoints.checkpoint import restore
from training_src.models.config.pipeline import load
from training_src.training.records import Records

if TYPE_CHECKING:
    from tests.conftest import MadeOnce, OpenImages

Frames = dict[str, NDArray[np.uint8]]
Export = Callable[[str, Records | None], Path]
FRAMES = Path(__file__).resolve().parents[2] / "data" / "urban_frames"
SOFT, AGNOSTIC = "soft_nms_sigma: 0.5", "use_class_agnostic_nms: true"


@pytest.fixture(scope="module")
def export(open_images: OpenImages, made_once: MadeOnce, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Export the detector with another suppression; given images, with an int8 form that is calibrated on them."""

    def exported(suppression: str, calibration: Records | None) -> Path:
        def make(folder: Path) -> None:
            config = tmp_path_factory.mktemp("config") / "pipeline.config"
            text = (open_images.folder / "pipeline.config").read_text()
            config.write_text(text.replace("batch_non_max_suppression {", "batch_non_max_suppression { " + suppression))
            description = load(config, 23)
            detector = build_detector(description.config.model)
            restore(detector.variables(), open_images.folder, "full")
            labels = read_label_map(open_images.folder / "label_map.pbtxt")
            with contextlib.redirect_stdout(io.StringIO()):
                write_untrained(folder, detector, labels, "open-images", description.text(), calibration)

        return made_once(f"open-images-artifact {suppression}", make)

    return exported


@pytest.fixture(scope="module")
def artifact(export: Export, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector in each runtime's form; the int8 form is calibrated on the photographs."""
    split = tmp_path_factory.mktemp("validation")
    write_split(split, [file.read_bytes() for file in sorted(FRAMES.glob("*.jpg"))], 640, 640)
    return export("", Records(split))


def loaded(artifact: Path, name: str) -> Detector:
    form = read_description(artifact).runtimes[name]
    return load_detector(name, artifact / form.path, form.precisions[0], 1, form.suppression)


def found(detector: Detector, frames: Frames) -> tuple[list[Answer], Detections]:
    """What a runtime detects in the photographs: its answers, and as the evaluation takes them."""
    answers = [detector.detect(image, further=True) for image in frames.values()]
    columns = ([getattr(answer, name) for answer in answers] for name in ("boxes", "scores", "classes"))
    return answers, Detections.from_images(*columns)


def assert_equal_runtimes(artifact: Path, frames: Frames) -> None:
    """The same anchors and classes, and so the same detections, in an order that only rounding changes."""
    (answers, reference), (others, other) = (
        found(loaded(artifact, name), frames) for name in ("tensorflow", "openvino")
    )
    parity = compare(reference, other, len(frames))
    assert parity.compared > 100
    assert parity.matched == 1.0
    assert parity.greatest_score_difference < 1e-4
    assert parity.least_iou > 0.999
    for one, two in zip(answers, others, strict=True):
        ours, theirs = by_anchor(one), by_anchor(two)
        assert ours.keys() == theirs.keys()
        for key, scores in ours.items():
            np.testing.assert_allclose(scores, theirs[key], atol=1e-4)


def by_anchor(answer: Answer) -> dict[tuple[int, int], NDArray[np.float32]]:
    """The scores of all classes of each detection, by its anchor and class."""
    assert answer.anchor_indices is not None and answer.multiclass_scores is not None
    keys = zip(answer.anchor_indices[: answer.count].tolist(), answer.classes.tolist(), strict=False)
    return dict(zip(keys, answer.multiclass_scores, strict=False))


def test_openvino_finds_what_tensorflow_finds(artifact: Path, street_frames: Frames) -> None:
    assert_equal_runtimes(artifact, street_frames)


@pytest.mark.parametrize("suppression", [SOFT, pytest.param(f"{SOFT} {AGNOSTIC}", marks=pytest.mark.verify)])
def test_so_it_does_where_suppression_comes_behind_it(export: Export, street_frames: Frames, suppression: str) -> None:
    assert_equal_runtimes(export(suppression, None), street_frames)


def test_mean_average_precision_is_the_same(artifact: Path, street_frames: Frames) -> None:
    answers, reference = found(loaded(artifact, "tensorflow"), street_frames)
    # What was seen clearly is what there is, but for every fifth box: so there is precision to lose.
    clear = [np.flatnonzero(answer.scores > 0.3)[np.arange((answer.scores > 0.3).sum()) % 5 > 0] for answer in answers]
    truth = GroundTruth.from_images(
        [image.shape[:2] for image in street_frames.values()],
        [answer.boxes[kept] for answer, kept in zip(answers, clear, strict=True)],
        [answer.classes[kept] for answer, kept in zip(answers, clear, strict=True)],
    )
    names = {each.id: each.name for each in read_description(artifact).classes}
    ours, theirs = (
        evaluate(truth, every, names).values["mAP"]
        for every in (reference, found(loaded(artifact, "openvino"), street_frames)[1])
    )
    assert ours is not None and theirs is not None
    assert 0.3 < ours < 1
    assert abs(ours - theirs) < 1e-4


def test_nobody_is_told_more_than_he_asked_for(artifact: Path, street_frames: Frames) -> None:
    for name in ("tensorflow", "openvino"):
        answer = loaded(artifact, name).detect(next(iter(street_frames.values())))
        assert (answer.anchor_indices, answer.multiclass_scores) == (None, None)


def test_int8_finds_what_tensorflow_finds(artifact: Path, street_frames: Frames) -> None:
    (_, reference), (_, other) = (
        found(loaded(artifact, name), street_frames) for name in ("tensorflow", "openvino-int8")
    )
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
