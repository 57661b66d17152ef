# SPDX-License-Identifier: Apache-2.0
"""How far a detector's numbers are from the reference's, by the measures of the README's table.

    ONEDNN_MAX_CPU_ISA=AVX2 python -m tests.golden.differences [CASE ...]

prints a line for each case and quantity, measured under whatever the environment sets.
"""

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.golden.case import GOLDEN, Arrays, ReferenceCase
from tests.golden.make_checkpoint import make_checkpoint

Array = NDArray[Any]


class Difference(NamedTuple):
    """Of an array from the reference's; `typical` is the root mean square, of gradients the median."""

    greatest: float
    typical: float


def in_deviations(actual: Array, expected: Array) -> Difference:
    """In standard deviations of what is expected."""
    return _of(np.abs(actual - expected) / (float(expected.std()) or 1.0))


def relative(actual: Array, expected: Array) -> Difference:
    """As a share of what is expected; of zeros as it is."""
    return _of(np.abs(actual - expected) / np.where(expected == 0, 1, np.abs(expected)))


def absolute(actual: Array, expected: Array) -> Difference:
    """As it is: boxes normalised, scores from 0 to 1."""
    return _of(np.abs(actual - expected))


def changed(actual: Array, expected: Array) -> Difference:
    """How many entries are not the same."""
    count = float((actual != expected).sum()) if actual.shape == expected.shape else float("inf")
    return Difference(count, count)


def of_gradients(actual: Array, expected: Array) -> Difference:
    """Relative, of the norms of gradients that are not zero; where one of the two has none, infinite."""
    if not np.array_equal(np.isnan(actual), np.isnan(expected)):
        return Difference(float("inf"), float("inf"))
    counted = expected > 0
    shares = np.abs(actual[counted] / expected[counted] - 1)
    return Difference(float(shares.max()), float(np.median(shares)))


def _of(differences: Array) -> Difference:
    return Difference(float(differences.max()), float(np.sqrt((differences.astype(np.float64) ** 2).mean())))


class Quantity(NamedTuple):
    """Arrays that are measured alike; `names` are patterns."""

    measure: Callable[[Array, Array], Difference]
    names: tuple[str, ...]


# Predictions of a class or a box, by any stage.
_RAW = r"(refined_|rpn_)?box_encodings|(rpn_objectness|class)_predictions_with_background|feature_map_stats"
QUANTITIES = {
    "images": Quantity(in_deviations, ("preprocessed_inputs",)),
    "anchors": Quantity(in_deviations, ("anchors", "rpn_anchors", "rpn_anchors_absolute")),
    "shapes, counts and keys": Quantity(
        changed,
        (
            "true_image_shapes|feature_map_shapes|box_classifier_features_shape|num_proposals|num_detections",
            "train_(num_regularization_terms|trainable_keys|moving_keys)",
        ),
    ),
    "predictions": Quantity(in_deviations, (_RAW, "last_feature_map|box_classifier_features_pooled_stats")),
    "proposals": Quantity(absolute, ("(frozen_)?proposal_boxes_normalized",)),
    "targets": Quantity(in_deviations, ("train_(rpn_)?(cls_targets|cls_weights|reg_targets|reg_weights)",)),
    "matches and samples": Quantity(
        changed,
        (
            "train_(rpn_)?(match|sampled)",
            "frozen_hard_mined.*|train_hard_mined_(counts|before_ratio)",
            "frozen_(num_proposals|second_stage_(match|sampled))",
        ),
    ),
    # Of the proposals that are sampled with batch norms frozen; targets stand upon predicted proposals.
    "frozen second stage": Quantity(
        in_deviations,
        (
            "frozen_second_stage_(cls|reg)_.*",
            "frozen_(refined_box_encodings|class_predictions_with_background)",
        ),
    ),
    "frozen losses": Quantity(relative, ("frozen_Loss_.*", "frozen_total_loss")),
    "frozen anchorwise losses": Quantity(in_deviations, ("frozen_anchorwise_.*",)),
    "frozen gradients": Quantity(of_gradients, ("frozen_grad_norms",)),
    "regularisation": Quantity(relative, ("train_regularization_.*",)),
    # Batch norms over two images amplify rounding.
    "training losses": Quantity(relative, ("train_Loss_.*", "train_total_loss")),
    "training anchorwise losses": Quantity(in_deviations, ("train_anchorwise_.*",)),
    "training mined anchors": Quantity(changed, ("train_hard_mined",)),
    "training predictions": Quantity(in_deviations, (f"train_({_RAW})",)),
    "training gradients": Quantity(of_gradients, ("train_grad_norms",)),
    "moving averages": Quantity(in_deviations, ("train_moving_delta_first4",)),
}
# By how many places rounding moves a proposal, at most.
MOST_MOVED = 4
# Compared in another way, or given to both.
INPUTS = ("image_.|groundtruth_.*",)
DETECTIONS = ("detection_(boxes|scores|classes|anchor_indices|multiclass_scores)",)
# In training mode two stages' proposals differ by rounding, and what hangs on them wholly: the tests of Faster R-CNN
# give the reference's proposals.
GIVEN_PROPOSALS = (
    "train_(num_proposals|proposal_boxes_normalized|refined_box_encodings|class_predictions_with_background)",
    "train_second_stage_.*",
    "train_Loss_BoxClassifierLoss_.*",
    "train_total_loss|train_grad_norms",
)


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether an array's name is one of those that the patterns mean."""
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def in_the_references_order(actual: Arrays, expected: Arrays) -> Arrays:
    """The same arrays of inference, with proposals that rounding let change places brought back.

    Many scores of proposals are a float32's last bit apart. An image in which one has moved by more than a few places
    stays as it is.
    """
    if (name := "proposal_boxes_normalized") not in expected:
        return actual
    arrays = dict(actual)
    count = expected[name].shape[1]
    order = np.array([_order(ours, theirs) for ours, theirs in zip(actual[name], expected[name], strict=True)])
    flat = np.concatenate([image * count + rows for image, rows in enumerate(order)])
    arrays[name] = np.take_along_axis(actual[name], order[..., None], 1)
    for of_second_stage in ("refined_box_encodings", "class_predictions_with_background"):
        arrays[of_second_stage] = actual[of_second_stage][flat]
    places = np.argsort(order, axis=1).astype(np.int32)
    arrays["detection_anchor_indices"] = np.take_along_axis(places, actual["detection_anchor_indices"], 1)
    return arrays


