# SPDX-License-Identifier: Apache-2.0
"""Batches: a pure function of seed and step, padded no further than needed."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from containers.contract.tfrecord import write_record
from training_src.data.records.example import DetectionExample, encode
from training_src.errors import ConfigurationError, DataError
from training_src.models.config.augmentation import PreprocessingStep
from training_src.models.config.decoding import decode
from training_src.models.config.image_resizer import FixedShapeResizer, ImageResizer
from training_src.models.config.pipeline import PipelineConfig
from training_src.models.config.training import TrainConfig
from training_src.models.preprocessing import resize_to
from training_src.text_format import parse
from training_src.training.input_pipeline import training_batches
from training_src.training.records import Records, pixels

KEPT = decode(
    ImageResizer,
    parse("keep_aspect_ratio_resizer { min_dimension: 64 max_dimension: 64 pad_to_max_dimension: true }"),
)


def sized(height: int, width: int) -> ImageResizer:
    return ImageResizer(fixed_shape_resizer=FixedShapeResizer(height=height, width=width))


def options(*texts: str) -> tuple[PreprocessingStep, ...]:
    return tuple(decode(PreprocessingStep, parse(text)) for text in texts)


def written(folder: Path, boxes: int) -> Path:
    """A split of one image with so many boxes, of which the first is a crowd and the second difficult."""
    image = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    edges = np.array([[n / 100, 0.1, n / 100 + 0.2, 0.6] for n in range(boxes)], np.float32)
    flags = np.zeros((3, boxes), np.int64)
    flags[0, 0] = flags[1, 1] = 1
    example = DetectionExample(
        "a", "a.png", image, "png", 64, 64, edges, np.ones(boxes, np.int64), ("x",) * boxes, flags[1], flags[2],
        flags[0],
    )  # fmt: skip
    with (folder / "train-00000-of-00001.tfrecord").open("wb") as stream:
        write_record(stream, encode(example))
    return folder


@pytest.fixture
def records(prepared: Path) -> Records:
    return Records(prepared / "train")


@pytest.fixture
def config(small_config: str) -> TrainConfig:
    return decode(PipelineConfig, parse(small_config)).train_config


def test_a_resumed_sequence_is_the_uninterrupted_one(records: Records, config: TrainConfig) -> None:
    whole = list(training_batches(records, config, sized(64, 64), seed=5, first_step=0).take(8))
    resumed = list(training_batches(records, config, sized(64, 64), seed=5, first_step=3).take(5))
    for before, after in zip(whole[3:], resumed, strict=True):
        for expected, actual in zip(before, after, strict=True):
            np.testing.assert_array_equal(actual, expected)
    other = next(iter(training_batches(records, config, sized(64, 64), seed=6, first_step=0)))
    assert not np.array_equal(other[0], whole[0][0])


def test_each_epoch_shows_every_image_once_in_another_order(records: Records, config: TrainConfig) -> None:
    plain = replace(config, data_augmentation_options=(), batch_size=9)
    images = {pixels(example).mean(): index for index, example in enumerate(records)}
    orders = []
    for batch in training_batches(records, plain, sized(48, 72), seed=5, first_step=0).take(2):
        orders.append([images[float(image.mean())] for image in batch[0].numpy().astype(np.uint8)])
    assert all(sorted(order) == list(range(9)) for order in orders)
    assert orders[0] != orders[1]


def test_ground_truth_is_padded_to_one_of_a_few_counts(records: Records, config: TrainConfig) -> None:
    plain = replace(config, data_augmentation_options=(), batch_size=9)
    batch = next(iter(training_batches(records, plain, sized(64, 64), seed=5, first_step=0)))
    assert batch.boxes.shape == (9, 8, 4)
    # Label ids 1, 2, 4 are counted from 0; the image without any box has weight 0.
    assert set(batch.classes.numpy()[batch.weights.numpy() > 0].tolist()) == {0, 1, 3}
    assert float(tf.reduce_sum(batch.weights)) == 8
    few = replace(plain, max_number_of_boxes=3)
    assert next(iter(training_batches(records, few, sized(64, 64), seed=5, first_step=0))).boxes.shape == (9, 3, 4)


def test_more_boxes_take_the_next_count_and_the_greatest_bounds_them(tmp_path: Path, config: TrainConfig) -> None:
    records = Records(written(tmp_path, boxes=20))
    for most, count in ((100, 32), (24, 24), (12, 12)):
        plain = replace(config, data_augmentation_options=(), batch_size=1, max_number_of_boxes=most)
        batch = next(iter(training_batches(records, plain, sized(64, 64), seed=5, first_step=0)))
        assert batch.weights.shape == (1, count)
        assert float(tf.reduce_sum(batch.weights)) == min(20, most) - 1  # one is a crowd


def test_crowds_are_weightless_and_difficult_boxes_are_not(tmp_path: Path, config: TrainConfig) -> None:
    records = Records(written(tmp_path, boxes=4))
    flip = replace(config, data_augmentation_options=options("random_horizontal_flip { probability: 1.0 }"))
    for chosen in (flip, replace(config, data_augmentation_options=())):
        batch = next(iter(training_batches(records, replace(chosen, batch_size=1), sized(64, 64), 5, 0)))
        assert batch.weights.numpy()[0].tolist() == [0, 1, 1, 1, 0, 0, 0, 0]
        assert (batch.boxes.numpy()[0, :4] != 0).any(axis=1).all()


def test_images_whose_pixels_stay_are_resized_exactly_as_the_network_resizes(
    records: Records, config: TrainConfig
) -> None:
    plain = replace(config, data_augmentation_options=(), batch_size=1)
    for resizer in (sized(64, 40), KEPT):
        order = np.random.default_rng([5, 0]).permutation(len(records))
        batches = training_batches(records, plain, resizer, seed=5, first_step=0)
        for index, batch in zip(order, batches.take(4), strict=False):
            expected, shape = resize_to(resizer, tf.cast(pixels(records[index])[None], tf.float32))
            np.testing.assert_array_equal(batch.images, expected)
            np.testing.assert_array_equal(batch.true_shapes, shape)


def test_boxes_are_told_in_terms_of_the_padded_image(records: Records, config: TrainConfig) -> None:
    """Images of 48 x 72 become 43 x 64 on a square of 64, whether pixels were moved or not."""
    for texts in ((), ("random_horizontal_flip { probability: 1.0 }",)):
        plain = replace(config, data_augmentation_options=options(*texts), batch_size=9)
        batch = next(iter(training_batches(records, plain, KEPT, seed=5, first_step=0)))
        assert batch.true_shapes.numpy().tolist() == [[43, 64, 3]] * 9
        assert batch.images.dtype == (tf.uint8 if texts else tf.float32)
        images = batch.images.numpy()
        assert images[:, 43:].max() == 0
        for image, boxes, weights in zip(images, batch.boxes.numpy(), batch.weights.numpy(), strict=True):
            if weights[0]:
                bright = np.argwhere(image.max(axis=2) > 140)
                seen = [*bright.min(axis=0), *(bright.max(axis=0) + 1)]
                np.testing.assert_allclose(boxes[0] * 64, seen, atol=1.5)


@pytest.mark.parametrize("texts", [(), ("random_horizontal_flip { probability: 1.0 }",)])
def test_values_beyond_bytes_reach_the_network_as_they_are(
    texts: tuple[str, ...], records: Records, config: TrainConfig
) -> None:
    plain = replace(config, data_augmentation_options=options(*texts))
    scaled = options(*texts, "normalize_image { original_maxval: 255 target_minval: -1 }")
    given, changed = (
        next(iter(training_batches(records, each, sized(64, 64), seed=5, first_step=0)))
        for each in (plain, replace(config, data_augmentation_options=scaled))
    )
    assert changed.images.dtype == tf.float32
    expected = tf.cast(given.images, tf.float32) / 255 * 2 - 1
    np.testing.assert_allclose(changed.images.numpy(), expected.numpy(), atol=0.5 / 127)


def test_a_batch_of_images_of_different_sizes_is_a_sentence(records: Records, config: TrainConfig) -> None:
    loose = decode(ImageResizer, parse("keep_aspect_ratio_resizer { min_dimension: 48 max_dimension: 64 }"))
    with pytest.raises(ConfigurationError, match="pad_to_max_dimension"):
        training_batches(records, replace(config, batch_size=2), loose, seed=5, first_step=0)
    batch = next(iter(training_batches(records, replace(config, batch_size=1), loose, seed=5, first_step=0)))
    assert batch.images.shape[1:3] == batch.true_shapes[0, :2]


def test_images_beyond_the_cache_are_the_same(records: Records, prepared: Path, config: TrainConfig) -> None:
    without_cache = Records(prepared / "train", cache_bytes=0)
    cached, read = (
        next(iter(training_batches(each, config, sized(64, 64), seed=5, first_step=9)))
        for each in (records, without_cache)
    )
    np.testing.assert_array_equal(read[0], cached[0])


def test_a_jpeg_is_decoded_as_tensorflow_decodes_it(records: Records) -> None:
    example = next(example for example in records if example.format == "jpeg")
    expected = tf.io.decode_jpeg(example.encoded, channels=3, dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(pixels(example), expected)


def test_a_split_without_images_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no labelled image"):
        Records(tmp_path)
