# SPDX-License-Identifier: Apache-2.0
"""Statistics for batch norms that a checkpoint brings folded into the convolutions before them.

A model that was converted for inference has multiplied its batch norms into its kernels: what is left of each is an
offset, with a scale of 1, a mean of 0 and a variance of 1. Trained so, batches are normalised to something that the
network has never seen. Where mean, variance, scale and offset are set to what some images give, inference is the same
function as before, and training begins with almost the same one.
"""

from collections.abc import Collection, Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training_src.models.checkpoints.checkpoint import variables_by_key
from training_src.models.layers import BatchNormalization

# What a converter leaves of a variance of 1 is off by the epsilon that it took for its own.
FOLDED_VARIANCE = 0.01


def folded_batch_norms(network: keras.Model, restored: Collection[str]) -> list[BatchNormalization]:
    """Those that a checkpoint brought with a scale of 1 and without a mean, in the order of the data.

    Args:
        network: With the checkpoint's weights.
        restored: The keys of the variables that are the checkpoint's. A batch norm that was drawn has the same numbers,
            and is to normalise.
    """
    keys = {id(variable): key for key, variable in variables_by_key(network).items()}
    norms = [layer for layer in network.layers if isinstance(layer, BatchNormalization)]
    return [norm for norm in norms if keys[id(norm.moving_mean)] in restored and _is_folded(norm)]


def measure_statistics(network: keras.Model, layers: Sequence[BatchNormalization], batches: Iterable[tf.Tensor]) -> int:
    """Give batch norms the statistics of what reaches them; the network's function in inference stays the same.

    Args:
        network: Takes the batches.
        layers: Of the network, each with a gamma and a beta.
        batches: `(batch, height, width, 3)`, as the network takes them.

    Returns:
        How many images were measured.
    """
    inputs = [keras.ops.cast(layer.input, "float32") for layer in layers]
    moments = keras.Model(network.inputs, [[_mean(each), _mean(keras.ops.square(each))] for each in inputs])
    images, sums = 0, [np.zeros((2, layer.moving_mean.shape[0])) for layer in layers]
    for batch in batches:
        count = int(batch.shape[0])
        images += count
        for total, pair in zip(sums, moments(batch, training=False), strict=True):
            total += count * np.asarray(pair, np.float64)
    for layer, (mean, square) in zip(layers, (total / images for total in sums), strict=True):
        _set(layer, mean, np.maximum(square - mean**2, 0.0))
    return images


def _set(layer: BatchNormalization, mean: NDArray[np.float64], variance: NDArray[np.float64]) -> None:
    scale, offset = (np.asarray(value, np.float64) for value in layer.scale_and_offset())
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
    assert layer.gamma is not None and layer.beta is not None  # as asked for
    layer.gamma.assign(scale * np.sqrt(variance + layer.epsilon))
    layer.beta.assign(offset + scale * mean)


def _mean(features: keras.KerasTensor) -> keras.KerasTensor:
    return keras.ops.mean(features, axis=(0, 1, 2))


def _is_folded(norm: BatchNormalization) -> bool:
    if norm.gamma is None or norm.beta is None:
        return False
    mean, variance, gamma = (np.asarray(each.value) for each in (norm.moving_mean, norm.moving_variance, norm.gamma))
    return bool((mean == 0).all() and (gamma == 1).all() and (np.abs(variance - 1) < FOLDED_VARIANCE).all())
