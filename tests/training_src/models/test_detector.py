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

from training_src.models.config.image_resizer import FixedShapeResizer, ImageResizer
from training_src.models.config.pipeline import PipelineDescription
from training_src.models.detector import Detector, GroundTruth, Inputs, Predictions, build_detector
from training_src.models.errors import ConfigError
from training_src.models.ssd import SsdDetector

Arrays = dict[str, NDArray[Any]]


def differs(actual: Any, expected: NDArray[Any]) -> tuple[float, float]:
    """Greatest and root-mean-square difference, in standard deviations of what was expected."""
    difference = np.asarray(actual) - expected
    return float(np.abs(difference).max() / expected.std()), float(np.sqrt((difference**2).mean()) / expected.std())


@pytest.fixture
def predictions(detector: SsdDetector, expected: Arrays) -> Predictions:
    inputs = Inputs(tf.constant(expected["preprocessed_inputs"]), tf.constant(expected["true_image_shapes"]))
    return detector.predict(inputs, training=False)


@pytest.fixture
def truth(expected: Arrays) -> GroundTruth:
    boxes = [expected["groundtruth_boxes_0"], np.pad(expected["groundtruth_boxes_1"], [[0, 1], [0, 0]])]
    classes = [expected["groundtruth_classes_0"], np.pad(expected["groundtruth_classes_1"], [0, 1])]
    return GroundTruth(tf.constant(boxes), tf.constant(classes), tf.constant([[1.0, 1.0], [1.0, 0.0]]))


def test_anchors_and_network_input_equal_the_reference(
    detector: SsdDetector, predictions: Predictions, expected: Arrays
) -> None:
    images = [detector.preprocess(expected[f"image_{index}"][None]) for index in (0, 1)]
    assert differs(tf.concat([image.images for image in images], axis=0), expected["preprocessed_inputs"])[0] < 1e-4
    np.testing.assert_array_equal(
        tf.concat([image.true_shapes for image in images], axis=0), expected["true_image_shapes"]
    )
    assert differs(predictions["anchors"], expected["anchors"])[0] < 1e-5


def test_predictions_and_detections_equal_the_reference(
    detector: SsdDetector, predictions: Predictions, expected: Arrays
) -> None:
    for name in ("box_encodings", "class_predictions_with_background"):
        greatest, rms = differs(predictions[name], expected[name])
        assert greatest < 1e-4
        assert rms < 2e-5
    found = detector.postprocess(predictions, expected["true_image_shapes"])
    np.testing.assert_array_equal(found.count, expected["num_detections"])
    np.testing.assert_allclose(found.scores, expected["detection_scores"], atol=1e-4)
    np.testing.assert_array_equal(found.classes, expected["detection_classes"])
    np.testing.assert_allclose(found.boxes, expected["detection_boxes"], atol=1e-4)


def test_only_the_label_maps_classes_are_detected(detector: SsdDetector, predictions: Predictions) -> None:
    _, scores = detector.scored_boxes(predictions, class_ids=[1, 3])
    _, all_scores = detector.scored_boxes(predictions)
    np.testing.assert_allclose(scores, tf.gather(all_scores, [0, 2], axis=-1), rtol=1e-6)


def test_targets_equal_the_reference(
    detector: SsdDetector, predictions: Predictions, truth: GroundTruth, expected: Arrays
) -> None:
    arrays = detector.inner_arrays(predictions, truth)
    for name in ("match", "cls_targets", "cls_weights", "reg_weights"):
        np.testing.assert_array_equal(arrays[name], expected[f"train_{name}"])
    assert differs(arrays["reg_targets"], expected["train_reg_targets"])[0] < 1e-5


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
    variables = detector.variables()
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
    variables = detector.variables()
    trained = [variables[str(key)].value for key in expected["train_trainable_keys"]]

    def compute() -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            inputs = Inputs(tf.constant(expected["preprocessed_inputs"]), tf.constant(expected["true_image_shapes"]))
            predictions = detector.predict(inputs, training)
            losses = detector.losses(predictions, truth)
            regularization = detector.regularization_loss()
            total = tf.add_n([*losses.values(), regularization])
        return {
            **predictions,
            **{name.replace("/", "_"): value for name, value in losses.items()},
            "regularization_loss": regularization,
            "total_loss": total,
            "grad_norms": tf.stack([tf.norm(gradient) for gradient in tape.gradient(total, trained)]),
        }

    return {name: value.numpy() for name, value in tf.function(compute, autograph=False)().items()}


def test_frozen_batch_norm_keeps_its_averages(description: PipelineDescription) -> None:
    frozen = replace(description.config.model.ssd, freeze_batchnorm=True)
    detector = build_detector(replace(description.config.model, ssd=frozen))
    averages = [variable for variable in detector.variables().values() if variable.name == "moving_variance"]
    detector.networks[0](np.random.default_rng(0).normal(size=(2, 192, 192, 3)).astype(np.float32), training=True)
    assert all((variable.numpy() == 1).all() for variable in averages)


def test_each_layer_is_drawn_on_its_own(description: PipelineDescription) -> None:
    keras.utils.set_random_seed(3)
    detector = build_detector(description.config.model)
    kernels = [v.numpy() for v in detector.variables().values() if tuple(v.shape) == (3, 3, 128, 1)]
    assert len(kernels) > 4
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)


def test_an_input_that_the_levels_do_not_divide_is_an_error(description: PipelineDescription) -> None:
    resizer = ImageResizer(fixed_shape_resizer=FixedShapeResizer(height=200, width=192))
    with pytest.raises(ConfigError, match="200x192 does not divide by 32"):
        build_detector(
            replace(description.config.model, ssd=replace(description.config.model.ssd, image_resizer=resizer))
        )
