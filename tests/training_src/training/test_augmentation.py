# SPDX-License-Identifier: Apache-2.0
"""Augmentation: boxes follow the pixels to half a pixel, and position and seed alone decide."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from training_src.models.config.augmentation import PreprocessingStep, RandomDistortColor
from training_src.models.config.augmentation_order import check_order
from training_src.models.config.decoding import decode
from training_src.models.config.image_resizer import FixedShapeResizer, ImageResizer
from training_src.models.errors import ConfigError
from training_src.models.preprocessing import resize_to
from training_src.text_format import parse
from training_src.training.augmentation import Labelled, augmentation, leaves_bytes, moves_pixels
from training_src.training.augmentation.autoaugment import _CHANGES as CHANGES
from training_src.training.augmentation.autoaugment import POLICIES
from training_src.training.augmentation.colour import brightened, contrasted, recoloured
from training_src.training.augmentation.crops import Crop, sample_window
from training_src.training.augmentation.labels import jittered
from training_src.training.augmentation.resizing import METHODS, resized

CROP = "random_crop_image { min_object_covered: 0.5 min_area: 0.3 overlap_thresh: 0.3 max_aspect_ratio: 2.0 }"
GEOMETRY = [
    "random_horizontal_flip {}",
    "random_vertical_flip {}",
    "random_rotation90 {}",
    "random_image_scale {}",
    CROP,
    "random_crop_to_aspect_ratio { aspect_ratio: 0.7 }",
    "random_pad_image {}",
    "random_pad_image { min_image_height: 200 min_image_width: 300 max_image_height: 400 max_image_width: 400 "
    "pad_color: 10 pad_color: 20 pad_color: 30 }",
    "random_absolute_pad_image { max_height_padding: 20 max_width_padding: 20 }",
    "random_crop_pad_image { min_area: 0.4 }",
    "random_scale_crop_and_pad_to_square { output_size: 160 scale_min: 0.5 scale_max: 2.0 }",
    "random_square_crop_by_scale {}",
    "ssd_random_crop {}",
    "ssd_random_crop { operations { min_object_covered: 0.3 min_aspect_ratio: 0.8 max_aspect_ratio: 1.2 "
    "min_area: 0.5 max_area: 0.9 } }",
    "ssd_random_crop_pad {}",
    "ssd_random_crop_pad { operations { min_aspect_ratio: 0.8 max_aspect_ratio: 1.2 min_area: 0.5 max_area: 0.9 "
    "max_padded_size_ratio: 1.5 max_padded_size_ratio: 1.5 pad_color_r: 40 pad_color_g: 20 } }",
    "ssd_random_crop_fixed_aspect_ratio {}",
    "ssd_random_crop_pad_fixed_aspect_ratio {}",
]
DISTURBANCES = [
    "random_black_patches { size_to_image_ratio: 0.05 }",
    "random_patch_gaussian { max_patch_size: 20 max_gaussian_stddev: 0.1 }",
    "random_jpeg_quality { min_jpeg_quality: 60 }",
    "random_pixel_value_scale {}",
]
COLOURS = [
    "random_adjust_brightness {}",
    "random_adjust_contrast {}",
    "random_adjust_hue {}",
    "random_adjust_saturation {}",
    "random_distort_color {}",
    "random_distort_color { color_ordering: 1 }",
    "random_rgb_to_gray { probability: 0.5 }",
    "rgb_to_gray {}",
    "adjust_gamma { gamma: 0.8 gain: 0.9 }",
]
AUTOAUGMENT = [f'autoaugment_image {{ policy_name: "{name}" }}' for name in POLICIES]
# Of these, boxes do not keep to the one object.
OTHERS = [
    "random_downscale_to_target_pixels { min_target_pixels: 8000 max_target_pixels: 12000 }",
    "random_self_concat_image { concat_vertical_probability: 0.5 concat_horizontal_probability: 0.5 }",
    "random_resize_method { target_height: 90 target_width: 70 }",
    "random_jitter_boxes {}",
    "drop_label_probabilistically { label: 3 drop_probability: 0.5 }",
    "remap_labels { original_labels: 3 new_label: 1 }",
    "normalize_image { original_maxval: 255 }",
    "subtract_channel_mean { means: [1, 2, 3] }",
]
NOT_RANDOM = {"rgb_to_gray", "adjust_gamma", "remap_labels", "normalize_image", "subtract_channel_mean"}
ALL = [*GEOMETRY, *DISTURBANCES, *COLOURS, *AUTOAUGMENT, *OTHERS]


def picture() -> Labelled:
    """A bright object with an even edge on a dark ground, and the box around it."""
    image = np.full((120, 180, 3), 20, np.uint8)
    image[30:66, 45:99] = (250, 240, 230)
    boxes = np.array([[30 / 120, 45 / 180, 66 / 120, 99 / 180]], np.float32)
    return Labelled(image, boxes, np.array([2], np.int32), np.array([0.5], np.float32))


def options(*texts: str) -> Sequence[PreprocessingStep]:
    return [decode(PreprocessingStep, parse(text)) for text in texts]


def edges(image: NDArray[np.uint8]) -> list[float]:
    """Where the object begins and ends, ymin, xmin, ymax, xmax: partly covered pixels count by their brightness."""
    found: list[float] = []
    for axis in (0, 1):
        profile = image[..., 1].max(axis=1 - axis) / 240
        inside = np.flatnonzero(profile > 0.97)
        first, last = int(inside[0]), int(inside[-1])
        found += [first - covered(profile[max(first - 6, 0) : first]), last + 1 + covered(profile[last + 1 : last + 7])]
    return [found[0], found[2], found[1], found[3]]


def covered(ramp: NDArray[np.float64]) -> float:
    """How many pixels of a ramp from the ground's brightness to the object's belong to the object."""
    return float(((ramp - ramp.min()) / (1 - ramp.min())).sum()) if len(ramp) else 0.0


@pytest.mark.parametrize("size", [None, (96, 96), (320, 200)])
@pytest.mark.parametrize("text", GEOMETRY)
def test_boxes_follow_the_pixels_to_half_a_pixel(text: str, size: tuple[int, int] | None) -> None:
    """Beyond that only by what a detector's own resizing, without half-pixel centres, moves a whole image."""
    augment = augmentation(options(text), seed=1, resized=size and (lambda *_: size))
    seen = set()
    for position in range(25):
        result = augment(picture(), position)
        height, width = result.image.shape[:2]
        if size:
            assert (height, width) == size
        seen.add((height, width, tuple(np.round(result.boxes.ravel(), 3))))
        bright = result.image[..., 1] > 130
        if len(result.boxes) == 0:
            assert bright.mean() < 0.7
            continue
        assert result.classes.tolist() == [2]
        assert result.weights.tolist() == [0.5]
        beside = np.abs(result.boxes[0] * [height, width, height, width] - edges(np.asarray(result.image, np.uint8)))
        factors = (size[0] / 120, size[1] / 180) if size else (1.0, 1.0)
        assert (beside <= [0.51 + abs(factor - 1) / 2 for factor in factors * 2]).all()
    if size is None or "image_scale" not in text:  # which is undone by a given size
        assert len(seen) > 1