def _order(ours: Array, theirs: Array) -> Array:
    """The row of ours for each of theirs, `(n, 4)` each; the rows as they are where they are not the same boxes."""
    rows = np.arange(len(theirs))
    order = rows.copy()
    for row, box in enumerate(theirs):
        near = rows[max(row - MOST_MOVED, 0) : row + MOST_MOVED + 1]
        distances = np.abs(ours[near] - box).max(axis=1)
        # Of equal ones, as the zeros of padding are, that which has not moved.
        order[row] = row if np.abs(ours[row] - box).max() <= distances.min() else near[distances.argmin()]
    return order if len(set(order)) == len(rows) else rows


def differences(quantity: str, actual: Arrays, expected: Arrays) -> Iterator[tuple[str, Difference]]:
    """Of each array of a quantity that the reference has and that can be compared."""
    measure, names = QUANTITIES[quantity]
    two_stages = "rpn_anchors" in expected
    for name in expected:
        if not matches(name, names) or (two_stages and matches(name, GIVEN_PROPOSALS)):
            continue
        counted: Any = slice(None)
        if name == "train_moving_delta_first4":
            keys = expected["train_moving_keys"]
            counted = np.array(["_for_box_classifier_features" not in key for key in keys])
        if expected[name].ndim == 0:
            counted = ()
        yield name, measure(actual[name][counted], expected[name][counted])


def of_detections(actual: Arrays, expected: Arrays) -> Iterator[tuple[str, Difference, float]]:
    """Boxes' and scores' differences, image by image, and the share of detections that both have.

    A detection is known by its anchor and class: those whose scores are equal but for rounding may change places, and
    the last ones be left out.
    """
    for image, count in enumerate(expected["num_detections"].astype(int)):
        ours, theirs = (
            {
                (arrays["detection_anchor_indices"][image, row], arrays["detection_classes"][image, row]): row
                for row in range(count)
            }
            for arrays in (actual, expected)
        )
        both = list(ours.keys() & theirs.keys())
        rows = [ours[each] for each in both], [theirs[each] for each in both]
        for name in ("detection_boxes", "detection_scores", "detection_multiclass_scores"):
            found, known = actual[name][image][rows[0]], expected[name][image][rows[1]]
            yield name, absolute(found, known), len(both) / count


def main(cases: list[str]) -> None:
    """Print a line for each case and quantity."""
    for name in cases or sorted(folder.parent.name for folder in GOLDEN.glob("*/expected.npz")):
        with tempfile.TemporaryDirectory() as folder:
            make_checkpoint(GOLDEN / name / "variables.json", f"{folder}/ckpt-0")
            case = ReferenceCase(GOLDEN / name, f"{folder}/ckpt-0")
            expected = case.expected()
            actual = in_the_references_order(case.computed(), expected)
        found = {quantity: [each for _, each in differences(quantity, actual, expected)] for quantity in QUANTITIES}
        found["detections"] = [each for _, each, _ in of_detections(actual, expected)]
        for quantity, each in found.items():
            if each:
                greatest, typical = (max(values) for values in zip(*each, strict=True))
                print(f"{name:32} {quantity:26} {greatest:8.1e} {typical:8.1e}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
