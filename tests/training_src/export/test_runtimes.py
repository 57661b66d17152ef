# SPDX-License-Identifier: Apache-2.0
"""Both runtimes of an artifact take the same image and find the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from openvino_telemetry.utils.opt_in_checker import (
    ConsentCheckResult,
    OptInChecker,
)

from tests.training_src.export.conftest import LABELS, export_random_weights
from training_src.data.label_map import read_label_map
from training_src.export.openvino_core import core
from training_src.export.openvino_model import convert
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import PipelineConfig
from training_src.text_format import parse
from training_src.training.records import Records, pixels

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
FURTHER_OUTPUTS = (
    "detection_anchor_indices",
    "detection_multiclass_scores",
    "raw_detection_boxes",
    "raw_detection_scores",
)
Image = NDArray[np.uint8]
Answer = dict[str, NDArray[np.float32]]
Runtime = Callable[[Image], Answer]


PADDED = "keep_aspect_ratio_resizer { min_dimension: 160 max_dimension: 160 pad_to_max_dimension: true }"


@pytest.fixture(scope="module", params=["fixed", "padded"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that resizes images to a square, and one that pads them."""
    if request.param == "fixed":
        return Path(request.getfixturevalue("calibrated_artifact"))
    folder = tmp_path_factory.mktemp("artifact")
    export_random_weights(folder, PADDED)
    return folder


@pytest.fixture(scope="module")
def tensorflow_runtime(artifact: Path) -> Runtime:
    loaded = tf.saved_model.load(str(artifact / "1"))
    serve = loaded.signatures["serving_default"]
    return lambda image: {name: value.numpy() for name, value in serve(input_tensor=tf.constant(image[None])).items()}


@pytest.fixture(scope="module")
def openvino_runtime(artifact: Path) -> Runtime:
    model = core().compile_model(
        artifact / "runtimes" / "openvino" / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )

    def answer(image: Image) -> Answer:
        results = model({"input_tensor": image[None]})
        return {name: results[name] for name in OUTPUTS}

    return answer


def assert_same_detections(ours: Answer, theirs: Answer, tolerance: float = 1e-3) -> None:
    """Each detection of one has its like in the other, but for those at the end whose scores tie with what was cut."""
    assert abs(ours["num_detections"][0] - theirs["num_detections"][0]) <= 1
    (boxes, scores, classes), (others, other_scores, other_classes) = (
        (answer["detection_boxes"][0], answer["detection_scores"][0], answer["detection_classes"][0])
        for answer in (ours, theirs)
    )
    np.testing.assert_allclose(scores, other_scores, atol=tolerance)
    count = int(ours["num_detections"][0])
    for box, score, number in zip(boxes[:count], scores[:count], classes[:count], strict=True):
        if score - scores[count - 1] < tolerance and count == len(boxes):
            continue
        alike = (
            (np.abs(others - box).max(axis=1) < tolerance)
            & (np.abs(other_scores - score) < tolerance)
            & (other_classes == number)
        )
        assert alike.any(), (box, score, number)


@pytest.mark.parametrize("size", [(160, 160), (90, 120), (481, 333), (33, 700)])
def test_runtimes_agree_on_random_images(
    tensorflow_runtime: Runtime, openvino_runtime: Runtime, size: tuple[int, int]
) -> None:
    image = np.random.default_rng(size).integers(0, 256, (*size, 3), dtype=np.uint8)
    ours, theirs = tensorflow_runtime(image), openvino_runtime(image)
    for name in OUTPUTS:
        assert ours[name].dtype == theirs[name].dtype == np.float32
        assert ours[name].shape == theirs[name].shape
    assert ours["num_detections"][0] > 10
    assert set(ours["detection_classes"].ravel().tolist()) <= {0.0, 1.0, 2.0, 4.0}
    assert_same_detections(ours, theirs)


def test_the_saved_model_gives_all_that_the_apis_exporter_does(tensorflow_runtime: Runtime) -> None:
    answer = tensorflow_runtime(np.random.default_rng(3).integers(0, 256, (120, 90, 3), dtype=np.uint8))
    assert set(answer) == {*OUTPUTS, *FURTHER_OUTPUTS}
    assert all(value.dtype == np.float32 for value in answer.values())
    count = int(answer["num_detections"][0])
    indices = answer["detection_anchor_indices"][0, :count].astype(int)
    scores = answer["raw_detection_scores"][0][indices]
    np.testing.assert_array_equal(answer["detection_multiclass_scores"][0, :count], scores)
    classes = answer["detection_classes"][0, :count].astype(int)
    np.testing.assert_array_equal(scores[np.arange(count), classes], answer["detection_scores"][0, :count])
    assert answer["raw_detection_boxes"].shape == (1, answer["raw_detection_scores"].shape[1], 4)


def test_runtimes_agree_on_pictures_as_smooth_as_photographs(
    tensorflow_runtime: Runtime, openvino_runtime: Runtime, validation: Records
) -> None:
    for example in validation:
        image = pixels(example)
        assert_same_detections(tensorflow_runtime(image), openvino_runtime(image))


def test_outputs_are_padded_with_zeros_and_sorted_by_score(openvino_runtime: Runtime) -> None:
    answer = openvino_runtime(np.zeros((64, 64, 3), np.uint8))
    assert answer["detection_boxes"].shape == (1, 100, 4)
    assert (np.diff(answer["detection_scores"][0]) <= 0).all()
    count = int(answer["num_detections"][0])
    assert (answer["detection_scores"][0, :count] > 0).all()
    for name in OUTPUTS[:3]:
        assert (answer[name][0, count:] == 0).all()
    boxes = answer["detection_boxes"][0, :count]
    assert (boxes >= 0).all()
    assert (boxes <= 1).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_the_artifact_says_what_it_is(artifact: Path) -> None:
    description: dict[str, Any] = json.loads((artifact / "model.json").read_text())
    # The int8 form is looked at beside the calibration.
    description["runtimes"].pop("openvino-int8", None)
    assert description == {
        "schema_version": 1,
        "architecture": "small",
        "input": {"height": 160, "width": 160},
        "classes": [{"id": 1, "name": "vehicle"}, {"id": 2, "name": "pedestrian"}, {"id": 4, "name": "cyclist"}],
        "dataset": {"sha256": "0" * 64},
        "pipeline_config": "pipeline.config",
        "training": {"steps": 600, "seed": 17, "fingerprint": "f" * 16, "best_step": 540},
        "initial_checkpoint": None,
        "seen": {"groups": {"train": [], "validation": []}, "unknown": []},
        "runtimes": {
            "tensorflow": {"path": "1", "precisions": ["f32"]},
            "openvino": {"path": "runtimes/openvino/model.xml", "precisions": ["f32"]},
        },
        "image_digest": None,
    }
    assert read_label_map(artifact / "label_map.pbtxt") == LABELS
    assert decode(PipelineConfig, parse((artifact / "pipeline.config").read_text())).model.family.num_classes == 4
    assert json.loads((artifact / "history.json").read_text()) == [{"step": 1, "loss": 2.0}]


def test_converting_tells_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "")
    consent = OptInChecker()
    answers = []

    def convert_nothing(*_: object, **__: object) -> ov.Model:
        # As openvino/tools/ovc/telemetry_utils.py asks it.
        answers.append(consent.check(enable_opt_in_dialog=False, disable_in_ci=True))
        return ov.Model([], [], "nothing")

    monkeypatch.setattr(ov, "convert_model", convert_nothing)
    convert(None)
    assert answers == [ConsentCheckResult.DECLINED]
