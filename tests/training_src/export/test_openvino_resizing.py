# SPDX-License-Identifier: Apache-2.0
"""OpenVINO resizes pictures as TensorFlow does, and looks only at the pixels that count."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training_src.export.openvino_core import core
from training_src.export.openvino_model import convert
from training_src.models.config.decoding import decode
from training_src.models.config.image_resizer import ImageResizer
from training_src.models.preprocessing import resize_to
from training_src.text_format import parse

Image = NDArray[np.uint8]
# Of a grey level of 128 and more.
LAST_BIT = np.spacing(np.float32(255))
CHECKOUT = Path(__file__).parents[3]
RESIZERS = (
    "fixed_shape_resizer { height: 300 width: 300 }",
    "fixed_shape_resizer { height: 47 width: 160 }",
    "fixed_shape_resizer { height: 1 width: 1 }",
    "fixed_shape_resizer { height: 33 width: 47 resize_method: NEAREST_NEIGHBOR }",
    "keep_aspect_ratio_resizer { min_dimension: 60 max_dimension: 100 }",
    "keep_aspect_ratio_resizer { min_dimension: 96 max_dimension: 96 pad_to_max_dimension: true "
    "per_channel_pad_value: [120, 110, 100] }",
    "conditional_shape_resizer { condition: GREATER size_threshold: 90 }",
    "conditional_shape_resizer { condition: SMALLER size_threshold: 90 }",
    "pad_to_multiple_resizer { multiple: 16 }",
    "identity_resizer {}",
)


@cache
def converted(text: str) -> tuple[ImageResizer, Callable[[Image], list[NDArray[np.float32]]]]:
    """A resizer, and its form in OpenVINO."""
    resizer = decode(ImageResizer, parse(text))
    function = tf.function(lambda images: resize_to(resizer, images), autograph=False)
    model = convert(function.get_concrete_function(tf.TensorSpec([1, None, None, 3], tf.uint8, name="images")))
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def resized(image: Image) -> list[NDArray[np.float32]]:
        answer = compiled([image])
        return [answer[0], answer[1]]

    return resizer, resized


@settings(max_examples=60)
@given(text=st.sampled_from(RESIZERS), height=st.integers(1, 400), width=st.integers(1, 400))
@example(RESIZERS[0], 1, 1)
@example(RESIZERS[0], 1, 700)
@example(RESIZERS[0], 700, 1)
@example(RESIZERS[0], 300, 300)
@example(RESIZERS[0], 3000, 4000)  # of 4000 / 300, the division that is not one differs in the last bit
@example(RESIZERS[3], 3000, 4000)
def test_pixels_are_tensorflows_to_the_last_bit(text: str, height: int, width: int) -> None:
    # Of a thinner picture's shorter side nothing would be left, which TensorFlow refuses.
    keeps_aspect = "conditional" in text or "keep_aspect_ratio" in text
    assume(not keeps_aspect or max(height, width) <= 90 * min(height, width))
    image = np.random.default_rng([height, width]).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    resizer, openvino = converted(text)
    # In floating point before it is resized, as the API does it.
    expected, true_shapes = resize_to(resizer, tf.constant(image, tf.float32))
    ours, our_shapes = openvino(image)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=LAST_BIT)
    np.testing.assert_array_equal(our_shapes, true_shapes)


def test_nothing_touches_a_whole_picture(calibrated_artifact: Path) -> None:
    model = core().read_model(calibrated_artifact / "runtimes" / "openvino" / "model.xml")
    (picture,) = model.get_parameters()
    lines = {reader.get_node().get_type_name(): reader.get_node() for reader in picture.output(0).get_target_inputs()}
    assert set(lines) == {"ShapeOf", "Reshape"}  # of which neither reads a pixel
    readers = [reader.get_node() for reader in lines["Reshape"].output(0).get_target_inputs()]
    assert {reader.get_type_name() for reader in readers} == {"Gather"}
    assert all(reader.get_output_partial_shape(0)[1] == 160 for reader in readers)


SCRIPT = """
import pathlib, sys
import numpy
from inference_src.runtimes import load_detector

def megabytes(what):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition(what + ":")[2].split()[0]) / 1024

detector = load_detector(sys.argv[1], pathlib.Path(sys.argv[2]), "f32", 1)
for side in (160, 161, 200):
    detector.detect(numpy.zeros((side, side, 3), numpy.uint8))
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = megabytes("VmRSS")
picture = numpy.full((5000, 5000, 3), 7, numpy.uint8)
detector.detect(picture)
del picture
print(megabytes("VmHWM") - before, megabytes("VmRSS") - before)
"""


@pytest.mark.parametrize("runtime", ["openvino", "tensorflow"])
def test_a_photograph_takes_its_own_memory_and_gives_it_back(calibrated_artifact: Path, runtime: str) -> None:
    path = calibrated_artifact / ("1" if runtime == "tensorflow" else "runtimes/openvino/model.xml")
    command = [sys.executable, "-c", SCRIPT, runtime, str(path)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=True)
    peak, after = map(float, done.stdout.split())
    assert peak < 3 * 25 + 150
    assert after < 60
