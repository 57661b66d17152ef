# SPDX-License-Identifier: Apache-2.0
"""What a detector computes equals what the OD API computed: inference, targets, losses, gradients, moving averages.

Each array of the reference belongs to a quantity of `tests.golden.differences`; each quantity has its bounds here.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.golden.case import Arrays, ReferenceCase
from tests.golden.differences import (
    DETECTIONS,
    GIVEN_PROPOSALS,
    INPUTS,
    QUANTITIES,
    Difference,
    differences,
    matches,
    of_detections,
)
from training_src.__main__ import main
from training_src.models.faster_rcnn import FasterRcnnDetector
from training_src.models.outputs import inference_arrays, pad_ground_truth, preprocess

# Their training passes take longer than all the others', and so do the second one's detections; inference without
# those is compared below.
LONG = ["efficientdet_d1", "faster_rcnn_inception_resnet_v2"]
CASES = [
    "ssd_mobilenet_v2_fpnlite",
    "ssd_resnet50_v1_fpn",
    "ssd_mobilenet_v2_hard_mining",
    "faster_rcnn_resnet50_v1",
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
    # Its last maps have one pixel, so that training's batch norms see two numbers: rounding grows until what hangs on
    # a single one of them says nothing. The bounds of anchors, above, are this case's too: it alone mines.
    ("ssd_mobilenet_v2_hard_mining", "training predictions"): Difference(ANY, ANY),
    ("ssd_mobilenet_v2_hard_mining", "training gradients"): Difference(ANY, ANY),
    ("ssd_mobilenet_v2_hard_mining", "moving averages"): Difference(1e-1, 1e-2),
}


class Compared(NamedTuple):
    """What a detector computed and what the reference expects, of one case."""

    case: ReferenceCase
    actual: Arrays
    expected: Arrays


@pytest.fixture(scope="module", params=CASES)
def compared(request: pytest.FixtureRequest, reference: Callable[[str], ReferenceCase]) -> Compared:
    case = reference(request.param)
    return Compared(case, case.computed(), case.expected())


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


def test_inference_alone_equals_the_reference(reference: Callable[[str], ReferenceCase]) -> None:
    case = reference("efficientdet_d1")
    expected = of_inference(case)
    assert len(expected) >= 20
    compared = Compared(case, case.computed(training=False), expected)
    for quantity in QUANTITIES:
        assert_equal(compared, quantity)
    assert_same_detections(compared)


def test_inference_of_the_best_proposals_alone_equals_the_reference(reference: Callable[[str], ReferenceCase]) -> None:
    case, count = reference("faster_rcnn_inception_resnet_v2"), 8
    expected, detector = of_inference(case), case.detector()
    assert isinstance(detector, FasterRcnnDetector)
    # Most of the time is the second stage's, whose proposals do not know of each other.
    detector.config = replace(detector.config, first_stage_max_proposals=count)
    actual = inference_arrays(detector, preprocess(detector, [expected["image_0"], expected["image_1"]]))
    every = expected["proposal_boxes_normalized"].shape[1]
    for name in ("refined_box_encodings", "class_predictions_with_background"):
        by_image = expected[name].reshape(2, every, *expected[name].shape[1:])
        expected[name] = by_image[:, :count].reshape(actual[name].shape)
    expected["proposal_boxes_normalized"] = expected["proposal_boxes_normalized"][:, :count]
    expected["num_proposals"] = np.minimum(expected["num_proposals"], count)
    expected["box_classifier_features_shape"][0] = 2 * count
    for name in ("box_classifier_features_pooled_stats", "num_detections"):
        del expected[name]  # of all proposals
    compared = Compared(case, actual, expected)
    for quantity in QUANTITIES:
        assert_equal(compared, quantity)


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
