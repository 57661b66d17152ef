# SPDX-License-Identifier: Apache-2.0
"""An SSD as LiteRT files that Coral's and Android's clients run: float16, and int8 with uint8 input."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training_src.data.label_map import LabelMap
from training_src.errors import ConfigurationError
from training_src.export import litert_converter, litert_quantizing
from training_src.export.litert_metadata import metadata, with_labels
from training_src.export.litert_postprocess import PostProcess, with_postprocess
from training_src.models.detector import Detector
from training_src.models.preprocessing import resize_to
from training_src.models.ssd import SsdDetector

Image = NDArray[np.uint8]
# What the files are called.
FLOAT16, INT8 = "model_float16.tflite", "model_int8.tflite"


@dataclass(frozen=True)
class LitertFiles:
    """Both files' content.

    Attributes:
        float16: Takes float32 of -1..1.
        int8: Takes uint8; None where there was nothing to calibrate with.
        calibrated: On how many images.
    """

    float16: bytes
    int8: bytes | None
    calibrated: int


def why_not(detector: Detector) -> str:
    """Why a detector cannot be given this form; empty where it can."""
    if not isinstance(detector, SsdDetector):
        return "a .tflite ends in TFLite_Detection_PostProcess, which is for SSD detectors; this is a Faster R-CNN"
    if detector.resizer.fixed_shape_resizer is None:
        return "a .tflite takes pictures of one size without padding; give the config a fixed_shape_resizer"
    if detector.config.post_processing.batch_non_max_suppression.soft_nms_sigma > 0:
        return "TFLite_Detection_PostProcess knows no soft suppression; take soft_nms_sigma from the config"
    return ""


def litert_files(
    detector: Detector,
    label_map: LabelMap,
    name: str,
    images: Iterable[Image] | None = None,
    max_detections: int | None = None,
) -> LitertFiles:
    """Both forms, each with metadata and labels in it.

    Args:
        detector: With the weights to export.
        label_map: Its ids, ascending, are the files' classes from 0.
        name: That the metadata give the model.
        images: To calibrate int8 with, `(height, width, 3)` RGB of any size; None for float16 only.
        max_detections: In place of the config's `max_total_detections`.

    Raises:
        ConfigurationError: If the detector cannot be given this form.
        DataError: If `images` has none.
    """
    reason = why_not(detector)
    if reason:
        raise ConfigurationError(reason)
    assert isinstance(detector, SsdDetector)  # or there would be a reason
    ids = sorted(label_map.names)
    options = PostProcess.of(detector.config, len(ids), max_detections)
    anchors, labels = litert_converter.anchors(detector), [label_map.names[number] for number in ids]
    network = litert_converter.convert(detector, ids)

    def finished(content: bytes, uint8: bool) -> bytes:
        fitting = options.in_steps_of(litert_quantizing.SCORE_STEP) if uint8 else options
        return with_labels(with_postprocess(content, fitting, anchors, metadata(name, uint8)), labels)

    float16 = finished(litert_quantizing.as_float16(network), uint8=False)
    if images is None:
        return LitertFiles(float16, None, 0)
    int8, calibrated = litert_quantizing.as_int8(network, (resized(detector, image) for image in images), len(ids))
    return LitertFiles(float16, finished(int8, uint8=True), calibrated)


def resized(detector: SsdDetector, image: Image) -> Image:
    """As a client hands it over: in the file's size, rounded to bytes."""
    pixels, _ = resize_to(detector.resizer, tf.constant(image[None]))
    return np.asarray(np.clip(np.rint(pixels[0].numpy()), 0, 255), np.uint8)
