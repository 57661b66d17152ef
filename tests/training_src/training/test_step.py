# SPDX-License-Identifier: Apache-2.0
"""What one training step changes, and by how much."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from training_src.errors import ConfigurationError
from training_src.models.architectures import build_detector
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import PipelineConfig, load_bundled
from training_src.models.detector import Detector, GroundTruth
from training_src.text_format import parse
from training_src.training.input_pipeline import Batch
from training_src.training.step import Losses, TrainingStep

RATE, NORM = 0.5, 0.01
Array = NDArray[np.float32]


class Stepped:
    """A detector with frozen batch norms whose step clips, freezes the extractor and averages, before and after it."""

    def __init__(self, text: str, xla: str = "off", padded: Sequence[int] = (3, 11)) -> None:
        text = text.replace("freeze_batchnorm: false", "freeze_batchnorm: true")
        text = text.replace("use_moving_average: false", "use_moving_average: true moving_average_decay: 0.9")
        asked = f'gradient_clipping_by_norm: {NORM} freeze_variables: "FeatureExtractor"'
        config = decode(PipelineConfig, parse(text.replace("train_config {", f"train_config {{ {asked}")))
        keras.utils.set_random_seed(1)
        self.detector = build_detector(config.model)
        self.step = TrainingStep(self.detector, config.train_config, tf.distribute.get_strategy(), seed=1, xla=xla)
        self.before = self.weights()
        self.losses = [self.run(rows, rate=0.0) for rows in padded]
        self.run(rows=3, rate=RATE)

    def weights(self) -> dict[str, Array]:
        return {key: variable.numpy() for key, variable in self.detector.variables().items()}

    def run(self, rows: int, rate: float) -> Losses:
        """Two boxes an image, padded to so many rows."""
        boxes, weights = np.zeros((2, rows, 4), "f"), np.zeros((2, rows), "f")
        boxes[:, :2] = [[0.1, 0.1, 0.6, 0.5], [0.3, 0.4, 0.9, 0.8]]
        weights[:, :2] = 1
        images = np.random.default_rng(2).integers(0, 255, (2, 64, 64, 3)).astype("uint8")
        arrays = (images, [[64, 64, 3]] * 2, boxes, np.zeros((2, rows), "i"), weights)
        return self.step.losses(self.step(Batch(*map(tf.constant, arrays)), rate, 0))


@pytest.fixture(scope="module")
def stepped(small_config: str, short_mobilenet: None, unsimplified: None) -> Stepped:  # noqa: ARG001
    return Stepped(small_config)


def test_padding_of_the_ground_truth_does_not_count(stepped: Stepped) -> None:
    few, many = stepped.losses
    assert few.total > 0
    assert many.total == pytest.approx(few.total, rel=1e-6)
    assert stepped.step.traces == 1


def test_frozen_variables_stay_and_the_others_go_as_far_as_the_clipped_gradient(stepped: Stepped) -> None:
    changes = {key: value - stepped.before[key] for key, value in stepped.weights().items()}
    moved = {key for key, change in changes.items() if np.any(change)}
    assert moved
    assert all("_box_predictor" in key for key in moved)
    length = np.sqrt(sum(float(np.square(change.astype("d")).sum()) for change in changes.values()))
    assert length == pytest.approx(RATE * NORM, rel=1e-3)


def test_what_is_evaluated_and_kept_are_the_averages(stepped: Stepped) -> None:
    key = next(key for key in stepped.before if "_box_encoder_layers" in key and "bias" in key)
    # min(0.9, (1 + 1) / (10 + 1)) of the old value remains.
    expected = stepped.before[key] + (1 - 2 / 11) * (stepped.weights()[key] - stepped.before[key])
    assert np.allclose(stepped.step.weights()[key].astype("f"), expected, rtol=1e-4, atol=1e-9)
    assert (stepped.step.state()[f"average/{key}"].numpy() == stepped.step.weights()[key]).all()


def test_the_losses_graph_does_not_grow_with_the_batch(stepped: Stepped) -> None:
    # TensorFlow keeps an array of fewer than a thousand equal numbers as a constant: both have more.
    small, large = (len(graph_of(stepped.detector, batch).as_graph_def().node) for batch in (4, 32))
    assert small == large


def graph_of(detector: Detector, batch: int) -> tf.Graph:
    """Matching, losses and their derivatives."""
    known = detector.predict(detector.preprocess(tf.zeros([1, 64, 64, 3])), training=False)
    learnt = ("box_encodings", "class_predictions_with_background")

    def differentiated(predictions: dict[str, tf.Tensor], truth: GroundTruth) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(predictions)
            losses = detector.losses({**known, **predictions}, truth)
        return [*losses.values(), *tape.gradient(losses, list(predictions.values()))]

    specs = {name: tf.TensorSpec([batch, *known[name].shape[1:]]) for name in learnt}
    labels = [tf.TensorSpec([batch, None, 4]), tf.TensorSpec([batch, None], tf.int32), tf.TensorSpec([batch, None])]
    traced: Callable[..., tf.types.experimental.ConcreteFunction] = tf.function(
        differentiated, autograph=False
    ).get_concrete_function
    return traced(specs, GroundTruth(*labels)).graph


def test_xla_compiles_the_whole_step_where_it_is_asked_to(small_config: str, stepped: Stepped) -> None:
    # XLA compiles for each number of rows anew, as test_distribution.py counts.
    compiled = Stepped(small_config, xla="step", padded=[3])
    assert compiled.step.traces == 1
    assert compiled.losses[0].total == pytest.approx(stepped.losses[0].total, rel=1e-5)
    before, after, expected = compiled.before, compiled.weights(), stepped.weights()
    changed = [key for key in before if not np.array_equal(before[key], after[key])]
    assert changed
    for key in changed:
        np.testing.assert_allclose(after[key] - before[key], expected[key] - stepped.before[key], atol=1e-5)


def test_xla_cannot_compile_two_stages() -> None:
    config = load_bundled("faster_rcnn_resnet50_v1_640x640", 3).config
    detector = build_detector(config.model)
    with pytest.raises(ConfigurationError, match="between two stages; give auto, loss or off"):
        TrainingStep(detector, config.train_config, tf.distribute.get_strategy(), seed=1, xla="step")
