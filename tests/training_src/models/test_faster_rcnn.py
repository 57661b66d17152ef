# SPDX-License-Identifier: Apache-2.0
"""Faster R-CNN's fields of the config do what they say; its numbers are compared in `test_outputs.py`."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from training_src.models.architectures import build_detector
from training_src.models.config.anchors import AnchorGenerator, GridAnchorGenerator
from training_src.models.config.decoding import decode, message_of
from training_src.models.config.faster_rcnn import FasterRcnn
from training_src.models.config.losses import HardExampleMiner
from training_src.models.config.pipeline import load_bundled
from training_src.models.detector import Detector, GroundTruth, Inputs
from training_src.models.errors import ConfigError
from training_src.models.faster_rcnn import FasterRcnnDetector
from training_src.models.feature_extractors import resnet
from training_src.models.proposal_stage import proposal_network
from training_src.text_format import parse

RPN = ("rpn_box_encodings", "rpn_objectness_predictions_with_background")
SECOND = ("refined_box_encodings", "class_predictions_with_background")
RESNET = "faster_rcnn_resnet50_v1_640x640"


def config_of(architecture: str, changes: str = "") -> FasterRcnn:
    """A bundled description for three classes, some fields of `model.faster_rcnn` replaced."""
    message = parse(load_bundled(architecture, 3).text())
    fields = message_of(message_of(message, "model"), "faster_rcnn")
    fields.update(parse(changes))
    return decode(FasterRcnn, fields, "model.faster_rcnn")


# Small enough to compute in a moment.
SIZES = """
    image_resizer { keep_aspect_ratio_resizer { min_dimension: 64 max_dimension: 64 pad_to_max_dimension: true } }
    first_stage_max_proposals: 12
    second_stage_batch_size: 8
    initial_crop_size: 4
"""
SMALL = (
    SIZES
    + """
    first_stage_anchor_generator {
      grid_anchor_generator { height: 64 width: 64 scales: [0.5, 1.0] aspect_ratios: [1.0] }
    }
"""
)


NO_ANCHORS = AnchorGenerator(grid_anchor_generator=GridAnchorGenerator(aspect_ratios=(1.0,)))


def small(changes: str = "") -> FasterRcnnDetector:
    tf.keras.utils.set_random_seed(7)
    return FasterRcnnDetector(config_of(RESNET, SMALL + changes))


Redescribed = Callable[..., FasterRcnnDetector]


@pytest.fixture(scope="module")
def drawn() -> FasterRcnnDetector:
    return small()


@pytest.fixture
def redescribed(drawn: FasterRcnnDetector) -> Iterator[Redescribed]:
    """The small detector with fields changed that are no network's; its variables end as they were drawn."""

    def changed(changes: str = "") -> FasterRcnnDetector:
        detector = copy.copy(drawn)
        detector.config = config_of(RESNET, SMALL + changes)
        return detector

    before = {key: variable.numpy() for key, variable in drawn.variables().items()}
    yield changed
    drawn.freeze_batch_norm(False)
    for key, variable in drawn.variables().items():
        variable.assign(before[key])


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    pixels = np.random.default_rng(3).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    return Inputs(tf.constant(pixels - 120), tf.constant([[64, 64, 3], [64, 48, 3]]))


@pytest.fixture(scope="module")
def truth() -> GroundTruth:
    boxes = [[[0.1, 0.1, 0.6, 0.5], [0.5, 0.4, 0.9, 0.9]], [[0.2, 0.2, 0.8, 0.7], [0, 0, 0, 0]]]
    return GroundTruth(tf.constant(boxes), tf.constant([[0, 2], [1, 0]]), tf.constant([[1.0, 1.0], [1.0, 0.0]]))


def losses_of(detector: Detector, inputs: Inputs, truth: GroundTruth, seed: Any = None) -> dict[str, float]:
    predictions = detector.predict(inputs, training=True, truth=truth, seed=seed)
    return {name: float(loss) for name, loss in detector.losses(predictions, truth).items()}


