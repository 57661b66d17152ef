# SPDX-License-Identifier: Apache-2.0
"""LiteRT files of SSD MobileNet V2 give every variable of ours its value."""

import numpy as np
import pytest

from tests.training_src.models.checkpoints.litert_file import LiteRtFile, Tensors, folded_values, write_litert
from training_src.models.architectures import build_detector
from training_src.models.checkpoints.litert import variables_of
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import CONFIGS, PipelineConfig
from training_src.models.errors import CheckpointError
from training_src.text_format import parse

EPSILON = 1e-3
HEAD = "BoxPredictor_0/ClassPredictor"


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[int, ...]]:
    """Of the variables of a narrow SSD MobileNet V2 for two classes, by key."""
    text = (CONFIGS / "ssd_mobilenet_v2_320x320.config").read_text()
    text = text.replace("num_classes: 90", "num_classes: 2").replace("depth_multiplier: 1.0", "depth_multiplier: 0.2")
    detector = build_detector(decode(PipelineConfig, parse(text)).model)
    return {key: tuple(variable.shape) for key, variable in detector.variables().items()}


@pytest.fixture
def values(shapes: dict[str, tuple[int, ...]]) -> Tensors:
    return folded_values(shapes)


@pytest.mark.parametrize("stored", ["float16", "float32"])
def test_every_variable_gets_its_value(values: Tensors, shapes: dict[str, tuple[int, ...]], stored: str) -> None:
    read = variables_of(write_litert(values, LiteRtFile(stored)), shapes, EPSILON)
    assert len(read) == 324
    assert read.keys() == values.keys()
    for key, value in values.items():
        assert read[key].dtype == np.float32
        np.testing.assert_array_equal(read[key], value, err_msg=key)


def test_a_folded_batch_norm_changes_nothing(values: Tensors, shapes: dict[str, tuple[int, ...]]) -> None:
    read = variables_of(write_litert(values), shapes, epsilon=0.25)
    scales = [
        read[key] / np.sqrt(read[key.replace("gamma", "moving_variance")] + np.float32(0.25))
        for key in shapes
        if "/gamma/" in key
    ]
    assert len(scales) == 60
    assert all((scale == 1).all() for scale in scales)


def test_another_class_count_is_named(values: Tensors, shapes: dict[str, tuple[int, ...]]) -> None:
    wider = {key: (*shape[:-1], shape[-1] * 2) if "class_pred" in key else shape for key, shape in shapes.items()}
    with pytest.raises(CheckpointError, match=rf"{HEAD}/weights has shape .*, the detector needs .* class count"):
        variables_of(write_litert(values), wider, EPSILON)


def test_what_the_file_lacks_is_named(values: Tensors, shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(CheckpointError, match=f"the LiteRT file has no {HEAD}/weights"):
        variables_of(write_litert(values, without=HEAD), shapes, EPSILON)


def test_a_convolution_that_the_detector_has_not_is_named(values: Tensors, shapes: dict[str, tuple[int, ...]]) -> None:
    file = LiteRtFile()
    file.add("Elsewhere/BiasAdd", np.ones((1, 1, 2, 3), np.float32), np.ones(3, np.float32), depthwise=False)
    with pytest.raises(CheckpointError, match="the detector has no Elsewhere/"):
        variables_of(write_litert(values, file), shapes, EPSILON)


def test_another_architecture_is_refused(values: Tensors) -> None:
    with pytest.raises(CheckpointError, match="only for SSD MobileNet V2"):
        variables_of(write_litert(values), {f"model/_feature_extractor/conv1/kernel{'/x'}": (1, 2)}, EPSILON)


@pytest.mark.parametrize(
    ("file", "told"),
    [(LiteRtFile("uint8"), "of type uint8, not float16 or float32"), (LiteRtFile(computed=True), "no constant")],
    ids=["integers", "computed"],
)
def test_a_kernel_that_holds_no_floats_is_refused(
    values: Tensors, shapes: dict[str, tuple[int, ...]], file: LiteRtFile, told: str
) -> None:
    with pytest.raises(CheckpointError, match=told):
        variables_of(write_litert(values, file), shapes, EPSILON)


def test_what_is_no_litert_file_is_refused(values: Tensors, shapes: dict[str, tuple[int, ...]]) -> None:
    whole = write_litert(values)
    for damaged in (b"", b"<html>", whole[:8], whole[: len(whole) // 2], whole[:5000] + bytes(5000) + whole[10000:]):
        with pytest.raises(CheckpointError) as raised:
            variables_of(damaged, shapes, EPSILON)
        assert "LiteRT" in str(raised.value) and "\n" not in str(raised.value)


def test_damage_gives_another_value_or_a_sentence(values: Tensors, shapes: dict[str, tuple[int, ...]]) -> None:
    whole = write_litert(values)
    random = np.random.default_rng(7)
    told = 0
    for _ in range(40):
        damaged = bytearray(whole)
        # Offsets, names and shapes stand before and behind the kernels.
        for place in random.integers(0, 20_000, 20) - 10_000:
            damaged[place] = random.integers(256)
        damaged[4:8] = b"TFL3"
        try:
            assert len(variables_of(bytes(damaged), shapes, EPSILON)) == 324
        except CheckpointError:
            told += 1
    assert told > 20
