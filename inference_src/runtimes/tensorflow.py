# SPDX-License-Identifier: Apache-2.0
"""TensorFlow: the SavedModel with the API exporter's signature, in the images that serve on GPUs."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_src.detections import FURTHER_OUTPUTS, OUTPUTS, Detections
from inference_src.errors import ModelError
from inference_src.images import Image
from inference_src.picture_memory import ALIGNMENT, aligned
from inference_src.suppression import Suppression


class TensorFlowDetector:
    """A SavedModel's `serving_default`: `input_tensor` uint8 [1, height, width, 3] to the exporter's four outputs."""

    def __init__(self, tensorflow: Any, model: Any) -> None:
        self._tensor = tensorflow.experimental.dlpack.from_dlpack
        self._model = model  # a signature does not keep its model alive
        self._signature = model.signatures["serving_default"]

    def detect(self, image: Image, further: bool = False) -> Detections:
        """As `Detector.detect` says."""
        outputs = self._signature(input_tensor=self._tensor(_aligned(image[np.newaxis]).__dlpack__()))
        boxes, scores, classes, count = (outputs[name].numpy()[0] for name in OUTPUTS)
        indices, of_classes = (outputs.get(name) if further else None for name in FURTHER_OUTPUTS)
        return Detections(
            boxes,
            scores,
            classes.astype(np.int32),
            int(count),
            anchor_indices=None if indices is None else indices.numpy()[0].astype(np.int32),
            multiclass_scores=None if of_classes is None else of_classes.numpy()[0],
        )


def _aligned(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same, or a copy, as TensorFlow can take it: `tensorflow.constant` makes two copies and keeps one for good."""
    if image.ctypes.data % ALIGNMENT == 0 and image.flags.c_contiguous and image.flags.writeable:
        return image
    copy = aligned(image.shape)
    np.copyto(copy, image)
    return copy


def load(path: Path, precision: str, parallel: int, suppression: Suppression | None = None) -> TensorFlowDetector:
    """Load a SavedModel, which ends at detections.

    Raises:
        ModelError: The model lacks the signature, the precision is none of this runtime's, or suppression is asked for.
    """
    if suppression is not None:
        raise ModelError("model.json: runtimes.tensorflow.suppression is for files that end before it; remove it")
    if precision != "f32":
        raise ModelError(f"MAPGATE_PRECISION={precision}: tensorflow runs f32 only")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # One image a core: an operation stays on the thread of its image, and as many images run as there are cores.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(parallel))
    import tensorflow

    # f32 is promised: left to itself TensorFlow rounds what goes into a convolution to ten bits where a GPU can.
    tensorflow.config.experimental.enable_tensor_float_32_execution(False)
    model = tensorflow.saved_model.load(str(path))
    signature = model.signatures.get("serving_default")
    if signature is None or not set(OUTPUTS) <= set(signature.structured_outputs):
        raise ModelError(f"{path}: the signature serving_default with {', '.join(OUTPUTS)} is missing; export it again")
    return TensorFlowDetector(tensorflow, model)
