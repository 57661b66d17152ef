# SPDX-License-Identifier: Apache-2.0
"""A detector as a SavedModel with the OD API exporter's signature, resizing included."""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.detector import Detector


def save_model(detector: Detector, class_ids: Sequence[int], folder: Path) -> None:
    """Write a SavedModel whose `serving_default` takes one image.

    `input_tensor` is uint8 `(1, height, width, 3)`, RGB of any size. All outputs are float32 and begin with a dimension
    of 1; N is the config's `max_total_detections`, A the number of anchors (of proposals, in Faster R-CNN), C that of
    the class predictions, the background's included:

    - `detection_boxes` (N, 4): ymin, xmin, ymax, xmax, normalised; `detection_scores` (N), best first;
      `detection_classes` (N): label-map ids; `num_detections` (): how many are no padding;
    - `detection_anchor_indices` (N): the row of the raw outputs; `detection_multiclass_scores` (N, C);
    - `raw_detection_boxes` (A, 4), before suppression, normalised to the resized and padded image;
      `raw_detection_scores` (A, C).

    Args:
        detector: With the weights to export.
        class_ids: The label map's ids; no other class is ever detected.
        folder: Made, or overwritten.
    """
    module = tf.Module()
    module.variables_of_networks = [variable.value for variable in detector.variables().values()]
    table = tf.constant(sorted(class_ids), tf.float32)

    def serve(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = detector.preprocess(input_tensor)
        predictions = detector.predict(inputs, training=False)
        found = detector.postprocess(predictions, inputs.true_shapes, sorted(class_ids))
        present = tf.sequence_mask(found.count, tf.shape(found.scores)[1], tf.float32)
        outputs = {
            "detection_boxes": found.boxes,
            "detection_scores": found.scores,
            "detection_classes": tf.gather(table, tf.cast(found.classes, tf.int32)) * present,
            "num_detections": found.count,
            "detection_anchor_indices": found.anchor_indices,
            "detection_multiclass_scores": found.multiclass_scores,
            "raw_detection_boxes": found.raw_boxes,
            "raw_detection_scores": found.raw_scores,
        }
        return {name: tf.cast(value, tf.float32) for name, value in outputs.items()}

    signature = tf.function(serve, autograph=False).get_concrete_function(
        tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")
    )
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})