@pytest.mark.parametrize(
    ("architecture", "convolutions"),
    [
        # The reference has this one.
        pytest.param("resnet50_v1_800x1333", 53, marks=pytest.mark.verify),
        pytest.param("resnet101_v1_1024x1024", 104, marks=pytest.mark.verify),
        ("resnet152_v1_640x640", 155),
    ],
)
def test_each_depth_has_the_variables_of_the_zoo(architecture: str, convolutions: int) -> None:
    detector = build_detector(load_bundled(f"faster_rcnn_{architecture}", 7).config.model)
    extractors = [key for key in detector.variables() if key.startswith("model/_feature_extractor_for_")]
    # A kernel and four vectors of its norm each; the rest is proposal head and box classifier.
    assert len(extractors) == 5 * convolutions
    assert len(detector.variables()) == 5 * convolutions + 10
    assert detector.num_classes == 7


# Inception ResNet V2 is built for the reference's numbers too, and what is bundled is read by the config's tests.
@pytest.mark.verify
def test_the_bundled_description_of_inception_builds() -> None:
    detector = build_detector(load_bundled("faster_rcnn_inception_resnet_v2_640x640", 7).config.model)
    assert detector.num_classes == 7


def test_fields_that_are_not_supported_are_named_with_their_value() -> None:
    with pytest.raises(ConfigError, match=r"feature_extractor\.first_stage_features_stride: 8 is not supported"):
        config_of(RESNET, "feature_extractor { type: 'faster_rcnn_resnet50_keras' first_stage_features_stride: 8 }")
    with pytest.raises(ConfigError, match=r"feature_extractor\.type: 'faster_rcnn_nas' is not supported"):
        config_of(RESNET, "feature_extractor { type: 'faster_rcnn_nas' }")
    with pytest.raises(ConfigError, match=r"context_config: .* is not supported"):
        config_of(RESNET, "context_config { attention_bottleneck_dimension: 10 }")


def test_a_sample_larger_than_the_proposals_is_refused_only_in_training(
    redescribed: Redescribed, inputs: Inputs, truth: GroundTruth
) -> None:
    detector = redescribed("second_stage_batch_size: 64")
    assert detector.predict(inputs, training=False)["proposal_boxes"].shape[1] == 12
    with pytest.raises(ConfigError, match="second_stage_batch_size is 64, more than the 12 of first_stage_max"):
        detector.predict(inputs, training=True, truth=truth)


def test_contradictions_are_told_in_a_sentence() -> None:
    with pytest.raises(ConfigError, match="maxpool_stride is 0, but crops need at least 1"):
        small("maxpool_stride: 0")
    with pytest.raises(ConfigError, match="maxpool_kernel_size is 99, but crops have initial_crop_size"):
        small("maxpool_kernel_size: 99")
    with pytest.raises(ConfigError, match="grid_anchor_generator: scales and aspect_ratios need a value each"):
        FasterRcnnDetector(replace(config_of(RESNET, SMALL), first_stage_anchor_generator=NO_ANCHORS))
    with pytest.raises(ConfigError, match="only grid_anchor_generator is supported"):
        FasterRcnnDetector(config_of(RESNET, "first_stage_anchor_generator { multiscale_anchor_generator { } }"))


# A pyramid on the small detector.
PYRAMID = """
    feature_extractor {
      type: 'faster_rcnn_resnet50_fpn_keras'
      batch_norm_trainable: true
      conv_hyperparams { activation: RELU_6 batch_norm { scale: true } }
    }
    first_stage_anchor_generator {
      multiscale_anchor_generator { min_level: 2 max_level: 6 aspect_ratios: 1.0 normalize_coordinates: false }
    }
"""


@pytest.fixture(scope="module")
def pyramid() -> FasterRcnnDetector:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.BLOCKS, 50, (1, 1, 1, 1))
        tf.keras.utils.set_random_seed(7)
        return FasterRcnnDetector(config_of(RESNET, SIZES + PYRAMID))


