# SPDX-License-Identifier: Apache-2.0
"""Sigmoid focal loss (https://arxiv.org/abs/1708.02002) and smooth L1 (https://arxiv.org/abs/1504.08083), unsummed."""

import tensorflow as tf  # type: ignore[import-untyped]


def sigmoid_focal_loss(logits: tf.Tensor, targets: tf.Tensor, gamma: float, alpha: float | None) -> tf.Tensor:
    """Cross entropy, damped where the prediction is already right.

    Args:
        logits: Any shape.
        targets: The same shape, 0 or 1.
        gamma: How strongly it is damped.
        alpha: Weight of positives, 1 - alpha of negatives; None for none.

    Returns:
        The loss of each entry.
    """
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    probability = tf.sigmoid(logits)
    wrongness = targets * (1 - probability) + (1 - targets) * probability
    # pow has a slow and, at 0, undefined derivative; the usual exponent is 2.
    damping = tf.square(wrongness) if gamma == 2.0 else tf.pow(wrongness, gamma)
    loss = damping * cross_entropy
    if alpha is None:
        return loss
    return loss * (targets * alpha + (1 - targets) * (1 - alpha))


def smooth_l1_loss(predictions: tf.Tensor, targets: tf.Tensor, delta: float) -> tf.Tensor:
    """Huber loss of box encodings, summed over the four offsets.

    Args:
        predictions: `(..., 4)`.
        targets: `(..., 4)`; a NaN counts as no target.
        delta: Where the parabola becomes a line.

    Returns:
        `(...)`.
    """
    targets = tf.where(tf.math.is_nan(targets), predictions, targets)
    error = tf.abs(predictions - targets)
    quadratic = tf.minimum(error, delta)
    return tf.reduce_sum(0.5 * tf.square(quadratic) + delta * (error - quadratic), axis=-1)
