# SPDX-License-Identifier: Apache-2.0
"""Bidirectional feature pyramid network of EfficientDet, https://arxiv.org/abs/1911.09070, section 3."""

import keras
import tensorflow as tf

from training_src.models.config.fpn import BidirectionalFeaturePyramidNetworks
from training_src.models.layers import Layers

STAGE = "model._feature_extractor._bifpn_stage"
# Keeps the fast normalised fusion from dividing by zero.
EPSILON = 0.0001


def bifpn(
    backbone: dict[int, tf.Tensor], layers: Layers, config: BidirectionalFeaturePyramidNetworks, channels: int
) -> list[tf.Tensor]:
    """Maps of equal depth, finest first, one for each level of the config.

    Args:
        backbone: The backbone's maps by level, from `min_level` on.
        layers: Makes the layers.
        config: Levels, iterations, and how maps are joined.
        channels: Of each map.
    """
    builder = _Builder(layers, config.combine_method, channels)
    top = max(backbone)
    # Of each level, what the next node takes from it: its map, and whether that already has the pyramid's depth.
    previous = {level: _Map(level, features, resampled=False) for level, features in backbone.items()}
    last = previous[top]
    for level in range(top + 1, config.max_level + 1):
        last = previous[level] = builder.node(level, [last])
    for _ in range(config.num_iterations):
        downward = {config.max_level: last}
        for level in range(config.max_level - 1, config.min_level - 1, -1):
            last = downward[level] = builder.node(level, [previous[level], last])
        finished = {config.min_level: last}
        for level in range(config.min_level + 1, config.max_level + 1):
            own = [previous[level], downward[level]] if level < config.max_level else [previous[level]]
            last = finished[level] = builder.node(level, [*own, last])
        previous = finished
    return [previous[level].features for level in sorted(previous)]


class _Map:
    def __init__(self, level: int, features: tf.Tensor, *, resampled: bool) -> None:
        self.level, self.features, self.resampled = level, features, resampled


class _Builder:
    """Makes one node of the pyramid after the other; a checkpoint numbers them."""

    def __init__(self, layers: Layers, combine_method: str, channels: int) -> None:
        self._layers = layers
        self._combine_method = combine_method
        self._channels = channels
        self._nodes = 0

    def node(self, level: int, inputs: list[_Map]) -> _Map:
        """Inputs brought to one size and depth; several are joined and convolved."""
        number = self._nodes
        self._nodes += 1
        maps = [self._input(each, level, f"{STAGE}.node_input_blocks.{number}.{i}.1") for i, each in enumerate(inputs)]
        if len(maps) == 1:
            return _Map(level, maps[0], resampled=True)
        path = f"{STAGE}.node_post_combine_block.{number}"
        combined = Combination(self._combine_method, f"{STAGE}.node_combine_op.{number}")(maps)
        convolution = self._layers.separable_convolution(self._channels, 3, f"{path}.1", pointwise=True)
        convolved = convolution(self._layers.activation(combined))
        return _Map(level, self._layers.batch_normalization(f"{path}.2")(convolved), resampled=True)

    def _input(self, given: _Map, level: int, path: str) -> tf.Tensor:
        features = given.features
        if not given.resampled:
            convolved = self._layers.convolution(self._channels, 1, f"{path}.0")(features)
            features = self._layers.batch_normalization(f"{path}.1")(convolved)
        if given.level < level:
            return keras.layers.MaxPooling2D(3, strides=2, padding="same", name=f"{path}.pool")(features)
        if given.level > level:
            return keras.layers.UpSampling2D(2, name=f"{path}.upsampling")(features)
        return features


class Combination(keras.layers.Layer):  # type: ignore[misc]
    """A sum of maps of one shape, weighted by what the layer learns, or not: section 3.3.

    Args:
        method: `fast_attention` divides weights of at least 0 by their sum, `weighted_sum` takes them as they are,
            `sum` has none. `attention` has weights without any influence: the API's softmax runs over an axis of one.
        name: The layer's.
    """

    def __init__(self, method: str, name: str) -> None:
        super().__init__(name=name)
        self._method = method

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        if self._method != "sum":
            self.combine_weights = self.add_weight(
                shape=(len(input_shape), 1), initializer="ones", name="bifpn_combine_weights"
            )

    def call(self, maps: list[tf.Tensor]) -> tf.Tensor:
        if self._method in ("sum", "attention"):
            return sum(maps[1:], maps[0])
        weights = self.combine_weights.value[:, 0]
        if self._method == "fast_attention":
            positive = keras.ops.relu(weights)
            weights = positive / (keras.ops.sum(positive) + EPSILON)
        return sum((weights[i] * features for i, features in enumerate(maps[1:], start=1)), weights[0] * maps[0])