def test_a_pyramid_proposes_and_crops_on_every_level(
    pyramid: FasterRcnnDetector, inputs: Inputs, truth: GroundTruth
) -> None:
    predictions = pyramid.predict(inputs, training=False)
    maps = predictions["rpn_features_to_crop"]
    assert [tuple(features.shape[1:3]) for features in maps] == [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]
    assert predictions["anchors"].shape == (2 * (256 + 64 + 16 + 4 + 1), 4)
    assert predictions["box_classifier_features"].shape == (24, 1, 1, 1024)
    assert float(pyramid.postprocess(predictions, inputs.true_shapes).scores[0, 0]) > 0
    pyramid.freeze_batch_norm(True)
    variables = pyramid.trainable_variables
    totals = []
    for _ in range(3):
        with tf.GradientTape(persistent=True) as tape:
            losses = pyramid.losses(pyramid.predict(inputs, training=True, truth=truth), truth)
            # What is proposed, and so the second stage's losses, changes with every step.
            first = tf.add_n([loss for name, loss in losses.items() if "RPN" in name])
            total = tf.add_n(list(losses.values()))
        for each in tape.gradient(total, [variable.value for variable in variables]):
            assert np.isfinite(tf.norm(each))
        gradients = tape.gradient(first, [variable.value for variable in variables], unconnected_gradients="zero")
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.value.assign_sub(1e-4 * gradient)
        totals.append(float(first))
    assert totals[-1] < totals[0]


def test_images_of_a_pyramid_are_padded_to_multiples_of_32(pyramid: FasterRcnnDetector) -> None:
    free = copy.copy(pyramid)
    free.networks = (proposal_network(pyramid.config, (None, None)), pyramid.networks[1])
    images = tf.random.stateless_uniform([1, 70, 90, 3], [1, 2], -100, 100)
    predictions = free.predict(Inputs(images, tf.constant([[70, 90, 3]])), training=False)
    assert [tuple(each.shape[1:3]) for each in predictions["rpn_features_to_crop"][:2]] == [(24, 24), (12, 12)]
    # What is cut, is cut at the image's own border; cells are centred, though their stride does not divide its sides.
    np.testing.assert_array_equal(tf.reduce_max(predictions["anchors"], axis=0)[2:], [70, 90])
    np.testing.assert_allclose(predictions["anchors"][0], [0, 0, 10, 10])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (("conv_hyperparams { activation: RELU_6 batch_norm { scale: true } }", ""), "needs conv_hyperparams"),
        (("batch_norm_trainable: true", "fpn { min_level: 2 max_level: 4 }"), "fpn: levels 2 to 4 are not supported"),
        (("batch_norm_trainable: true", "fpn { }"), "fpn has levels 3 to 7, but the anchor generator 2 to 6; give"),
        (("normalize_coordinates: false", ""), "set normalize_coordinates: false"),
        (("aspect_ratios: 1.0", ""), "aspect_ratios is not set"),
        (("multiscale_anchor_generator", "grid_anchor_generator"), "only multiscale_anchor_generator is supported"),
    ],
)
def test_what_a_pyramid_needs_is_told_before_it_is_built(changes: tuple[str, str], sentence: str) -> None:
    text = PYRAMID.replace(*changes)
    if "grid" in sentence or "only multi" in sentence:
        text = text.replace("min_level: 2 max_level: 6", "").replace("normalize_coordinates: false", "")
    with pytest.raises(ConfigError, match=sentence):
        config_of(RESNET, SIZES + text).check()


def test_mask_rcnn_trains_boxes_alone(inputs: Inputs, truth: GroundTruth) -> None:
    predictor = """
        number_of_stages: 3
        second_stage_box_predictor { mask_rcnn_box_predictor {
          fc_hyperparams { op: FC } conv_hyperparams { op: CONV } predict_instance_masks: true mask_height: 33
        } }
    """
    detector = small(predictor)
    assert len(losses_of(detector, inputs, truth)) == 4
    assert not any("mask_prediction" in key for key in detector.variables())


