# SPDX-License-Identifier: Apache-2.0
"""A detector as a SavedModel with the OD API exporter's signature, resizing included (`exporter_lib_v2`)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import tensorflow as tf

from training_src.models.checkpoints.checkpoint import SUFFIX
from training_src.models.detector import Detector
from training_src.models.non_max_suppression import Detections

IMAGE_TENSOR = "image_tensor"
Root = TypeVar("Root", tf.Module, tf.train.Checkpoint)


def tracked_by_key(root: Root, detector: Detector) -> Root:
    """Let a root reach every variable over the path that is its checkpoint key, so that what is saved has those keys.

    Args:
        root: A `tf.Module` or `tf.train.Checkpoint`, changed.
        detector: Its variables' keys begin with `model/`.
    """
    for key, variable in detector.variables().items():
        *parents, name = key.removesuffix(SUFFIX).split("/")
        place: tf.Module = root
        for parent in parents:
            if not hasattr(place, parent):
                setattr(place, parent, tf.Module())
            place = getattr(place, parent)
        setattr(place, name, variable.value)
    return root


def save_model(detector: Detector, class_ids: Sequence[int], folder: Path, input_type: str = IMAGE_TENSOR) -> None:
    """Write a SavedModel that takes one image: called as it is, or by its signature `serving_default`.

    Its `variables/variables` is a checkpoint under the keys of `detector.variables()`, from which a training can start.

    The input is `input_tensor`, as `INPUT_TYPES` has it. All outputs are float32 and begin with a dimension of 1; N is
    the config's `max_total_detections`, A the number of anchors (of proposals, in Faster R-CNN), C that of the class
    predictions, the background's included:

    - `detection_boxes` (N, 4): ymin, xmin, ymax, xmax, normalised; `detection_scores` (N), best first;
      `detection_classes` (N): label-map ids; `num_detections` (): how many are no padding;
    - `detection_anchor_indices` (N): the row of the raw outputs; `detection_multiclass_scores` (N, C);
    - `raw_detection_boxes` (A, 4), before suppression, normalised to the resized and padded image;
      `raw_detection_scores` (A, C).

    Args:
        detector: With the weights to export.
        class_ids: The label map's ids; no other class is ever detected.
        folder: Made, or overwritten.
        input_type: One of `INPUT_TYPES`.
    """
    module = tracked_by_key(tf.Module(), detector)
    specification, images_of = INPUT_TYPES[input_type]

    def detect(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = detector.preprocess(images_of(input_tensor))
        predictions = detector.predict(inputs, training=False)
        found = detector.postprocess(predictions, inputs.true_shapes, sorted(class_ids))
        return detection_outputs(found, sorted(class_ids))

    function = tf.function(detect, input_signature=[specification], autograph=False)
    # Who has the API's models calls what `tf.saved_model.load` returns.
    setattr(module, "__call__", function)  # noqa: B010
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})


def detection_outputs(found: Detections, class_ids: Sequence[int]) -> dict[str, tf.Tensor]:
    """All outputs of `save_model` by name, float32.

    Args:
        found: One image's.
        class_ids: The label map's, ascending, of which the detections' classes are places.
    """
    table = tf.constant(class_ids, tf.float32)
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


def _decoded(encoded: tf.Tensor) -> tf.Tensor:
    """The one JPEG, PNG, GIF's first frame or BMP of a `(1,)` string tensor: `(1, height, width, 3)` uint8."""
    image = tf.io.decode_image(encoded[0], channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])[None]


def _decoded_example(serialised: tf.Tensor) -> tf.Tensor:
    """The image of the one `tf.train.Example` of a `(1,)` string tensor."""
    features = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
    return _decoded(tf.io.parse_single_example(serialised[0], features)["image/encoded"][None])


def _pixels(dtype: tf.DType) -> tf.TensorSpec:
    return tf.TensorSpec([1, None, None, 3], dtype, name="input_tensor")


_STRING = tf.TensorSpec([1], tf.string, name="input_tensor")
InputType = tuple[tf.TensorSpec, Callable[[tf.Tensor], tf.Tensor]]
# The API's `--input_type`s: what `input_tensor` is, RGB of 0..255 and any size, and how it becomes pixels.
INPUT_TYPES: dict[str, InputType] = {
    IMAGE_TENSOR: (_pixels(tf.uint8), tf.identity),
    "float_image_tensor": (_pixels(tf.float32), tf.identity),
    "encoded_image_string_tensor": (_STRING, _decoded),
    "tf_example": (_STRING, _decoded_example),
}
