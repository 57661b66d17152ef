# SPDX-License-Identifier: Apache-2.0
"""Suppression as TensorFlow does it: in OpenVINO's operations, and where these cannot, by who serves, behind them."""

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from openvino import CompiledModel
from openvino import opset13 as ops

from inference_src import suppression as module
from inference_src.model import read_description
from inference_src.runtimes import load_detector
from inference_src.suppression import Scored, Suppression, suppress
from tests.training_src.export.conftest import COUNT, export_random_weights, picture
from training_src.export import openvino_suppression
from training_src.export.artifact import OPENVINO
from training_src.export.openvino_core import core
from training_src.export.openvino_suppression import named, suppressed
from training_src.models.config.post_processing import BatchNonMaxSuppression
from training_src.models.non_max_suppression import non_max_suppression
from training_src.training.records import Records

CLASSES, NUMBER = 4, 200
CONFIG = BatchNonMaxSuppression(
    score_threshold=0.1, iou_threshold=0.5, max_detections_per_class=3, max_total_detections=5
)
WINDOWS = ((0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 0.8, 1.0))
FORMS = {
    "soft": "soft_nms_sigma: 0.4",
    "agnostic": "use_class_agnostic_nms: true",
    "both": "use_class_agnostic_nms: true soft_nms_sigma: 0.1 change_coordinate_frame: false",
}
PADDED = "keep_aspect_ratio_resizer { min_dimension: 160 max_dimension: 160 pad_to_max_dimension: true }"
IMAGES = [
    *(picture(seed) for seed in range(COUNT)),
    *(np.random.default_rng(size).integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((90, 400), (33, 7))),
]
Find = Callable[[NDArray[np.uint8]], dict[str, NDArray[np.float32]]]
FIXED = "fixed_shape_resizer { height: 160 width: 160 }"


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**31),
    number=st.integers(1, 50),
    own_boxes=st.booleans(),
    ties=st.booleans(),
    config=st.builds(
        BatchNonMaxSuppression,
        score_threshold=st.sampled_from([0.0, 0.2, 0.99]),
        iou_threshold=st.sampled_from([0.4, 0.6]),
        max_detections_per_class=st.integers(1, 8),
        max_total_detections=st.integers(1, 30),
        use_class_agnostic_nms=st.booleans(),
        soft_nms_sigma=st.sampled_from([0.0, 0.005, 0.1, 0.5]),
        change_coordinate_frame=st.booleans(),
    ),
    window=st.sampled_from(WINDOWS),
    best_pairs=st.sampled_from([4, 1024]),
)
def test_numpy_keeps_what_tensorflow_keeps_in_its_order(
    seed: int,
    number: int,
    own_boxes: bool,
    ties: bool,
    config: BatchNonMaxSuppression,
    window: tuple[float, ...],
    best_pairs: int,
) -> None:
    rng = np.random.default_rng(seed)
    shape = (CLASSES if own_boxes else 1, number, 2)
    corners = rng.integers(0, 6, shape) / 10 if ties else rng.random(shape)
    sizes = rng.integers(0, 5, shape) / 8 if ties else rng.random(shape) / 2
    boxes = np.concatenate([corners, corners + sizes], -1).astype(np.float32)
    scores = (rng.integers(0, 8, (CLASSES, number)) / 7 if ties else rng.random((CLASSES, number))).astype(np.float32)
    limits = np.array(window, np.float32)
    expected = non_max_suppression(config, boxes.transpose(1, 0, 2)[None], scores.T[None], limits[None])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BEST_PAIRS", best_pairs)
        found = suppress(numbers(config), Scored(boxes, scores, limits), scores.T)

    assert found.count == expected.count[0]
    np.testing.assert_array_equal(found.anchor_indices, expected.indices[0])
    np.testing.assert_array_equal(found.classes[: found.count], expected.classes[0][: found.count] + 1)
    np.testing.assert_allclose(found.scores, expected.scores[0], rtol=1e-5)
    np.testing.assert_allclose(found.boxes, expected.boxes[0], rtol=1e-5)
    assert not found.classes[found.count :].any()
    of_classes = np.zeros((config.max_total_detections, CLASSES), np.float32)
    of_classes[: found.count] = scores.T[expected.indices[0][: found.count]]
    np.testing.assert_array_equal(found.multiclass_scores, of_classes)


