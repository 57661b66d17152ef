# SPDX-License-Identifier: Apache-2.0
"""The whole detector equals the OD API's: inference, targets, losses, gradients, moving averages.

Tolerances are those that the reference's README gives, relative to the standard deviation of the expected array.
"""

from dataclasses import replace
from typing import Any

import keras  # type: ignore[import-untyped]
import numpy as np
import pytest
import tensorflow as tf  # type: ignore[import-untyped]
from numpy.typing import NDArray

from training_src.models.checkpoint import variables_by_key
from training_src.models.config.image_resizer import FixedShapeResizer, ImageResizer
from training_src.models.config.pipeline import PipelineDescription
from training_src.models.detector import Detector, GroundTruth, build_detector
from training_src.models.errors import ConfigError
from training_src.models.preprocessing import preprocess

Arrays = dict[str, NDArray[Any]]


def differs(actual: Any, expected: NDArray[Any]) -> tuple[float, float]:
    """Greatest and root-mean-square difference, in standard deviations of what was expected."""
    difference = np.asarray(actual) - expected
    return float(np.abs(difference).max() / expected.std()), float(np.sqrt((difference**2).mean()) / expected.std())


@pytest.fixture
def truth(expected: Arrays) -> GroundTruth:
    boxes = [expected["groundtruth_boxes_0"], np.pad(expected["groundtruth_boxes_1"], [[0, 1], [0, 0]])]
    classes = [expected["groundtruth_classes_0"], np.pad(expected["groundtruth_classes_1"], [0, 1])]
    return GroundTruth(tf.constant(boxes), tf.constant(classes), tf.constant([[1.0, 1.0], [1.0, 0.0]]))


def test_anchors_and_network_input_equal_the_reference(detector: Detector, expected: Arrays) -> None:
    images = [preprocess(expected[f"image_{index}"][None], 192, 192) for index in (0, 1)]
    assert differs(tf.concat(images, axis=0), expected["preprocessed_inputs"])[0] < 1e-4
    assert differs(detector.anchors, expected["anchors"])[0] < 1e-5


def test_predictions_and_detections_equal_the_reference(detector: Detector, expected: Arrays) -> None:
    encodings, logits = detector.network(expected["preprocessed_inputs"], training=False)
    for actual, name in ((encodings, "box_encodings"), (logits, "class_predictions_with_background")):
        greatest, rms = differs(actual, expected[name])
        assert greatest < 1e-4
        assert rms < 2e-5
    found = detector.detections(encodings, logits)
    np.testing.assert_array_equal(found.count, expected["num_detections"])
    np.testing.assert_allclose(found.scores, expected["detection_scores"], atol=1e-4)
    np.testing.assert_array_equal(found.classes, expected["detection_classes"])
    np.testing.assert_allclose(found.boxes, expected["detection_boxes"], atol=1e-4)


def test_only_the_label_maps_classes_are_detected(detector: Detector, expected: Arrays) -> None:
    encodings, logits = detector.network(expected["preprocessed_inputs"], training=False)
    _, scores = detector.scored_boxes(encodings, logits, class_ids=[1, 3])
    _, all_scores = detector.scored_boxes(encodings, logits)
    np.testing.assert_allclose(scores, tf.gather(all_scores, [0, 2], axis=-1), rtol=1e-6)


def test_targets_equal_the_reference(detector: Detector, truth: GroundTruth, expected: Arrays) -> None:
    targets = detector.targets(truth)
    np.testing.assert_array_equal(targets.match, expected["train_match"])
    np.testing.assert_array_equal(targets.classes, expected["train_cls_targets"])
    np.testing.assert_array_equal(targets.class_weights[..., None] * np.ones(4), expected["train_cls_weights"])
    np.testing.assert_array_equal(targets.box_weights, expected["train_reg_weights"])
    assert differs(targets.boxes, expected["train_reg_targets"])[0] < 1e-5


