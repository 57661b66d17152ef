# SPDX-License-Identifier: Apache-2.0
"""What every detector can do, whatever its architecture."""

import abc
import copy
from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from training_src.models.checkpoints.checkpoint import variables_by_key
from training_src.models.config.image_resizer import ImageResizer, resized_shape
from training_src.models.folding import fold_batch_norms
from training_src.models.layers import BatchNormalization
from training_src.models.non_max_suppression import Detections
from training_src.models.preprocessing import resize_to

# By the names of the OD API's prediction dictionaries: `box_encodings`, `rpn_box_encodings`, ...
Predictions = dict[str, tf.Tensor]


class Inputs(NamedTuple):
    """A batch as a network takes it.

    Attributes:
        images: `(batch, height, width, 3)` float32, scaled as the backbone wants them, padded.
        true_shapes: `(batch, 3)` int32: height, width and channels without the padding.
    """

    images: tf.Tensor
    true_shapes: tf.Tensor


class GroundTruth(NamedTuple):
    """A padded batch of labelled boxes, at least one row an image.

    Attributes:
        boxes: `(batch, boxes, 4)` float32: ymin, xmin, ymax, xmax, normalised to the padded image.
        classes: `(batch, boxes)` int32, from 0 (label-map id minus 1).
        weights: `(batch, boxes)` float32; 0 for padding and for what is not to be learnt: crowds.
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    weights: tf.Tensor


class Detector(abc.ABC):
    """Networks and what turns images into their input and their output into losses and detections.

    Attributes:
        num_classes: Without the background.
        resizer: What size images get.
        networks: Keras models in the order in which the data meet them.
    """

    num_classes: int
    resizer: ImageResizer
    networks: tuple[keras.Model, ...]

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width of the networks' input, padding included; None where they depend on the image."""
        return resized_shape(self.resizer)

    def preprocess(self, images: tf.Tensor) -> Inputs:
        """Images as the network takes them: resized, padded and scaled exactly as the OD API does it.

        Args:
            images: `(batch, h, w, 3)`, RGB of 0..255, any numeric dtype.
        """
        return self.normalise(*resize_to(self.resizer, images))

    @abc.abstractmethod
    def normalise(self, pixels: tf.Tensor, true_shapes: tf.Tensor) -> Inputs:
        """Scale pixels that are resized and padded already; what padding becomes is the architecture's.

        Args:
            pixels: `(batch, height, width, 3)`, 0..255.
            true_shapes: `(batch, 3)` int32: height, width, channels without padding.
        """

    @abc.abstractmethod
    def predict(
        self, inputs: Inputs, training: bool, truth: GroundTruth | None = None, seed: tf.Tensor | None = None
    ) -> Predictions:
        """The networks' raw output, and what losses and post-processing need beside it.

        Args:
            inputs: Of `preprocess` or `normalise`.
            training: Whether batch norms learn and dropout drops.
            truth: What Faster R-CNN samples proposals by when training; others need none.
            seed: `(2,)` int32, of that sampling; None takes candidates in their order.

        Returns:
            By name; floats have 32 bits, whatever the layers' precision.
        """

    @abc.abstractmethod
    def losses(self, predictions: Predictions, truth: GroundTruth) -> dict[str, tf.Tensor]:
        """Scalars by the API's names (`Loss/classification_loss`), weighted and normalised, without regularisation."""

    @abc.abstractmethod
    def postprocess(
        self, predictions: Predictions, true_shapes: tf.Tensor, class_ids: Sequence[int] = ()
    ) -> Detections:
        """What is left after non-maximum suppression, boxes normalised to the image without its padding.

        Args:
            predictions: Of `predict` without training.
            true_shapes: `(batch, 3)` int32.
            class_ids: The label map's ids, ascending, where only these classes count; detections' classes are then
                positions in it. () for all classes.
        """

    @abc.abstractmethod
    def inner_arrays(self, predictions: Predictions, truth: GroundTruth | None = None) -> dict[str, tf.Tensor]:
        """What can be compared with another implementation beside predictions, losses and detections.

        Args:
            predictions: Of `predict`.
            truth: Given: the assigned targets, samples and matches; else feature maps and anchors.
        """

    def regularization_terms(self) -> list[tf.Tensor]:
        """One scalar for each regularised variable, weights of 0 included."""
        regularised = [variable for variable in self.variables().values() if variable.regularizer is not None]
        return [_penalty(variable.regularizer, variable.value) for variable in regularised]

    def regularization_loss(self) -> tf.Tensor:
        """The sum of what the layers' regularisers ask for."""
        return tf.add_n(self.regularization_terms() or [tf.zeros([])])

    def variables(self) -> dict[str, keras.Variable]:
        """Every variable by its checkpoint key."""
        return {key: value for network in self.networks for key, value in variables_by_key(network).items()}

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        return [variable for network in self.networks for variable in network.trainable_variables]

    def switch_dropout_off(self) -> None:
        """Make training deterministic: no layer drops anything any more."""
        for network in self.networks:
            for layer in network.layers:
                if hasattr(layer, "rate"):
                    layer.rate = 0.0

    def folded(self) -> "Detector":
        """The same detector with the same variables for `predict` without training: see `fold_batch_norms`."""
        detector = copy.copy(self)
        detector.networks = tuple(fold_batch_norms(network) for network in self.networks)
        return detector

    def freeze_batch_norm(self, frozen: bool) -> None:
        """Let batch norms use and keep their moving averages during training; false: as their config has it.

        What was traced before stays as it was.
        """
        for network in self.networks:
            for layer in network.layers:
                if isinstance(layer, BatchNormalization):
                    layer.held = frozen


def _penalty(regularizer: keras.regularizers.Regularizer, value: tf.Tensor) -> tf.Tensor:
    if not isinstance(regularizer, keras.regularizers.L2):
        return regularizer(value)
    return 2.0 * regularizer.l2 * tf.nn.l2_loss(value)