def test_one_stage_detects_proposals(inputs: Inputs, truth: GroundTruth) -> None:
    detector = small("number_of_stages: 1")
    assert set(losses_of(detector, inputs, truth)) == {
        "Loss/RPNLoss/localization_loss",
        "Loss/RPNLoss/objectness_loss",
    }
    predictions = detector.predict(inputs, training=False)
    found = detector.postprocess(predictions, inputs.true_shapes)
    assert int(found.count[0]) > 0
    assert float(tf.reduce_max(found.boxes)) <= 1.0
    assert np.all(np.diff(found.scores.numpy()[0, : int(found.count[0])]) <= 0)
    raw = tf.gather(found.raw_boxes, found.anchor_indices, batch_dims=1)
    np.testing.assert_allclose(tf.clip_by_value(raw, 0, 1)[0, 0], found.boxes[0, 0], atol=1e-6)


def test_each_class_may_have_its_own_box(inputs: Inputs, truth: GroundTruth) -> None:
    own = "second_stage_box_predictor { mask_rcnn_box_predictor { fc_hyperparams { op: FC } } }"
    detector = small(own)
    predictions = detector.predict(inputs, training=True, truth=truth)
    assert predictions["refined_box_encodings"].shape == (16, 3, 4)
    before = float(detector.losses(predictions, truth)["Loss/BoxClassifierLoss/localization_loss"])
    targets = detector.inner_arrays(predictions, truth)
    match = targets["second_stage_match"].numpy()
    assert (match >= 0).any()
    # Only the box of the class that a proposal should have counts.
    image, proposal = np.argwhere(match >= 0)[0]
    right = int(truth.classes[image, match[image, proposal]])
    for column, changes in ((right, True), ((right + 1) % 3, False)):
        encodings = predictions["refined_box_encodings"].numpy()
        encodings[image * 8 + proposal, column] += 3.0
        losses = detector.losses({**predictions, "refined_box_encodings": tf.constant(encodings)}, truth)
        assert (abs(float(losses["Loss/BoxClassifierLoss/localization_loss"]) - before) > 1e-3) == changes
    detections = detector.postprocess(detector.predict(inputs, training=False), inputs.true_shapes, class_ids=[1, 3])
    assert set(np.unique(detections.classes)) <= {0.0, 1.0}


def test_hard_example_miner_lets_the_hardest_proposals_of_the_first_image_count(
    redescribed: Redescribed, inputs: Inputs, truth: GroundTruth
) -> None:
    mined = redescribed("hard_example_miner { num_hard_examples: 2 iou_threshold: 0.99 loss_type: CLASSIFICATION }")
    predictions = mined.predict(inputs, training=True, truth=truth)
    assert predictions["proposal_boxes"].shape == (2, 12, 4)
    losses = mined.losses(predictions, truth)
    everything = redescribed()
    of_all = everything.losses(predictions, truth)
    name = "Loss/BoxClassifierLoss/classification_loss"
    assert 0 < float(losses[name]) < float(of_all[name])
    # All proposals of the first image, none of the second.
    generous = HardExampleMiner(num_hard_examples=0, iou_threshold=1.0)
    everything.config = replace(mined.config, hard_example_miner=generous)
    first = {
        key: value[:12] if key in SECOND else value[:1]
        for key, value in predictions.items()
        if key in (*SECOND, *RPN, "proposal_boxes", "num_proposals", "rpn_sampled")
    }
    everything_first = everything.losses({**predictions, **first}, GroundTruth(*(array[:1] for array in truth)))
    np.testing.assert_allclose(everything.losses(predictions, truth)[name] * 2, everything_first[name], rtol=1e-5)


