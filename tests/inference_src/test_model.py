# SPDX-License-Identifier: Apache-2.0
"""What a model says of itself is checked before anything of it is loaded."""

import json
from pathlib import Path
from typing import Any

import pytest

from inference_src.errors import ModelError
from inference_src.model import choose_runtime, read_description

DESCRIPTION: dict[str, Any] = {
    "schema_version": 1,
    "architecture": "ssd",
    "input": {"height": 320, "width": 640},
    "classes": [{"id": 4, "name": "cyclist"}, {"id": 1, "name": "vehicle"}],
    "runtimes": {
        "tensorflow": {"path": "1", "precisions": ["f32"]},
        "openvino": {"path": "runtimes/openvino/model.xml", "precisions": ["f32", "bf16"]},
    },
    "training": {"seed": 17},
}
SUPPRESSION: dict[str, Any] = {
    "score_threshold": 1e-8,
    "iou_threshold": 0.6,
    "max_detections_per_class": 100,
    "max_total_detections": 100,
    "use_class_agnostic_nms": False,
    "soft_nms_sigma": 0.5,
    "change_coordinate_frame": True,
    "class_ids": [1, 4],
}


def _suppressed(**changes: object) -> dict[str, Any]:
    """Runtimes of which one is to suppress by itself."""
    return {"openvino": {"path": "model.xml", "precisions": ["f32"], "suppression": SUPPRESSION | changes}}


def _model(folder: Path, **changes: object) -> Path:
    (folder / "model.json").write_text(json.dumps(DESCRIPTION | changes))
    (folder / "1").mkdir()
    return folder


def test_classes_come_by_their_ids_and_what_else_is_told_is_left_alone(tmp_path: Path) -> None:
    description = read_description(_model(tmp_path))
    assert [(one.id, one.name) for one in description.classes] == [(1, "vehicle"), (4, "cyclist")]
    assert (description.input.height, description.input.width) == (320, 640)
    assert description.dataset is None
    assert all(runtime.suppression is None for runtime in description.runtimes.values())


def test_the_numbers_of_a_suppression_are_read(tmp_path: Path) -> None:
    suppression = read_description(_model(tmp_path, runtimes=_suppressed())).runtimes["openvino"].suppression
    assert suppression is not None
    assert suppression.model_dump() == SUPPRESSION


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_version": 2}, "schema_version: Input should be 1"),
        ({"classes": []}, "classes: List should have at least 1 item"),
        ({"classes": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "two classes share an id"),
        ({"classes": [{"id": 0, "name": "a"}]}, r"classes\.0\.id: .* greater than or equal to 1"),
        ({"input": {"height": 0, "width": 1}}, r"input\.height"),
        ({"runtimes": {}}, "runtimes: "),
        ({"runtimes": {"openvino": {"path": "../model.xml", "precisions": ["f32"]}}}, "leads out of the model"),
        ({"runtimes": {"openvino": {"path": "/etc/passwd", "precisions": ["f32"]}}}, "leads out of the model"),
        ({"runtimes": {"openvino": {"path": "model.xml", "precisions": []}}}, r"runtimes\.openvino\.precisions"),
        ({"runtimes": _suppressed(soft_nms_sigma=-1)}, r"runtimes\.openvino\.suppression\.soft_nms_sigma"),
        ({"runtimes": _suppressed(max_total_detections=0)}, r"suppression\.max_total_detections"),
        ({"runtimes": _suppressed(use_cpu_nms=True)}, r"suppression\.use_cpu_nms: Extra inputs are not permitted"),
        ({"runtimes": _suppressed(class_ids=[1, 2])}, r"suppression\.class_ids are not the ids of classes"),
        (
            {"runtimes": {"openvino": {"path": "model.xml", "precisions": ["f32"], "suppression": {}}}},
            r"suppression\.score_threshold: Field required",
        ),
    ],
)
def test_a_description_that_cannot_be_served_is_one_sentence(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ModelError, match=rf"model\.json: .*{said}.*; export the model again"):
        read_description(_model(tmp_path, **changes))


@pytest.mark.parametrize(("content", "said"), [(None, "there is no model here"), ("{", "the whole file: Invalid JSON")])
def test_a_missing_or_broken_description_is_said(tmp_path: Path, content: str | None, said: str) -> None:
    if content:
        (tmp_path / "model.json").write_text(content)
    with pytest.raises(ModelError, match=said):
        read_description(tmp_path)


def test_the_first_runtime_that_image_and_model_have_serves_unless_the_environment_says_otherwise(
    tmp_path: Path,
) -> None:
    description = read_description(_model(tmp_path))
    (tmp_path / "runtimes/openvino").mkdir(parents=True)
    (tmp_path / "runtimes/openvino/model.xml").touch()
    both = ("openvino", "openvino-int8", "tensorflow")
    assert choose_runtime(tmp_path, description, {}, both) == ("openvino", "f32")
    assert choose_runtime(tmp_path, description, {}, ("tensorflow",)) == ("tensorflow", "f32")
    assert choose_runtime(tmp_path, description, {"MAPGATE_RUNTIME": "tensorflow"}, both) == ("tensorflow", "f32")
    assert choose_runtime(tmp_path, description, {"MAPGATE_PRECISION": "bf16"}, both) == ("openvino", "bf16")


def test_a_runtime_s_first_precision_is_its_own(tmp_path: Path) -> None:
    int8 = {"openvino-int8": {"path": "1", "precisions": ["int8"]}}
    description = read_description(_model(tmp_path, runtimes=int8))
    assert choose_runtime(tmp_path, description, {}, ("openvino", "openvino-int8")) == ("openvino-int8", "int8")


@pytest.mark.parametrize(
    ("environment", "runtimes", "said"),
    [
        ({}, {"tensorflow": DESCRIPTION["runtimes"]["tensorflow"]}, "the model has tensorflow, this image runs"),
        ({"MAPGATE_RUNTIME": "tensorflow"}, DESCRIPTION["runtimes"], "MAPGATE_RUNTIME=tensorflow: this image runs"),
    ],
)
def test_an_image_without_the_runtime_s_library_says_so(
    tmp_path: Path, environment: dict[str, str], runtimes: dict[str, object], said: str
) -> None:
    description = read_description(_model(tmp_path, runtimes=runtimes))
    with pytest.raises(ModelError, match=f"{said} openvino and openvino-int8: serve the model with the image that"):
        choose_runtime(tmp_path, description, environment, ("openvino", "openvino-int8"))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"MAPGATE_RUNTIME": "onnx"}, "MAPGATE_RUNTIME=onnx: the model has openvino, tensorflow"),
        ({"MAPGATE_PRECISION": "int8"}, "MAPGATE_PRECISION=int8: the model has bf16, f32 for openvino"),
        ({"MAPGATE_RUNTIME": "openvino"}, r"model\.xml: missing, though model\.json names it"),
    ],
)
def test_a_runtime_that_the_model_does_not_have_is_refused(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        choose_runtime(tmp_path, read_description(_model(tmp_path)), environment)
