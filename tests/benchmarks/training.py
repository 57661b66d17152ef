# SPDX-License-Identifier: Apache-2.0
"""The whole training step, input included, against the network's forward and backward pass alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import tensorflow as tf  # type: ignore[import-untyped]

from pipelines.demo.scenes import draw_scenes
from tests.benchmarks import preparation
from tests.benchmarks.ratio import Row
from training_src.models.config.pipeline import load_bundled, with_num_steps
from training_src.models.detector import Detector, build_detector
from training_src.training.checkpoints import CheckpointStore
from training_src.training.loop import Plan, train
from training_src.training.progress_report import ProgressReport
from training_src.training.records import Records
from training_src.training.validation import Validation

ARCHITECTURE, BATCH, STEPS = "ssd_mobilenet_v2_fpnlite_320x320", 8, 40
NAMES = {1: "vehicle", 2: "pedestrian", 4: "cyclist"}


def run() -> list[Row]:
    """Train a few steps of the 320 px detector on drawn scenes, then time its bare passes."""
    description = with_num_steps(load_bundled(ARCHITECTURE, 4), STEPS)
    detector = build_detector(description.config.model.ssd)
    config = replace(description.config.train_config, batch_size=BATCH)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        draw_scenes(root / "ml" / "processing" / "input" / "dataset", train=64, validation=4, test=8)
        preparation.describe(root / "ml")
        preparation.prepare(root / "ml")
        shards = root / "ml" / "processing" / "output"
        pace = _Pace(root / "tensorboard", STEPS)
        train(
            detector,
            Plan(config, seed=1, log_interval=STEPS // 2, validation_interval=STEPS, checkpoint_interval=STEPS),
            Records(shards / "train"),
            Validation(detector, Records(shards / "validation"), NAMES),
            CheckpointStore(root / "checkpoints"),
            pace,
        )
    return [
        Row(
            f"a training step of {ARCHITECTURE}, batch {BATCH}",
            "its network's forward and backward pass alone",
            (BATCH / pace.images_per_second) / _bare_seconds(detector),
            "times its duration",
        )
    ]


class _Pace(ProgressReport):
    """Keeps the speed of the last steps."""

    images_per_second = 0.0

    def training(self, step: int, values: Mapping[str, float], eta_seconds: float) -> None:
        super().training(step, values, eta_seconds)
        self.images_per_second = values["images_per_second"]


def _bare_seconds(detector: Detector) -> float:
    images = tf.random.uniform([BATCH, detector.height, detector.width, 3], -1.0, 1.0, seed=1)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def passes() -> tf.Tensor:
        with tf.GradientTape() as tape:
            encodings, logits = detector.network(images, training=True)
            total = tf.reduce_sum(encodings) + tf.reduce_sum(logits)
        gradients = tape.gradient(total, [variable.value for variable in detector.network.trainable_variables])
        return tf.add_n([tf.reduce_sum(gradient) for gradient in gradients])

    for _ in range(3):
        passes()
    began = time.perf_counter()
    for _ in range(STEPS // 2):
        passes().numpy()
    return (time.perf_counter() - began) / (STEPS // 2)
