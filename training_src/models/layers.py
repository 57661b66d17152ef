# SPDX-License-Identifier: Apache-2.0
"""The layers of which networks are made, built from a config's `conv_hyperparams`.

Every layer is named after its path in the OD API's checkpoint, with dots for slashes, so that `checkpoint.py`
needs no table of names.
"""

import keras  # type: ignore[import-untyped]
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.models.config.hyperparams import BatchNorm, ConvHyperparams, Initializer

# What MobileNet uses where `override_base_feature_extractor_hyperparams` is not set.
DEFAULT_REGULARIZATION = 0.00004
DEFAULT_BATCH_NORM = BatchNorm(decay=0.9997, epsilon=0.001, scale=True)


class BatchNormalization(keras.layers.Layer):  # type: ignore[misc]
    """Batch normalisation by TensorFlow's fused kernel.

    Keras 3's own takes three times as long on CPUs, and keeps the biased variance in its moving average; the OD
    API's models were trained with Bessel's correction.
    """

    def __init__(self, config: BatchNorm, frozen: bool, name: str) -> None:
        super().__init__(name=name)
        self._config = config
        self.frozen = frozen

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = (input_shape[-1],)
        config = self._config
        # A checkpoint has no gamma or beta where the config asks for none.
        self.gamma = self.add_weight(shape=channels, initializer="ones", name="gamma") if config.scale else None
        self.beta = self.add_weight(shape=channels, initializer="zeros", name="beta") if config.center else None
        self.moving_mean = self.add_weight(shape=channels, initializer="zeros", name="moving_mean", trainable=False)
        self.moving_variance = self.add_weight(
            shape=channels, initializer="ones", name="moving_variance", trainable=False
        )

    def compute_output_spec(self, inputs: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:  # noqa: ARG002
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        learning = training and not self.frozen
        normalised = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.ones_like(self.moving_variance.value) if self.gamma is None else self.gamma.value,
            offset=tf.zeros_like(self.moving_mean.value) if self.beta is None else self.beta.value,
            mean=[] if learning else self.moving_mean.value,
            variance=[] if learning else self.moving_variance.value,
            epsilon=self._config.epsilon,
            is_training=learning,
        )
        if learning:
            share = 1 - self._config.decay
            mean, variance = self.moving_mean.value, self.moving_variance.value
            mean.assign_sub((mean - normalised.batch_mean) * share)
            variance.assign_sub((variance - normalised.batch_variance) * share)
        return normalised.y


class Layers:
    """Makes layers with the regulariser, initialiser, activation and batch norm of one `conv_hyperparams`.

    Args:
        config: The hyperparameters; None stands for MobileNet's own.
        freeze_batchnorm: Whether batch norms keep their moving averages during training.
    """

    def __init__(self, config: ConvHyperparams | None, freeze_batchnorm: bool) -> None:
        weight = config.regularizer.l2_regularizer.weight if config else DEFAULT_REGULARIZATION
        # The API halves the weight, as slim's l2 loss did.
        self._regularizer = keras.regularizers.L2(weight * 0.5) if weight else None
        self._initializer = config.initializer if config else None
        self._activation = config.activation if config else "RELU_6"
        self._batch_norm = config.batch_norm if config else DEFAULT_BATCH_NORM
        self._frozen = freeze_batchnorm

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
        """A convolution; with a bias of that first value, if one is given."""
        return keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            dilation_rate=dilation,
            padding=padding,
            use_bias=bias is not None,
            bias_initializer=keras.initializers.Constant(bias or 0.0),
            kernel_initializer=self.initializer(),
            kernel_regularizer=self._regularizer,
            name=name,
        )

    def depthwise_convolution(self, kernel_size: int, name: str, *, strides: int = 1) -> keras.layers.Layer:
        """A convolution of each channel by itself."""
        return keras.layers.DepthwiseConv2D(
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=False,
            depthwise_initializer=self.initializer(),
            depthwise_regularizer=self._regularizer,
            name=name,
        )

    def separable_convolution(
        self, filters: int, kernel_size: int, name: str, *, strides: int = 1
    ) -> keras.layers.Layer:
        """Depthwise, then pointwise. Only the depthwise kernel follows the hyperparameters, as in the API."""
        return keras.layers.SeparableConv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=False,
            depthwise_initializer=self.initializer(),
            depthwise_regularizer=self._regularizer,
            name=name,
        )

    def batch_normalization(self, name: str) -> BatchNormalization:
        return BatchNormalization(self._batch_norm, self._frozen, name)

    def activation(self, features: tf.Tensor) -> tf.Tensor:
        if self._activation == "NONE":
            return features
        return keras.ops.relu6(features) if self._activation == "RELU_6" else keras.ops.relu(features)

    def initializer(self) -> keras.initializers.Initializer:
        """A fresh initialiser: Keras gives equal values to layers that share one."""
        config = self._initializer
        if config is None:
            return keras.initializers.TruncatedNormal(stddev=0.09)
        return _initializer(config)


def _initializer(config: Initializer) -> keras.initializers.Initializer:
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
