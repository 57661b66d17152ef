# SPDX-License-Identifier: Apache-2.0
"""The training loop: one compiled step, and between the steps everything that must survive an interruption."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]
from numpy.typing import NDArray

from training_src.errors import MapgateError, TrainingError
from training_src.models.config.training import TrainConfig
from training_src.models.detector import Detector, GroundTruth
from training_src.training.checkpoints import CheckpointStore, Progress
from training_src.training.input_pipeline import Batch, batch_signature, training_batches
from training_src.training.learning_rate import learning_rate
from training_src.training.optimizer import build_optimizer
from training_src.training.progress_report import ProgressReport
from training_src.training.records import Records
from training_src.training.validation import Validation

LOSSES = ("loss", "classification_loss", "localization_loss", "regularization_loss")


class InterruptedTrainingError(MapgateError):
    """The platform asked the training to stop. The exit code is a shell's for SIGTERM: there is no model yet."""

    exit_code = 143


@dataclass(frozen=True)
class Plan:
    """How a training goes on.

    Attributes:
        config: The pipeline.config's `train_config`.
        seed: Of weights, order and augmentation.
        log_interval: Steps between two lines.
        validation_interval: Steps between two validations; there is one after the last step.
        checkpoint_interval: Steps between two checkpoints; there is one after the last step.
    """

    config: TrainConfig
    seed: int
    log_interval: int
    validation_interval: int
    checkpoint_interval: int


def train(
    detector: Detector,
    plan: Plan,
    records: Records,
    validation: Validation,
    store: CheckpointStore,
    report: ProgressReport,
    stopping: Callable[[], bool] = lambda: False,
) -> Progress:
    """Train until `num_steps`, from the newest checkpoint if there is one; the best weights are left in the network.

    Args:
        detector: Its network is trained.
        plan: Steps, intervals and seed.
        records: The training split.
        validation: Evaluates the network.
        store: Where the state is kept.
        report: Told of losses and validations.
        stopping: Asked after each step; when true, the state is saved and the training ends.

    Raises:
        TrainingError: If a loss is not finite.
        InterruptedTrainingError: If `stopping` said so.
    """
    training = _Training(detector, plan, store)
    progress = training.resume()
    num_steps, rates = plan.config.num_steps, plan.config.optimizer.learning_rate
    batches = training_batches(records, plan.config, detector.resizer, plan.seed, progress.step)
    window = _Window(plan.config.batch_size)
    for batch in batches.take(num_steps - progress.step):
        rate = learning_rate(rates, progress.step)
        losses = training.step(batch, rate)
        progress.step += 1
        if not math.isfinite(losses[0]):
            raise TrainingError(
                f"Step {progress.step}: the loss is {losses[0]}; lower learning_rate_base, lengthen the warm-up or set "
                f"gradient_clipping_by_norm. {store.last_good()}"
            )
        window.add(losses)
        last = progress.step == num_steps
        if last or progress.step % plan.log_interval == 0:
            values = window.means(rate)
            report.training(progress.step, values, window.seconds_per_step * (num_steps - progress.step))
            progress.history.append({"step": progress.step, **values})
        if last or progress.step % plan.validation_interval == 0:
            _validate(training, validation, report, progress)
            window.pause_over()
        if last or progress.step % plan.checkpoint_interval == 0:
            store.save(training.tensors(), progress)
            window.pause_over()
        if stopping() and not last:
            store.save(training.tensors(), progress)
            raise InterruptedTrainingError(
                f"Training was asked to stop at step {progress.step} of {num_steps}; started again with the same "
                "settings and data it goes on from there."
            )
    training.use_best(progress)
    return progress


def _validate(training: "_Training", validation: Validation, report: ProgressReport, progress: Progress) -> None:
    metrics = validation.evaluate().values
    values = {name: -1.0 if metrics[name] is None else float(metrics[name] or 0) for name in ("mAP", "mAP_50")}
    report.validation(progress.step, values)
    progress.history.append({"step": progress.step, **values})
    # Of equal ones the later: at the start all are 0.
    if values["mAP"] >= progress.best_map:
        progress.best_step, progress.best_map = progress.step, values["mAP"]
        training.store.save_best(training.weights(), progress)


