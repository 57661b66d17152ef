# SPDX-License-Identifier: Apache-2.0
"""Losses of classes and of boxes, before any sum over anchors; OD API `core/losses.py`."""

from collections.abc import Callable

import tensorflow as tf

from training_src.models.config.losses import ClassificationLoss, LocalizationLoss


def classification_loss(
    config: ClassificationLoss, logits: tf.Tensor, columns: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """How far logits are from one-hot targets, anchor by anchor.

    Args:
        config: Which loss.
        logits: `(..., classes)`.
        columns: `(...)` int32: the class whose target is 1; -1 where all targets are 0.
        weights: `(...)`.

    Returns:
        `(...)`: summed over the classes, weighted.
    """
    present = tf.range(logits.shape[-1]) == columns[..., None]
    if config.weighted_sigmoid_focal:
        focal = config.weighted_sigmoid_focal
        loss = sigmoid_focal_loss(logits, present, focal.gamma, focal.alpha)
    elif config.weighted_sigmoid:
        loss = sigmoid_cross_entropy(logits, present)
    elif config.bootstrapped_sigmoid:
        bootstrapped = config.bootstrapped_sigmoid
        loss = bootstrapped_cross_entropy(logits, present, bootstrapped.alpha, bootstrapped.hard_bootstrap)
    elif config.weighted_softmax:
        targets = tf.cast(present, tf.float32)
        return softmax_cross_entropy(logits, targets, config.weighted_softmax.logit_scale) * weights
    else:
        assert config.weighted_logits_softmax is not None  # the config holds exactly one
        scale = config.weighted_logits_softmax.logit_scale
        return softmax_cross_entropy(logits, tf.nn.softmax(tf.cast(present, tf.float32) / scale), scale) * weights
    return tf.reduce_sum(loss, axis=-1) * weights


def localization_loss(
    config: LocalizationLoss, predictions: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """How far box encodings are from their targets, anchor by anchor.

    Args:
        config: Which loss.
        predictions: `(..., 4)`.
        targets: `(..., 4)`; a NaN counts as no target.
        weights: `(...)`.

    Returns:
        `(...)`: summed over the four numbers, weighted.
    """
    targets = tf.where(tf.math.is_nan(targets), predictions, targets)
    if config.weighted_l2:
        return 0.5 * tf.reduce_sum(tf.square((predictions - targets) * weights[..., None]), axis=-1)
    if config.weighted_iou:
        return (1 - _iou_of_pairs(predictions, targets)) * weights
    assert config.weighted_smooth_l1 is not None  # the config holds exactly one
    return smooth_l1_loss(predictions, targets, config.weighted_smooth_l1.delta) * weights


def sigmoid_focal_loss(logits: tf.Tensor, present: tf.Tensor, gamma: float, alpha: float | None) -> tf.Tensor:
    """Cross entropy, damped where the prediction is already right; https://arxiv.org/abs/1708.02002.

    Args:
        logits: Any shape.
        present: The same shape, bool: where the target is 1.
        gamma: How strongly it is damped.
        alpha: Weight of positives, 1 - alpha of negatives; None for none.

    Returns:
        The loss of each entry.
    """
    # A logit's loss where the target is 1 is the opposite logit's where it is 0.
    loss = _focal_loss_of_absent(tf.where(present, -logits, logits), gamma)
    return loss if alpha is None else tf.where(present, alpha, 1 - alpha) * loss


def _focal_loss_of_absent(logits: tf.Tensor, gamma: float) -> tf.Tensor:
    """The loss where every target is 0; its derivative is written out, so that one exponential serves everything."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def loss(logits: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        exponential = tf.exp(-tf.abs(logits))
        total = 1.0 + exponential
        reciprocal = 1.0 / total
        wrongness = tf.where(logits >= 0, reciprocal, exponential * reciprocal)
        # A logarithm and what the sum lost by rounding: as exact as log1p, which takes twice as long.
        entropy = tf.maximum(logits, 0.0) + tf.math.log(total) + (exponential - (total - 1.0)) * reciprocal
        damping = tf.square(wrongness) if gamma == 2.0 else tf.pow(wrongness, gamma)
        slope = damping * (wrongness + gamma * (1.0 - wrongness) * entropy)
        return damping * entropy, lambda upstream: upstream * slope

    return loss(logits)


def sigmoid_cross_entropy(logits: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """Each entry's, as if its class were alone; `present` says where the target is 1."""
    return tf.math.softplus(tf.where(present, -logits, logits))


def bootstrapped_cross_entropy(logits: tf.Tensor, present: tf.Tensor, alpha: float, hard: bool) -> tf.Tensor:
    """Cross entropy against a blend of target and prediction; https://arxiv.org/abs/1412.6596.

    Args:
        logits: Any shape.
        present: The same shape, bool: where the target is 1.
        alpha: Share of the target.
        hard: Whether the prediction is rounded to 0 or 1.
    """
    believed = tf.cast(logits > 0, tf.float32) if hard else tf.sigmoid(logits)
    blended = alpha * tf.cast(present, tf.float32) + (1 - alpha) * believed
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=blended, logits=logits)


def softmax_cross_entropy(logits: tf.Tensor, targets: tf.Tensor, logit_scale: float = 1.0) -> tf.Tensor:
    """Each row's, `(...)` of `(..., classes)`; a greater scale makes predictions more even."""
    return tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits / logit_scale)


def smooth_l1_loss(predictions: tf.Tensor, targets: tf.Tensor, delta: float) -> tf.Tensor:
    """Huber loss of box encodings, summed over the four offsets; https://arxiv.org/abs/1504.08083.

    Args:
        predictions: `(..., 4)`.
        targets: `(..., 4)`.
        delta: Where the parabola becomes a line.

    Returns:
        `(...)`.
    """
    error = tf.abs(predictions - targets)
    quadratic = tf.minimum(error, delta)
    return tf.reduce_sum(0.5 * tf.square(quadratic) + delta * (error - quadratic), axis=-1)


def _iou_of_pairs(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Intersection over union of each box with the one at its place; 0 where they do not meet."""
    corner = tf.maximum(boxes[..., :2], others[..., :2])
    opposite = tf.minimum(boxes[..., 2:], others[..., 2:])
    intersection = tf.reduce_prod(tf.maximum(opposite - corner, 0), axis=-1)
    areas = [tf.reduce_prod(each[..., 2:] - each[..., :2], axis=-1) for each in (boxes, others)]
    return tf.math.divide_no_nan(intersection, areas[0] + areas[1] - intersection)
