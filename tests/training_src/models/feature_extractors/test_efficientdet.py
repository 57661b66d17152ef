# SPDX-License-Identifier: Apache-2.0
"""EfficientDet's variables are the OD API's, unused ones included, and fields of the config do what they say."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.config.pipeline import load, load_bundled
from training_src.models.config.ssd import Ssd
from training_src.models.detector import Detector
from training_src.models.errors import ConfigError
from training_src.models.feature_extractors.bifpn import Combination
from training_src.models.feature_extractors.efficientnet import efficientnet
from training_src.models.outputs import pad_ground_truth

Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def case(golden: Path) -> Path:
    return golden / "efficientdet_d1"


@pytest.fixture(scope="module")
def expected(case: Path) -> Arrays:
    with np.load(case / "expected.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def prefix(golden_checkpoint: Callable[[str], str], case: Path) -> str:
    return golden_checkpoint(case.name)


@pytest.fixture(scope="module")
def detector(case: Path, prefix: str) -> Detector:
    detector = build_detector(load(case / "pipeline.config", num_classes=3).config.model)
    checkpoint.restore(detector.variables(), prefix, "full")
    return detector


def test_every_key_of_the_reference_is_a_variable(case: Path, detector: Detector) -> None:
    entries = json.loads((case / "variables.json").read_text())
    shapes = {entry["key"]: entry["shape"] for entry in entries if not entry["key"].startswith("save_counter")}
    assert {key: list(variable.shape) for key, variable in detector.variables().items()} == shapes


def test_layers_that_compute_nothing_are_regularised_too(detector: Detector, expected: Arrays) -> None:
    terms = np.sort(np.array([float(term) for term in detector.regularization_terms()]))
    assert len(terms) == expected["train_num_regularization_terms"] == 216
    np.testing.assert_allclose(terms, expected["train_regularization_terms_sorted"], rtol=1e-5)


def test_targets_and_losses_of_given_predictions_equal_the_reference(detector: Detector, expected: Arrays) -> None:
    names = ("box_encodings", "class_predictions_with_background", "anchors")
    predictions = {name: tf.constant(expected[name]) for name in names}
    labels = ([expected[f"groundtruth_{kind}_{image}"] for image in (0, 1)] for kind in ("boxes", "classes"))
    truth = pad_ground_truth(*labels)
    targets = detector.inner_arrays(predictions, truth)
    np.testing.assert_array_equal(targets["match"], expected["train_match"])
    for name in ("cls_targets", "cls_weights", "reg_targets", "reg_weights"):
        np.testing.assert_allclose(targets[name], expected[f"train_{name}"], atol=1e-5, err_msg=name)
    losses = detector.losses(predictions, truth)
    for name, loss in losses.items():
        np.testing.assert_allclose(loss, expected[f"frozen_{name.replace('/', '_')}"], rtol=1e-4, err_msg=name)
    total = tf.add_n([*losses.values(), detector.regularization_loss()])
    np.testing.assert_allclose(total, expected["frozen_total_loss"], rtol=1e-4)


def test_detection_takes_the_feature_extractor(detector: Detector, prefix: str) -> None:
    assert len(checkpoint.restore(detector.variables(), prefix, "detection").restored) == 731


def test_blocks_are_skipped_at_random_only_in_training() -> None:
    images = keras.Input((64, 64, 3))
    network = keras.Model(images, efficientnet(images, 0, 3)[3])
    pixels = np.random.default_rng(0).normal(size=(4, 64, 64, 3)).astype(np.float32)
    for layer in network.layers:
        layer.frozen = True
    np.testing.assert_array_equal(network(pixels), network(pixels))
    assert np.abs(network(pixels, training=True) - network(pixels)).max() > 1e-4


def test_a_level_is_taken_where_the_api_takes_it_in_deeper_networks() -> None:
    images = keras.Input((64, 64, 3))
    shapes = {level: features.shape[1:] for level, features in efficientnet(images, 3, 5).items()}
    assert shapes == {1: (32, 32, 24), 2: (16, 16, 32), 3: (8, 8, 48), 4: (4, 4, 136), 5: (2, 2, 384)}


@pytest.mark.parametrize(
    ("method", "expected_sum"),
    [
        ("sum", 1 + 2 + 4),
        ("weighted_sum", 1 * 3 - 2 * 1 + 4 * 2),
        ("attention", 1 + 2 + 4),
        ("fast_attention", (1 * 3 + 4 * 2) / (5 + 0.0001)),
    ],
)
def test_maps_are_joined_by_the_methods_rule(method: str, expected_sum: float) -> None:
    combination = Combination(method, "combination")
    maps = [tf.fill([1, 2, 2, 3], value) for value in (1.0, 2.0, 4.0)]
    combination(maps)
    for weights in combination.variables:
        weights.assign([[3.0], [-1.0], [2.0]])
    np.testing.assert_allclose(combination(maps), np.full((1, 2, 2, 3), expected_sum), rtol=1e-6)


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        (
            "depth_multiplier",
            0.5,
            "depth_multiplier: 0.5 is not supported with ssd_efficientnet-b0_bifpn_keras, only 1.0",
        ),
        ("use_depthwise", True, "use_depthwise: true is not supported"),
        ("override_base_feature_extractor_hyperparams", True, "hyperparams: true is not supported"),
    ],
)
def test_what_the_api_refuses_is_refused(field: str, value: object, complaint: str) -> None:
    model = load_bundled("efficientdet_d0_512x512", num_classes=3).config.model
    config = model.family
    assert isinstance(config, Ssd)
    extractor = replace(config.feature_extractor, **{field: value})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=complaint):
        build_detector(replace(model, ssd=replace(config, feature_extractor=extractor)))
