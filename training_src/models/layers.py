# SPDX-License-Identifier: Apache-2.0
"""The layers of which networks are made, built from a config's `conv_hyperparams`.

Every layer is named after its path in the OD API's checkpoint, with dots for slashes, so that `checkpoint.py`
needs no table of names.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from training_src.models.config.hyperparams import BatchNorm, ConvHyperparams, Initializer, Regularizer
from training_src.models.convolution import Conv2D, SeparableConv2D


class BatchNormalization(keras.layers.Layer):  # type: ignore[misc]
    """Batch normalisation by TensorFlow's fused kernel.

    Keras 3's own takes three times as long on CPUs, and keeps the biased variance in its moving average; the OD
    API's models were trained with Bessel's correction.

    Args:
        config: Decay, epsilon, and whether there is a gamma and a beta.
        frozen: Whether the moving averages are used, and kept, during training too.
        name: The layer's.
        synchronised: Whether replicas share their batches' statistics.
    """

    def __init__(self, config: BatchNorm, frozen: bool, name: str, synchronised: bool = False) -> None:
        super().__init__(name=name)
        self._config = config
        self.frozen = frozen
        # For a while, whatever the config says.
        self.held = False
        self._synchronised = synchronised

    @property
    def epsilon(self) -> float:
        """What is added to a variance."""
        return self._config.epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        # The kernel wants float32 beside inputs of 16 bits, and a step by step average needs it.
        def weight(name: str, initializer: str, trainable: bool = True) -> keras.Variable:
            return self.add_weight(
                shape=(input_shape[-1],), initializer=initializer, name=name, trainable=trainable, autocast=False
            )

        self.gamma = weight("gamma", "ones") if self._config.scale else None
        self.beta = weight("beta", "zeros") if self._config.center else None
        self.moving_mean = weight("moving_mean", "zeros", trainable=False)
        self.moving_variance = weight("moving_variance", "ones", trainable=False)

    def compute_output_spec(self, inputs: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:  # noqa: ARG002
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        mean, variance = self.moving_mean.value, self.moving_variance.value
        gamma = tf.ones_like(mean) if self.gamma is None else self.gamma.value
        beta = tf.zeros_like(mean) if self.beta is None else self.beta.value
        epsilon = self._config.epsilon
        if not training or self.frozen or self.held:
            return tf.raw_ops.FusedBatchNormV3(
                x=inputs, scale=gamma, offset=beta, mean=mean, variance=variance, epsilon=epsilon, is_training=False
            ).y
        if self._synchronised and tf.distribute.get_strategy().num_replicas_in_sync > 1:
            batch_mean, batch_variance = _moments_of_all_replicas(inputs)
            outputs = tf.nn.batch_normalization(inputs, batch_mean, batch_variance, beta, gamma, epsilon)
        else:
            normalised = tf.raw_ops.FusedBatchNormV3(
                x=inputs, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon, is_training=True
            )
            outputs, batch_mean, batch_variance = normalised.y, normalised.batch_mean, normalised.batch_variance
        share = 1 - self._config.decay
        # By the handle, which is that of this replica's copy: the training step brings the copies together.
        for moving, batch in ((mean, batch_mean), (variance, batch_variance)):
            change = (moving.read_value() - tf.cast(batch, moving.dtype)) * share
            tf.raw_ops.AssignSubVariableOp(resource=moving.handle, value=change)
        return outputs

    def scale_and_offset(self) -> tuple[tf.Tensor, tf.Tensor]:
        """What it multiplies channels by, and then adds, when it does not learn."""
        scale = tf.math.rsqrt(self.moving_variance.value + self._config.epsilon)
        if self.gamma is not None:
            scale *= self.gamma.value
        offset = -self.moving_mean.value * scale
        return scale, offset if self.beta is None else offset + self.beta.value


class Layers:
    """Makes layers with the regulariser, initialiser, activation and batch norm of one `conv_hyperparams`.

    Args:
        config: The hyperparameters.
        freeze_batchnorm: Whether batch norms keep their moving averages during training.
    """

    def __init__(self, config: ConvHyperparams, freeze_batchnorm: bool) -> None:
        self._config = config
        self._batch_norm = config.batch_norm or config.sync_batch_norm
        self._biased = config.force_use_bias or self._batch_norm is None
        self._frozen = freeze_batchnorm

    def of_backbone(self) -> "Layers":
        """The same for a network whose convolutions never have a bias."""
        layers = Layers(self._config, self._frozen)
        layers._biased = False
        return layers

    def convolution(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        name: str,
        *,
        strides: int = 1,
        dilation: int = 1,
        padding: str = "same",
        bias: float | None = None,
    ) -> keras.layers.Layer:
        """A convolution; with a bias of that first value, if one is given or the hyperparameters ask for it."""
        return Conv2D(
            filters,
            kernel_size,
            strides=strides,
            dilation_rate=dilation,
            padding=padding,
            use_bias=bias is not None or self._biased,
            bias_initializer=keras.initializers.Constant(bias or 0.0),
            kernel_initializer=self.initializer(),
            kernel_regularizer=self.regularizer(),
            name=name,
        )

    def depthwise_convolution(
        self, kernel_size: int, name: str, *, strides: int = 1, follows: bool = True
    ) -> keras.layers.Layer:
        """A convolution of each channel by itself, whose kernel follows the hyperparameters or not."""
        return keras.layers.DepthwiseConv2D(
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=self._biased,
            depthwise_initializer=self.initializer() if follows else "glorot_uniform",
            depthwise_regularizer=self.regularizer() if follows else None,
            name=name,
        )

    def separable_convolution(
        self,
        filters: int,
        kernel_size: int,
        name: str,
        *,
        strides: int = 1,
        bias: float | None = None,
        depthwise: bool = True,
        pointwise: bool = False,
    ) -> keras.layers.Layer:
        """Depthwise, then pointwise.

        Args:
            filters: Channels of the result.
            kernel_size: Of the depthwise kernel.
            name: The layer's.
            strides: Of the depthwise convolution.
            bias: See `convolution`.
            depthwise: Whether the depthwise kernel follows the hyperparameters, as it does in most of the API.
            pointwise: Whether the pointwise kernel does, as it does in little of it.
        """
        return SeparableConv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=bias is not None or self._biased,
            bias_initializer=keras.initializers.Constant(bias or 0.0),
            depthwise_initializer=self.initializer() if depthwise else "glorot_uniform",
            depthwise_regularizer=self.regularizer() if depthwise else None,
            pointwise_initializer=self.initializer() if pointwise else "glorot_uniform",
            pointwise_regularizer=self.regularizer() if pointwise else None,
            name=name,
        )

    def batch_normalization(self, name: str) -> keras.layers.Layer:
        """A batch norm; nothing at all where the hyperparameters have none."""
        if self._batch_norm is None:
            return keras.layers.Identity(name=name)
        return BatchNormalization(self._batch_norm, self._frozen, name, self._config.sync_batch_norm is not None)

    def activation(self, features: tf.Tensor) -> tf.Tensor:
        functions = {"RELU": keras.ops.relu, "RELU_6": keras.ops.relu6, "SWISH": keras.ops.silu}
        activation = self._config.activation
        return features if activation == "NONE" else functions[activation](features)

    def initializer(self) -> keras.initializers.Initializer:
        """A fresh initialiser: Keras gives equal values to layers that share one."""
        return _initializer(self._config.initializer)

    def regularizer(self) -> keras.regularizers.Regularizer | None:
        return _regularizer(self._config.regularizer)


def pad_to_multiple(images: tf.Tensor, multiple: int) -> tf.Tensor:
    """The same images with zeros below and to the right, so that height and width are multiples."""
    height, width = (None if size is None else -(-size // multiple) * multiple for size in images.shape[1:3])
    if (height, width) == tuple(images.shape[1:3]) and None not in (height, width):
        return images

    def pad(batch: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(batch)
        return tf.pad(batch, [[0, 0], [0, -shape[1] % multiple], [0, -shape[2] % multiple], [0, 0]])

    return keras.layers.Lambda(pad, output_shape=(height, width, 3), name="pad_to_multiple")(images)


def numbered(prefix: str) -> Callable[[], str]:
    """One name after the other for layers that a checkpoint numbers in the order in which they are made."""
    count = iter(range(1000))
    return lambda: f"{prefix}.layer_with_weights-{next(count)}"


def divisible(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of 8 that is not more than a tenth below."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


def _moments_of_all_replicas(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance (with Bessel's correction left out) over every replica's batch."""
    context = tf.distribute.get_replica_context()
    sums = [tf.reduce_mean(inputs, axis=[0, 1, 2]), tf.reduce_mean(tf.square(inputs), axis=[0, 1, 2])]
    mean, square = context.all_reduce(tf.distribute.ReduceOp.MEAN, sums)
    return mean, square - tf.square(mean)


def _regularizer(config: Regularizer | None) -> keras.regularizers.Regularizer | None:
    if config is None:
        return None
    if config.l1_regularizer:
        return keras.regularizers.L1(config.l1_regularizer.weight)
    if config.l2_regularizer is None:
        return None
    # The API halves the weight, as slim's l2 loss did.
    return keras.regularizers.L2(config.l2_regularizer.weight * 0.5)


def _initializer(config: Initializer | None) -> keras.initializers.Initializer:
    if config is None or config == Initializer():
        return keras.initializers.GlorotUniform()
    if config.random_normal_initializer:
        normal = config.random_normal_initializer
        return keras.initializers.RandomNormal(normal.mean, normal.stddev)
    if config.truncated_normal_initializer:
        normal = config.truncated_normal_initializer
        return keras.initializers.TruncatedNormal(normal.mean, normal.stddev)
    assert config.variance_scaling_initializer is not None  # the config holds exactly one
    scaling = config.variance_scaling_initializer
    return keras.initializers.VarianceScaling(
        scale=scaling.factor,
        mode=scaling.mode.lower(),
        distribution="uniform" if scaling.uniform else "truncated_normal",
    )
