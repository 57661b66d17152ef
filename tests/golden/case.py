# SPDX-License-Identifier: Apache-2.0
"""A reference case, and what this project computes of it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework import config as tensorflow_config

from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.config.pipeline import load
from training_src.models.detector import Detector, GroundTruth
from training_src.models.outputs import inference_arrays, pad_ground_truth, preprocess, training_arrays

Arrays = dict[str, NDArray[Any]]
GOLDEN = Path(__file__).parent


@dataclass(frozen=True)
class ReferenceCase:
    """A folder of the reference: config, variables and expected arrays; `prefix` is that of the made checkpoint."""

    folder: Path
    prefix: str

    @property
    def config(self) -> Path:
        return self.folder / "pipeline.config"

    def expected(self) -> Arrays:
        """Every array that the reference has."""
        with np.load(self.folder / "expected.npz") as arrays:
            return dict(arrays)

    def detector(self) -> Detector:
        """A new one, with the checkpoint's weights."""
        detector = build_detector(load(self.config, num_classes=1).config.model)
        checkpoint.restore(detector.variables(), self.prefix, "full")
        return detector

    def computed(self, training: bool = True, detector: Detector | None = None, traced: bool = True) -> Arrays:
        """The same arrays of this or a new detector, inputs left out; without training those of inference alone."""
        detector, expected = detector or self.detector(), self.expected()
        with nullcontext() if traced else untraced():
            inputs = preprocess(detector, [expected["image_0"], expected["image_1"]])
            arrays = inference_arrays(detector, inputs)
            if training:
                with one_order_of_sums():
                    arrays |= training_arrays(detector, inputs, self.truth())
        return arrays

    def truth(self) -> GroundTruth:
        """The labelled boxes of the images."""
        with np.load(self.folder / "expected.npz") as arrays:
            return pad_ground_truth(
                *([arrays[f"groundtruth_{kind}_{image}"] for image in (0, 1)] for kind in ("boxes", "classes"))
            )


@contextmanager
def untraced() -> Iterator[None]:
    """Operations run one by one, for what runs once: to trace and optimise a graph takes most of its time."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@contextmanager
def one_order_of_sums() -> Iterator[None]:
    """Gradients of crops are summed by one thread.

    On CPUs TensorFlow's `CropAndResizeGradImage` lets several threads add to the same pixel without a lock. Where the
    cores are busy, an image's gradient loses up to a third of a percent of its norm.
    """
    tensorflow_config.enable_op_determinism()
    try:
        yield
    finally:
        tensorflow_config.disable_op_determinism()
