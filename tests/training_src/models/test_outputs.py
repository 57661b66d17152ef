# SPDX-License-Identifier: Apache-2.0
"""What a detector computes equals what the OD API computed: inference, targets, losses, gradients, moving averages.

Each array of the reference belongs to a quantity of `tests.golden.differences`; each quantity has its bounds here.
What is compared stage by stage, at the end, stands upon a sample of proposals that rounding changes, so the reference's
own are given.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tests.golden.case import Arrays, ReferenceCase, one_order_of_sums, untraced
from tests.golden.differences import (
    DETECTIONS,
    GIVEN_PROPOSALS,
    INPUTS,
    QUANTITIES,
    Difference,
    differences,
    in_deviations,
    in_the_references_order,
    matches,
    of_detections,
    of_gradients,
)
from training_src.__main__ import main
from training_src.models.detector import Detector, GroundTruth, Inputs, Predictions
from training_src.models.faster_rcnn import FasterRcnnDetector, by_name, outputs
from training_src.models.outputs import inference_arrays, pad_ground_truth, preprocess
from training_src.models.proposal_stage import ProposalOutputs, Proposals

# Their training passes take longer than all the others', and so do the last one's detections; inference without those
# is compared below. Of ResNet's pyramid, the others have all that trains: a pyramid, and a ResNet.
LONG = [
    "efficientdet_d1",
    "ssd_resnet50_v1_fpn",
    "faster_rcnn_inception_resnet_v2",
    "faster_rcnn_inception_resnet_v2_stride_8",
]
CASES = [
    "ssd_mobilenet_v1",
    "ssd_mobilenet_v1_fpn",
    "ssd_mobilenet_v2_fpnlite",
    "ssd_mobilenet_v2_hard_mining",
    "faster_rcnn_resnet50_v1",
    "faster_rcnn_resnet50_v1_fpn",
    *(pytest.param(name, marks=pytest.mark.verify) for name in LONG),
]
ANY = float("inf")
# Greatest and typical difference: three times what rounding does, at least, on any CPU that could be tried. The
# reference's README has the measurements.
BOUNDS = {
    "images": Difference(1e-5, 1e-6),
    "anchors": Difference(1e-6, 1e-6),
    "shapes, counts and keys": Difference(0, 0),
    "predictions": Difference(1e-4, 2e-5),
    "proposals": Difference(1e-5, 1e-6),
    "targets": Difference(1e-5, 1e-6),
    "matches and samples": Difference(0, 0),
    "frozen second stage": Difference(1e-4, 2e-5),
    "frozen losses": Difference(1e-5, 1e-5),
    "frozen anchorwise losses": Difference(1e-4, 1e-5),
    "frozen gradients": Difference(2e-3, 1e-5),
    "regularisation": Difference(1e-5, 1e-5),
    "training losses": Difference(1e-3, 1e-3),
    "training anchorwise losses": Difference(ANY, 5e-2),
    "training mined anchors": Difference(6, 6),
    "training predictions": Difference(5e-2, 3e-3),
    "training gradients": Difference(ANY, 1e-2),
    "moving averages": Difference(2e-2, 1e-3),
}
OTHER_BOUNDS = {
    ("ssd_resnet50_v1_fpn", "frozen gradients"): Difference(2e-3, 3e-4),
    ("efficientdet_d1", "frozen gradients"): Difference(2e-3, 1e-4),
    ("efficientdet_d1", "predictions"): Difference(1e-3, 1e-4),
    ("efficientdet_d1", "training predictions"): Difference(1e-1, 1e-2),
    # The coarsest level of its pyramid has 3x3 pixels, of which training's batch norms see those of two images.
    ("faster_rcnn_resnet50_v1_fpn", "frozen gradients"): Difference(2e-3, 3e-5),
    ("faster_rcnn_resnet50_v1_fpn", "training losses"): Difference(4e-3, 4e-3),
    ("faster_rcnn_resnet50_v1_fpn", "training predictions"): Difference(1e-1, 3e-3),
    # Their last maps have one pixel, so that training's batch norms see two numbers: rounding grows until what hangs on
    # a single one of them says nothing. The bounds of anchors, above, are these cases' too: they alone mine.
    **{
        (case, quantity): bounds
        for case in ("ssd_mobilenet_v2_hard_mining", "ssd_mobilenet_v1")
        for quantity, bounds in (
            ("training predictions", Difference(ANY, ANY)),
            ("training gradients", Difference(ANY, ANY)),
            ("moving averages", Difference(1e-1, 1e-2)),
        )
    },
}


class Compared(NamedTuple):
    """What a detector computed and what the reference expects, of one case."""

    case: ReferenceCase
    actual: Arrays
    expected: Arrays


@pytest.fixture(scope="module")
def restored(reference: Callable[[str], ReferenceCase]) -> Callable[[str], Detector]:
    """A case's detector, to be left as it is; the two last ones stay for the next test."""
    return lru_cache(maxsize=2)(lambda name: reference(name).detector())