def test_dropout_and_fc_batch_norm_move_the_keys_as_in_the_api() -> None:
    predictor = """
        second_stage_box_predictor { mask_rcnn_box_predictor {
          fc_hyperparams { op: FC batch_norm { scale: true } } use_dropout: true share_box_across_classes: true
        } }
    """
    keys = small(predictor).variables()
    layers = "model/_mask_rcnn_box_predictor/_box_prediction_head/_box_encoder_layers"
    assert f"{layers}/2/kernel/.ATTRIBUTES/VARIABLE_VALUE" in keys
    assert f"{layers}/3/gamma/.ATTRIBUTES/VARIABLE_VALUE" in keys


def test_sampling_follows_its_seed(redescribed: Redescribed, inputs: Inputs, truth: GroundTruth) -> None:
    detector = redescribed("second_stage_batch_size: 4 first_stage_minibatch_size: 6")
    detector.freeze_batch_norm(True)
    once, again, other = (losses_of(detector, inputs, truth, tf.constant([1, seed])) for seed in (1, 1, 2))
    assert once == again
    assert once != other


def test_anchors_outside_the_image_are_pruned_in_training_unless_clipped(
    redescribed: Redescribed, inputs: Inputs, truth: GroundTruth
) -> None:
    pruned = redescribed("clip_anchors_to_image: false").predict(inputs, training=True, truth=truth)
    clipped = redescribed("clip_anchors_to_image: true").predict(inputs, training=True, truth=truth)
    anchors = pruned["anchors"].numpy()
    assert len(anchors) < len(clipped["anchors"]) == 4 * 4 * 2
    assert pruned["rpn_box_encodings"].shape[1] == len(anchors)
    assert clipped["anchors"].numpy().min() >= 0
    assert clipped["anchors"].numpy().max() <= 64


def test_images_of_any_shape_are_predicted_where_the_resizer_keeps_it() -> None:
    free = "image_resizer { keep_aspect_ratio_resizer { max_dimension: 128 pad_to_max_dimension: false } }"
    detector = small(free)
    assert detector.input_size is None
    predicted = tf.function(
        lambda images: detector.postprocess(*_predicted(detector, images)),
        input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8)],
        autograph=False,
    )
    for shape, expected in (((80, 120), (64, 96)), ((150, 60), (128, 51))):
        image = np.zeros((1, *shape, 3), np.uint8)
        assert tuple(detector.preprocess(tf.constant(image)).images.shape[1:3]) == expected
        assert predicted(tf.constant(image)).boxes.shape[0] == 1


def _predicted(detector: Detector, images: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    inputs = detector.preprocess(images)
    return detector.predict(inputs, training=False), inputs.true_shapes


def test_a_few_steps_lower_the_loss_in_a_graph_that_does_not_grow_with_the_batch(
    redescribed: Redescribed, inputs: Inputs, truth: GroundTruth
) -> None:
    detector = redescribed()
    variables = detector.trainable_variables

    def step(images: tf.Tensor, shapes: tf.Tensor, *labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            predictions = detector.predict(Inputs(images, shapes), training=True, truth=GroundTruth(*labels))
            total = tf.add_n(list(detector.losses(predictions, GroundTruth(*labels)).values()))
        for variable, gradient in zip(variables, tape.gradient(total, [v.value for v in variables]), strict=True):
            variable.value.assign_sub(0.002 * gradient)
        return total

    batch = (*inputs, *truth)
    compiled = tf.function(step, autograph=False)
    double = compiled.get_concrete_function(*(tf.concat([array] * 4, axis=0) for array in batch))
    single = compiled.get_concrete_function(*batch)
    # A shape or two more is known in one than in the other.
    assert abs(len(single.graph.get_operations()) - len(double.graph.get_operations())) < 10
    untraced = sum(losses_of(detector, inputs, truth).values())
    totals = [float(single(*batch)) for _ in range(4)]
    assert totals[0] == pytest.approx(untraced, rel=1e-3)
    assert totals[-1] < 0.8 * totals[0]
