# SPDX-License-Identifier: Apache-2.0
"""Batch norms that a checkpoint brings folded: found, and given statistics that leave inference as it was."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from training_src.models.architectures import build_detector
from training_src.models.batch_norm_statistics import folded_batch_norms, measure_statistics
from training_src.models.checkpoints.checkpoint import variables_by_key
from training_src.models.config.pipeline import load_bundled
from training_src.models.layers import BatchNormalization

BACKBONE = "classification_backbone"


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """A small detector's, with offsets as a converter leaves them."""
    keras.utils.set_random_seed(3)
    config = load_bundled("ssd_mobilenet_v2_fpnlite_160x160", num_classes=3).config.model
    (network,) = build_detector(config).networks
    generator = np.random.default_rng(3)
    for norm in _norms(network):
        assert norm.beta is not None
        norm.beta.assign(generator.normal(0.3, 0.5, norm.beta.shape))
        norm.moving_variance.assign(np.full(norm.beta.shape, 1 - norm.epsilon))
    return network


def _norms(network: keras.Model) -> list[BatchNormalization]:
    return [layer for layer in network.layers if isinstance(layer, BatchNormalization) and BACKBONE in layer.name]


def _images(seed: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, (2, 160, 160, 3)), tf.float32)


def _restored(network: keras.Model) -> set[str]:
    return {key for key in variables_by_key(network) if BACKBONE in key}


def test_only_what_the_checkpoint_brought_folded_is_found(network: keras.Model) -> None:
    assert folded_batch_norms(network, _restored(network)) == _norms(network)
    assert folded_batch_norms(network, set()) == []
    norm = _norms(network)[0]
    norm.moving_mean.assign(norm.moving_mean + 0.5)
    try:
        assert norm not in folded_batch_norms(network, _restored(network))
    finally:
        norm.moving_mean.assign(norm.moving_mean - 0.5)


def test_inference_stays_and_training_begins_with_nearly_the_same_function(network: keras.Model) -> None:
    images, others = _images(1), _images(2)
    backbone = keras.Model(network.inputs, _norms(network)[-1].output)
    before, of_others = (backbone(each, training=False).numpy() for each in (images, others))
    trained_before = backbone(images, training=True).numpy()
    for norm in _norms(network):  # the pass moved their averages
        norm.moving_mean.assign(np.zeros(norm.moving_mean.shape))
        norm.moving_variance.assign(np.full(norm.moving_mean.shape, 1 - norm.epsilon))
    assert measure_statistics(network, _norms(network), [images[:1], images[1:]]) == 2
    assert np.abs(backbone(images, training=False).numpy() - before).max() < 1e-3 * np.abs(before).max()
    assert np.abs(backbone(others, training=False).numpy() - of_others).max() < 1e-3 * np.abs(of_others).max()
    trained = backbone(images, training=True).numpy()
    assert np.abs(trained - before).max() < 0.05 * np.abs(before).max()
    assert np.abs(trained_before - before).max() > 0.5 * np.abs(before).max()