class _Training:
    """Network and optimizer: what a step changes and a checkpoint holds."""

    def __init__(self, detector: Detector, plan: Plan, store: CheckpointStore) -> None:
        self.store = store
        self._detector = detector
        self._clip = plan.config.gradient_clipping_by_norm
        self._regularize = plan.config.add_regularization_loss
        self._trainable = detector.trainable_variables
        self._optimizer = build_optimizer(plan.config.optimizer, self._trainable)
        self._done = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._variables = detector.variables()
        keys = {id(variable): key for key, variable in self._variables.items()}
        self._velocities = {
            f"optimizer/{name}/{keys[id(variable)]}": slot
            for name, slots in self._optimizer.slots.items()
            for variable, slot in zip(self._trainable, slots, strict=True)
        }
        self._step = tf.function(self._compute_step, autograph=False, input_signature=self._signature(plan.config))

    def step(self, batch: Sequence[tf.Tensor], rate: float) -> NDArray[np.float32]:
        """Train on a batch; returns its losses in the order of `LOSSES`."""
        return np.asarray(self._step(*batch, tf.constant(rate, tf.float32)))

    def weights(self) -> dict[str, NDArray[np.generic]]:
        return {key: variable.numpy() for key, variable in self._variables.items()}

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """Weights and velocities by key."""
        return {**self.weights(), **{key: velocity.numpy() for key, velocity in self._velocities.items()}}

    def resume(self) -> Progress:
        """Take over the newest checkpoint, if there is one."""
        latest = self.store.latest()
        if latest is None:
            return Progress()
        tensors, progress = latest
        for key, variable in {**self._variables, **self._velocities}.items():
            variable.assign(tensors[key])
        print(f"resumed       after step {progress.step}", flush=True)
        return progress

    def use_best(self, progress: Progress) -> None:
        """Put the best validation's weights into the network; the last ones stay where they are gone."""
        best = self.store.best(progress.best_step)
        if best is None:
            progress.best_step = progress.step
            return
        for key, variable in self._variables.items():
            variable.assign(best[key])

    def _signature(self, config: TrainConfig) -> list[tf.TensorSpec]:
        return [*batch_signature(config, self._detector.resizer), tf.TensorSpec([], tf.float32)]

    def _compute_step(self, *inputs: tf.Tensor) -> tf.Tensor:
        batch, rate = Batch(*inputs[:-1]), inputs[-1]
        with tf.GradientTape() as tape:
            truth = GroundTruth(batch.boxes, batch.classes, batch.weights)
            inputs = self._detector.normalise(tf.cast(batch.images, tf.float32), batch.true_shapes)
            predictions = self._detector.predict(inputs, training=True)
            losses = self._detector.losses(predictions, truth)
            regularization = self._detector.regularization_loss() if self._regularize else tf.zeros([])
            total = tf.add_n([*losses.values(), regularization])
        gradients = tape.gradient(total, [variable.value for variable in self._trainable])
        if self._clip > 0:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip)
        self._optimizer.apply(gradients, rate, self._done)
        self._done.assign_add(1)
        return tf.stack([total, *losses.values(), regularization])


class _Window:
    """Means over the steps since the last line, and the pace without the first step's tracing and without pauses."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._losses: list[NDArray[np.float32]] = []
        self._last = time.monotonic()
        self._durations: list[float] = []
        self._first = True

    def add(self, losses: NDArray[np.float32]) -> None:
        now = time.monotonic()
        self._losses.append(losses)
        if not self._first:
            self._durations.append(now - self._last)
        self._first, self._last = False, now

    def pause_over(self) -> None:
        """What happened since the last step was no training."""
        self._last = time.monotonic()

    def means(self, rate: float) -> dict[str, float]:
        means = np.mean(self._losses, axis=0)
        recent = self._durations[-len(self._losses) :]
        speed = self._batch_size * len(recent) / sum(recent) if recent else 0.0
        self._losses = []
        return {
            **{name: float(value) for name, value in zip(LOSSES, means, strict=True)},
            "learning_rate": rate,
            "images_per_second": speed,
        }

    @property
    def seconds_per_step(self) -> float:
        return float(np.mean(self._durations[-100:])) if self._durations else 0.0