@pytest.mark.parametrize("flip", ["random_horizontal_flip", "random_vertical_flip"])
def test_a_whole_image_is_resized_as_evaluation_resizes_it(flip: str) -> None:
    augment = augmentation(options(f"{flip} {{}}"), seed=1, resized=lambda *_: (60, 100))
    axis = 0 if "vertical" in flip else 1
    image = picture().image
    outcomes = {augment(picture(), position).image.tobytes() for position in range(25)}
    resizer = ImageResizer(fixed_shape_resizer=FixedShapeResizer(height=60, width=100))
    for pixels in (image, np.flip(image, axis)):
        wanted, _ = resize_to(resizer, tf.constant(np.ascontiguousarray(pixels)[None]))
        distances = [
            np.abs(np.frombuffer(one, np.uint8).reshape(60, 100, 3) - wanted.numpy()[0]).max() for one in outcomes
        ]
        assert min(distances) <= 1.0
    assert len(outcomes) == 2


@pytest.mark.parametrize("name", ["TranslateX_BBox", "TranslateY_BBox", "ShearX_BBox", "ShearY_BBox", "Rotate_BBox"])
def test_autoaugments_moves_keep_boxes_around_the_object(name: str) -> None:
    given = picture()
    image, boxes = np.asarray(given.image, np.uint8), given.boxes
    for number in range(4):
        moved, found = CHANGES[name](image, boxes.astype(np.float64), 1.0 + number % 2, np.random.default_rng(number))
        assert not np.array_equal(moved, image)
        brightness = np.maximum(moved[..., 1] - 140.0, 0.0)  # the padding is 128
        y, x = (np.average(places + 0.5, weights=brightness) for places in np.indices(brightness.shape))
        box = found[0] * (120, 180, 120, 180)
        np.testing.assert_allclose([y, x], [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], atol=0.25)
        top, left, bottom, right = np.rint(box).astype(int)
        around = brightness[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1]
        assert around.sum() == brightness.sum()