def numbers(config: BatchNonMaxSuppression) -> Suppression:
    return Suppression(
        score_threshold=config.score_threshold,
        iou_threshold=config.iou_threshold,
        max_detections_per_class=config.max_detections_per_class,
        max_total_detections=config.max_total_detections,
        use_class_agnostic_nms=config.use_class_agnostic_nms,
        soft_nms_sigma=config.soft_nms_sigma,
        change_coordinate_frame=config.change_coordinate_frame,
        class_ids=list(range(1, CLASSES + 1)),
    )


@cache
def compiled(own_boxes: bool, frame: bool) -> CompiledModel:
    """OpenVINO's suppression of 200 boxes, for at most 5 detections, of which it looks at the best 40 first."""
    config = CONFIG if frame else replace(CONFIG, change_coordinate_frame=False)
    shapes = {
        "boxes": [CLASSES if own_boxes else 1, NUMBER, 4],
        "scores": [1, NUMBER, CLASSES],
        "window": [1, 4],
        "all_scores": [1, NUMBER, CLASSES],
    }
    parameters = [ops.parameter(shape, np.float32, name=f"given_{name}") for name, shape in shapes.items()]
    # What scores are of all, so that no input is an output as it stands.
    results = [
        named(ops.multiply(each, ops.constant(np.float32(1))), name)
        for each, name in zip(parameters, shapes, strict=True)
    ]
    model = suppressed(ov.Model(results, parameters, "given"), config, list(range(1, CLASSES + 1)))
    assert any(node.get_type_name() == "If" for node in model.get_ops()) is not own_boxes
    return core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**31),
    own_boxes=st.booleans(),
    frame=st.booleans(),
    spread=st.sampled_from([0.01, 0.1, 0.9]),
    steps=st.sampled_from([0, 3, 12]),
    share=st.sampled_from([0.02, 0.5, 1.0]),
)
def test_openvino_keeps_what_tensorflow_keeps(
    seed: int, own_boxes: bool, frame: bool, spread: float, steps: int, share: float
) -> None:
    """Boxes that nearly all overlap, equal scores and few above the threshold: also where the best are not enough."""
    rng = np.random.default_rng(seed)
    corners = rng.random((CLASSES if own_boxes else 1, NUMBER, 2)) * spread
    boxes = np.concatenate([corners, corners + 0.3 + 0.1 * rng.random(corners.shape)], -1).astype(np.float32)
    scores = rng.random((NUMBER, CLASSES)) * (rng.random((NUMBER, CLASSES)) < share)
    scores = (np.round(scores * steps) / steps if steps else scores).astype(np.float32)
    window = np.array([0, 0, 0.8, 1], np.float32)
    config = CONFIG if frame else replace(CONFIG, change_coordinate_frame=False)
    expected = non_max_suppression(config, boxes.transpose(1, 0, 2)[None], scores[None], window[None])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino_suppression, "BEST_BOXES", 40)
        found = compiled(own_boxes, frame)([boxes, scores[None], window[None], scores[None]])

    count = int(expected.count[0])
    assert found["num_detections"][0] == count
    np.testing.assert_array_equal(found["detection_anchor_indices"], expected.indices)
    np.testing.assert_array_equal(found["detection_classes"][0, :count], expected.classes[0, :count] + 1)
    np.testing.assert_array_equal(found["detection_scores"], expected.scores)
    np.testing.assert_allclose(found["detection_boxes"], expected.boxes, atol=1e-6)
    rows = expected.indices[0, :count].numpy()
    np.testing.assert_array_equal(found["detection_multiclass_scores"][0, :count], scores[rows])
    assert not found["detection_classes"][0, count:].any()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("soft", PADDED), id="soft"),
        pytest.param(("agnostic", FIXED), id="agnostic", marks=pytest.mark.verify),
        pytest.param(("both", PADDED), id="both"),
    ],
)
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the suppression is to do, and a model of it."""
    form, resizer = request.param
    folder: Path = tmp_path_factory.mktemp(form)
    export_random_weights(folder, resizer, suppression=FORMS[form])
    return form, folder


@pytest.fixture(scope="module")
def saved_model(artifact: tuple[str, Path]) -> Find:
    loaded = tf.saved_model.load(str(artifact[1] / "1"))
    serve = loaded.signatures["serving_default"]
    return lambda image: {name: value.numpy() for name, value in serve(input_tensor=tf.constant(image[None])).items()}


def test_the_description_says_what_is_to_be_done_behind_the_network(artifact: tuple[str, Path]) -> None:
    form, folder = artifact
    runtimes = json.loads((folder / "model.json").read_text())["runtimes"]
    told = runtimes["openvino"]["suppression"]
    assert told["class_ids"] == [1, 2, 4]
    assert told["use_class_agnostic_nms"] is (form != "soft")
    assert told["soft_nms_sigma"] == {"soft": 0.4, "agnostic": 0.0, "both": 0.1}[form]
    assert "suppression" not in runtimes["tensorflow"]


# Random weights give many boxes nearly equal scores, where a last bit decides which box lowers the others. So networks
# and suppressions are compared each by itself; with real weights `test_open_images.py` compares them together.
def test_the_file_ends_at_what_tensorflow_suppresses(artifact: tuple[str, Path], saved_model: Find) -> None:
    model = core().compile_model(artifact[1] / OPENVINO, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for image in IMAGES:
        ours, theirs = model([image[None]]), saved_model(image)
        np.testing.assert_allclose(ours["boxes"], theirs["raw_detection_boxes"], atol=1e-4)
        np.testing.assert_allclose(ours["all_scores"], theirs["raw_detection_scores"], atol=1e-5)
        scores = theirs["raw_detection_scores"][..., [1, 2, 4]]
        np.testing.assert_allclose(ours["scores"], scores, atol=1e-5)


def test_its_numbers_give_what_tensorflow_detects(artifact: tuple[str, Path], saved_model: Find) -> None:
    form, folder = artifact
    config = read_description(folder).runtimes["openvino"].suppression
    assert config is not None
    for image in IMAGES:
        answer = {name: value[0] for name, value in saved_model(image).items()}
        all_scores, (height, width) = answer["raw_detection_scores"], image.shape[:2]
        # As `keep_aspect_ratio_resizer` rounds it.
        shape = [round(side * 160 / max(height, width)) / 160 for side in (height, width)]
        window = np.array([0, 0, *(shape if form != "agnostic" else [1, 1])], np.float32)
        scored = Scored(answer["raw_detection_boxes"][None], all_scores[:, [1, 2, 4]].T, window)
        found = suppress(config, scored, all_scores)
        assert found.count == answer["num_detections"] > 10
        for name in ("boxes", "scores", "classes", "anchor_indices", "multiclass_scores"):
            np.testing.assert_allclose(getattr(found, name), answer[f"detection_{name}"], atol=1e-6, err_msg=name)


def test_int8_ends_there_too(validation: Records, tmp_path: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        export_random_weights(tmp_path, FIXED, validation, FORMS["soft"])
    runtimes = read_description(tmp_path).runtimes
    assert runtimes["openvino-int8"].suppression == runtimes["openvino"].suppression is not None
    exact, rounded = (
        load_detector(name, tmp_path / runtimes[name].path, precision, 1, runtimes[name].suppression)
        for name, precision in (("openvino", "f32"), ("openvino-int8", "int8"))
    )
    found = exact.detect(picture(0)).scores
    np.testing.assert_allclose(rounded.detect(picture(0)).scores, found, atol=0.05)
    assert found[0] > 0.1
