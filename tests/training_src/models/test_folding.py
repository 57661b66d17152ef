# SPDX-License-Identifier: Apache-2.0
"""Batch norms that became part of convolutions."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from training_src.models.architectures import build_detector
from training_src.models.config.image_resizer import FixedShapeResizer, ImageResizer
from training_src.models.config.pipeline import load_bundled
from training_src.models.detector import Detector
from training_src.models.layers import BatchNormalization

SIDE = 128
PREDICTED = ("box_encodings", "class_predictions_with_background", "refined_box_encodings")


def _detector(architecture: str) -> Detector:
    """For small images, with moving averages and scales as training would have left them."""
    tf.keras.utils.set_random_seed(3)
    model = load_bundled(architecture, 3).config.model
    assert model.ssd is not None
    resizer = ImageResizer(fixed_shape_resizer=FixedShapeResizer(height=SIDE, width=SIDE))
    detector = build_detector(replace(model, ssd=replace(model.ssd, image_resizer=resizer)))
    _shake(detector, np.random.default_rng(5))
    return detector


def _shake(detector: Detector, random: np.random.Generator) -> None:
    for key, variable in detector.variables().items():
        if key.endswith(("moving_variance", "gamma")):
            variable.assign(random.uniform(0.8, 1.3, variable.shape))
        elif key.endswith(("moving_mean", "beta")):
            variable.assign(random.normal(0, 0.1, variable.shape))


@pytest.fixture(scope="module")
def pyramid() -> Detector:
    return _detector("ssd_mobilenet_v2_fpnlite_160x160")


def _predicted(detector: Detector, images: tf.Tensor) -> dict[str, tf.Tensor]:
    predictions = detector.predict(detector.preprocess(images), training=False)
    return {name: predictions[name] for name in PREDICTED if name in predictions}


@pytest.mark.parametrize(
    "architecture",
    ["ssd_mobilenet_v2_fpnlite_160x160", "ssd_mobilenet_v2_320x320", "efficientdet_d0_512x512"],
)
def test_a_folded_detector_predicts_the_same_before_and_after_training(architecture: str) -> None:
    detector = _detector(architecture)
    folded = detector.folded()
    images = tf.constant(np.random.default_rng(7).integers(0, 256, (1, 120, 160, 3)), tf.float32)
    for round_ in range(2):
        expected, got = _predicted(detector, images), _predicted(folded, images)
        assert len(expected) == 2
        for name, values in expected.items():
            np.testing.assert_allclose(got[name], values, atol=2e-4 * float(tf.math.reduce_std(values)), err_msg=name)
        # The weights are shared: what training changes, the folded network has.
        _shake(detector, np.random.default_rng(round_))


def test_every_batch_norm_of_a_mobilenet_pyramid_is_folded(pyramid: Detector) -> None:
    (network,) = pyramid.folded().networks
    assert not [layer.name for layer in network.layers if isinstance(layer, BatchNormalization)]
    assert sum(layer.name.endswith(".folded") for layer in network.layers) > 50


def test_a_folded_network_owns_no_variables_of_its_own(pyramid: Detector) -> None:
    before = set(pyramid.variables())
    folded = pyramid.folded()
    assert set(pyramid.variables()) == before
    assert set(folded.variables()) <= before