@pytest.mark.parametrize("text", ALL)
def test_position_and_seed_alone_decide(text: str) -> None:
    given = picture()
    untouched = given.image.copy()

    def outcome(seed: int) -> list[Labelled]:
        augment = augmentation(options(text), seed)
        return [augment(given, position) for position in range(12)]

    def flat(results: list[Labelled]) -> list[bytes]:
        return [b"".join(each.tobytes() for each in (result.image, result.boxes, result.classes)) for result in results]

    first = flat(outcome(1))
    assert first == flat(outcome(1))
    np.testing.assert_array_equal(given.image, untouched)
    if text.split()[0] not in NOT_RANDOM:
        assert len(set(first)) > 1
        assert first != flat(outcome(2))


@pytest.mark.parametrize("text", ALL)
def test_an_image_without_boxes_passes_every_option(text: str) -> None:
    given = picture()
    empty = given._replace(boxes=given.boxes[:0], classes=given.classes[:0], weights=given.weights[:0])
    for position in range(6):
        result = augmentation(options(text), seed=1, resized=lambda *_: (64, 64))(empty, position)
        assert result.boxes.shape == (0, 4)
        assert result.image.shape == (64, 64, 3)
        assert result.image.dtype == (np.float32 if leaves_bytes(options(text)) else np.uint8)


def test_all_options_together_keep_boxes_within_the_image() -> None:
    for position in range(30):
        result = augmentation(options(*ALL), seed=3, resized=lambda *_: (96, 96))(picture(), position)
        assert (result.boxes >= 0).all()
        assert (result.boxes <= 1).all()
        assert (result.boxes[:, 2:] >= result.boxes[:, :2]).all()


def test_flips_half_of_the_images_or_as_many_as_told() -> None:
    for text, share in (("random_horizontal_flip {}", 0.5), ("random_horizontal_flip { probability: 0.2 }", 0.2)):
        flip = augmentation(options(text), seed=4)
        shifted = picture()._replace(boxes=np.array([[0.1, 0.1, 0.2, 0.2]], np.float32))
        flipped = [float(flip(shifted, position).boxes[0, 1]) > 0.5 for position in range(300)]
        assert abs(np.mean(flipped) - share) < 0.08


@pytest.mark.parametrize("text", [*COLOURS, *DISTURBANCES])
def test_colours_and_noise_leave_boxes_as_they_are(text: str) -> None:
    assert not moves_pixels(options(text))
    result = augmentation(options(text), seed=9)(picture(), 0)
    np.testing.assert_allclose(result.boxes, picture().boxes, atol=1e-6)


def test_colour_changes_are_those_of_tensorflow() -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    shares = tf.constant(image, tf.float32) / 255

    def expected(changed: tf.Tensor) -> NDArray[np.float32]:
        return np.asarray(np.clip(changed.numpy(), 0, 1) * 255, np.float32)

    for actual, wanted in (
        (brightened(image, -0.13), tf.image.adjust_brightness(shares, -0.13)),
        (contrasted(image, 1.4), tf.image.adjust_contrast(shares, 1.4)),
        (recoloured(image, turn=0.15), tf.image.adjust_hue(shares, 0.15)),
        (recoloured(image, turn=-0.2), tf.image.adjust_hue(shares, -0.2)),
        (recoloured(image, saturation=1.4), tf.image.adjust_saturation(shares, 1.4)),
        (recoloured(image, saturation=0.3), tf.image.adjust_saturation(shares, 0.3)),
    ):
        np.testing.assert_allclose(actual, expected(wanted), atol=0.6)


