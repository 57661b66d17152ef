# SPDX-License-Identifier: Apache-2.0
"""RetinaNet's convolutional heads, their kernels shared by all levels, their batch norms not.

https://arxiv.org/abs/1708.02002, section 4; OD API `weight_shared_convolutional_box_predictor`.
"""

import keras  # type: ignore[import-untyped]
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.config.box_predictor import WeightSharedConvolutionalBoxPredictor
from training_src.models.layers import Layers

PREDICTOR = "model._box_predictor"
BOXES = "box_encodings"
CLASSES = "class_predictions_with_background"


def heads(
    maps: list[tf.Tensor],
    layers: Layers,
    config: WeightSharedConvolutionalBoxPredictor,
    anchors_per_cell: int,
    num_classes: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Box encodings and class logits of every anchor.

    Args:
        maps: The pyramid, finest level first.
        layers: Makes the towers' layers.
        config: Depth, length and kind of the towers.
        anchors_per_cell: Anchors at each cell of each map.
        num_classes: Without the background.

    Returns:
        `(batch, anchors, 4)` and `(batch, anchors, num_classes + 1)`, column 0 the background.
    """
    box_tower = _tower(layers, config, "PredictionTower" if config.share_prediction_tower else "BoxPredictionTower")
    class_tower = box_tower if config.share_prediction_tower else _tower(layers, config, "ClassPredictionTower")
    box_head = _head(layers, config, anchors_per_cell * 4, f"{PREDICTOR}._box_prediction_head._box_encoder_layers.0")
    class_head = _head(
        layers,
        config,
        anchors_per_cell * (num_classes + 1),
        f"{PREDICTOR}._prediction_heads.{CLASSES}._class_predictor_layers.0",
        bias=config.class_prediction_bias_init,
    )
    boxes, classes = [], []
    for level, features in enumerate(maps):
        box_features = _through_tower(features, box_tower, layers, BOXES, level)
        class_features = box_features
        if not config.share_prediction_tower:
            class_features = _through_tower(features, class_tower, layers, CLASSES, level)
        boxes.append(keras.layers.Reshape((-1, 4), name=f"boxes_{level}")(box_head(box_features)))
        classes.append(keras.layers.Reshape((-1, num_classes + 1), name=f"classes_{level}")(class_head(class_features)))
    return keras.ops.concatenate(boxes, axis=1), keras.ops.concatenate(classes, axis=1)


def _tower(layers: Layers, config: WeightSharedConvolutionalBoxPredictor, name: str) -> list[keras.layers.Layer]:
    make = layers.separable_convolution if config.use_depthwise else layers.convolution
    return [
        make(config.depth, config.kernel_size, f"{PREDICTOR}._head_scope_conv_layers.{name}.{index}")
        for index in range(config.num_layers_before_predictor)
    ]


def _through_tower(
    features: tf.Tensor, tower: list[keras.layers.Layer], layers: Layers, head: str, level: int
) -> tf.Tensor:
    for index, convolution in enumerate(tower):
        # A block in the API is convolution, norm, activation: the norms are its layers 1, 4, 7, ...
        path = f"{PREDICTOR}._base_tower_layers_for_heads.{head}.{level}.{3 * index + 1}"
        features = layers.activation(layers.batch_normalization(path)(convolution(features)))
    return features


def _head(
    layers: Layers, config: WeightSharedConvolutionalBoxPredictor, filters: int, name: str, bias: float = 0.0
) -> keras.layers.Layer:
    if not config.use_depthwise:
        return layers.convolution(filters, config.kernel_size, name, bias=bias)
    # Separable heads take nothing from the hyperparameters (`apply_conv_hyperparams_to_heads`).
    return keras.layers.SeparableConv2D(
        filters,
        config.kernel_size,
        padding="same",
        bias_initializer=keras.initializers.Constant(bias),
        name=name,
    )
