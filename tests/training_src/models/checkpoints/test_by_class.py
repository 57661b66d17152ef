# SPDX-License-Identifier: Apache-2.0
"""Heads keep the columns of the classes that a checkpoint knows by name, whatever their ids."""

import json
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from training_src.models.checkpoints import checkpoint
from training_src.models.checkpoints.by_class import Classes, Layout, of_equal_name, restore_by_class
from training_src.models.errors import CheckpointError

# Of each golden case, which has three classes: whether the background has a column, and anchors at each cell.
CASES = {
    "ssd_mobilenet_v2_fpnlite": (True, [6]),
    "ssd_resnet50_v1_fpn": (True, [6]),
    "efficientdet_d1": (False, [9]),
    "ssd_mobilenet_v2_hard_mining": (False, [3, 6, 6, 6, 6, 6]),
    "faster_rcnn_resnet50_v1": (True, [1]),
}
OLD = {1: "car", 2: "person", 3: "dog"}
NEW = {1: "dog", 2: "van", 4: "Car", 5: "person"}
KEPT = {1: 3, 4: 1, 5: 2}


def tensors(golden: Path, name: str, classes: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Random values of a golden case's variables: heads in their shapes, all others small."""
    background, _ = CASES[name]
    random = np.random.default_rng(seed)
    found = {}
    for entry in json.loads((golden / name / "variables.json").read_text()):
        shape, key = entry["shape"], entry["key"]
        if "_class_predictor_layers" in key and "_first_stage" not in key and "depthwise" not in key:
            shape = [*shape[:-1], shape[-1] // (3 + background) * (classes + background)]
        elif "_predictor" not in key:
            shape = [2]
        if not key.startswith("save_counter"):
            found[key] = random.normal(size=shape).astype(np.float32)
    return found


def made(golden: Path, name: str, classes: int) -> dict[str, keras.Variable]:
    return {key: keras.Variable(value) for key, value in tensors(golden, name, classes, seed=1).items()}


@pytest.mark.parametrize("name", CASES)
def test_classes_of_equal_name_keep_their_columns_bit_for_bit(golden: Path, tmp_path: Path, name: str) -> None:
    background, anchors = CASES[name]
    stored = tensors(golden, name, 3, seed=2)
    checkpoint.write(str(tmp_path / "ckpt-0"), stored)
    variables = made(golden, name, 5)
    drawn = {key: variable.numpy() for key, variable in variables.items()}
    restored = restore_by_class(
        variables, str(tmp_path / "ckpt-0"), Classes(NEW, 5, background), Classes(OLD, 3, background)
    )
    assert sorted(restored.restored) == sorted(stored)
    assert (restored.kept, restored.drawn) == ({"dog": "dog", "Car": "car", "person": "person"}, ["van"])
    heads = 0
    for key, variable in variables.items():
        value = variable.numpy()
        if value.shape == stored[key].shape:
            np.testing.assert_array_equal(value, stored[key])
            continue
        cells = anchors[min(heads // 2, len(anchors) - 1)]
        heads += 1
        now, before, old = (each.reshape(*each.shape[:-1], cells, -1) for each in (value, drawn[key], stored[key]))
        for number in range(1, 6):
            column = number - 1 + background
            if number in KEPT:
                np.testing.assert_array_equal(now[..., column], old[..., KEPT[number] - 1 + background])
            else:
                np.testing.assert_array_equal(now[..., column], before[..., column])
        if background:
            np.testing.assert_array_equal(now[..., 0], old[..., 0])
    assert heads == 2 * len(anchors)
    assert restored.table().splitlines()[-2:] == [
        "classes kept     3 dog, Car (from car), person",
        "classes drawn    1 van",
    ]


def test_the_boxes_of_each_class_move_with_it(tmp_path: Path) -> None:
    def weights(classes: int, value: float) -> dict[str, NDArray[np.float32]]:
        model = "model/_mask_rcnn_box_predictor"
        shapes = {
            "model/_feature_extractor_for_proposal_features/layer_with_weights-0/kernel": (3,),
            f"{model}/_box_prediction_head/_box_encoder_layers/1/kernel": (7, 4 * classes),
            f"{model}/_box_prediction_head/_box_encoder_layers/1/bias": (4 * classes,),
            f"{model}/_class_prediction_head/_class_predictor_layers/1/bias": (classes + 1,),
        }
        return {
            f"{key}{checkpoint.SUFFIX}": (value + np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)
            for key, shape in shapes.items()
        }

    checkpoint.write(str(tmp_path / "ckpt-0"), weights(3, 100.0))
    variables = {key: keras.Variable(value) for key, value in weights(5, 0.0).items()}
    restore_by_class(variables, str(tmp_path / "ckpt-0"), Classes(NEW, 5), Classes(OLD, 3))
    _, kernel, bias, scores = (variable.numpy() for variable in variables.values())
    # dog, van, nothing, Car, person
    assert bias.reshape(5, 4)[:, 0].tolist() == [108, 4, 8, 100, 104]
    assert kernel.reshape(7, 5, 4)[0, :, 1].tolist() == [109, 5, 9, 101, 105]
    assert scores.tolist() == [100, 103, 2, 3, 101, 102]


def test_an_exact_name_goes_before_one_in_another_case() -> None:
    assert of_equal_name({1: "CAR", 2: "car", 3: "Straße"}, {7: "car", 8: "Car", 9: "STRASSE"}) == {2: 7, 1: 8, 3: 9}
    assert of_equal_name({1: "Car", 2: "car"}, {5: "car"}) == {2: 5}


def test_columns_stand_behind_each_other_anchor_by_anchor() -> None:
    layout = Layout(anchors=2, background=True)
    stored = np.array([0, 1, 2, 10, 11, 12])
    moved = layout.moved(-np.arange(1.0, 9.0), stored, {3: 1})
    assert moved.tolist() == [0, -2, -3, 1, 10, -6, -7, 11]


def fitting(golden: Path, tmp_path: Path, change: Mapping[str, tuple[int, ...]]) -> checkpoint.Restored:
    """What comes of a checkpoint of which some tensors have other shapes."""
    stored = tensors(golden, "ssd_mobilenet_v2_fpnlite", 3, seed=2)
    for part, shape in change.items():
        (key,) = (key for key in stored if part in key)
        stored[key] = np.zeros(shape, np.float32)
    checkpoint.write(str(tmp_path / "ckpt-0"), stored)
    variables = made(golden, "ssd_mobilenet_v2_fpnlite", 5)
    return restore_by_class(variables, str(tmp_path / "ckpt-0"), Classes(NEW, 5), Classes(OLD, 3))


def test_heads_that_do_not_fit_are_left_with_their_reason(golden: Path, tmp_path: Path) -> None:
    heads = {
        "_box_encoder_layers/0/bias": (16,),
        "_box_encoder_layers/0/pointwise_kernel": (1, 1, 128, 16),
        "_class_predictor_layers/0/pointwise_kernel": (1, 1, 64, 24),
    }
    restored = fitting(golden, tmp_path, heads)
    reasons = [why for key, why in restored.left.items() if "_class_predictor_layers" in key]
    assert reasons == ["of another depth"] * 3  # one part of a head is worth nothing without the others
    assert list(restored.left.values()).count("of another depth or number of anchors") == len(restored.left) - 3 == 3
    assert (restored.kept, restored.drawn) == ({}, list(NEW.values()))
    assert "as drawn         3 variables of box_predictor: of another depth or number of anchors" in restored.table()


def test_a_class_head_for_other_anchors_is_left(golden: Path, tmp_path: Path) -> None:
    heads = {"_class_predictor_layers/0/bias": (16,), "_class_predictor_layers/0/pointwise_kernel": (1, 1, 128, 16)}
    restored = fitting(golden, tmp_path, heads)
    assert list(restored.left.values()) == ["not for the checkpoint's 3 classes with as many anchors"] * 2
    assert restored.kept == {}


def test_a_backbone_of_another_depth_is_an_error(golden: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has shape \[9\], the model needs \[2\]; is it of another arch"):
        fitting(golden, tmp_path, {"classification_backbone/layer_with_weights-0/kernel": (9,)})


def test_without_names_the_class_heads_alone_are_drawn(golden: Path, tmp_path: Path) -> None:
    name = "ssd_mobilenet_v2_fpnlite"
    checkpoint.write(str(tmp_path / "ckpt-0"), tensors(golden, name, 3, seed=2))
    for known, why in (
        (None, "the checkpoint does not say which classes it has"),
        (Classes({1: "cat"}, 3), "the checkpoint has no class of equal name"),
        (Classes(OLD, 4), "not for the checkpoint's 4 classes with as many anchors"),
    ):
        restored = restore_by_class(made(golden, name, 5), str(tmp_path / "ckpt-0"), Classes(NEW, 5), known)
        assert list(restored.left.values()) == [why] * 2
        assert (restored.kept, restored.drawn) == ({}, list(NEW.values()))


def test_ssd_weights_give_a_pyramid_the_backbone(golden: Path, tmp_path: Path) -> None:
    checkpoint.write(str(tmp_path / "ckpt-0"), tensors(golden, "ssd_mobilenet_v2_hard_mining", 3, seed=2))
    variables = made(golden, "ssd_mobilenet_v2_fpnlite", 5)
    restored = restore_by_class(variables, str(tmp_path / "ckpt-0"), Classes(NEW, 5), Classes(OLD, 3, False))
    assert len(restored.restored) == 260
    assert {key.split("/")[2] for key in restored.restored} == {"classification_backbone"}
    assert set(restored.left.values()) == {"the checkpoint has none"}


def test_what_holds_no_backbone_is_an_error(golden: Path, tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    checkpoint.write(str(tmp_path / "variables" / "variables"), {"variables_of_networks/0": np.zeros(2)})
    checkpoint.write(str(tmp_path / "x"), {f"variables_of_networks/0{checkpoint.SUFFIX}": np.zeros(2)})
    variables = made(golden, "ssd_mobilenet_v2_fpnlite", 5)
    with pytest.raises(CheckpointError, match="none of its 1 tensors belongs to this model's backbone; give"):
        restore_by_class(variables, str(tmp_path / "x"), Classes(NEW, 5), None)
