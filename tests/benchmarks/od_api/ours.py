# SPDX-License-Identifier: Apache-2.0
"""Our side: the same tasks as `reference.py`, with the same meaning."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.config.input_reader import InputReader
from training_src.models.config.pipeline import load
from training_src.models.detector import Detector, GroundTruth
from training_src.training.input_pipeline import Batch
from training_src.training.learning_rate import learning_rate
from training_src.training.progressive_resizing import batches_by_size
from training_src.training.records import Records
from training_src.training.step import TrainingStep
from training_src.training.validation import Validation

Works = dict[str, Callable[[], object]]
BATCH = 8
NAMES = {1: "vehicle", 2: "pedestrian", 4: "cyclist"}


def training(config: str, threads: int = 0, seed: int = 17, progressive_resizing: float = 0.0) -> Works:
    """Training: `step_from_memory`, on one batch that stays there; `step`, input pipeline included; `evaluate`."""
    own = _Training(config, threads, seed, progressive_resizing)
    kept: list[tuple[TrainingStep, Batch]] = []

    def step_from_memory() -> float:
        kept[:] = kept or [next(own.batches)]
        return own.step(*kept[0])

    return {
        "step_from_memory": step_from_memory,
        "step": lambda: own.step(*next(own.batches)),
        "evaluate": own.ap50,
    }


def loss(config: str, boxes: int) -> Works:
    """Matching and losses of given predictions, compiled as in training: `compute`; `differentiate`: gradients too."""
    detector = build_detector(load(Path(config), 1).config.model)
    assert detector.input_size is not None
    known = detector.predict(detector.preprocess(tf.zeros([1, *detector.input_size, 3])), training=False)
    known = {name: known[name] for name in ("anchors",)}
    random = np.random.default_rng(3)
    anchors, classes = known["anchors"].shape[0], detector.num_classes
    encodings = tf.constant(random.normal(0, 1, (BATCH, anchors, 4)), tf.float32)
    logits = tf.constant(random.normal(-4, 1, (BATCH, anchors, classes + 1)), tf.float32)
    corners = random.uniform(0, 0.6, (BATCH, boxes, 2))
    truth = tf.constant(np.concatenate([corners, corners + random.uniform(0.05, 0.4, corners.shape)], -1), tf.float32)
    labels = tf.constant(random.integers(0, classes, (BATCH, boxes)), tf.int32)

    def computed(encodings: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        predictions = {**known, "box_encodings": encodings, CLASS_PREDICTIONS: logits}
        losses = detector.losses(predictions, GroundTruth(truth, labels, tf.ones([BATCH, boxes])))
        return tf.add_n(list(losses.values()))

    def differentiated(encodings: tf.Tensor, logits: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([encodings, logits])
            total = computed(encodings, logits)
        return [total, *tape.gradient(total, [encodings, logits])]

    works = {
        name: tf.function(work, autograph=False, jit_compile=True)
        for name, work in (("compute", computed), ("differentiate", differentiated))
    }
    return {name: partial(_waiting, work, encodings, logits) for name, work in works.items()}


def evaluation(config: str, prefix: str, images: str) -> Works:
    """From a batch of images to its detections: `detect`; `trace` traces its post-processing alone."""
    detector = _restored(config, prefix).folded()  # as validation has it
    pixels = tf.constant(np.load(images))
    inputs = detector.preprocess(pixels)
    predictions = detector.predict(inputs, training=False)
    own = ("box_encodings", CLASS_PREDICTIONS)
    other = {name: value for name, value in predictions.items() if name not in own}

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def detect(pixels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        inputs = detector.preprocess(pixels)
        found = detector.postprocess(detector.predict(inputs, training=False), inputs.true_shapes)
        return found.boxes, found.scores, found.classes

    def trace() -> None:
        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def postprocess(encodings: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, ...]:
            named = dict(zip(own, (encodings, logits), strict=True))
            return tuple(detector.postprocess({**other, **named}, inputs.true_shapes))

        postprocess.get_concrete_function(*(tf.TensorSpec(predictions[name].shape, tf.float32) for name in own))

    return {"detect": partial(_waiting, detect, pixels), "trace": trace}


class _Training:
    """The training step on the input pipeline, as `train` joins them, and the validation."""

    def __init__(self, config: str, threads: int, seed: int, progressive_resizing: float) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        keras.utils.set_random_seed(seed)
        config_ = load(Path(config), max(NAMES)).config
        train_config = config_.train_config
        self._rates = train_config.optimizer.learning_rate
        detector = build_detector(config_.model)
        step = TrainingStep(detector, train_config, tf.distribute.get_strategy(), seed)
        records = _records(config_.train_input_reader)
        self.batches = batches_by_size(step, detector, train_config, records, part=progressive_resizing, seed=seed)
        self._validation = Validation(detector, _records(config_.eval_input_reader[0]), NAMES)
        self._done = 0

    def step(self, step: TrainingStep, batch: Batch) -> float:
        """Train on a batch; its loss."""
        started = step(batch, learning_rate(self._rates, self._done), self._done)
        self._done += 1
        return step.losses(started).total

    def ap50(self) -> float:
        """AP50 on the validation split."""
        return float(self._validation.evaluate().metrics.values["mAP_50"] or 0.0)


CLASS_PREDICTIONS = "class_predictions_with_background"
TASKS = {
    "evaluation": evaluation,
    "loss": loss,
    "training": training,
}


def _records(reader: InputReader) -> Records:
    # The API reads the same shards by their names.
    return Records(Path(reader.tf_record_input_reader.input_path[0]).parent)


def _restored(config: str, prefix: str) -> Detector:
    detector = build_detector(load(Path(config), 1).config.model)
    checkpoint.restore(detector.variables(), prefix, "full")
    return detector


def _waiting(function: Callable[..., Any], *arguments: tf.Tensor) -> None:
    # The function is done when any of its results is there; copying great ones takes longer than some losses.
    tf.nest.flatten(function(*arguments))[0].numpy()
