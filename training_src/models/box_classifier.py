# SPDX-License-Identifier: Apache-2.0
"""Faster R-CNN's second stage: what each proposal holds, and where exactly.

Fast R-CNN, https://arxiv.org/abs/1504.08083; OD API `mask_rcnn_keras_box_predictor`.
"""

import keras
import tensorflow as tf

from training_src.models.config.faster_rcnn import FcHyperparams, MaskRcnnBoxPredictor
from training_src.models.layers import BatchNormalization

BOXES = "model._mask_rcnn_box_predictor._box_prediction_head._box_encoder_layers"
CLASSES = "model._mask_rcnn_box_predictor._class_prediction_head._class_predictor_layers"


def box_classifier(features: tf.Tensor, config: MaskRcnnBoxPredictor, num_classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Box encodings `(n, 1 or num_classes, 4)` and class logits `(n, num_classes + 1)`, column 0 the background.

    Args:
        features: Of each proposal, `(n, height, width, channels)`.
        config: Dropout, and whether all classes share a box.
        num_classes: Without the background.
    """
    pooled = keras.ops.mean(features, axis=(1, 2))
    boxes = 1 if config.share_box_across_classes else num_classes
    encodings = _head(pooled, config, 4 * boxes, BOXES)
    return (
        keras.layers.Reshape((boxes, 4), name="refined_box_encodings")(encodings),
        _head(pooled, config, num_classes + 1, CLASSES),
    )


def _head(pooled: tf.Tensor, config: MaskRcnnBoxPredictor, units: int, path: str) -> tf.Tensor:
    """Dropout, a dense layer and perhaps a norm; the API's list of layers begins with one that flattens."""
    index = 1
    if config.use_dropout:
        dropout = keras.layers.Dropout(1 - config.dropout_keep_probability, name=f"{path}.{index}")
        pooled, index = dropout(pooled), index + 1
    outputs = keras.layers.Dense(units, name=f"{path}.{index}")(pooled)
    return _normalised(outputs, config.fc_hyperparams, f"{path}.{index + 1}")


def _normalised(outputs: tf.Tensor, config: FcHyperparams, name: str) -> tf.Tensor:
    if config.batch_norm is None:
        return outputs
    # TensorFlow's fused kernel wants a map.
    maps = keras.ops.expand_dims(keras.ops.expand_dims(outputs, 1), 1)
    return keras.ops.squeeze(BatchNormalization(config.batch_norm, False, name)(maps), axis=(1, 2))