@pytest.fixture(scope="module", params=CASES)
def compared(
    request: pytest.FixtureRequest, reference: Callable[[str], ReferenceCase], restored: Callable[[str], Detector]
) -> Compared:
    case = reference(request.param)
    computed = case.computed(detector=restored(request.param), traced=request.param in LONG)
    return Compared(case, in_the_references_order(computed, case.expected()), case.expected())


def test_every_array_is_there_with_its_shape_and_type_and_is_compared(compared: Compared) -> None:
    for name, expected in compared.expected.items():
        quantities = [quantity for quantity, (_, names) in QUANTITIES.items() if matches(name, names)]
        assert len(quantities) == 1 or matches(name, (*INPUTS, *DETECTIONS, *GIVEN_PROPOSALS)), name
        if not matches(name, INPUTS):
            assert compared.actual[name].dtype == expected.dtype, name
            assert compared.actual[name].shape == expected.shape, name


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_quantity_equals_the_reference(compared: Compared, quantity: str) -> None:
    assert_equal(compared, quantity)


def test_detections_equal_the_reference(compared: Compared) -> None:
    assert_same_detections(compared)


def assert_equal(compared: Compared, quantity: str) -> None:
    """No array of the quantity is further from the reference than rounding can bring it."""
    bounds = OTHER_BOUNDS.get((compared.case.folder.name, quantity)) or BOUNDS[quantity]
    for name, difference in differences(quantity, compared.actual, compared.expected):
        assert difference.greatest <= bounds.greatest, name
        assert difference.typical <= bounds.typical, name


def assert_same_detections(compared: Compared) -> None:
    """The same boxes of the same anchors, but for the last ones where scores are equal but for rounding."""
    name = "detection_scores"
    np.testing.assert_allclose(compared.actual[name], compared.expected[name], atol=1e-4)
    for array, difference, shared in of_detections(compared.actual, compared.expected):
        assert difference.greatest <= 1e-4, array
        assert shared >= 0.98


@pytest.mark.parametrize("name", LONG[:2])
def test_inference_alone_equals_the_reference(reference: Callable[[str], ReferenceCase], name: str) -> None:
    case = reference(name)
    expected = of_inference(case)
    assert len(expected) >= 20
    compared = Compared(case, case.computed(training=False, traced=False), expected)
    for quantity in QUANTITIES:
        assert_equal(compared, quantity)
    assert_same_detections(compared)


@pytest.mark.parametrize("name", ["faster_rcnn_inception_resnet_v2", "faster_rcnn_inception_resnet_v2_stride_8"])
def test_inference_of_the_best_proposals_alone_equals_the_reference(
    name: str, reference: Callable[[str], ReferenceCase], restored: Callable[[str], Detector]
) -> None:
    case, count = reference(name), 8
    expected, detector = of_inference(case), copy.copy(restored(case.folder.name))
    assert isinstance(detector, FasterRcnnDetector)
    # Most of the time is the second stage's, whose proposals do not know of each other.
    detector.config = replace(detector.config, first_stage_max_proposals=count)
    with untraced():
        actual = inference_arrays(detector, preprocess(detector, [expected["image_0"], expected["image_1"]]))
    every = expected["proposal_boxes_normalized"].shape[1]
    for key in ("refined_box_encodings", "class_predictions_with_background"):
        by_image = expected[key].reshape(2, every, *expected[key].shape[1:])
        expected[key] = by_image[:, :count].reshape(actual[key].shape)
    expected["proposal_boxes_normalized"] = expected["proposal_boxes_normalized"][:, :count]
    expected["num_proposals"] = np.minimum(expected["num_proposals"], count)
    expected["box_classifier_features_shape"][0] = 2 * count
    for key in ("box_classifier_features_pooled_stats", "num_detections"):
        del expected[key]  # of all proposals
    compared = Compared(case, actual, expected)
    for quantity in QUANTITIES:
        assert_equal(compared, quantity)


