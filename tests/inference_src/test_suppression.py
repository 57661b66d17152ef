# SPDX-License-Identifier: Apache-2.0
"""Suppression by hand-made numbers, and a server that does it behind a network.

That it keeps what TensorFlow keeps, `tests/training_src/export/test_openvino_suppression.py` asks.
"""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from inference_src.errors import ModelError
from inference_src.runtimes import load_detector
from inference_src.suppression import Scored, Suppression, suppress
from tests.inference_src.conftest import CLASSES, Servers

NUMBERS: dict[str, Any] = {
    "score_threshold": 0.1,
    "iou_threshold": 0.5,
    "max_detections_per_class": 5,
    "max_total_detections": 4,
    "use_class_agnostic_nms": False,
    "soft_nms_sigma": 0.0,
    "change_coordinate_frame": True,
    "class_ids": [1, 2, 4],
}
WHOLE = np.array([0, 0, 1, 1], np.float32)
# The second covers four fifths of the first; the third lies elsewhere.
BOXES = np.array([[[0.1, 0.1, 0.5, 0.6], [0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]]], np.float32)
SCORES = np.array([[0.9, 0.0, 0.05], [0.0, 0.8, 0.0], [0.0, 0.0, 0.3]], np.float32)


def test_a_box_of_another_class_stays_unless_classes_do_not_count() -> None:
    by_class = suppress(Suppression(**NUMBERS), Scored(BOXES, SCORES, WHOLE))
    assert (by_class.count, by_class.classes.tolist()) == (3, [1, 2, 4, 0])
    across = suppress(Suppression(**NUMBERS | {"use_class_agnostic_nms": True}), Scored(BOXES, SCORES, WHOLE))
    assert (across.count, across.classes.tolist()) == (2, [1, 4, 0, 0])


def test_soft_suppression_lowers_scores_by_overlap() -> None:
    config = Suppression(**NUMBERS | {"use_class_agnostic_nms": True, "soft_nms_sigma": 0.5})
    found = suppress(config, Scored(BOXES, SCORES, WHOLE), SCORES.T)
    assert found.anchor_indices is not None and found.multiclass_scores is not None
    assert found.anchor_indices.tolist() == [0, 1, 2, 0]
    np.testing.assert_allclose(found.scores, [0.9, 0.8 * math.exp(-0.5 / 0.5 * 0.8**2), 0.3, 0], rtol=1e-6)
    np.testing.assert_array_equal(found.multiclass_scores[:3], SCORES.T)


def test_boxes_are_cut_at_the_window_and_told_in_its_coordinates() -> None:
    window = np.array([0, 0, 0.5, 0.55], np.float32)
    found = suppress(Suppression(**NUMBERS), Scored(BOXES, SCORES, window))
    assert found.count == 2  # the third lies outside
    np.testing.assert_allclose(found.boxes[0], [0.2, 0.1 / 0.55, 1, 1], rtol=1e-6)
    kept = suppress(Suppression(**NUMBERS | {"change_coordinate_frame": False}), Scored(BOXES, SCORES, window))
    np.testing.assert_allclose(kept.boxes[0], [0.1, 0.1, 0.5, 0.55], rtol=1e-6)


def test_nothing_above_the_threshold_is_nothing_found() -> None:
    found = suppress(Suppression(**NUMBERS), Scored(BOXES, SCORES * 0.1, WHOLE), SCORES.T)
    assert found.count == 0
    assert found.boxes.shape == (4, 4) and not found.boxes.any() and not found.scores.any()
    assert found.multiclass_scores is not None and found.multiclass_scores.shape == (4, 3)


@pytest.fixture
def unsuppressed(copied_model: Path) -> Path:
    """A model whose file ends before suppression: three boxes, whose scores are the means of the three channels."""
    picture = ops.parameter([1, -1, -1, 3], np.uint8, name="input_tensor")
    means = ops.reduce_mean(ops.convert(picture, "f32"), ops.constant([1, 2]))
    shares = ops.divide(means, ops.constant(np.float32(255)))
    nothing = ops.multiply(ops.reduce_min(shares, ops.constant([1])), ops.constant(np.float32(0)))
    outputs = {
        "boxes": ops.add(ops.constant(BOXES), nothing),
        "scores": ops.multiply(ops.unsqueeze(shares, ops.constant(1)), ops.constant(np.eye(3, dtype=np.float32)[None])),
        "window": ops.add(ops.constant(WHOLE[None]), nothing),
        "all_scores": ops.add(ops.constant(np.zeros((1, 3, 4), np.float32)), nothing),
    }
    results = [ops.result(node, name=name) for name, node in outputs.items()]
    for result, name in zip(results, outputs, strict=True):
        result.output(0).get_tensor().set_names({name})
    path = copied_model / "runtimes" / "openvino" / "model.xml"
    shutil.rmtree(path.parent)
    ov.save_model(ov.Model(results, [picture], "unsuppressed"), path, compress_to_fp16=False)
    return copied_model


def test_the_server_suppresses_what_the_file_does_not(
    unsuppressed: Path, servers: Servers, describe_model: Callable[..., None], png: bytes
) -> None:
    form = {"path": "runtimes/openvino/model.xml", "precisions": ["f32"]}
    agnostic = form | {"suppression": NUMBERS | {"use_class_agnostic_nms": True, "score_threshold": 0.2}}
    describe_model(unsuppressed, runtimes={"openvino": agnostic})
    status, answer = servers.start(unsuppressed, MAPGATE_RUNTIME="openvino").request(png, "image/png")
    assert status == 200
    # The picture is reddish: the first class's box suppresses the second's, the third channel's mean is too low.
    names = [answer["labels"][number] for number in answer["classes"]]
    assert names == [next(each["name"] for each in CLASSES if each["id"] == 1)]


def test_a_file_that_ends_elsewhere_than_described_is_not_loaded(unsuppressed: Path, model_dir: Path) -> None:
    path = Path("runtimes/openvino/model.xml")
    with pytest.raises(ModelError, match=r"has no output .*detection_boxes.*; export it again"):
        load_detector("openvino", unsuppressed / path, "f32", 1)
    with pytest.raises(ModelError, match="has no output all_scores, boxes, scores, window; export it again"):
        load_detector("openvino", model_dir / path, "f32", 1, Suppression(**NUMBERS))


def test_a_model_of_an_earlier_version_tells_no_more_than_it_can(model_dir: Path) -> None:
    detector = load_detector("openvino", model_dir / "runtimes" / "openvino" / "model.xml", "f32", 1)
    found = detector.detect(np.full((5, 7, 3), 200, np.uint8), further=True)
    assert found.count == 3
    assert (found.anchor_indices, found.multiclass_scores) == (None, None)
