# SPDX-License-Identifier: Apache-2.0
"""An SSD's network as a LiteRT file in float32, up to encoded boxes and scores.

Nothing else here calls TensorFlow's converter, whose deletion TensorFlow announces: what comes in its place goes here.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training_src.models.feature_extractors.ssd import EXTRACTORS
from training_src.models.heads import BOXES, CLASSES
from training_src.models.preprocessing import scale_to_one
from training_src.models.ssd import ANCHORS, SsdDetector

IMAGE = "image"
ENCODINGS = "box_encodings"
SCORES = "scores"
# Pixels of 0..255 minus this, divided by this, are the file's input: -1..1.
MEAN_AND_DEVIATION = 127.5


def convert(detector: SsdDetector, class_ids: Sequence[int]) -> bytes:
    """The network of a detector whose images have one size.

    Its input `image` is `(1, height, width, 3)` float32, RGB of -1..1 whatever the backbone wants; its outputs are
    `box_encodings` `(1, anchors, 4)` and `scores` `(1, anchors, columns)`.

    Args:
        detector: With the weights to export.
        class_ids: The label map's, ascending. Where it has every class, the background's column stays in front.
    """
    assert detector.input_size is not None  # the caller has looked
    network = _with_resizing(detector.networks[0])
    every = list(class_ids) == list(range(1, detector.num_classes + 1))

    def detect(image: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = network(_scaled(detector, image), training=False)
        scores = detector.scores({CLASSES: outputs[CLASSES]})
        return {
            ENCODINGS: tf.cast(outputs[BOXES], tf.float32),
            SCORES: scores if every else detector.of_classes(scores, class_ids),
        }

    module = tf.Module()
    module.held = [variable.value for variable in detector.variables().values()]
    specification = tf.TensorSpec([1, *detector.input_size, 3], tf.float32, name=IMAGE)
    module.detect = tf.function(detect, input_signature=[specification], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.detect.get_concrete_function()], module)
    return bytes(converter.convert())


def anchors(detector: SsdDetector) -> NDArray[np.float32]:
    """Of every encoding: the centre's y and x, height and width, in shares of the image; `(anchors, 4)`."""
    assert detector.input_size is not None
    pixels = tf.zeros([1, *detector.input_size, 3])
    found = detector.predict(detector.normalise(pixels, tf.constant([[*detector.input_size, 3]])), training=False)
    corners = found[ANCHORS].numpy()
    least, greatest = corners[:, :2], corners[:, 2:]
    return np.concatenate([(least + greatest) / 2, greatest - least], axis=1).astype(np.float32)


def _scaled(detector: SsdDetector, image: tf.Tensor) -> tf.Tensor:
    """From -1..1 to what the backbone takes; most take just that."""
    scale = EXTRACTORS[detector.config.feature_extractor.type].scale
    return image if scale is scale_to_one else scale(image * MEAN_AND_DEVIATION + MEAN_AND_DEVIATION)


class _Nearest(keras.layers.Layer):  # type: ignore[misc]
    """Each pixel four times, by the operation that accelerators know; Keras' own copies rows and columns by tiles."""

    def call(self, features: tf.Tensor) -> tf.Tensor:
        height, width = features.shape[1:3]
        return tf.raw_ops.ResizeNearestNeighbor(images=features, size=[2 * height, 2 * width])


def _with_resizing(network: keras.Model) -> keras.Model:
    """The same layers, but for how maps are doubled."""

    def layer(own: keras.layers.Layer) -> keras.layers.Layer:
        return _Nearest(name=own.name) if isinstance(own, keras.layers.UpSampling2D) else own

    images = keras.Input(network.input_shape[1:], name="images")
    return keras.models.clone_model(network, input_tensors=images, clone_function=layer)
