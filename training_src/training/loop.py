# SPDX-License-Identifier: Apache-2.0
"""The training loop: compiled steps, and between them everything that must survive an interruption."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training_src.errors import MapgateError, TrainingError
from training_src.models.config.training import TrainConfig
from training_src.models.detector import Detector
from training_src.training.checkpoints import CheckpointStore, TrainingProgress
from training_src.training.distribution import Cluster, summed
from training_src.training.hyperparameters import Settings
from training_src.training.input_pipeline import Batch
from training_src.training.learning_rate import learning_rate
from training_src.training.pace import Pace
from training_src.training.progress_report import ProgressReport
from training_src.training.progressive_resizing import batches_by_size
from training_src.training.records import Records
from training_src.training.step import Losses, TrainingStep
from training_src.training.validation import Validation, ValidationResult


class InterruptedTrainingError(MapgateError):
    """The platform asked the training to stop. The exit code is a shell's for SIGTERM: there is no model yet."""

    exit_code = 143


@dataclass(frozen=True)
class Plan:
    """How a training goes on.

    Attributes:
        config: The pipeline.config's `train_config`; its batch is divided among the instances.
        settings: The job's.
        cluster: The instances.
        strategy: TensorFlow's for them, in whose scope the detector was built.
        epoch_steps: Steps of an epoch where the training's length was told in epochs; else 0.
    """

    config: TrainConfig
    settings: Settings = field(default_factory=Settings)
    cluster: Cluster = field(default_factory=Cluster)
    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)
    epoch_steps: int = 0

    @property
    def log_interval(self) -> int:
        """Steps between two lines."""
        return max(1, self.config.num_steps // 50)

    @property
    def validation_interval(self) -> int:
        """Steps between two validations; there is one after the last step."""
        return self.settings.validation_interval or self.epoch_steps or max(1, self.config.num_steps // 10)

    @property
    def checkpoint_interval(self) -> int:
        """Steps between two checkpoints; there is one after the last step."""
        return self.settings.checkpoint_interval or min(max(1, self.config.num_steps // 10), 500)


def train(
    detector: Detector,
    plan: Plan,
    records: Records,
    validation: Validation,
    store: CheckpointStore,
    report: ProgressReport,
    stopping: Callable[[], bool] = lambda: False,
) -> TrainingProgress:
    """Train until `num_steps`, from the newest checkpoint if there is one; the best weights are left in the networks.

    Args:
        detector: Its networks are trained.
        plan: Steps, intervals, seed and instances.
        records: The training split.
        validation: Evaluates the networks.
        store: Where the state is kept.
        report: Told of losses and validations.
        stopping: Asked after each step; when true on one instance, the state is saved and the training ends on all.

    Raises:
        TrainingError: If a loss is not finite.
        InterruptedTrainingError: If `stopping` said so.
    """
    training = _Training(detector, plan, store)
    progress = training.resume()
    num_steps, rates = plan.config.num_steps, plan.config.optimizer.learning_rate
    pace = Pace(plan.config.batch_size)
    batches = training.batches(records, progress.step)
    over = 0 < progress.step < num_steps and training.is_over(progress)
    while progress.step < num_steps and not over:
        rate = learning_rate(rates, progress.step)
        step, batch = next(batches)
        losses = step.losses(step(batch, rate, progress.step, stopping()))
        progress.step += 1
        last = progress.step == num_steps
        training.check(losses, progress)
        pace.add(losses, step)
        if last or progress.step % plan.log_interval == 0:
            values = pace.means(rate)
            report.training(progress.step, values, pace.seconds_left(num_steps - progress.step))
            progress.history.append({"step": progress.step, **values})
        if last or progress.step % plan.validation_interval == 0:
            last = training.validate(validation, report, progress) or last
            pace.pause_over()
        if last or progress.step % plan.checkpoint_interval == 0:
            training.save(progress)
            pace.pause_over()
        if losses.stops and not last:
            training.save(progress)
            raise InterruptedTrainingError(
                f"Training was asked to stop at step {progress.step} of {num_steps}; started again with the same "
                "settings and data it goes on from there."
            )
        if last:
            break
    training.use_best(progress)
    return progress


class _Training:
    """The step with what surrounds it: batches, validations and checkpoints, which only the chief does."""

    def __init__(self, detector: Detector, plan: Plan, store: CheckpointStore) -> None:
        self._detector = detector
        self._plan = plan
        self._store = store
        self._chief = plan.cluster.is_chief
        self._config = replace(plan.config, batch_size=plan.cluster.part(plan.config.batch_size))
        self._step = TrainingStep(detector, self._config, plan.strategy, plan.settings.seed, plan.settings.xla)

    def batches(self, records: Records, first_step: int) -> Iterator[tuple[TrainingStep, Batch]]:
        """This instance's parts of the batches from a step on, and the step for each."""
        cluster, settings = self._plan.cluster, self._plan.settings
        return batches_by_size(
            self._step,
            self._detector,
            self._config,
            records,
            part=settings.progressive_resizing or 0.0,
            seed=settings.seed,
            first_step=first_step,
            instance=cluster.index,
            instances=len(cluster.hosts),
        )

    def check(self, losses: Losses, progress: TrainingProgress) -> None:
        if not math.isfinite(losses.total):
            raise TrainingError(
                f"Step {progress.step}: the loss is {losses.total}; lower learning_rate_base, lengthen the warm-up or "
                f"set gradient_clipping_by_norm. {self._store.last_good()}"
            )

    def save(self, progress: TrainingProgress) -> None:
        if self._chief:
            progress.num_steps = self._config.num_steps
            state = {key: variable.numpy() for key, variable in self._step.state().items()}
            self._store.save(state, progress)

    def resume(self) -> TrainingProgress:
        """Take over the newest checkpoint, if there is one; every instance has the chief's state then."""
        latest = self._store.latest() if self._chief else None
        progress = TrainingProgress()
        if latest is not None:
            tensors, progress = latest
            for key, variable in self._step.state().items():
                variable.assign(tensors[key])
            print(f"resumed       after step {progress.step}{self._other_schedule(progress)}", flush=True)
            settings = self._plan.settings
            progress.judge_anew(settings.early_stopping_metric, settings.early_stopping_min_delta)
        if len(self._plan.cluster.hosts) > 1:
            progress.step = self._follow_the_chief(progress.step)
        return progress

    def _other_schedule(self, progress: TrainingProgress) -> str:
        """What is said where the training had another length."""
        before, steps = progress.num_steps, self._config.num_steps
        if before in (0, steps):
            return ""
        rate = learning_rate(self._config.optimizer.learning_rate, progress.step)
        return f" of {before}: from here on with the schedule of {steps} steps, learning rate {rate:.4g}"

    def validate(self, validation: Validation, report: ProgressReport, progress: TrainingProgress) -> bool:
        """Evaluate, keep what is best; whether there was no improvement for so long that the training should end."""
        if self._chief:
            with self._averages():
                result = validation.evaluate()
            self._note(result, report, progress)
        return self.is_over(progress)

    def is_over(self, progress: TrainingProgress) -> bool:
        """Whether there was no improvement for so long that the training should end, as the chief sees it."""
        settings, epoch = self._plan.settings, self._plan.epoch_steps
        patience = settings.early_stopping_patience
        waited = (progress.judged_step - progress.improved_step) // epoch if epoch else progress.stale
        over = bool(patience and progress.stale and waited >= patience and self._chief)
        if len(self._plan.cluster.hosts) > 1:
            over = self._agree(float(over)) > 0
        if over and self._chief:
            least = settings.early_stopping_min_delta
            print(
                f"stopped       at step {progress.step}: {patience} {'epochs' if epoch else 'validations'} without a "
                f"better {settings.early_stopping_metric} than at step {progress.improved_step}"
                f"{f' by {least:g}' if least else ''}",
                flush=True,
            )
        return over

    def _note(self, result: ValidationResult, report: ProgressReport, progress: TrainingProgress) -> None:
        metrics, settings = result.metrics.values, self._plan.settings
        values = {name: -1.0 if metrics[name] is None else float(metrics[name] or 0) for name in ("mAP", "mAP_50")}
        losses = {name.removeprefix("Loss/"): loss for name, loss in result.losses.items()}
        report.validation(progress.step, {**values, "loss": result.loss, **losses}, result.pictures)
        progress.history.append({"step": progress.step, **values, "validation_loss": result.loss})
        value = values["mAP"] if settings.early_stopping_metric == "mAP" else -result.loss
        if progress.note(value, values["mAP"], settings.early_stopping_min_delta):
            self._store.save_best(self._step.weights(), progress)

    @contextmanager
    def _averages(self) -> Iterator[None]:
        if self._step.average is None:
            yield
            return
        with self._step.average.in_use():
            yield

    def use_best(self, progress: TrainingProgress) -> None:
        """Put the best validation's weights into the networks; the last ones stay where they are gone."""
        best = self._store.best(progress.best_step) if self._chief else None
        if best is None:
            progress.best_step = progress.step
            best = self._step.weights()
        for key, variable in self._detector.variables().items():
            variable.assign(best[key])

    def _agree(self, number: float) -> float:
        """The sum of every instance's number."""
        return float(self._sum([tf.constant(number)])[0])

    def _follow_the_chief(self, step: int) -> int:
        mine = 1.0 if self._chief else 0.0
        variables = list(self._step.state().values())
        values: list[NDArray[np.generic]] = [variable.numpy() * mine for variable in variables]
        *shared, done = self._sum([*map(tf.constant, values), tf.constant(float(step) * mine)])
        for variable, value in zip(variables, shared, strict=True):
            variable.assign(value)
        return int(done)

    def _sum(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        return summed(tensors, self._plan.cluster, self._plan.strategy)
