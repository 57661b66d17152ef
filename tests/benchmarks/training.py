# SPDX-License-Identifier: Apache-2.0
"""The whole training step against a bare forward and backward pass through the same network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from pipelines.demo.scenes import draw_scenes
from tests.benchmarks import preparation
from tests.benchmarks.plain_network import PlainNetwork
from tests.benchmarks.ratio import Row, ratio
from training_src.models.architectures import build_detector
from training_src.models.config.pipeline import load_bundled, with_num_steps
from training_src.models.detector import Detector, GroundTruth
from training_src.training.input_pipeline import Batch, training_batches
from training_src.training.learning_rate import learning_rate
from training_src.training.records import Records
from training_src.training.step import TrainingStep

ARCHITECTURE, LARGE, CLASSES, BATCH = "ssd_mobilenet_v2_fpnlite_320x320", "ssd_mobilenet_v2_fpnlite_640x640", 90, 8
LEARNT = ("box_encodings", "class_predictions_with_background")
# Of one round; what is awaited at its end is the last step.
STEPS, ROUNDS = 4, 7
NUM_STEPS = 1000


def run() -> list[Row]:
    """Train on drawn scenes, and go through the bare network, in turn; then the losses at 640x640 alone."""
    description = with_num_steps(load_bundled(ARCHITECTURE, CLASSES), NUM_STEPS)
    detector = build_detector(description.config.model)
    config = replace(description.config.train_config, batch_size=BATCH)
    bare = _bare(detector)
    with tempfile.TemporaryDirectory() as folder:
        batches = iter(training_batches(Records(_scenes(Path(folder))), config, detector.resizer, 1, 0))
        step = TrainingStep(detector, config, tf.distribute.get_strategy(), seed=1)

        def train() -> None:
            for number in range(STEPS):
                rate = learning_rate(config.optimizer.learning_rate, number)
                step.losses(step(Batch(*next(batches)), rate, number))

        whole = ratio(lambda: _repeat(bare), train, rounds=ROUNDS)
    losses = ratio(lambda: _repeat(bare), _losses(build_detector(load_bundled(LARGE, CLASSES).config.model)))
    against = f"bare forward and backward of {ARCHITECTURE}'s convolutions, batch norms and activations, batch {BATCH}"
    everything = "input, matching, losses, optimizer and losses read"
    return [
        Row(f"a training step of {ARCHITECTURE}, batch {BATCH}: {everything}", against, whole, "times its duration"),
        Row(
            f"matching, losses and their derivatives at 640x640, {CLASSES} classes, batch {BATCH}",
            against,
            losses,
            "times its duration",
        ),
    ]


def _scenes(root: Path) -> Path:
    """A prepared training split."""
    draw_scenes(root / "ml" / "processing" / "input" / "dataset", train=64, validation=4, test=8)
    preparation.describe(root / "ml")
    preparation.prepare(root / "ml")
    return root / "ml" / "processing" / "output" / "train"


def _bare(detector: Detector) -> Callable[[], object]:
    (network,) = detector.networks
    plain = PlainNetwork(network, LEARNT)
    images = tf.random.uniform([BATCH, *detector.input_size, 3], -1.0, 1.0, seed=1)  # type: ignore[misc]
    passes = tf.function(plain.gradients, autograph=False)
    return lambda: passes(images)[0].numpy()


def _repeat(work: Callable[[], object]) -> None:
    for _ in range(STEPS):
        work()


def _losses(detector: Detector) -> Callable[[], object]:
    """Of given predictions, compiled as the training step compiles them; as often as a round has steps."""
    assert detector.input_size is not None
    known = detector.predict(detector.preprocess(tf.zeros([1, *detector.input_size, 3])), training=False)
    random, rows = np.random.default_rng(3), 8
    spread = {"box_encodings": (0.0, 1.0), "class_predictions_with_background": (-4.0, 1.0)}
    given = {
        name: tf.constant(random.normal(*spread[name], (BATCH, *known[name].shape[1:])), tf.float32) for name in LEARNT
    }
    corners = random.uniform(0, 0.6, (BATCH, rows, 2))
    boxes = np.concatenate([corners, corners + random.uniform(0.05, 0.4, corners.shape)], axis=-1)
    labels = random.integers(0, CLASSES, (BATCH, rows))
    truth = GroundTruth(tf.constant(boxes, tf.float32), tf.constant(labels, tf.int32), tf.ones([BATCH, rows]))

    def differentiated(predictions: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(predictions)
            losses = detector.losses({**known, **predictions}, truth)
        return [*losses.values(), *tape.gradient(losses, list(predictions.values()))]

    compute = tf.function(differentiated, autograph=False, jit_compile=True)
    return lambda: _repeat(lambda: compute(given)[0].numpy())
