# SPDX-License-Identifier: Apache-2.0
"""Augmentation: boxes follow the pixels, and position and seed alone decide."""

from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf  # type: ignore[import-untyped]
from numpy.typing import NDArray

from training_src.models.config.augmentation import PreprocessingStep
from training_src.models.config.decoding import decode
from training_src.models.text_format import parse
from training_src.training.augmentation import Labelled, augmentation

CROP = "random_crop_image { min_object_covered: 0.5 min_area: 0.3 overlap_thresh: 0.3 max_aspect_ratio: 2.0 }"
SQUARE = "random_scale_crop_and_pad_to_square { output_size: 64 scale_min: 0.5 scale_max: 2.0 }"
ALL = [
    "random_horizontal_flip {}",
    CROP,
    SQUARE,
    "random_adjust_brightness {}",
    "random_adjust_contrast {}",
    "random_adjust_hue {}",
    "random_adjust_saturation {}",
]


def picture() -> Labelled:
    """A bright object on a dark ground, and the box around it."""
    image = np.full((60, 90, 3), 20, np.uint8)
    image[12:30, 40:70] = (250, 240, 230)
    boxes = np.array([[12 / 60, 40 / 90, 30 / 60, 70 / 90]], np.float32)
    return Labelled(tf.constant(image), tf.constant(boxes), tf.constant([2]))


def options(*texts: str) -> Sequence[PreprocessingStep]:
    return [decode(PreprocessingStep, parse(text)) for text in texts]


@pytest.mark.parametrize("text", ["random_horizontal_flip {}", CROP, SQUARE])
def test_boxes_follow_the_pixels(text: str) -> None:
    augment = augmentation(options(text), seed=1)
    shapes = set()
    for position in range(20):
        result = augment(picture(), tf.constant(position))
        height, width = result.image.shape[:2]
        shapes.add((height, width, tuple(np.round(result.boxes.numpy().ravel(), 3))))
        bright = np.argwhere(np.asarray(result.image)[..., 1] > 130)
        if len(result.boxes) == 0:
            assert len(bright) < 0.6 * height * width
            continue
        seen = [*bright.min(axis=0), *(bright.max(axis=0) + 1)]
        np.testing.assert_allclose(result.boxes[0] * [height, width, height, width], seen, atol=2.1)
    assert len(shapes) > 1


def test_position_and_seed_alone_decide() -> None:
    def outcome(seed: int, position: int) -> NDArray[np.float32]:
        result = augmentation(options(*ALL), seed)(picture(), tf.constant(position))
        return np.concatenate([np.asarray(result.image, np.float32).ravel(), np.ravel(result.boxes)])

    np.testing.assert_array_equal(outcome(1, 5), outcome(1, 5))
    for seed, position in ((2, 5), (1, 6)):
        assert not np.array_equal(outcome(1, 5), outcome(seed, position))


def test_an_image_without_boxes_passes_every_option() -> None:
    empty = picture()._replace(boxes=tf.zeros([0, 4]), classes=tf.zeros([0], tf.int32))
    result = augmentation(options(*ALL), seed=1)(empty, tf.constant(3))
    assert result.boxes.shape == (0, 4)
    assert result.image.shape[2] == 3


def test_flips_half_of_the_images_or_as_many_as_told() -> None:
    for text, share in (("random_horizontal_flip {}", 0.5), ("random_horizontal_flip { probability: 0.2 }", 0.2)):
        flip = augmentation(options(text), seed=4)
        flipped = [float(flip(picture(), tf.constant(p)).boxes[0, 1]) < 0.4 for p in range(200)]
        assert abs(np.mean(flipped) - share) < 0.1


def test_colours_stay_within_their_range_and_boxes_as_they_are() -> None:
    result = augmentation(options(*ALL[3:]), seed=9)(picture(), tf.constant(0))
    pixels = np.asarray(result.image)
    assert 0 <= pixels.min() < pixels.max() <= 255
    np.testing.assert_array_equal(result.boxes, picture().boxes)
