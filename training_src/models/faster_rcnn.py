# SPDX-License-Identifier: Apache-2.0
"""Faster R-CNN, https://arxiv.org/abs/1506.01497: one network proposes regions, another says what they hold.

Boxes are in pixels of the padded image between the stages, normalised outside; OD API `faster_rcnn_meta_arch`.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import tensorflow as tf

from training_src.models.config.faster_rcnn import FasterRcnn
from training_src.models.detection_stage import DetectionOutputs, DetectionStage, detection_network
from training_src.models.detector import Detector, GroundTruth, Inputs, Predictions
from training_src.models.feature_extractors.faster_rcnn import BACKBONES
from training_src.models.non_max_suppression import Detections
from training_src.models.proposal_stage import ProposalOutputs, ProposalStage, proposal_network


class FasterRcnnDetector(Detector):
    """Backbone to the maps that crops are of, proposals, crops, what follows them, box classifier.

    Args:
        config: The config's `model.faster_rcnn`.

    Raises:
        ConfigError: If parts of the config contradict each other.
    """

    def __init__(self, config: FasterRcnn) -> None:
        config.check()
        self.config = config
        self.num_classes = config.num_classes
        self.resizer = config.image_resizer
        first = proposal_network(config, self.input_size or (None, None))
        self.networks = (first,)
        if config.number_of_stages > 1:
            self.networks = (first, detection_network(config, first.outputs[0].shape[-1]))

    @property
    def proposal_stage(self) -> ProposalStage:
        return ProposalStage(self.config, self.networks[0])

    @property
    def detection_stage(self) -> DetectionStage | None:
        """None where proposals are all that is asked for."""
        return DetectionStage(self.config, self.networks[1]) if self.config.number_of_stages > 1 else None

    def normalise(self, pixels: tf.Tensor, true_shapes: tf.Tensor) -> Inputs:
        # Padding is scaled like the image, as in the API.
        return Inputs(BACKBONES[self.config.feature_extractor.type].scale(pixels), true_shapes)

    def predict(
        self, inputs: Inputs, training: bool, truth: GroundTruth | None = None, seed: tf.Tensor | None = None
    ) -> Predictions:
        first = self.proposal_stage.predict(inputs, training)
        if truth is not None:
            first = first._replace(rpn_sampled=self.proposal_stage.sample(first, truth, seed))
        if self.detection_stage is None:
            return by_name(first)
        proposals, sampled = self.proposal_stage.proposals(first, inputs.true_shapes), None
        if training and self.config.hard_example_miner is None:
            assert truth is not None  # what is sampled depends on it
            proposals, sampled = self.detection_stage.sample(proposals, first.image_size, truth, seed)
        second = self.detection_stage.predict(first, proposals, training)
        return by_name(first) | by_name(second._replace(second_stage_sampled=sampled))

    def losses(self, predictions: Predictions, truth: GroundTruth) -> dict[str, tf.Tensor]:
        first = outputs(ProposalOutputs, predictions)
        losses = self.proposal_stage.losses(first, truth)
        if self.detection_stage is not None:
            second = outputs(DetectionOutputs, predictions)
            losses |= self.detection_stage.losses(second, first.image_size, truth)
        return losses

    def postprocess(
        self, predictions: Predictions, true_shapes: tf.Tensor, class_ids: Sequence[int] = ()
    ) -> Detections:
        if self.detection_stage is None:
            return self.proposal_stage.detections(outputs(ProposalOutputs, predictions), true_shapes)
        return self.detection_stage.detections(outputs(DetectionOutputs, predictions), true_shapes, class_ids)

    def inner_arrays(self, predictions: Predictions, truth: GroundTruth | None = None) -> dict[str, tf.Tensor]:
        first = outputs(ProposalOutputs, predictions)
        second = None if self.detection_stage is None else outputs(DetectionOutputs, predictions)
        if truth is None:
            anchors = {
                "rpn_anchors_absolute": first.anchors,
                "rpn_anchors": first.anchors / tf.tile(first.image_size, [2]),
            }
            return anchors if second is None else anchors | _statistics(second.box_classifier_features)
        targets = self.proposal_stage.targets(first, truth)
        objects = tf.cast(targets.columns > 0, tf.float32)[..., None]
        arrays = {**targets.arrays(objects, "rpn_"), "rpn_sampled": first.rpn_sampled}
        if self.detection_stage is None or second is None:
            return arrays
        targets = self.detection_stage.targets(second.proposal_boxes, first.image_size, truth)
        arrays |= targets.arrays(tf.one_hot(targets.columns, self.num_classes + 1), "second_stage_")
        if second.second_stage_sampled is not None:
            arrays["second_stage_sampled"] = second.second_stage_sampled
        return arrays


Outputs = TypeVar("Outputs", ProposalOutputs, DetectionOutputs)


def by_name(found: Outputs) -> Predictions:
    """A stage's outputs as entries of the OD API's prediction dictionary."""
    return {name: value for name, value in found._asdict().items() if value is not None}


def outputs(kind: type[Outputs], predictions: Predictions) -> Outputs:
    """A stage's outputs out of a prediction dictionary; what is not in there is None."""
    found: Any = (predictions.get(name) for name in kind._fields)
    return kind(*found)


def _statistics(features: tf.Tensor) -> dict[str, tf.Tensor]:
    reductions = (tf.reduce_mean, tf.math.reduce_std, tf.reduce_min, tf.reduce_max)
    return {
        "box_classifier_features_shape": tf.shape(features),
        "box_classifier_features_pooled_stats": tf.stack([reduce(features) for reduce in reductions]),
    }
