# SPDX-License-Identifier: Apache-2.0
"""Which anchors' losses count: those with the highest, and not too many negatives among them.

Online hard example mining (https://arxiv.org/abs/1604.03540) and SSD (https://arxiv.org/abs/1512.02325, section 2.2);
OD API `HardExampleMiner`.
"""

from typing import NamedTuple

import tensorflow as tf

from training_src.models.config.losses import Loss
from training_src.models.matching import NEGATIVE


class HardExamples(NamedTuple):
    """The anchors that were chosen.

    Attributes:
        mined: `(batch, anchors)` bool: whose losses count.
        before_ratio: `(batch, anchors)` bool: what was left before negatives were limited.
        counts: `(batch, 2)` int32: positives and negatives among those that count.
    """

    mined: tf.Tensor
    before_ratio: tf.Tensor
    counts: tf.Tensor


def mine_hard_examples(
    config: Loss, classification: tf.Tensor, localization: tf.Tensor, boxes: tf.Tensor, match: tf.Tensor
) -> HardExamples:
    """Choose anchors, an image at a time.

    Args:
        config: Of the losses; it has a `hard_example_miner`.
        classification: `(batch, anchors)`, each anchor's loss.
        localization: The same.
        boxes: `(batch, anchors, 4)`: the predicted ones, decoded; of those that overlap only the hardest is left.
        match: `(batch, anchors)` int32, see `matching`.
    """
    hardness = _hardness(config, classification, localization)

    def mine(image: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> HardExamples:
        return _mine_image(config, *image)

    spec = tf.TensorSpec(match.shape[1:], tf.bool)
    signature = HardExamples(spec, spec, tf.TensorSpec([2], tf.int32))
    mined = tf.map_fn(mine, (hardness, boxes, match), fn_output_signature=signature)
    return HardExamples(*(tf.stop_gradient(array) for array in mined))


def _hardness(config: Loss, classification: tf.Tensor, localization: tf.Tensor) -> tf.Tensor:
    assert config.hard_example_miner is not None
    kind = config.hard_example_miner.loss_type
    if kind == "BOTH":
        return config.classification_weight * classification + config.localization_weight * localization
    return classification if kind == "CLASSIFICATION" else localization


def _mine_image(config: Loss, hardness: tf.Tensor, boxes: tf.Tensor, match: tf.Tensor) -> HardExamples:
    miner = config.hard_example_miner
    assert miner is not None
    anchors = tf.shape(hardness)[0]
    # Hardest first.
    chosen = tf.image.non_max_suppression(boxes, hardness, miner.num_hard_examples or anchors, miner.iou_threshold)
    before_ratio = _mask(chosen, anchors)
    positive, negative = (tf.gather(which, chosen) for which in (match >= 0, match == NEGATIVE))
    if miner.max_negatives_per_positive:
        positives = tf.reduce_sum(tf.cast(positive, tf.int32))
        limit = tf.maximum(miner.min_negatives_per_image, miner.max_negatives_per_positive * positives)
        # Anchors that are neither count with the negatives before them, as in the API.
        within = tf.cumsum(tf.cast(negative, tf.int32)) <= limit
        kept = tf.boolean_mask(chosen, positive | within)
    else:
        kept = chosen
    mined = _mask(kept, anchors)
    counts = [tf.reduce_sum(tf.cast(mined & which, tf.int32)) for which in (match >= 0, match < 0)]
    return HardExamples(mined, before_ratio, tf.stack(counts))


def _mask(indices: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return tf.scatter_nd(indices[:, None], tf.ones_like(indices), [size]) > 0
