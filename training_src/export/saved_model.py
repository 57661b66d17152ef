# SPDX-License-Identifier: Apache-2.0
"""A detector as a SavedModel with the OD API exporter's signature, resizing included."""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.detector import Detector


def save_model(detector: Detector, class_ids: Sequence[int], folder: Path) -> None:
    """Write a SavedModel whose `serving_default` takes one image.

    `input_tensor` is uint8 `(1, height, width, 3)`, RGB of any size; the outputs are float32: `detection_boxes`
    `(1, 100, 4)` (ymin, xmin, ymax, xmax, normalised), `detection_scores` and `detection_classes` `(1, 100)`
    (label-map ids), `num_detections` `(1,)`.

    Args:
        detector: With the weights to export.
        class_ids: The label map's ids; no other class is ever detected.
        folder: Made, or overwritten.
    """
    module = tf.Module()
    module.variables_of_network = [variable.value for variable in detector.variables().values()]
    table = tf.constant(sorted(class_ids), tf.float32)

    def serve(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = detector.preprocess(input_tensor)
        predictions = detector.predict(inputs, training=False)
        found = detector.postprocess(predictions, inputs.true_shapes, sorted(class_ids))
        present = tf.sequence_mask(found.count, tf.shape(found.scores)[1], tf.float32)
        return {
            "detection_boxes": found.boxes,
            "detection_scores": found.scores,
            "detection_classes": tf.gather(table, tf.cast(found.classes, tf.int32)) * present,
            "num_detections": tf.cast(found.count, tf.float32),
        }

    signature = tf.function(serve, autograph=False).get_concrete_function(
        tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")
    )
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})
