# SPDX-License-Identifier: Apache-2.0
"""Losses equal the OD API's, entry by entry."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from training_src.models.config.decoding import decode
from training_src.models.config.losses import ClassificationLoss, LocalizationLoss
from training_src.models.losses import (
    classification_loss,
    localization_loss,
    sigmoid_cross_entropy,
    sigmoid_focal_loss,
    softmax_cross_entropy,
)
from training_src.text_format import parse

Functions = tuple[dict[str, Any], dict[str, Any]]


def given(functions: Functions, name: str) -> dict[str, NDArray[Any]]:
    return {key.split("/")[1]: array for key, array in functions[1].items() if key.startswith(f"{name}/")}


@pytest.mark.parametrize("name", ["focal_025_2", "focal_025_15", "focal_075_2", "focal_none_2"])
def test_focal_loss_equals_the_reference(functions: Functions, name: str) -> None:
    arrays, parameters = given(functions, name), functions[0][name]
    loss = sigmoid_focal_loss(arrays["logits"], arrays["targets"] > 0, parameters["gamma"], parameters["alpha"])
    np.testing.assert_allclose(loss * arrays["weights"], arrays["loss"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gamma", [2.0, 1.5])
def test_the_slope_of_focal_loss_is_that_of_its_formula(gamma: float) -> None:
    logits = tf.constant(np.linspace(-12, 12, 49), tf.float32)
    present = tf.constant(np.arange(49) % 3 == 0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        ours = sigmoid_focal_loss(logits, present, gamma, 0.25)
        wrong = tf.where(present, -logits, logits)
        formula = tf.where(present, 0.25, 0.75) * tf.sigmoid(wrong) ** gamma * tf.math.softplus(wrong)
    np.testing.assert_allclose(ours, formula, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(ours, logits), tape.gradient(formula, logits), rtol=1e-4, atol=1e-9)


def test_cross_entropies_equal_the_reference(functions: Functions) -> None:
    arrays = given(functions, "sigmoid_cross_entropy")
    loss = sigmoid_cross_entropy(tf.constant(arrays["logits"]), arrays["targets"] > 0) * arrays["weights"]
    np.testing.assert_allclose(loss, arrays["loss"], rtol=1e-5, atol=1e-6)
    arrays = given(functions, "softmax_cross_entropy")
    loss = softmax_cross_entropy(tf.constant(arrays["logits"]), tf.constant(arrays["targets"]))
    np.testing.assert_allclose(loss * arrays["weights"].mean(axis=-1), arrays["loss"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["smooth_l1_1", "smooth_l1_01"])
def test_smooth_l1_equals_the_reference(functions: Functions, name: str) -> None:
    arrays = given(functions, name)
    config = decode(LocalizationLoss, parse(f"weighted_smooth_l1 {{ delta: {functions[0][name]['delta']} }}"))
    loss = localization_loss(config, *(tf.constant(arrays[key]) for key in ("prediction", "target", "weights")))
    np.testing.assert_allclose(loss, arrays["loss"], rtol=1e-5, atol=1e-6)


LOGITS = tf.constant([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
CROSS_ENTROPY = np.log1p(np.exp(-np.abs(LOGITS))) + np.maximum(LOGITS, 0)


def kullback(targets: Any, scale: float) -> Any:
    return -(targets * tf.nn.log_softmax(LOGITS / scale)).numpy().sum(axis=-1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weighted_sigmoid {}", (CROSS_ENTROPY - np.array([[0, 1, 0], [0, 0, 0]]) * LOGITS).numpy().sum(axis=1)),
        (
            "weighted_sigmoid_focal { gamma: 3 alpha: 0.75 }",
            (
                np.where([[0, 1, 0], [0, 0, 0]], 0.75, 0.25)
                * tf.sigmoid(LOGITS * np.array([[1, -1, 1], [1, 1, 1]])) ** 3
                * (CROSS_ENTROPY - np.array([[0, 1, 0], [0, 0, 0]]) * LOGITS)
            )
            .numpy()
            .sum(axis=1),
        ),
        ("weighted_softmax { logit_scale: 2 }", kullback(np.array([[0, 1, 0], [0, 0, 0]]), 2.0)),
        (
            "weighted_logits_softmax { logit_scale: 2 }",
            kullback(tf.nn.softmax(np.array([[0, 0.5, 0], [0, 0, 0]], np.float32)), 2.0),
        ),
        (
            "bootstrapped_sigmoid { alpha: 0.75 }",
            (CROSS_ENTROPY - (0.75 * np.array([[0, 1, 0], [0, 0, 0]]) + 0.25 * tf.sigmoid(LOGITS)) * LOGITS)
            .numpy()
            .sum(axis=1),
        ),
        (
            "bootstrapped_sigmoid { alpha: 0.75 hard_bootstrap: true }",
            (CROSS_ENTROPY - np.array([[0.25, 0.75, 0.25], [0, 0.25, 0]]) * LOGITS).numpy().sum(axis=1),
        ),
    ],
)
def test_classification_losses_are_the_papers(text: str, expected: Any) -> None:
    config = decode(ClassificationLoss, parse(text))
    loss = classification_loss(config, LOGITS, tf.constant([1, -1]), tf.constant([1.0, 0.5]))
    np.testing.assert_allclose(loss, expected * [1, 0.5], rtol=1e-5)


def test_localization_losses_are_weighted_anchor_by_anchor() -> None:
    boxes = tf.constant([[0.0, 0.5, 1.0, 1.5], [0.0, 0.0, 0.2, 0.2]])
    others = tf.constant([[0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 1.0, 1.0]])
    weights = tf.constant([1.0, 0.5])
    overlap = localization_loss(decode(LocalizationLoss, parse("weighted_iou {}")), boxes, others, weights)
    np.testing.assert_allclose(overlap, [2 / 3, 0.5], rtol=1e-6)
    image_by_image = localization_loss(
        decode(LocalizationLoss, parse("weighted_iou {}")), boxes[:, None], others[:, None], weights[:, None]
    )
    np.testing.assert_allclose(image_by_image, [[2 / 3], [0.5]], rtol=1e-6)
    squares = localization_loss(decode(LocalizationLoss, parse("weighted_l2 {}")), boxes, others, weights)
    np.testing.assert_allclose(squares, [0.25, 0.5 * 0.25 * (2 * 0.25 + 2 * 0.64)], rtol=1e-6)
