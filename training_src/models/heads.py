# SPDX-License-Identifier: Apache-2.0
"""Convolutional heads: from feature maps to box encodings and class logits of every anchor.

Kernels are shared by all levels in RetinaNet (https://arxiv.org/abs/1708.02002, section 4; OD API
`weight_shared_convolutional_box_predictor`), and each level's own in SSD (https://arxiv.org/abs/1512.02325;
`convolutional_box_predictor`).
"""

from collections import Counter

import keras
import tensorflow as tf

from training_src.models.config.box_predictor import (
    BoxEncodingsClipRange,
    BoxPredictor,
    ConvolutionalBoxPredictor,
    WeightSharedConvolutionalBoxPredictor,
)
from training_src.models.layers import Layers

PREDICTOR = "model._box_predictor"
BOXES = "box_encodings"
CLASSES = "class_predictions_with_background"


def heads(
    maps: list[tf.Tensor], config: BoxPredictor, freeze_batchnorm: bool, anchors_per_cell: list[int], columns: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Box encodings and class logits of every anchor.

    Args:
        maps: Feature maps, finest first.
        config: Which kind, and its settings.
        freeze_batchnorm: See `Layers`.
        anchors_per_cell: Anchors at each cell of each map.
        columns: Class predictions of an anchor, with the background's if there is one.

    Returns:
        `(batch, anchors, 4)` and `(batch, anchors, columns)`.
    """
    if config.convolutional_box_predictor:
        own = config.convolutional_box_predictor
        layers = Layers(own.conv_hyperparams, freeze_batchnorm)
        predicted = _own_heads(maps, layers, own, anchors_per_cell, columns)
        clip_range = own.box_encodings_clip_range
    else:
        shared = config.weight_shared_convolutional_box_predictor
        assert shared is not None  # the config holds exactly one
        layers = Layers(shared.conv_hyperparams, freeze_batchnorm)
        predicted = _shared_heads(maps, layers, shared, anchors_per_cell[0], columns)
        clip_range = shared.box_encodings_clip_range
    boxes = [keras.layers.Reshape((-1, 4), name=f"boxes_{level}")(box) for level, (box, _) in enumerate(predicted)]
    classes = [
        keras.layers.Reshape((-1, columns), name=f"classes_{level}")(logits)
        for level, (_, logits) in enumerate(predicted)
    ]
    return _clipped(keras.ops.concatenate(boxes, axis=1), clip_range), keras.ops.concatenate(classes, axis=1)


def _own_heads(
    maps: list[tf.Tensor],
    layers: Layers,
    config: ConvolutionalBoxPredictor,
    anchors_per_cell: list[int],
    columns: int,
) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Each level's own layers: a few 1x1 convolutions, then the two heads."""
    predicted = []
    for level, (features, anchors) in enumerate(zip(maps, anchors_per_cell, strict=True)):
        depth = max(min(features.shape[-1], config.max_depth), config.min_depth)
        for index in range(config.num_layers_before_predictor if depth else 0):
            path = f"{PREDICTOR}._shared_nets.{level}"
            convolved = layers.convolution(depth, 1, f"{path}.{3 * index}")(features)
            features = layers.activation(layers.batch_normalization(f"{path}.{3 * index + 1}")(convolved))
        boxes_path = f"{PREDICTOR}._prediction_heads.{BOXES}.{level}._box_encoder_layers"
        classes_path = f"{PREDICTOR}._prediction_heads.{CLASSES}.{level}._class_predictor_layers"
        boxes = _own_head(features, layers, config, 4 * anchors, boxes_path, 0, 0.0)
        dropped, first = features, 0
        if config.use_dropout:
            dropped, first = _dropout(config.dropout_keep_probability, f"{classes_path}.0")(features), 1
        bias = config.class_prediction_bias_init
        predicted.append((boxes, _own_head(dropped, layers, config, columns * anchors, classes_path, first, bias)))
    return predicted


def _own_head(
    features: tf.Tensor,
    layers: Layers,
    config: ConvolutionalBoxPredictor,
    filters: int,
    path: str,
    first: int,
    bias: float,
) -> tf.Tensor:
    """A convolution, or a depthwise and a pointwise one; `first` is the place of the first layer in its list."""
    if not config.use_depthwise:
        return layers.convolution(filters, config.kernel_size, f"{path}.{first}", bias=bias)(features)
    # As in the API, neither the hyperparameters apply to the depthwise kernel, nor the first bias to the other.
    features = layers.depthwise_convolution(config.kernel_size, f"{path}.{first}", follows=False)(features)
    features = layers.activation(layers.batch_normalization(f"{path}.{first + 1}")(features))
    return layers.convolution(filters, 1, f"{path}.{first + 3}", bias=0.0)(features)


def _shared_heads(
    maps: list[tf.Tensor],
    layers: Layers,
    config: WeightSharedConvolutionalBoxPredictor,
    anchors_per_cell: int,
    columns: int,
) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Two towers and two heads for all levels; only the towers' batch norms are each level's own."""
    box_tower = _tower(layers, config, "PredictionTower" if config.share_prediction_tower else "BoxPredictionTower")
    class_tower = box_tower if config.share_prediction_tower else _tower(layers, config, "ClassPredictionTower")
    box_path = f"{PREDICTOR}._box_prediction_head._box_encoder_layers"
    class_path = f"{PREDICTOR}._prediction_heads.{CLASSES}._class_predictor_layers"
    box_head = _shared_head(layers, config, anchors_per_cell * 4, f"{box_path}.0", 0.0)
    class_head = _shared_head(
        layers,
        config,
        anchors_per_cell * columns,
        f"{class_path}.{int(config.use_dropout)}",
        config.class_prediction_bias_init,
    )
    dropout = _dropout(config.dropout_keep_probability, f"{class_path}.0") if config.use_dropout else None
    predicted = []
    for level, features in enumerate(_projected(maps, layers)):
        box_features = _through_tower(features, box_tower, layers, BOXES, level)
        class_features = box_features
        if not config.share_prediction_tower:
            class_features = _through_tower(features, class_tower, layers, CLASSES, level)
        if dropout is not None:
            class_features = dropout(class_features)
        predicted.append((box_head(box_features), class_head(class_features)))
    return predicted


def _projected(maps: list[tf.Tensor], layers: Layers) -> list[tf.Tensor]:
    """All maps with as many channels as most of them have."""
    channels = Counter(features.shape[-1] for features in maps)
    if len(channels) == 1:
        return maps
    depth, _ = channels.most_common(1)[0]
    projected = []
    for level, features in enumerate(maps):
        path = f"{PREDICTOR}._additional_projection_layers.{level}"
        projected.append(layers.batch_normalization(f"{path}.1")(layers.convolution(depth, 1, f"{path}.0")(features)))
    return projected


def _tower(layers: Layers, config: WeightSharedConvolutionalBoxPredictor, name: str) -> list[keras.layers.Layer]:
    tower = []
    for index in range(config.num_layers_before_predictor):
        path = f"{PREDICTOR}._head_scope_conv_layers.{name}.{index}"
        if config.use_depthwise:
            pointwise = config.apply_conv_hyperparams_pointwise
            tower.append(layers.separable_convolution(config.depth, config.kernel_size, path, pointwise=pointwise))
        else:
            tower.append(layers.convolution(config.depth, config.kernel_size, path))
    return tower


def _through_tower(
    features: tf.Tensor, tower: list[keras.layers.Layer], layers: Layers, head: str, level: int
) -> tf.Tensor:
    for index, convolution in enumerate(tower):
        # A block in the API is convolution, norm, activation: the norms are its layers 1, 4, 7, ...
        path = f"{PREDICTOR}._base_tower_layers_for_heads.{head}.{level}.{3 * index + 1}"
        features = layers.activation(layers.batch_normalization(path)(convolution(features)))
    return features


def _shared_head(
    layers: Layers, config: WeightSharedConvolutionalBoxPredictor, filters: int, name: str, bias: float
) -> keras.layers.Layer:
    if not config.use_depthwise:
        return layers.convolution(filters, config.kernel_size, name, bias=bias)
    follows = config.apply_conv_hyperparams_to_heads
    return layers.separable_convolution(
        filters, config.kernel_size, name, bias=bias, depthwise=follows, pointwise=follows
    )


def _dropout(keep_probability: float, name: str) -> keras.layers.Layer:
    return keras.layers.Dropout(1.0 - keep_probability, name=name)


def _clipped(boxes: tf.Tensor, clip_range: BoxEncodingsClipRange | None) -> tf.Tensor:
    return boxes if clip_range is None else keras.ops.clip(boxes, clip_range.min, clip_range.max)