def test_crops_are_drawn_as_tensorflow_draws_them() -> None:
    """The two samplers' heights, widths and places have the same distribution."""
    boxes = np.array([[0.1, 0.2, 0.5, 0.6], [0.6, 0.5, 0.9, 0.95]])
    crop = Crop(0.6, (0.5, 2.0), (0.1, 0.8), 0.3, True, 0.0)
    ours = np.array([sample_window(120, 180, boxes, crop, np.random.default_rng(seed)) for seed in range(1500)])
    draw = tf.function(
        lambda seed: tf.concat(
            tf.image.stateless_sample_distorted_bounding_box(
                [120, 180, 3], boxes[None].astype(np.float32), seed, 0.6, (0.5, 2.0), (0.1, 0.8), 100, True
            )[:2],
            axis=0,
        ),
        input_signature=[tf.TensorSpec([2], tf.int64)],
    )
    theirs = np.array([draw(tf.constant([7, seed], tf.int64)).numpy()[[0, 1, 3, 4]] for seed in range(1500)])
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=3.0)
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), atol=3.0)


def test_a_crop_that_cannot_be_found_leaves_the_image_whole() -> None:
    boxes = np.array([[0.0, 0.0, 1.0, 1.0]])
    crop = Crop(1.0, (1.0, 1.0), (0.1, 0.5), 0.3, True, 0.0)
    assert sample_window(100, 200, boxes, crop, np.random.default_rng(0)) == (0, 0, 100, 200)