def test_a_training_step_in_a_graph_equals_the_reference(reference: Callable[[str], ReferenceCase]) -> None:
    case = reference("ssd_mobilenet_v2_hard_mining")
    detector, expected = case.detector(), case.expected()
    detector.freeze_batch_norm(True)
    inputs, truth = preprocess(detector, [expected["image_0"], expected["image_1"]]), case.truth()
    variables = detector.variables()
    keys = expected["train_trainable_keys"]

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step() -> Predictions:
        with tf.GradientTape() as tape:
            losses = detector.losses(detector.predict(inputs, training=True), truth)
            total = tf.add_n([*losses.values(), detector.regularization_loss()])
        gradients = tape.gradient(total, [variables[key].value for key in keys])
        norms = tf.stack([np.nan if each is None else tf.norm(each) for each in gradients])
        named = {name.replace("/", "_"): loss for name, loss in losses.items()}
        return named | {"total_loss": total, "grad_norms": norms}

    actual = {f"frozen_{name}": value.numpy() for name, value in step().items()}
    assert len(actual) == 4
    compared = Compared(case, actual, {name: expected[name] for name in actual})
    assert_equal(compared, "frozen losses")
    assert_equal(compared, "frozen gradients")


def of_inference(case: ReferenceCase) -> Arrays:
    """What the reference expects without training."""
    return {name: array for name, array in case.expected().items() if not name.startswith(("train", "frozen"))}


