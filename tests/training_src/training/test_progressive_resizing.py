# SPDX-License-Identifier: Apache-2.0
"""Smaller images first: the same weights, the same order of images, one trace for each size."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from containers.contract.tfrecord import write_record
from training_src.data.records.example import DetectionExample, encode
from training_src.errors import ConfigurationError
from training_src.models.architectures import build_detector
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import PipelineConfig, load_bundled
from training_src.models.detector import Detector, GroundTruth
from training_src.text_format import parse
from training_src.training.input_pipeline import training_batches
from training_src.training.progressive_resizing import batches_by_size, measured_part, smaller
from training_src.training.records import Records
from training_src.training.step import TrainingStep

SIDES = "height: 64 width: 64"
SEED = 5


@pytest.fixture(scope="module")
def config(small_config: str) -> PipelineConfig:
    config = decode(PipelineConfig, parse(small_config.replace(SIDES, "height: 128 width: 128")))
    return replace(config, train_config=replace(config.train_config, num_steps=10))


@pytest.fixture(scope="module")
def detector(config: PipelineConfig, unsimplified: None) -> Detector:  # noqa: ARG001
    keras.utils.set_random_seed(SEED)
    return build_detector(config.model)


@pytest.fixture(scope="module")
def bundled(short_networks: None) -> Callable[[str], Detector]:  # noqa: ARG001
    """Bundled detectors by name; their weights do not matter where this is used."""
    return cache(lambda architecture: build_detector(load_bundled(architecture, 3).config.model))


def test_the_smaller_detector_is_the_one_of_that_size_with_the_same_variables(
    detector: Detector, small_config: str
) -> None:
    small = smaller(detector)
    assert small.input_size == (64, 64)
    assert detector.input_size == (128, 128)
    own = build_detector(decode(PipelineConfig, parse(small_config)).model)
    for key, variable in own.variables().items():
        assert small.variables()[key] is detector.variables()[key]
        variable.assign(detector.variables()[key])
    images = tf.constant(np.random.default_rng(1).integers(0, 255, (2, 48, 72, 3)), tf.uint8)
    truth = GroundTruth(tf.constant([[[0.1, 0.2, 0.6, 0.7]]] * 2), tf.zeros([2, 1], tf.int32), tf.ones([2, 1]))
    for training in (False, True):
        expected, found = (each.predict(each.preprocess(images), training) for each in (own, small))
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
        losses = own.losses(expected, truth)
        assert {name: float(loss) for name, loss in small.losses(found, truth).items()} == {
            name: float(loss) for name, loss in losses.items()
        }


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        ("ssd_mobilenet_v2_fpnlite_160x160", (96, 96)),
        ("ssd_mobilenet_v2_320x320", (160, 160)),
        ("efficientdet_d0_512x512", (256, 256)),
        ("ssd_resnet50_v1_fpn_640x640", (384, 384)),
    ],
)
def test_every_single_shot_architecture_has_a_smaller_size(
    bundled: Callable[[str], Detector], architecture: str, size: tuple[int, int]
) -> None:
    detector = bundled(architecture)
    small = smaller(detector)
    assert small.input_size == size
    found = small.predict(small.preprocess(tf.zeros([1, *size, 3])), training=False)
    full = detector.predict(detector.preprocess(tf.zeros([1, *size, 3])), training=False)
    boxes, anchors = found["box_encodings"].shape[1], found["anchors"].shape[0]
    assert boxes == anchors < full["anchors"].shape[0]


def test_what_has_no_smaller_size_is_told(bundled: Callable[[str], Detector]) -> None:
    two_stages = bundled("faster_rcnn_resnet50_v1_640x640")
    with pytest.raises(ConfigurationError, match=r"progressive_resizing is for single-shot detectors .*; set it to 0"):
        smaller(two_stages)


@pytest.mark.parametrize(("side", "part"), [(0.2, 0.3), (0.05, 0.0)])
def test_the_bundled_detector_begins_small_where_every_class_is_still_seen(
    bundled: Callable[[str], Detector], tmp_path: Path, side: float, part: float
) -> None:
    boxes, flags = np.array([[0, 0, 0.5, 0.5], [0, 0, side, side]], np.float32), np.zeros(2, np.int64)
    example = DetectionExample(
        "a", "a.png", b"", "png", 160, 160, boxes, np.array([1, 3]), ("a", "b"), flags, flags, flags
    )
    with (tmp_path / "train-00000-of-00001.tfrecord").open("wb") as stream:
        write_record(stream, encode(example))
    name, records = "ssd_mobilenet_v2_fpnlite_160x160", Records(tmp_path)
    # Of 96 pixels 19 and 5.
    assert measured_part(name, bundled(name), records) == part
    other = "ssd_mobilenet_v2_320x320"
    assert measured_part(other, bundled(other), records) == 0


def test_images_come_in_the_same_order_and_each_size_is_traced_once(
    detector: Detector, config: PipelineConfig, prepared: Path
) -> None:
    records, train_config = Records(prepared / "train"), config.train_config
    step = TrainingStep(detector, train_config, tf.distribute.get_strategy(), SEED, xla="off")
    batches = batches_by_size(step, detector, train_config, records, part=0.4, seed=SEED)
    taken = list(islice(batches, 6))
    assert [batch.images.shape[1] for _, batch in taken] == [64] * 4 + [128] * 2
    assert [own is step for own, _ in taken] == [False] * 4 + [True] * 2
    plain = training_batches(records, train_config, detector.resizer, SEED, 0)
    for (_, batch), expected in zip(taken, plain, strict=False):
        np.testing.assert_array_equal(batch.boxes, expected[2])
        np.testing.assert_array_equal(batch.classes, expected[3])
    before = {key: variable.numpy() for key, variable in detector.variables().items()}
    for number, (own, batch) in enumerate(taken):
        assert np.isfinite(own.losses(own(batch, 0.01, number)).total)
    assert {own.traces for own, _ in taken} == {1}
    assert any((before[key] != variable.numpy()).any() for key, variable in detector.variables().items())


@pytest.mark.parametrize("first_step", [0, 3, 4, 7])
def test_begins_anywhere_with_the_size_of_that_step(
    detector: Detector, config: PipelineConfig, prepared: Path, first_step: int
) -> None:
    def sizes(begin: int) -> Sequence[tuple[int, bytes]]:
        records = Records(prepared / "train")
        step = TrainingStep(detector, config.train_config, tf.distribute.get_strategy(), SEED, xla="off")
        batches = batches_by_size(step, detector, config.train_config, records, part=0.4, seed=SEED, first_step=begin)
        return [(batch.images.shape[1], batch.images.numpy().tobytes()) for _, batch in islice(batches, 9 - begin)]

    assert sizes(first_step) == sizes(0)[first_step:]
