# SPDX-License-Identifier: Apache-2.0
"""Region-of-interest features: boxes cut out of a feature map and brought to one size by bilinear interpolation.

As RoIAlign, https://arxiv.org/abs/1703.06870, section 3, with one sample a cell; corner samples lie on the box's
corners, cells are points. OD API `spatial_transform_ops`.
"""

from collections.abc import Sequence

import tensorflow as tf

# Height and width of the images on which classifiers are trained.
CLASSIFIERS_SIDE = 224


def levels_of_boxes(boxes: tf.Tensor, image_size: tf.Tensor, count: int) -> tf.Tensor:
    """The map to crop each box from: a box as large as a classifier's image is of the last map but one.

    Equation 1 of https://arxiv.org/abs/1612.03144; OD API `fpn_feature_levels`.

    Args:
        boxes: `(batch, n, 4)`: ymin, xmin, ymax, xmax, normalised.
        image_size: `(2,)` float32: height and width of the padded image.
        count: How many maps there are.

    Returns:
        `(batch, n)` int32, 0 for the finest map.
    """
    if count == 1:
        return tf.zeros(tf.shape(boxes)[:2], tf.int32)
    ratio = tf.sqrt(tf.reduce_prod(image_size)) / CLASSIFIERS_SIDE
    sides = tf.sqrt(tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], axis=-1))
    octaves = tf.math.floordiv(tf.math.log(sides * ratio), tf.math.log(2.0)) + float(count - 2)
    # Boxes of no size, whose logarithm is none, are of the finest map.
    return tf.cast(tf.clip_by_value(octaves, 0.0, float(count - 1)), tf.int32)


def crop_by_level(
    maps: Sequence[tf.Tensor], boxes: tf.Tensor, levels: tf.Tensor, size: int, zeros_around: bool
) -> tf.Tensor:
    """Crops of every box, each of its own map.

    Args:
        maps: `(batch, height, width, channels)` each.
        boxes: `(batch, n, 4)`: ymin, xmin, ymax, xmax, normalised.
        levels: `(batch, n)` int32: the place of each box's map.
        size: Height and width of a crop.
        zeros_around: What a sample off the map is: interpolated between the map and zeros around it, as the API's
            `matmul_crop_and_resize` does; or 0, as TensorFlow's operation has it.

    Returns:
        `(batch * n, size, size, channels)`.
    """
    batch, count = tf.shape(boxes)[0], tf.shape(boxes)[1]
    image, flat = tf.repeat(tf.range(batch), count), tf.reshape(boxes, [-1, 4])
    if len(maps) == 1:
        return _crop(maps[0], flat, image, size, zeros_around)
    crops, places = [], []
    for level, features in enumerate(maps):
        rows = tf.where(tf.equal(tf.reshape(levels, [-1]), level))[:, 0]
        crops.append(_crop(features, tf.gather(flat, rows), tf.gather(image, rows), size, zeros_around))
        places.append(rows)
    return tf.gather(tf.concat(crops, axis=0), tf.math.invert_permutation(tf.concat(places, axis=0)))


def _crop(features: tf.Tensor, boxes: tf.Tensor, image: tf.Tensor, size: int, zeros_around: bool) -> tf.Tensor:
    """Crops of boxes `(n, 4)` of the images with these places in the batch `(n,)`."""
    if zeros_around:
        features, boxes = _with_border(features, boxes)
    return tf.image.crop_and_resize(features, boxes, image, [size, size])


def _with_border(features: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A map with a border of zeros, and the boxes in its coordinates."""
    last = tf.cast(tf.tile(tf.shape(features)[1:3] - 1, [2]), tf.float32)
    return tf.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]]), (boxes * last + 1.0) / (last + 2.0)