def test_both_orders_of_colour_distortion_differ() -> None:
    assert options("random_distort_color {}")[0].random_distort_color == RandomDistortColor(color_ordering=0)
    image = np.asarray(cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_JET), np.uint8)
    given = picture()._replace(image=image)
    first, second = (augmentation(options(text), seed=2)(given, 1).image for text in COLOURS[4:6])
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("scale_boxes_to_pixel_coordinates {}", "scale_boxes_to_pixel_coordinates"),
        ("random_resize_method { target_height: 0 target_width: 9 }", "target_height is 0"),
        ("random_downscale_to_target_pixels { min_target_pixels: 600000 }", "max_target_pixels 500000"),
        ("normalize_image { original_minval: 3 original_maxval: 3 }", "are both 3"),
        ("subtract_channel_mean { means: 3 }", "means has 1 values, an image has 3 channels"),
        ("remap_labels { original_labels: 3 }", "new_label"),
        ("random_jitter_boxes { jitter_mode: WIDEN }", "jitter_mode"),
        ("random_distort_color { color_ordering: 2 }", "color_ordering"),
        ('autoaugment_image { policy_name: "v9" }', "policy_name"),
        ("random_pad_image { min_image_height: 5 }", "min_image_width"),
        ("random_pad_image { pad_color: 5 }", "pad_color"),
        ("ssd_random_crop { operations { min_object_covered: 0.5 } }", "aspect_ratio"),
        ("random_crop_image { min_area: 0.9 max_area: 0.5 }", "max_area"),
    ],
)
def test_what_is_not_supported_is_named(text: str, names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        options(text)


def test_pixels_that_left_their_range_pass_nothing_that_counts_on_it() -> None:
    check_order(options("rgb_to_gray {}", "normalize_image { original_maxval: 255 }", "random_horizontal_flip {}"))
    with pytest.raises(ConfigError, match=r"random_pad_image stands behind subtract_channel_mean, .*; put"):
        check_order(options("subtract_channel_mean { means: [1, 2, 3] }", "random_pad_image {}"))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        # Sizes 0.2 and 0.4 about (0.5, 0.5): factors 1.05, 1.0, 0.95, 0.9.
        ("DEFAULT", [0.5 - 0.1 * 1.05, 0.5 - 0.2 * 1.0, 0.5 + 0.1 * 0.95, 0.5 + 0.2 * 0.9]),
        ("EXPAND", [0.5 - 0.1 * 1.075, 0.5 - 0.2 * 1.05, 0.5 + 0.1 * 1.025, 0.5 + 0.2 * 1.0]),
        ("SHRINK", [0.5 - 0.1 * 0.975, 0.5 - 0.2 * 0.95, 0.5 + 0.1 * 0.925, 0.5 + 0.2 * 0.9]),
        ("EXPAND_SYMMETRIC", [0.5 - 0.1 * 1.075, 0.5 - 0.2 * 1.05, 0.5 + 0.1 * 1.075, 0.5 + 0.2 * 1.05]),
        ("SHRINK_SYMMETRIC", [0.5 - 0.1 * 0.975, 0.5 - 0.2 * 0.95, 0.5 + 0.1 * 0.975, 0.5 + 0.2 * 0.95]),
        ("EXPAND_SYMMETRIC_XY", [0.5 - 0.1 * 1.075, 0.5 - 0.2 * 1.075, 0.5 + 0.1 * 1.075, 0.5 + 0.2 * 1.075]),
        ("SHRINK_SYMMETRIC_XY", [0.5 - 0.1 * 0.975, 0.5 - 0.2 * 0.975, 0.5 + 0.1 * 0.975, 0.5 + 0.2 * 0.975]),
    ],
)
def test_boxes_jitter_as_their_mode_says(mode: str, expected: list[float]) -> None:
    config = options(f"random_jitter_boxes {{ ratio: 0.1 jitter_mode: {mode} }}")[0].random_jitter_boxes
    assert config is not None
    found = jittered(config, np.array([[0.4, 0.3, 0.6, 0.7]]), np.array([[0.75, 0.5, 0.25, 0.0]]))
    np.testing.assert_allclose(found, [expected], atol=1e-12)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("EXPAND", [0.0, 0.1, 0.22, 0.32]),  # clipped at the upper edge
        ("EXPAND_SYMMETRIC", [0.0, 0.08, 0.2, 0.32]),  # the edge above keeps the lower one where it is
        ("EXPAND_SYMMETRIC_XY", [0.0, 0.1, 0.2, 0.3]),  # and then the sides too
    ],
)
def test_jittered_boxes_stay_in_the_image(mode: str, expected: list[float]) -> None:
    config = options(f"random_jitter_boxes {{ ratio: 0.2 jitter_mode: {mode} }}")[0].random_jitter_boxes
    assert config is not None
    drawn = np.array([[1.0, 0.0 if mode == "EXPAND" else 1.0, 1.0, 1.0]])
    np.testing.assert_allclose(jittered(config, np.array([[0.0, 0.1, 0.2, 0.3]]), drawn), [expected], atol=1e-12)


def test_gamma_is_tensorflows() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    given = picture()._replace(image=image)
    changed = augmentation(options("adjust_gamma { gamma: 2.2 gain: 1.3 }"), seed=1)(given, 0).image
    expected = np.clip(tf.image.adjust_gamma(image / 255, 2.2, 1.3).numpy() * 255, 0, 255)
    np.testing.assert_allclose(changed, expected, atol=0.501)


def test_each_value_is_scaled_by_itself_within_the_bounds() -> None:
    image = np.full((40, 50, 3), 100, np.uint8)
    option = options("random_pixel_value_scale { minval: 0.8 maxval: 1.1 }")
    changed = augmentation(option, seed=1)(picture()._replace(image=image), 0).image
    assert (changed.min(), changed.max()) == (80, 110)
    assert 94 < changed.mean() < 96
    white = np.full((4, 4, 3), 250, np.uint8)
    assert (
        augmentation(options("random_pixel_value_scale { minval: 1.1 maxval: 1.2 }"), 1)(
            picture()._replace(image=white), 0
        ).image.min()
        == 255
    )


