# SPDX-License-Identifier: Apache-2.0
"""A LiteRT file with smaller numbers: weights in float16, or everything in int8.

https://github.com/google-ai-edge/LiteRT/tree/main/litert_quantizer
"""

import contextlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator

import numpy as np
from litert_quantizer import calibrator, qtyping, quantizer, recipe, recipe_manager
from litert_quantizer.algorithm_manager import AlgorithmName
from litert_quantizer.utils.qsv_utils import min_max_update
from numpy.typing import NDArray

from training_src.errors import DataError
from training_src.export.litert_biases import with_fitting_biases
from training_src.export.litert_converter import IMAGE, MEAN_AND_DEVIATION
from training_src.export.litert_ranges import Ranges, Samples, cut, narrow

Pixels = NDArray[np.uint8]
EVERY = ".*"
SIGNATURE = "serving_default"
# What a sigmoid gives in int8: https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec
SCORE_STEP = 1 / 256
OPERATIONS = qtyping.TFLOperationName


def as_float16(content: bytes) -> bytes:
    """Weights in float16; input, outputs and what is computed stay float32."""
    quantizing = quantizer.Quantizer(content)
    quantizing.add_weight_only_config(EVERY, OPERATIONS.ALL_SUPPORTED, 16, algorithm_key=AlgorithmName.FLOAT_CASTING)
    return _written(quantizing, None)


def as_int8(content: bytes, images: Iterable[Pixels], num_classes: int) -> tuple[bytes, int]:
    """Weights and what is computed in int8, the input in uint8: a picture's own bytes. Outputs are float32.

    Args:
        content: Of `convert`.
        images: To calibrate with, `(height, width, 3)` RGB in the file's size. Never the test split.
        num_classes: Without the background.

    Returns:
        The file, and how many images there were.

    Raises:
        DataError: If there is no image.
    """
    samples = [{IMAGE: (image[None].astype(np.float32) - MEAN_AND_DEVIATION) / MEAN_AND_DEVIATION} for image in images]
    if not samples:
        raise DataError("There is no image to calibrate int8 with; give the training split images.")
    ranges = _ranges(content, samples)
    cut(ranges, content, samples)
    # Whatever the pictures were, a byte of 0 is -1 and one of 255 is 1.
    for name, found in ranges.items():
        if name.startswith(f"{SIGNATURE}_{IMAGE}"):
            found["min"], found["max"] = np.full_like(found["min"], -1.0), np.full_like(found["max"], 1.0)
    narrow(ranges, content, samples, num_classes)
    return _written(_recipe(with_fitting_biases(content, ranges, samples)), ranges), len(samples)


def _ranges(content: bytes, samples: Samples) -> Ranges:
    """Least and greatest of each tensor, by name, over all images: the quantizer by itself averages over them."""
    obeyed = recipe_manager.RecipeManager()
    obeyed.load_quantization_recipe(_recipe(content).get_quantization_recipe())
    with _quiet():
        seen = calibrator.Calibrator(content, os.cpu_count() or 1, qsv_update_func=min_max_update)
        seen.calibrate({SIGNATURE: samples}, obeyed)
    found: Ranges = seen.get_model_qsvs()
    return found


def _recipe(content: bytes) -> quantizer.Quantizer:
    quantizing = quantizer.Quantizer(content, recipe.static_wi8_ai8())
    quantizing.update_quantization_recipe(EVERY, OPERATIONS.INPUT, _UINT8)
    quantizing.update_quantization_recipe(EVERY, OPERATIONS.OUTPUT, algorithm_key=AlgorithmName.NO_QUANTIZE)
    return quantizing


_UINT8 = qtyping.OpQuantizationConfig(
    activation_tensor_config=qtyping.TensorQuantizationConfig(
        num_bits=8,
        symmetric=False,
        granularity=qtyping.QuantGranularity.TENSORWISE,
        dtype=qtyping.TensorDataType.UINT,
    ),
    weight_tensor_config=qtyping.TensorQuantizationConfig(
        num_bits=8,
        symmetric=True,
        granularity=qtyping.QuantGranularity.CHANNELWISE,
        dtype=qtyping.TensorDataType.INT,
    ),
    compute_precision=qtyping.ComputePrecision.INTEGER,
)


def _written(quantizing: quantizer.Quantizer, ranges: Ranges | None) -> bytes:
    with _quiet():
        result = quantizing.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    assert result.quantized_model is not None
    return bytes(result.quantized_model)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without its progress bars, and its warning that calibration takes memory."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore", UserWarning)
        yield
