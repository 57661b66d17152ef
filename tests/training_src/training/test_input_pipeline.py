# SPDX-License-Identifier: Apache-2.0
"""Batches: a pure function of seed and step, padded no further than needed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.errors import DataError
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import PipelineConfig
from training_src.models.config.training import TrainConfig
from training_src.models.text_format import parse
from training_src.training import input_pipeline
from training_src.training.input_pipeline import training_batches
from training_src.training.records import Records, pixels


@pytest.fixture
def records(prepared: Path) -> Records:
    return Records(prepared / "train")


@pytest.fixture
def config(small_config: str) -> TrainConfig:
    return decode(PipelineConfig, parse(small_config)).train_config


def test_a_resumed_sequence_is_the_uninterrupted_one(records: Records, config: TrainConfig) -> None:
    whole = list(training_batches(records, config, (64, 64), seed=5, first_step=0).take(8))
    resumed = list(training_batches(records, config, (64, 64), seed=5, first_step=3).take(5))
    for before, after in zip(whole[3:], resumed, strict=True):
        for expected, actual in zip(before, after, strict=True):
            np.testing.assert_array_equal(actual, expected)
    other = next(iter(training_batches(records, config, (64, 64), seed=6, first_step=0)))
    assert not np.array_equal(other[0], whole[0][0])


def test_each_epoch_shows_every_image_once_in_another_order(records: Records, config: TrainConfig) -> None:
    plain = replace(config, data_augmentation_options=(), batch_size=9)
    images = {pixels(example).mean(): index for index, example in enumerate(records)}
    orders = []
    for batch in training_batches(records, plain, (48, 72), seed=5, first_step=0).take(2):
        orders.append([images[float(image.mean())] for image in batch[0].numpy().astype(np.uint8)])
    assert all(sorted(order) == list(range(9)) for order in orders)
    assert orders[0] != orders[1]


def test_ground_truth_is_padded_to_the_batchs_greatest_count(records: Records, config: TrainConfig) -> None:
    plain = replace(config, data_augmentation_options=(), batch_size=9)
    _, boxes, classes, weights = next(iter(training_batches(records, plain, (64, 64), seed=5, first_step=0)))
    assert boxes.shape == (9, 1, 4)
    # Label ids 1, 2, 4 are counted from 0; the image without any box has weight 0.
    assert set(classes.numpy()[weights.numpy() > 0].tolist()) == {0, 1, 3}
    assert float(tf.reduce_sum(weights)) == 8


def test_images_beyond_the_cache_are_the_same(
    records: Records, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = next(iter(training_batches(records, config, (64, 64), seed=5, first_step=9)))
    monkeypatch.setattr(input_pipeline, "CACHE_BYTES", 0)
    read = next(iter(training_batches(records, config, (64, 64), seed=5, first_step=9)))
    np.testing.assert_array_equal(read[0], cached[0])


def test_a_jpeg_is_decoded_as_tensorflow_decodes_it(records: Records) -> None:
    example = next(example for example in records if example.format == "jpeg")
    expected = tf.io.decode_jpeg(example.encoded, channels=3, dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(pixels(example), expected)


def test_a_split_without_images_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no labelled image"):
        Records(tmp_path)
