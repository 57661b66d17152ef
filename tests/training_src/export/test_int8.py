# SPDX-License-Identifier: Apache-2.0
"""The int8 form of a detector finds what the float32 form finds, in integers and in less room."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray

from training_src.data.label_map import LabelMap
from training_src.errors import DataError
from training_src.evaluation.boxes import intersection_over_union
from training_src.export.artifact import Provenance, write_artifact
from training_src.export.calibration import calibration_images
from training_src.export.int8 import save_int8
from training_src.export.openvino_core import core
from training_src.models.architectures import build_detector
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import CONFIGS, PipelineConfig
from training_src.models.detector import Detector
from training_src.text_format import parse
from training_src.training.records import Records, pixels

FLOAT, INT8 = "runtimes/openvino/model.xml", "runtimes/openvino-int8/model.xml"
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32"}
WEIGHTED = ("Convolution", "GroupConvolution")


def detector_of(text: str) -> Detector:
    keras.utils.set_random_seed(3)
    return build_detector(decode(PipelineConfig, parse(text)).model)


def config(*changes: tuple[str, str]) -> str:
    text = (CONFIGS / "ssd_mobilenet_v2_fpnlite_160x160.config").read_text()
    for old, new in (("num_classes: 90", "num_classes: 2"), *changes):
        assert old in text
        text = text.replace(old, new)
    return text


NARROW = ("depth_multiplier: 1.0", "depth_multiplier: 0.1")
ONE_LEVEL = ("min_level: 3", "min_level: 5")
BICUBIC = ("fixed_shape_resizer {", "fixed_shape_resizer { resize_method: BICUBIC")


def export(folder: Path, text: str, calibration: Records | None) -> None:
    provenance = Provenance("small", text, "0" * 64, 1, 17, "f" * 16, 1, [])
    write_artifact(folder, detector_of(text), LabelMap({1: "a", 2: "b"}), provenance, calibration)


def test_convolutions_take_integers_and_the_file_is_a_third(calibrated_artifact: Path) -> None:
    model = core().read_model(calibrated_artifact / INT8)
    weighted = [node for node in model.get_ops() if node.get_type_name() in WEIGHTED]
    assert len(weighted) > 50
    for node in weighted:
        assert node.input_value(0).get_node().get_type_name() == "FakeQuantize"
        scaled = node.input_value(1).get_node()
        constant = scaled.input_value(0).get_node().input_value(0).get_node()
        assert constant.get_element_type() == ov.Type.i8
        assert np.abs(constant.get_data()).max() == 127
    weights = [(calibrated_artifact / path).with_suffix(".bin").stat().st_size for path in (FLOAT, INT8)]
    assert weights[1] < weights[0] / 3
    compiled = core().compile_model(model, "CPU", SETTINGS)
    kinds = Counter(
        node.get_rt_info()["runtimePrecision"].astype(str)
        for node in compiled.get_runtime_model().get_ops()
        if node.get_rt_info()["layerType"].astype(str) == "Convolution"
    )
    assert set(kinds) <= {"u8", "i8"}


def test_it_finds_what_float32_finds(calibrated_artifact: Path, validation: Records) -> None:
    runtimes = [core().compile_model(calibrated_artifact / path, "CPU", SETTINGS) for path in (FLOAT, INT8)]
    differences, overlaps = [], []
    for example in validation:
        image = pixels(example)[None]
        (boxes, scores, classes), (others, other_scores, other_classes) = (_found(model(image)) for model in runtimes)
        overlap = intersection_over_union(boxes[:20], others) * (classes[:20, None] == other_classes)
        best = overlap.argmax(axis=1)
        overlaps += overlap.max(axis=1).tolist()
        differences += np.abs(scores[:20] - other_scores[best]).tolist()
    assert np.mean(overlaps) > 0.9
    assert np.mean(differences) < 0.01


def _found(answer: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float64]]:
    return [answer[f"detection_{name}"][0].astype(np.float64) for name in ("boxes", "scores", "classes")]


def test_the_artifact_and_the_log_name_it(calibrated_artifact: Path) -> None:
    runtimes = json.loads((calibrated_artifact / "model.json").read_text())["runtimes"]
    assert runtimes["openvino-int8"] == {"path": INT8, "precisions": ["int8"]}
    assert runtimes["openvino"] == {"path": FLOAT, "precisions": ["f32"]}
    said = (calibrated_artifact / "said.txt").read_text()
    assert re.search(rf"int8 +{INT8}: \d\.\d\d MB, \d+ .* calibrated on 6 images", said)


# The two differ in a word.
@pytest.mark.parametrize(
    ("calibrated", "missing"),
    [(True, "openvino and int8"), pytest.param(False, "openvino", marks=pytest.mark.verify)],
)
def test_what_openvino_cannot_do_is_said_in_one_line(
    validation: Records, tmp_path: Path, capsys: pytest.CaptureFixture[str], calibrated: bool, missing: str
) -> None:
    export(tmp_path, config(NARROW, ONE_LEVEL, BICUBIC), validation if calibrated else None)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(missing)
    assert "resize_method BICUBIC" in line
    assert set(json.loads((tmp_path / "model.json").read_text())["runtimes"]) == {"tensorflow"}


def test_no_image_is_an_error(calibrated_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image to calibrate"):
        save_int8(calibrated_artifact / FLOAT, [], tmp_path / "model.xml")
    assert not list(tmp_path.iterdir())


def test_images_are_spread_over_the_split(validation: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training_src.export.calibration.GREATEST_COUNT", 3)
    chosen = list(calibration_images(validation))
    for image, index in zip(chosen, (0, 2, 5), strict=True):
        np.testing.assert_array_equal(image, pixels(validation[index]))