def test_frozen_losses_and_gradients_equal_the_reference(
    detector: Detector, truth: GroundTruth, expected: Arrays
) -> None:
    step = _losses_and_gradients(detector, truth, expected, training=False)
    for name in ("Loss_classification_loss", "Loss_localization_loss", "total_loss"):
        np.testing.assert_allclose(step[name], expected[f"frozen_{name}"], rtol=1e-4)
    np.testing.assert_allclose(step["regularization_loss"], expected["train_regularization_loss"], rtol=5e-4)
    relative = np.abs(step["grad_norms"] / expected["frozen_grad_norms"] - 1)
    assert relative.max() < 2e-3
    assert np.median(relative) < 2e-4


def test_training_losses_gradients_and_moving_averages_equal_the_reference(
    detector: Detector, truth: GroundTruth, expected: Arrays
) -> None:
    variables = variables_by_key(detector.network)
    keys = [str(key) for key in expected["train_moving_keys"]]
    before = {key: variables[key].numpy() for key in keys}
    step = _losses_and_gradients(detector, truth, expected, training=True)
    for name in ("Loss_classification_loss", "Loss_localization_loss", "total_loss"):
        np.testing.assert_allclose(step[name], expected[f"train_{name}"], rtol=5e-4)
    for name in ("box_encodings", "class_predictions_with_background"):
        greatest, rms = differs(step[name], expected[f"train_{name}"])
        assert greatest < 5e-2
        assert rms < 3e-3
    assert np.median(np.abs(step["grad_norms"] / expected["train_grad_norms"] - 1)) < 1e-2
    changes = np.stack([(variables[key].numpy() - before[key])[:4] for key in keys])
    greatest, rms = differs(changes, expected["train_moving_delta_first4"])
    assert greatest < 2e-2
    assert rms < 1e-3


def _losses_and_gradients(detector: Detector, truth: GroundTruth, expected: Arrays, training: bool) -> dict[str, Any]:
    variables = variables_by_key(detector.network)
    trained = [variables[str(key)].value for key in expected["train_trainable_keys"]]

    def compute() -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            encodings, logits = detector.network(expected["preprocessed_inputs"], training=training)
            losses = detector.losses(encodings, logits, truth)
            regularization = detector.regularization_loss()
            total = losses.classification + losses.localization + regularization
        return {
            "box_encodings": encodings,
            "class_predictions_with_background": logits,
            "Loss_classification_loss": losses.classification,
            "Loss_localization_loss": losses.localization,
            "regularization_loss": regularization,
            "total_loss": total,
            "grad_norms": tf.stack([tf.norm(gradient) for gradient in tape.gradient(total, trained)]),
        }

    return {name: value.numpy() for name, value in tf.function(compute, autograph=False)().items()}


def test_frozen_batch_norm_keeps_its_averages(description: PipelineDescription) -> None:
    detector = build_detector(replace(description.config.model.ssd, freeze_batchnorm=True))
    averages = [variable for variable in detector.network.variables if variable.name == "moving_variance"]
    detector.network(np.random.default_rng(0).normal(size=(2, 192, 192, 3)).astype(np.float32), training=True)
    assert all((variable.numpy() == 1).all() for variable in averages)


def test_each_layer_is_drawn_on_its_own(description: PipelineDescription) -> None:
    keras.utils.set_random_seed(3)
    detector = build_detector(description.config.model.ssd)
    kernels = [v.numpy() for v in detector.network.variables if tuple(v.shape) == (3, 3, 128, 1)]
    assert len(kernels) > 4
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)


def test_an_input_that_the_levels_do_not_divide_is_an_error(description: PipelineDescription) -> None:
    resizer = ImageResizer(fixed_shape_resizer=FixedShapeResizer(height=200, width=192))
    with pytest.raises(ConfigError, match="200x192 does not divide by 32"):
        build_detector(replace(description.config.model.ssd, image_resizer=resizer))
