# SPDX-License-Identifier: Apache-2.0
"""What the command writes equals what the OD API computed: inference, targets, losses, gradients, moving averages.

Tolerances are those that the reference's README gives, relative to the standard deviation of the expected array.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from training_src.models.outputs import pad_ground_truth, run

Arrays = dict[str, NDArray[Any]]
CASES = ["ssd_mobilenet_v2_fpnlite", "ssd_resnet50_v1_fpn", "ssd_mobilenet_v2_hard_mining"]
INPUTS = ("image_", "groundtruth_")
TARGETS = ("cls_targets", "cls_weights", "reg_targets", "reg_weights")
RAW = ("box_encodings", "class_predictions_with_background")


class Compared(NamedTuple):
    """What the command wrote and what the reference expects, of one case."""

    case: str
    actual: Arrays
    expected: Arrays


@pytest.fixture(scope="module", params=CASES)
def compared(
    request: pytest.FixtureRequest, reference: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> Compared:
    case = reference(request.param)
    expected = case.expected()
    folder = tmp_path_factory.mktemp("outputs")
    np.savez(folder / "in.npz", **{name: array for name, array in expected.items() if name.startswith(INPUTS)})
    arguments = f"--pipeline-config {case.config} --checkpoint {case.prefix} --images {folder}/in.npz"
    assert (
        run([*arguments.split(), "--output", f"{folder}/out.npz", "--training", "--groundtruth", f"{folder}/in.npz"])
        == 0
    )
    with np.load(folder / "out.npz") as arrays:
        return Compared(request.param, dict(arrays), expected)


def differs(compared: Compared, name: str) -> tuple[float, float]:
    """Greatest and root-mean-square difference, in standard deviations of what was expected."""
    actual, expected = compared.actual[name], compared.expected[name]
    difference, scale = actual - expected, float(expected.std()) or 1.0
    return float(np.abs(difference).max() / scale), float(np.sqrt((difference**2).mean()) / scale)


def test_every_array_is_there_with_its_shape_and_type(compared: Compared) -> None:
    wanted = {name: array for name, array in compared.expected.items() if not name.startswith(INPUTS)}
    assert set(wanted) <= set(compared.actual)
    for name, array in wanted.items():
        assert compared.actual[name].dtype == array.dtype, name
        assert compared.actual[name].shape == array.shape, name


def test_inputs_anchors_and_targets_equal_the_reference(compared: Compared) -> None:
    assert differs(compared, "preprocessed_inputs")[0] < 1e-4
    for name in ("anchors", *(f"train_{target}" for target in TARGETS)):
        assert differs(compared, name)[0] < 1e-5, name
    exact = ("true_image_shapes", "feature_map_shapes", "train_match", "train_trainable_keys", "train_moving_keys")
    for name in exact:
        np.testing.assert_array_equal(compared.actual[name], compared.expected[name])


def test_predictions_and_detections_equal_the_reference(compared: Compared) -> None:
    for name in (*RAW, "feature_map_stats", "last_feature_map"):
        greatest, rms = differs(compared, name)
        assert greatest < 1e-4, name
        assert rms < 2e-5, name
    for name in ("num_detections", "detection_classes", "detection_anchor_indices"):
        np.testing.assert_array_equal(compared.actual[name], compared.expected[name])
    for name in ("detection_boxes", "detection_scores", "detection_multiclass_scores"):
        np.testing.assert_allclose(compared.actual[name], compared.expected[name], atol=1e-4)


def test_frozen_losses_and_gradients_equal_the_reference(compared: Compared) -> None:
    for name in ("Loss_classification_loss", "Loss_localization_loss", "total_loss"):
        np.testing.assert_allclose(compared.actual[f"frozen_{name}"], compared.expected[f"frozen_{name}"], rtol=1e-4)
    relative = gradients(compared, "frozen_grad_norms")
    assert relative.max() < 2e-3
    assert np.median(relative) < 2e-4


def test_training_losses_gradients_and_moving_averages_equal_the_reference(compared: Compared) -> None:
    for name in ("Loss_classification_loss", "Loss_localization_loss", "total_loss", "regularization_loss"):
        np.testing.assert_allclose(compared.actual[f"train_{name}"], compared.expected[f"train_{name}"], rtol=5e-4)
    assert compared.actual["train_num_regularization_terms"] == compared.expected["train_num_regularization_terms"]
    assert differs(compared, "train_regularization_terms_sorted")[0] < 1e-4
    greatest, rms = differs(compared, "train_moving_delta_first4")
    assert greatest < 2e-2
    assert rms < 1e-3
    if compared.case == "ssd_mobilenet_v2_hard_mining":
        return  # Its 1x1 maps give batch norms two numbers; the reference says to leave these out.
    for name in RAW:
        greatest, rms = differs(compared, f"train_{name}")
        assert greatest < 5e-2, name
        assert rms < 3e-3, name
    assert np.median(gradients(compared, "train_grad_norms")) < 1e-2


def test_mined_anchors_equal_the_reference(compared: Compared) -> None:
    mined = [name for name in compared.expected if "hard_mined" in name]
    assert bool(mined) == (compared.case == "ssd_mobilenet_v2_hard_mining")
    for name in mined:
        np.testing.assert_array_equal(compared.actual[name], compared.expected[name])
    for name in (name for name in compared.expected if name.startswith("frozen_anchorwise")):
        assert differs(compared, name)[0] < 1e-4, name


def gradients(compared: Compared, name: str) -> NDArray[np.float64]:
    """Relative differences, where the reference has a gradient at all."""
    actual, expected = compared.actual[name], compared.expected[name]
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    return np.asarray(np.abs(actual / expected - 1))[expected > 0]


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
    assert run([*arguments.split(), "--output", f"{tmp_path}/out.npz"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "The images become 64x96, 96x64 pixels, which make no batch; give images of one shape."
    ]
    assert not (tmp_path / "out.npz").exists()


def test_ground_truth_is_padded_to_the_fullest_image() -> None:
    truth = pad_ground_truth([np.ones((2, 4)), np.zeros((0, 4))], [np.array([1, 2]), np.zeros(0, int)])
    np.testing.assert_array_equal(truth.weights, [[1, 1], [0, 0]])
    np.testing.assert_array_equal(truth.classes, [[1, 2], [0, 0]])
    assert truth.boxes.shape == (2, 2, 4)
