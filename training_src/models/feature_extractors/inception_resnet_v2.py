# SPDX-License-Identifier: Apache-2.0
"""Inception-ResNet V2, https://arxiv.org/abs/1602.07261, as the OD API has it: every convolution and pool is padded.

A checkpoint numbers the layers of parallel branches by their distance from where the branches end, so the farthest
come first; at equal distance convolutions come before their norms, the first branch before the second.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from training_src.models.config.hyperparams import (
    BatchNorm,
    ConvHyperparams,
    Initializer,
    L2Regularizer,
    Regularizer,
    VarianceScalingInitializer,
)
from training_src.models.layers import Layers, numbered

Kernel = int | tuple[int, int]
# A branch's convolutions: channels, kernel, stride.
Branch = tuple[tuple[int, Kernel, int], ...]

STEM: Branch = ((32, 3, 2), (32, 3, 1), (64, 3, 1))
STEM_AFTER_POOL: Branch = ((80, 1, 1), (192, 3, 1))
MIXED_5B: tuple[Branch, ...] = (
    ((96, 1, 1),),
    ((48, 1, 1), (64, 5, 1)),
    ((64, 1, 1), (96, 3, 1), (96, 3, 1)),
    ((64, 1, 1),),
)
BLOCK_35: tuple[Branch, ...] = (
    ((32, 1, 1),),
    ((32, 1, 1), (32, 3, 1)),
    ((32, 1, 1), (48, 3, 1), (64, 3, 1)),
)
MIXED_6A: tuple[Branch, ...] = (((384, 3, 2),), ((256, 1, 1), (256, 3, 1), (384, 3, 2)))
BLOCK_17: tuple[Branch, ...] = (((192, 1, 1),), ((128, 1, 1), (160, (1, 7), 1), (192, (7, 1), 1)))
MIXED_7A: tuple[Branch, ...] = (
    ((256, 1, 1), (384, 3, 2)),
    ((256, 1, 1), (288, 3, 2)),
    ((256, 1, 1), (288, 3, 1), (320, 3, 2)),
)
BLOCK_8: tuple[Branch, ...] = (((192, 1, 1),), ((192, 1, 1), (224, (1, 3), 1), (256, (3, 1), 1)))
LAST: Branch = ((1536, 1, 1),)


def inception_resnet_v2_to_block17(images: tf.Tensor, layers: Layers, prefix: str, stride: int = 16) -> tf.Tensor:
    """The map with 1088 channels, 16 or 8 times smaller than the image: Faster R-CNN's first stage.

    Args:
        images: `(batch, height, width, 3)`, -1..1.
        layers: Makes the layers.
        prefix: The layers' place in the checkpoint.
        stride: 16; with 8 the last halving is left out, and what stands behind it looks as far by dilation.
    """
    last, dilation = (2, 1) if stride == 16 else (1, 2)
    network = _Network(layers, numbered(prefix))
    features = network.branch(_pool(network.branch(images, STEM)), STEM_AFTER_POOL)
    features = _pool(features)
    averaged = keras.layers.AveragePooling2D(3, strides=1, padding="same")(features)
    features = network.parallel([features] * 3 + [averaged], MIXED_5B)
    for _ in range(10):
        features = network.residual(features, BLOCK_35, scale=0.17)
    features = network.reduced(features, MIXED_6A, last)
    for _ in range(20):
        features = network.residual(features, BLOCK_17, scale=0.1, dilation=dilation)
    return features


def inception_resnet_v2_from_block17(features: tf.Tensor, layers: Layers, prefix: str) -> tf.Tensor:
    """From crops of that map to maps of half their size with 1536 channels: Faster R-CNN's second stage."""
    network = _Network(layers, numbered(prefix))
    features = network.reduced(features, MIXED_7A)
    for _ in range(9):
        features = network.residual(features, BLOCK_8, scale=0.2)
    features = network.residual(features, BLOCK_8, scale=1.0, activate=False)
    return network.branch(features, LAST)


def default_hyperparams() -> ConvHyperparams:
    """The API's for Faster R-CNN: no regularisation, Keras's initialiser."""
    glorot = VarianceScalingInitializer(factor=1.0, uniform=True, mode="FAN_AVG")
    return ConvHyperparams(
        regularizer=Regularizer(l2_regularizer=L2Regularizer(weight=0.0)),
        initializer=Initializer(variance_scaling_initializer=glorot),
        batch_norm=BatchNorm(decay=0.9997, epsilon=0.001, scale=False),
    )


@dataclass(frozen=True)
class _Network:
    layers: Layers
    name: Callable[[], str]

    def branch(self, features: tf.Tensor, branch: Branch) -> tf.Tensor:
        return self.parallel([features], (branch,))

    def parallel(self, inputs: list[tf.Tensor], branches: tuple[Branch, ...], dilation: int = 1) -> tf.Tensor:
        """Branches side by side, joined along the channels."""
        running = list(inputs)
        for left in range(max(len(branch) for branch in branches), 0, -1):
            active = [index for index, branch in enumerate(branches) if len(branch) >= left]
            for index in active:
                channels, kernel, strides = branches[index][-left]
                convolution = self.layers.convolution(
                    channels, kernel, self.name(), strides=strides, dilation=dilation if kernel != 1 else 1
                )
                running[index] = convolution(running[index])
            for index in active:
                normalised = self.layers.batch_normalization(self.name())(running[index])
                running[index] = self.layers.activation(normalised)
        return running[0] if len(running) == 1 else keras.ops.concatenate(running, axis=-1)

    def residual(
        self,
        features: tf.Tensor,
        branches: tuple[Branch, ...],
        scale: float,
        activate: bool = True,
        dilation: int = 1,
    ) -> tf.Tensor:
        """Figures 16, 17 and 19 of the paper: branches scaled down and added."""
        joined = self.parallel([features] * len(branches), branches, dilation)
        linear = self.layers.convolution(features.shape[-1], 1, self.name(), bias=0.0)
        linear.bias_regularizer = linear.kernel_regularizer
        added = features + linear(joined) * scale
        return self.layers.activation(added) if activate else added

    def reduced(self, features: tf.Tensor, branches: tuple[Branch, ...], strides: int = 2) -> tf.Tensor:
        """Figures 7 and 18: branches that halve the map, or leave its size, beside a pool that does the same."""
        stepping = tuple(
            tuple((channels, kernel, min(step, strides)) for channels, kernel, step in branch) for branch in branches
        )
        joined = self.parallel([features] * len(branches), stepping)
        return keras.ops.concatenate([joined, _pool(features, strides)], axis=-1)


def _pool(features: tf.Tensor, strides: int = 2) -> tf.Tensor:
    return keras.layers.MaxPooling2D(3, strides=strides, padding="same")(features)