def test_images_that_make_no_batch_are_named(
    reference: Callable[[str], ReferenceCase], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = reference("ssd_mobilenet_v2_hard_mining")
    text = case.config.read_text()
    start = text.index("fixed_shape_resizer")
    end = text.index("}", start) + 1
    resizer = "keep_aspect_ratio_resizer { min_dimension: 64 max_dimension: 200 }"
    (tmp_path / "pipeline.config").write_text(text[:start] + resizer + text[end:])
    np.savez(tmp_path / "in.npz", image_0=np.zeros((80, 120, 3), np.uint8), image_1=np.zeros((120, 80, 3), np.uint8))
    arguments = f"--pipeline-config {tmp_path}/pipeline.config --checkpoint {case.prefix} --images {tmp_path}/in.npz"
    assert main(["outputs", *arguments.split(), "--output", f"{tmp_path}/out.npz"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "The images become 64x96, 96x64 pixels, which make no batch; give images of one shape."
    ]
    assert not (tmp_path / "out.npz").exists()


def test_ground_truth_is_padded_to_the_fullest_image() -> None:
    truth = pad_ground_truth([np.ones((2, 4)), np.zeros((0, 4))], [np.array([1, 2]), np.zeros(0, int)])
    np.testing.assert_array_equal(truth.weights, [[1, 1], [0, 0]])
    np.testing.assert_array_equal(truth.classes, [[1, 2], [0, 0]])
    assert truth.boxes.shape == (2, 2, 4)


RPN = ("rpn_box_encodings", "rpn_objectness_predictions_with_background")
SECOND = ("refined_box_encodings", "class_predictions_with_background")


@dataclass(frozen=True)
class Given:
    """What the reference computed in training mode up to the second stage, and a detector to go on from there.

    The bounds are three times what rounding does, or more, as the reference's README tells; they are relative to the
    standard deviation of the expected array.
    """

    detector: FasterRcnnDetector
    case: ReferenceCase

    @cached_property
    def expected(self) -> Arrays:
        return self.case.expected()

    @property
    def truth(self) -> GroundTruth:
        return self.case.truth()

    @property
    def inputs(self) -> Inputs:
        return Inputs(*(tf.constant(self.expected[name]) for name in ("preprocessed_inputs", "true_image_shapes")))

    def first_stage(self) -> Predictions:
        """As the reference stored it; there is no map."""
        names = {name: f"train_{name}" for name in (*RPN, "rpn_sampled")} | {"anchors": "rpn_anchors_absolute"}
        predictions = {name: tf.constant(self.expected[stored]) for name, stored in names.items()}
        return predictions | {"image_size": tf.cast(tf.shape(self.inputs.images)[1:3], tf.float32)}

    def proposals(self) -> Proposals:
        boxes = self.expected["train_proposal_boxes_normalized"] * self.inputs.images.shape[1]
        nothing = tf.zeros(boxes.shape[:2])
        return Proposals(tf.constant(boxes), nothing, nothing, tf.constant(self.expected["train_num_proposals"]))


TWO_STAGES = ["faster_rcnn_resnet50_v1", "faster_rcnn_resnet50_v1_fpn", "faster_rcnn_inception_resnet_v2"]


@pytest.fixture(scope="module", params=TWO_STAGES)
def given(
    request: pytest.FixtureRequest, reference: Callable[[str], ReferenceCase], restored: Callable[[str], Detector]
) -> Given:
    detector = restored(request.param)
    assert isinstance(detector, FasterRcnnDetector)
    return Given(detector, reference(request.param))


def test_proposals_and_their_sample_equal_the_reference(given: Given) -> None:
    first, expected = outputs(ProposalOutputs, given.first_stage()), given.expected
    detector = given.detector
    assert detector.detection_stage is not None
    every = detector.proposal_stage.proposals(first, given.inputs.true_shapes)
    proposals, sampled = detector.detection_stage.sample(every, first.image_size, given.truth, None)
    np.testing.assert_array_equal(sampled, expected["train_second_stage_sampled"])
    np.testing.assert_array_equal(proposals.count, expected["train_num_proposals"])
    np.testing.assert_allclose(proposals.boxes, given.proposals().boxes, atol=1e-3)


def test_targets_and_losses_of_given_proposals_equal_the_reference(given: Given) -> None:
    expected, proposals = given.expected, given.proposals()
    predictions = given.first_stage() | {name: tf.constant(expected[f"train_{name}"]) for name in SECOND}
    predictions |= {"proposal_boxes": proposals.boxes, "num_proposals": proposals.count}
    losses = given.detector.losses(predictions, given.truth)
    assert len(losses) == 4
    for name, loss in losses.items():
        np.testing.assert_allclose(loss, expected[f"train_{name.replace('/', '_')}"], rtol=1e-4, err_msg=name)
    total = tf.add_n([*losses.values(), given.detector.regularization_loss()])
    np.testing.assert_allclose(total, expected["train_total_loss"], rtol=1e-4)
    arrays = given.detector.inner_arrays(predictions, given.truth)
    np.testing.assert_array_equal(arrays["second_stage_match"], expected["train_second_stage_match"])
    for name in ("cls_targets", "cls_weights", "reg_targets", "reg_weights"):
        assert in_deviations(arrays[f"second_stage_{name}"], expected[f"train_second_stage_{name}"])[0] < 1e-4, name


@pytest.mark.parametrize(
    "given",
    [
        TWO_STAGES[0],
        *(
            pytest.param(name, marks=pytest.mark.verify)
            for name in [*TWO_STAGES[1:], "faster_rcnn_inception_resnet_v2_stride_8"]
        ),
    ],
    indirect=True,
)
def test_second_stage_of_given_proposals_equals_the_reference_in_training_mode(given: Given) -> None:
    detector, expected, first = given.detector, given.expected, given.first_stage()
    inputs, truth, proposals = given.inputs, given.truth, given.proposals()
    detector.switch_dropout_off()
    variables = detector.variables()
    detection_stage = detector.detection_stage
    assert detection_stage is not None

    moving = [variables[key] for key in expected["train_moving_keys"]]
    before = [variable.numpy() for variable in moving]
    with one_order_of_sums(), tf.GradientTape() as tape:
        found = detector.proposal_stage.predict(inputs, training=True)._replace(rpn_sampled=first["rpn_sampled"])
        predictions = by_name(found) | by_name(detection_stage.predict(found, proposals, training=True))
        losses = detector.losses(predictions, truth)
        total = tf.add_n([*losses.values(), detector.regularization_loss()])
    with one_order_of_sums():
        gradients = tape.gradient(total, [variables[key].value for key in expected["train_trainable_keys"]])
    norms = [tf.norm(gradient) for gradient in gradients]
    for name in SECOND:
        greatest, rms = in_deviations(predictions[name].numpy(), expected[f"train_{name}"])
        assert greatest < 5e-2, name
        assert rms < 5e-3, name
    assert of_gradients(np.array(norms), expected["train_grad_norms"]).typical < 1e-2
    changes = np.array([(variable.numpy() - old)[:4] for variable, old in zip(moving, before, strict=True)])
    for variable, old in zip(moving, before, strict=True):
        variable.assign(old)
    greatest, rms = in_deviations(changes, expected["train_moving_delta_first4"])
    assert greatest < 2e-2
    assert rms < 1e-3
