# SPDX-License-Identifier: Apache-2.0
"""Faster R-CNN's first stage: a region proposal network says where objects may be.

https://arxiv.org/abs/1506.01497, section 3.1; OD API `faster_rcnn_meta_arch`.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from training_src.models.box_coder import decode
from training_src.models.config.faster_rcnn import FasterRcnn
from training_src.models.config.matching import FasterRcnnBoxCoder
from training_src.models.layers import Layers

FIRST_CONVOLUTION = "model._first_stage_box_predictor_first_conv.layer_with_weights"
HEADS = "model._first_stage_box_predictor._prediction_heads"


class Proposals(NamedTuple):
    """A batch's proposals, best first, padded with zeros.

    Attributes:
        boxes: `(batch, n, 4)`: ymin, xmin, ymax, xmax in pixels, cut at the image's border.
        scores: `(batch, n)`: the probability of an object.
        anchor_indices: `(batch, n)` int32: the anchor of each.
        count: `(batch,)` int32: how many are no padding.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    anchor_indices: tf.Tensor
    count: tf.Tensor


def proposal_head(features: tf.Tensor, config: FasterRcnn, anchors_per_cell: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Box encodings `(batch, anchors, 4)` and logits `(batch, anchors, 2)` of background and object.

    Args:
        features: The backbone's map, `(batch, height, width, channels)`.
        config: Depth, kernel and hyperparameters of the convolution before the two heads.
        anchors_per_cell: Anchors at each cell of the map.
    """
    hyperparams = config.first_stage_box_predictor_conv_hyperparams
    layers = Layers(hyperparams, freeze_batchnorm=False)
    convolution = layers.convolution(
        config.first_stage_box_predictor_depth,
        config.first_stage_box_predictor_kernel_size,
        f"{FIRST_CONVOLUTION}-0",
        dilation=config.first_stage_atrous_rate,
        bias=None if hyperparams.batch_norm and not hyperparams.force_use_bias else 0.0,
    )
    hidden = convolution(features)
    if hyperparams.batch_norm:
        hidden = layers.batch_normalization(f"{FIRST_CONVOLUTION}-1")(hidden)
    # The API's, whatever the config's activation is.
    hidden = keras.ops.relu6(hidden)
    boxes = layers.convolution(4 * anchors_per_cell, 1, f"{HEADS}.box_encodings.0._box_encoder_layers.0", bias=0.0)(
        hidden
    )
    classes = layers.convolution(
        2 * anchors_per_cell, 1, f"{HEADS}.class_predictions_with_background.0._class_predictor_layers.0", bias=0.0
    )(hidden)
    return (
        keras.layers.Reshape((-1, 4), name="rpn_box_encodings")(boxes),
        keras.layers.Reshape((-1, 2), name="rpn_objectness")(classes),
    )


def propose(
    config: FasterRcnn,
    coder: FasterRcnnBoxCoder,
    encodings: tf.Tensor,
    logits: tf.Tensor,
    anchors: tf.Tensor,
    windows: tf.Tensor,
) -> Proposals:
    """The boxes that are likeliest to hold an object, after non-maximum suppression.

    Args:
        config: Thresholds and limits.
        coder: How boxes are encoded.
        encodings: `(batch, anchors, 4)`.
        logits: `(batch, anchors, 2)`.
        anchors: `(anchors, 4)` in pixels.
        windows: `(batch or 1, 2)` float32: height and width at which boxes are cut.
    """
    limit = config.first_stage_max_proposals
    scores, order = tf.math.top_k(tf.nn.softmax(logits)[..., 1], tf.shape(logits)[1])
    boxes = tf.gather(decode(coder, encodings, anchors[None]), order, batch_dims=1)
    # The operation leaves the order of equal scores open, so it is given ranks, the best's the highest.
    number = tf.shape(scores)[1]
    ranks = tf.where(scores > config.first_stage_nms_score_threshold, tf.cast(number - tf.range(number), tf.float32), 0)
    kept = tf.image.combined_non_max_suppression(
        boxes[:, :, None],
        ranks[..., None],
        max_output_size_per_class=limit,
        max_total_size=limit,
        iou_threshold=config.first_stage_nms_iou_threshold,
        score_threshold=0.0,
        clip_boxes=False,
    )
    clipped = clip(kept.nmsed_boxes, windows[:, None])
    present = (kept.nmsed_scores > 0) & tf.reduce_all(clipped[..., 2:] > clipped[..., :2], axis=-1)
    # What is left moves up, in its order.
    place = tf.argsort(tf.cast(~present, tf.int32), axis=1, stable=True)
    count = tf.reduce_sum(tf.cast(present, tf.int32), axis=1)
    shown = tf.sequence_mask(count, limit)
    sorted_by_score = tf.where(shown, number - tf.cast(tf.gather(kept.nmsed_scores, place, batch_dims=1), tf.int32), 0)
    return Proposals(
        boxes=tf.where(shown[..., None], tf.gather(clipped, place, batch_dims=1), 0.0),
        scores=tf.where(shown, tf.gather(scores, sorted_by_score, batch_dims=1), 0.0),
        anchor_indices=tf.where(shown, tf.gather(order, sorted_by_score, batch_dims=1), 0),
        count=count,
    )


def clip(boxes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Boxes cut at a border.

    Args:
        boxes: `(..., 4)`: ymin, xmin, ymax, xmax.
        size: `(..., 2)`, of a shape that broadcasts: height and width.
    """
    return tf.maximum(tf.minimum(boxes, tf.concat([size, size], axis=-1)), 0.0)


def inside(boxes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Which boxes `(n, 4)` lie wholly within a height and width `(2,)`: `(n,)` bool."""
    return tf.reduce_all((boxes[:, :2] >= 0) & (boxes[:, 2:] <= size), axis=1)
