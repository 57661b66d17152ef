# SPDX-License-Identifier: Apache-2.0
"""What the command writes equals what the OD API computed: inference, targets, losses, gradients, moving averages.

Tolerances are those that the reference's README gives, relative to the standard deviation of the expected array. Each
array that the reference has stands in one of the tuples below, and each tuple is compared in a test.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from training_src.__main__ import main
from training_src.models.outputs import pad_ground_truth

Arrays = dict[str, NDArray[Any]]
# Their training passes take longer than all the others'; without those they are compared below.
LONG = ["efficientdet_d1", "faster_rcnn_inception_resnet_v2"]
CASES = [
    "ssd_mobilenet_v2_fpnlite",
    "ssd_resnet50_v1_fpn",
    "ssd_mobilenet_v2_hard_mining",
    "faster_rcnn_resnet50_v1",
    *(pytest.param(name, marks=pytest.mark.verify) for name in LONG),
]
# Its 1x1 maps give batch norms two numbers: the reference says to leave out what depends on them.
ILL_CONDITIONED = "ssd_mobilenet_v2_hard_mining"

# Names are patterns.
INPUTS = ("image_.", "groundtruth_.*")
PREPROCESSED = ("preprocessed_inputs",)
ANCHORS = ("anchors", "rpn_anchors", "rpn_anchors_absolute")
EXACT = (
    "true_image_shapes",
    "feature_map_shapes",
    "box_classifier_features_shape",
    "num_proposals",
    "num_detections",
    "train_num_regularization_terms",
    "train_trainable_keys",
    "train_moving_keys",
)
RAW = (
    "(refined_|rpn_)?box_encodings",
    "class_predictions_with_background",
    "rpn_objectness_predictions_with_background",
    "feature_map_stats",
    "last_feature_map",
    "box_classifier_features_pooled_stats",
)
PROPOSALS = ("(frozen_)?proposal_boxes_normalized",)
DETECTIONS = ("detection_(boxes|scores|classes|anchor_indices|multiclass_scores)",)
TARGETS = (r"train_(rpn_)?(cls_targets|cls_weights|reg_targets|reg_weights)",)
CHOSEN = (r"train_(rpn_)?(match|sampled)", r"(frozen|train)_hard_mined.*")
# Of the proposals that are sampled with batch norms frozen.
FROZEN_SECOND_STAGE = (
    "frozen_num_proposals",
    "frozen_second_stage_.*",
    "frozen_(refined_box_encodings|class_predictions_with_background)",
)
FROZEN_LOSSES = ("frozen_Loss_.*", "frozen_total_loss", "frozen_anchorwise_.*")
FROZEN_GRADIENTS = ("frozen_grad_norms",)
REGULARISATION = ("train_regularization_.*",)
# Batch norms over two images amplify rounding.
TRAIN_LOSSES = ("train_Loss_(RPNLoss_)?[^_]*_loss", "train_total_loss", "train_anchorwise_.*")
TRAIN_RAW = (
    "train_(rpn_)?box_encodings",
    "train_class_predictions_with_background",
    "train_rpn_objectness_predictions_with_background",
    "train_feature_map_stats",
)
TRAIN_GRADIENTS = ("train_grad_norms",)
MOVING = ("train_moving_delta_first4",)
# What hangs on the sample of proposals is compared in test_faster_rcnn.py, where the reference's are given.
GIVEN_PROPOSALS = (
    "train_(num_proposals|proposal_boxes_normalized|refined_box_encodings|class_predictions_with_background)",
    "train_second_stage_.*",
    "train_Loss_BoxClassifierLoss_.*",
    "train_total_loss",
    "train_grad_norms",
)


class Compared(NamedTuple):
    """What the command wrote and what the reference expects, of one case."""

    case: str
    actual: Arrays
    expected: Arrays

    def arrays(self, patterns: Iterable[str]) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
        """Name, actual and expected array of all that the case has."""
        for name in self.expected:
            if any(re.fullmatch(pattern, name) for pattern in patterns):
                yield name, self.actual[name], self.expected[name]

    @property
    def efficientdet(self) -> bool:
        return self.case.startswith("efficientdet")

    @property
    def two_stages(self) -> bool:
        return self.case.startswith("faster_rcnn")


@pytest.fixture(scope="module", params=CASES)
def compared(
    request: pytest.FixtureRequest, reference: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> Compared:
    return compare(reference(request.param), tmp_path_factory.mktemp("outputs"))


def compare(case: Any, folder: Path, training: bool = True) -> Compared:
    """Run the command with a case's inputs."""
    expected = case.expected()
    np.savez(folder / "in.npz", **{name: array for name, array in expected.items() if matches(name, INPUTS)})
    arguments = f"--pipeline-config {case.config} --checkpoint {case.prefix} --images {folder}/in.npz"
    arguments += f" --training --groundtruth {folder}/in.npz" if training else ""
    assert main(["outputs", *arguments.split(), "--output", f"{folder}/out.npz"]) == 0
    with np.load(folder / "out.npz") as arrays:
        return Compared(case.folder.name, dict(arrays), expected)


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def assert_close(name: str, actual: NDArray[Any], expected: NDArray[Any], greatest: float, rms: float) -> None:
    """Bounds of the greatest and of the root-mean-square difference, in standard deviations of what is expected."""
    difference, scale = actual - expected, float(expected.std()) or 1.0
    assert np.abs(difference).max() / scale < greatest, name
    assert np.sqrt((difference**2).mean()) / scale < rms, name


def test_every_array_is_there_with_its_shape_and_type_and_is_compared(compared: Compared) -> None:
    groups = [value for name, value in globals().items() if name.isupper() and isinstance(value, tuple)]
    for name, expected in compared.expected.items():
        assert any(matches(name, patterns) for patterns in groups), name
        if not matches(name, INPUTS):
            assert compared.actual[name].dtype == expected.dtype, name
            assert compared.actual[name].shape == expected.shape, name


