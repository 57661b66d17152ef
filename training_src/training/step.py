# SPDX-License-Identifier: Apache-2.0
"""One training step, compiled: forward, losses, backward, update, on every replica.

The losses' derivatives by the predictions are taken inside the losses' own function, which XLA can compile as a whole:
it then reads the logits once and writes nothing but their gradient. The tape of the network goes on from there.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training_src.errors import ConfigurationError
from training_src.models.config.ssd import Ssd
from training_src.models.config.training import TrainConfig
from training_src.models.detector import Detector, GroundTruth, Predictions
from training_src.models.replicas import replica_count
from training_src.training.averaging import MovingAverage
from training_src.training.input_pipeline import Batch, batch_signature
from training_src.training.optimizer import build_optimizer
from training_src.training.precision import loss_scale
from training_src.training.trained_variables import gradient_multipliers, trained_variables

# Of images whose losses take longer than it costs to start what XLA compiled.
LEAST_XLA_SIDE = 128


@dataclass(frozen=True)
class Losses:
    """A step's losses over all replicas.

    Attributes:
        total: Their sum.
        terms: By the API's names, `Loss/regularization_loss` among them.
        stops: How many replicas were asked to stop.
    """

    total: float
    terms: dict[str, float]
    stops: float


class TrainingStep:
    """What a step changes, and the function that does it.

    Args:
        detector: Built in the strategy's scope.
        config: The `train_config`; its batch size is that of this instance.
        strategy: Of the replicas.
        seed: Of what Faster R-CNN samples.
        xla: `auto`, `loss`, `step` or `off`.

    Raises:
        ConfigurationError: If XLA is to compile the whole step of a detector of two stages.

    Attributes:
        traces: How often the function was traced; once, whatever the number of boxes.
        average: The weights' moving averages, where the config asks for them.
    """

    def __init__(
        self, detector: Detector, config: TrainConfig, strategy: tf.distribute.Strategy, seed: int, xla: str = "auto"
    ) -> None:
        self._config = config
        self._strategy = strategy
        self._seed = seed
        self._xla = xla
        self._variables = detector.variables()
        self._trained = trained_variables(config, self._variables, detector.trainable_variables)
        self._multipliers = gradient_multipliers(config, self._variables, self._trained)
        self._scale = loss_scale(keras.mixed_precision.global_policy().name)
        keys = {id(variable): key for key, variable in self._variables.items()}
        self._keys = [keys[id(variable)] for variable in self._trained]
        trained = {id(variable) for variable in detector.trainable_variables}
        self._statistics = [variable for variable in self._variables.values() if id(variable) not in trained]
        with strategy.scope():
            self._optimizer = build_optimizer(config.optimizer, self._trained)
            self.average = (
                MovingAverage(self._trained, config.optimizer.moving_average_decay)
                if config.optimizer.use_moving_average
                else None
            )
        self._compile(detector)

    def of(self, detector: Detector) -> "TrainingStep":
        """A step that changes the same variables, through the same detector for images of another size."""
        step = copy.copy(self)
        step._compile(detector)
        return step

    def __call__(self, batch: Batch, rate: float, step: int, stop: bool = False) -> tf.Tensor:
        """Start a step.

        Args:
            batch: This instance's part of it.
            rate: The learning rate.
            step: Steps that are done.
            stop: Whether this instance was asked to stop.

        Returns:
            What `losses` reads; reading it waits for the step's end.
        """
        return self._function(
            batch,
            tf.constant(rate, tf.float32),
            tf.constant(step, tf.int64),
            tf.constant(float(stop), tf.float32),
        )

    def losses(self, started: tf.Tensor) -> Losses:
        """The losses of a step that was started."""
        total, stops, *terms = (float(value) for value in started.numpy())
        return Losses(total, dict(zip(self._names, terms, strict=True)), stops)

    def state(self) -> dict[str, tf.Variable]:
        """Weights, the optimizer's slots and the averages, by the key under which a checkpoint keeps them."""
        slots = {
            f"optimizer/{name}/{key}": slot
            for name, slots in self._optimizer.slots.items()
            for key, slot in zip(self._keys, slots, strict=True)
        }
        averages = self.average.averages if self.average else []
        return {
            **self._variables,
            **slots,
            **{f"average/{key}": average for key, average in zip(self._keys, averages, strict=bool(averages))},
        }

    def weights(self) -> dict[str, NDArray[np.generic]]:
        """What is evaluated and exported: the averages where there are any."""
        own = {key: variable.numpy() for key, variable in self._variables.items()}
        if self.average is None:
            return own
        return own | {key: average.numpy() for key, average in zip(self._keys, self.average.averages, strict=True)}

    def _compile(self, detector: Detector) -> None:
        self.traces = 0
        self._detector = detector
        self._names: list[str] = []
        self._differentiable: list[str] = []
        signature = batch_signature(self._config, detector.resizer)
        _check_xla(self._xla, detector)
        # Several agree on the count of matches in the middle of the loss, which XLA cannot compile.
        alone = self._strategy.num_replicas_in_sync == 1
        compiled = alone and (self._xla == "loss" or (self._xla == "auto" and _measured_to_help(detector)))
        self._loss_gradients = (
            tf.function(self._compute_loss_gradients, autograph=False, jit_compile=True)
            if compiled
            else self._compute_loss_gradients
        )
        scalars = [tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.float32)]
        self._function = tf.function(
            self._on_all_replicas,
            autograph=False,
            input_signature=[signature, *scalars],
            reduce_retracing=True,
            jit_compile=True if alone and self._xla == "step" else None,
        )

    def _on_all_replicas(self, batch: Batch, rate: tf.Tensor, step: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
        self.traces += 1
        outcome = self._strategy.run(self._on_a_replica, args=(batch, rate, step, stop))
        # Every replica holds the sum over all of them.
        return self._strategy.experimental_local_results(outcome)[0]

    def _on_a_replica(self, batch: Batch, rate: tf.Tensor, step: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
        images, true_shapes, *labels = self._part(batch)
        truth = GroundTruth(*labels)
        values = [variable.value for variable in self._trained]
        seed = tf.stack([tf.constant(self._seed, tf.int32), tf.cast(step, tf.int32)])
        with tf.GradientTape() as tape:
            inputs = self._detector.normalise(tf.cast(images, tf.float32), true_shapes)
            predictions = self._detector.predict(inputs, training=True, truth=truth, seed=seed)
            regularization = self._regularization()
        learnt = {name: value for name, value in predictions.items() if _is_learnt(value)}
        constant = {name: value for name, value in predictions.items() if name not in learnt}
        terms, slopes = self._loss_gradients(learnt, constant, truth)
        targets = [predictions[name] for name in self._differentiable]
        gradients = tape.gradient(
            [*targets, regularization], values, output_gradients=[*slopes, tf.constant(self._scale)]
        )
        sums = tf.stack([stop, *terms, regularization])
        if replica_count() > 1:
            gradients, sums = self._over_replicas(gradients, sums)
        self._update(gradients, rate, step)
        return tf.concat([[tf.reduce_sum(sums[1:])], sums], axis=0)

    def _compute_loss_gradients(
        self, learnt: Predictions, constant: Predictions, truth: GroundTruth
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """The losses, and their sum's derivatives by those predictions that have one."""
        with tf.GradientTape() as tape:
            tape.watch(list(learnt.values()))
            losses = self._detector.losses({**learnt, **constant}, GroundTruth(*truth))
            if len(self._detector.networks) > 1:
                # Two stages' losses are means over this replica's images; a single shot's are divided by the matches
                # of all replicas.
                losses = {name: loss / replica_count() for name, loss in losses.items()}
            total = tf.add_n(list(losses.values())) * self._scale
        slopes = tape.gradient(total, list(learnt.values()))
        self._names = [*losses, "Loss/regularization_loss"]
        self._differentiable = [name for name, slope in zip(learnt, slopes, strict=True) if slope is not None]
        return list(losses.values()), [slope for slope in slopes if slope is not None]

    def _regularization(self) -> tf.Tensor:
        if not self._config.add_regularization_loss:
            return tf.zeros([])
        # All replicas' gradients are summed.
        return self._detector.regularization_loss() / replica_count()

    def _part(self, batch: Batch) -> Sequence[tf.Tensor]:
        """This replica's share of the instance's batch."""
        devices = self._strategy.num_replicas_in_sync // self._instances
        if devices == 1:
            return batch
        count = self._config.batch_size // devices
        index = tf.distribute.get_replica_context().replica_id_in_sync_group % devices
        with tf.device("/CPU:0"):
            return [tensor[index * count : (index + 1) * count] for tensor in batch]

    @property
    def _instances(self) -> int:
        resolver = getattr(self._strategy, "cluster_resolver", None)
        return len(resolver.cluster_spec().as_dict().get("worker", [None])) if resolver else 1

    def _over_replicas(self, gradients: list[tf.Tensor], sums: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        context = tf.distribute.get_replica_context()
        known = [index for index, gradient in enumerate(gradients) if gradient is not None]
        statistics = tf.concat([tf.reshape(each.value.read_value(), [-1]) for each in self._statistics] or [[0.0]], 0)
        *summed, sums, statistics = context.all_reduce(
            tf.distribute.ReduceOp.SUM, [*(gradients[index] for index in known), sums, statistics]
        )
        gradients = list(gradients)
        for index, gradient in zip(known, summed, strict=True):
            gradients[index] = gradient
        self._assign_statistics(statistics / replica_count())
        return gradients, sums

    def _assign_statistics(self, flat: tf.Tensor) -> None:
        """Batch norms' moving averages are the mean of the replicas'."""
        sizes = [int(np.prod(variable.shape)) for variable in self._statistics]
        for variable, part in zip(self._statistics, tf.split(flat, sizes) if sizes else [], strict=True):
            tf.raw_ops.AssignVariableOp(resource=variable.value.handle, value=tf.reshape(part, variable.shape))

    def _update(self, gradients: Sequence[tf.Tensor], rate: tf.Tensor, step: tf.Tensor) -> None:
        factors = [multiplier / self._scale for multiplier in self._multipliers]
        gradients = [
            gradient if gradient is None or factor == 1.0 else gradient * factor
            for gradient, factor in zip(gradients, factors, strict=True)
        ]
        if self._config.gradient_clipping_by_norm > 0:
            gradients, _ = tf.clip_by_global_norm(gradients, self._config.gradient_clipping_by_norm)
        self._optimizer.apply(gradients, rate, step)
        if self.average:
            self.average.update(step)


def _is_learnt(value: tf.Tensor) -> bool:
    """Whether something follows from weights, and losses from it: anchors, for instance, do not; maps are a tuple."""
    if isinstance(value, tuple):
        return False
    return bool(value.dtype.is_floating and tf.is_symbolic_tensor(value) and value.op.type != "Const")


def _check_xla(setting: str, detector: Detector) -> None:
    if setting == "step" and len(detector.networks) > 1:
        raise ConfigurationError(
            'The hyperparameter xla is "step", but XLA cannot compile the suppression of boxes between two stages; '
            "give auto, loss or off."
        )


def _measured_to_help(detector: Detector) -> bool:
    # At 320x320, 90 classes, batch 8 on two cores: 31 instead of 121 ms; at 160x160 and 3 classes 20 ms less of 140, at
    # 96x96 nothing. Not so what samples or suppresses boxes.
    config = getattr(detector, "config", None)
    if detector.input_size is None or min(detector.input_size) < LEAST_XLA_SIDE:
        return False
    return isinstance(config, Ssd) and getattr(config.loss, "hard_example_miner", None) is None
