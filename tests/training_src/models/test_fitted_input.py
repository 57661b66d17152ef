# SPDX-License-Identifier: Apache-2.0
"""Which input size and anchors follow from which boxes."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from training_src.data.dataset import LabelledImage
from training_src.data.formats import read_dataset
from training_src.models.anchor_overlaps import BoxArrays, anchors_of, best_overlaps
from training_src.models.anchors import anchors_per_cell
from training_src.models.box_shapes import BoxShapes
from training_src.models.config.pipeline import load_bundled
from training_src.models.fitted_input import ENOUGH, SIZES, FittedInput, fit_input, input_side, with_input_of
from training_src.models.zoo import ZOO

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
FOLLOWING = [model.name for model in ZOO if model.follows_data]
PYRAMID, LAYERS = "ssd_mobilenet_v2_fpnlite_320x320", "ssd_mobilenet_v2_320x320"


def one_shape(width: float, height: float, longer_side: float = 4000.0) -> BoxShapes:
    """A hundred boxes of this share of their images' width and height."""
    cell = (round(4 * math.log2(width)), round(4 * math.log2(height)))
    return BoxShapes({"one": {cell: 100}}, longer_side)


def fitted(architecture: str, shapes: BoxShapes) -> FittedInput:
    return fit_input(load_bundled(architecture, 3), shapes)


def read(folder: str) -> tuple[BoxArrays, Mapping[int, str]]:
    """The boxes of a public data set."""
    if not (SHARED / folder).is_dir():
        pytest.skip(f"{SHARED / folder} is not there")
    dataset = read_dataset(SHARED / folder)
    rows = [
        (box.xmax - box.xmin, box.ymax - box.ymin, entry.width, entry.height,
         (box.xmin + box.xmax) / 2 / entry.width, (box.ymin + box.ymax) / 2 / entry.height, box.label)
        for entry in dataset.entries() if isinstance(entry, LabelledImage) for box in entry.boxes
    ]  # fmt: skip
    width, height, across, down, x, y, labels = np.array(rows, np.float32).T
    boxes = BoxArrays(width, height, across, down, x, y, labels.astype(np.int64), np.zeros(len(rows), np.int64))
    return boxes, dataset.label_map.names


def reached(found: FittedInput, boxes: BoxArrays, names: Mapping[int, str]) -> dict[str, float]:
    """Of each class the share of boxes with an anchor of the matcher's IoU, at their very places."""
    anchors = anchors_of(found.description)
    assert anchors is not None
    _, here, _ = best_overlaps(boxes, anchors)
    return {name: float((here >= anchors.threshold)[boxes.label == label].mean()) for label, name in names.items()}


def test_it_is_the_small_detectors_of_the_table_that_follow_the_data() -> None:
    assert FOLLOWING == ["ssd_mobilenet_v2_fpnlite_160x160", LAYERS, PYRAMID]


def test_anchors_move_before_the_input_grows() -> None:
    found = fitted(PYRAMID, one_shape(0.06, 0.08))
    assert input_side(found.description) == 320
    assert found.sentences[0] == "input 320x320, the config's own"
    assert "anchors anchor_scale " in found.sentences[1]


def test_boxes_under_a_cell_of_the_finest_level_make_the_input_grow_as_far_as_the_images_have_pixels() -> None:
    tiny = (0.02, 0.02)
    assert input_side(fitted(PYRAMID, one_shape(*tiny)).description) == 640
    assert input_side(fitted(PYRAMID, one_shape(*tiny, longer_side=500)).description) == 416
    found = fitted(PYRAMID, one_shape(*tiny, longer_side=100))
    assert input_side(found.description) == 320


@pytest.mark.parametrize("architecture", FOLLOWING)
def test_boxes_that_the_config_reaches_change_nothing(architecture: str) -> None:
    ordinary = {"one": {(-4, -4): 50, (-6, -6): 50}}
    before = load_bundled(architecture, 3)
    assert fit_input(before, BoxShapes(ordinary, 640)).description.text() == before.text()


@pytest.mark.parametrize("architecture", FOLLOWING)
@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_larger_boxes_never_lead_to_a_larger_input(architecture: str, ratio: float) -> None:
    sides = [2 ** (step / 4) for step in range(-24, -2, 3)]
    chosen = [
        input_side(fitted(architecture, one_shape(each * math.sqrt(ratio), each / math.sqrt(ratio))).description)
        for each in sides
    ]
    assert chosen == sorted(chosen, reverse=True)
    assert len(set(chosen)) > 1


CELLS = some.dictionaries(some.tuples(*[some.integers(-20, 0)] * 2), some.integers(1, 400), min_size=1, max_size=6)


@settings(max_examples=12, deadline=None)
@given(some.dictionaries(some.sampled_from("abc"), CELLS, min_size=1), some.sampled_from(FOLLOWING))
def test_what_was_chosen_is_chosen_again_and_its_heads_have_the_same_shapes(
    counts: Mapping[str, Mapping[tuple[int, int], int]], architecture: str
) -> None:
    shapes = BoxShapes(counts, 640)
    before = load_bundled(architecture, 3)
    once = fit_input(before, shapes).description
    assert fit_input(once, shapes).description.text() == once.text()
    assert input_side(before) <= input_side(once) and input_side(once) in (input_side(before), *SIZES)
    old, new = before.config.model.ssd, once.config.model.ssd
    assert old is not None and new is not None
    assert anchors_per_cell(new.anchor_generator, 5) == anchors_per_cell(old.anchor_generator, 5)


def test_a_class_of_a_few_boxes_does_not_decide_for_all() -> None:
    common = {(-8, -8): 1000}
    alone = BoxShapes({"one": common}, 640)
    beside = BoxShapes({"one": common, "mistake": {(-36, -36): 3}}, 640)
    assert fitted(PYRAMID, alone).description.text() == fitted(PYRAMID, beside).description.text()


@pytest.mark.parametrize("folder", ["bccd", "raccoon"])
@pytest.mark.parametrize("architecture", FOLLOWING)
def test_every_class_of_a_public_set_is_reached(folder: str, architecture: str) -> None:
    boxes, names = read(folder)
    found = fitted(architecture, BoxShapes.counted(boxes, names))
    assert min(reached(found, boxes, names).values()) >= ENOUGH


def test_platelets_find_anchors_without_a_pixel_more_in_a_pyramid_of_320() -> None:
    boxes, names = read("bccd")
    before = FittedInput(load_bundled(PYRAMID, 3), ())
    after = fitted(PYRAMID, BoxShapes.counted(boxes, names))
    assert 0.45 < reached(before, boxes, names)["Platelets"] < 0.55
    assert reached(after, boxes, names)["Platelets"] > 0.95
    assert input_side(after.description) == 320


def test_size_and_anchors_of_an_earlier_training_are_taken_over_where_the_detector_is_the_same() -> None:
    earlier = fitted(PYRAMID, one_shape(0.02, 0.02)).description
    taken = with_input_of(load_bundled(PYRAMID, 7), earlier)
    assert taken is not None
    assert taken.config.model.ssd is not None and earlier.config.model.ssd is not None
    assert taken.config.model.ssd.anchor_generator == earlier.config.model.ssd.anchor_generator
    assert (input_side(taken), taken.config.model.family.num_classes) == (640, 7)
    assert with_input_of(load_bundled(LAYERS, 7), earlier) is None
    assert with_input_of(load_bundled("faster_rcnn_resnet50_v1_640x640", 7), earlier) is None