def test_inputs_and_anchors_equal_the_reference(compared: Compared) -> None:
    for array in compared.arrays(PREPROCESSED):
        assert_close(*array, greatest=1e-4, rms=1e-4)
    for array in compared.arrays(ANCHORS):
        assert_close(*array, greatest=1e-5, rms=1e-5)
    for name, actual, expected in compared.arrays(EXACT):
        np.testing.assert_array_equal(actual, expected, name)


def test_predictions_equal_the_reference(compared: Compared) -> None:
    greatest, rms = (1e-3, 1e-4) if compared.efficientdet else (1e-4, 2e-5)
    for array in compared.arrays(RAW):
        assert_close(*array, greatest, rms)
    for name, actual, expected in compared.arrays(PROPOSALS):
        np.testing.assert_allclose(actual, expected, atol=1e-5, err_msg=name)


def test_detections_equal_the_reference(compared: Compared) -> None:
    np.testing.assert_allclose(compared.actual["detection_scores"], compared.expected["detection_scores"], atol=1e-4)
    for image, count in enumerate(compared.expected["num_detections"].astype(int)):
        rows = [
            {
                (arrays["detection_anchor_indices"][image, row], arrays["detection_classes"][image, row]): row
                for row in range(count)
            }
            for arrays in (compared.actual, compared.expected)
        ]
        both = list(rows[0].keys() & rows[1].keys())
        # Scores that are equal but for rounding may change places, and the last ones be left out.
        assert len(both) >= 0.98 * count
        ours, theirs = ([found[key] for key in both] for found in rows)
        for name in ("boxes", "scores", "multiclass_scores"):
            actual, expected = (arrays[f"detection_{name}"][image] for arrays in compared[1:])
            np.testing.assert_allclose(actual[ours], expected[theirs], atol=1e-4, err_msg=name)


def test_targets_and_what_is_sampled_or_mined_equal_the_reference(compared: Compared) -> None:
    for array in compared.arrays(TARGETS):
        assert_close(*array, greatest=1e-5, rms=1e-5)
    for name, actual, expected in compared.arrays(CHOSEN):
        np.testing.assert_array_equal(actual, expected, name)
    assert compared.two_stages == any("sampled" in name for name in compared.expected)


def test_frozen_second_stage_equals_the_reference(compared: Compared) -> None:
    for name, actual, expected in compared.arrays(FROZEN_SECOND_STAGE):
        if expected.dtype == np.float32:
            # Targets stand upon predicted proposals, as predictions do.
            assert_close(name, actual, expected, greatest=1e-4, rms=2e-5)
        else:
            np.testing.assert_array_equal(actual, expected, name)


def test_frozen_losses_and_gradients_equal_the_reference(compared: Compared) -> None:
    for name, actual, expected in compared.arrays(FROZEN_LOSSES):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * expected.std(), err_msg=name)
    for _, actual, expected in compared.arrays(FROZEN_GRADIENTS):
        relative = relative_differences(actual, expected)
        assert relative.max() < 2e-3
        assert np.median(relative) < 2e-4


def test_regularisation_equals_the_reference(compared: Compared) -> None:
    assert len(list(compared.arrays(REGULARISATION))) == 2
    for name, actual, expected in compared.arrays(REGULARISATION):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, err_msg=name)


def test_training_mode_equals_the_reference(compared: Compared) -> None:
    for name, actual, expected in compared.arrays(TRAIN_LOSSES):
        if "anchorwise" in name:
            assert_close(name, actual, expected, greatest=5e-2, rms=3e-3)
        elif not matches(name, GIVEN_PROPOSALS) or not compared.two_stages:
            np.testing.assert_allclose(actual, expected, rtol=5e-4, err_msg=name)
    greatest, rms = (1e-1, 1e-2) if compared.efficientdet else (5e-2, 3e-3)
    for name, actual, expected in compared.arrays(TRAIN_RAW):
        if compared.case != ILL_CONDITIONED and not (matches(name, GIVEN_PROPOSALS) and compared.two_stages):
            assert_close(name, actual, expected, greatest, rms)
    for _, actual, expected in compared.arrays(TRAIN_GRADIENTS):
        if compared.case != ILL_CONDITIONED and not compared.two_stages:
            assert np.median(relative_differences(actual, expected)) < 1e-2


def test_moving_averages_equal_the_reference(compared: Compared) -> None:
    # Those of a second stage hang on the sample of proposals.
    keys = compared.expected["train_moving_keys"]
    counted = np.array(["_for_box_classifier_features" not in key for key in keys])
    for name, actual, expected in compared.arrays(MOVING):
        assert_close(name, actual[counted], expected[counted], greatest=2e-2, rms=1e-3)


def relative_differences(actual: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.float64]:
    """Of gradients' norms, where the reference has a gradient at all."""
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    counted = expected > 0
    return np.asarray(np.abs(actual[counted] / expected[counted] - 1))


@pytest.mark.parametrize("name", LONG)
def test_inference_alone_equals_the_reference(name: str, reference: Callable[[str], Any], tmp_path: Path) -> None:
    compared = compare(reference(name), tmp_path, training=False)
    expected = {name: array for name, array in compared.expected.items() if not name.startswith(("train", "frozen"))}
    compared = compared._replace(expected=expected)
    assert len(expected) >= 20
    test_inputs_and_anchors_equal_the_reference(compared)
    test_predictions_equal_the_reference(compared)
    test_detections_equal_the_reference(compared)


def test_images_that_make_no_batch_are_named(
    reference: Callable[[str], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