def test_an_image_stands_below_and_beside_itself() -> None:
    image, boxes, classes, weights = picture()
    both = "random_self_concat_image { concat_vertical_probability: 1 concat_horizontal_probability: 1 }"
    twice = augmentation(options(both), seed=1)(picture(), 0)
    np.testing.assert_array_equal(twice.image, np.tile(image, (2, 2, 1)))
    ymin, xmin, ymax, xmax = boxes[0] / 2
    expected = [[ymin + y, xmin + x, ymax + y, xmax + x] for x in (0, 0.5) for y in (0, 0.5)]
    np.testing.assert_allclose(twice.boxes, expected, atol=1e-6)
    np.testing.assert_array_equal(twice.classes, [*classes] * 4)
    np.testing.assert_array_equal(twice.weights, [*weights] * 4)


@pytest.mark.parametrize("size", [(90, 70), (200, 300), (60, 300)])
@pytest.mark.parametrize("number", range(4))
def test_an_image_is_resized_as_each_of_tensorflows_methods_does(number: int, size: tuple[int, int]) -> None:
    image = np.random.default_rng(2).integers(0, 256, (120, 180, 3), np.uint8)
    expected = tf.compat.v1.image.resize_images(image.astype(np.float32), size, method=number).numpy()
    actual = resized(image, *size, METHODS[number])
    np.testing.assert_allclose(actual, np.clip(expected, 0, 255), atol=0.6)


def test_all_four_methods_are_taken() -> None:
    image = np.random.default_rng(2).integers(0, 256, (60, 40, 3), np.uint8)
    resize = augmentation(options("random_resize_method { target_height: 50 target_width: 30 }"), seed=1)
    found = {resize(picture()._replace(image=image), position).image.tobytes() for position in range(40)}
    assert found == {resized(image, 50, 30, method).tobytes() for method in METHODS}


def test_an_image_becomes_smaller_and_never_larger() -> None:
    given = picture()  # of 21600 pixels
    small = augmentation(
        options("random_downscale_to_target_pixels { min_target_pixels: 5400 max_target_pixels: 5401 }"), seed=1
    )(given, 0)
    assert small.image.shape == (60, 90, 3)
    np.testing.assert_allclose(small.boxes, given.boxes, atol=1e-6)
    for text in ("min_target_pixels: 21600 max_target_pixels: 21601", "min_target_pixels: 9 random_coef: 1.1"):
        unchanged = augmentation(options(f"random_downscale_to_target_pixels {{ {text} }}"), seed=1)(given, 0)
        np.testing.assert_array_equal(unchanged.image, given.image)


def test_boxes_of_one_class_are_dropped_with_their_probability() -> None:
    boxes = np.tile(picture().boxes, (1000, 1))
    classes = np.arange(1000, dtype=np.int32) % 2
    given = picture()._replace(boxes=boxes, classes=classes, weights=np.ones(1000, np.float32))
    dropped = augmentation(options("drop_label_probabilistically { label: 2 drop_probability: 0.3 }"), seed=1)
    left = dropped(given, 0).classes
    assert (left == 0).sum() == 500
    assert 320 < (left == 1).sum() < 380
    all_of_it = augmentation(options("drop_label_probabilistically { label: 2 }"), seed=1)(given, 0)
    assert set(all_of_it.classes) == {0}


def test_several_classes_become_one() -> None:
    given = picture()._replace(
        boxes=np.tile(picture().boxes, (4, 1)),
        classes=np.array([0, 1, 2, 3], np.int32),
        weights=np.ones(4, np.float32),
    )
    remap = augmentation(options("remap_labels { original_labels: [2, 4] new_label: 3 }"), seed=1)
    np.testing.assert_array_equal(remap(given, 0).classes, [0, 2, 2, 2])
    np.testing.assert_array_equal(given.classes, [0, 1, 2, 3])


def test_values_leave_their_range_at_the_end() -> None:
    given = picture()
    texts = (
        "normalize_image { original_minval: 0 original_maxval: 255 target_minval: -1 target_maxval: 1 }",
        "subtract_channel_mean { means: [0.1, 0.2, 0.3] }",
    )
    changed = augmentation(options(*texts), seed=1)(given, 0)
    expected = given.image / 255 * 2 - 1 - np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(changed.image, expected, atol=1e-6)
    assert changed.image.dtype == np.float32
