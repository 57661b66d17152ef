# SPDX-License-Identifier: Apache-2.0
"""Which classes' boxes no anchor matches is said before anything is trained."""

from pathlib import Path

import pytest

from training_src.models.anchor_overlaps import anchors_of
from training_src.models.config.pipeline import CONFIGS, PipelineDescription, load, load_bundled
from training_src.training.anchor_reach import anchor_reach, boxes_of, reach_lines
from training_src.training.records import Records

NAMES = {1: "square", 2: "disc", 4: "bar", 7: "unseen"}
# The prepared set's boxes are 20 x 20 pixels of images of 72 x 48: 44 x 67 at 160 x 160.
SMALL = "ssd_mobilenet_v2_fpnlite_160x160"


def with_anchor_scale(tmp_path: Path, scale: float) -> PipelineDescription:
    file = tmp_path / "pipeline.config"
    text = (CONFIGS / f"{SMALL}.config").read_text()
    file.write_text(text.replace("anchor_scale: 2.0", f"anchor_scale: {scale}"))
    return load(file, 4)


def test_the_share_of_each_classs_boxes_with_an_anchor_that_overlaps_enough(prepared: Path) -> None:
    anchors = anchors_of(load_bundled(SMALL, 4))
    assert anchors is not None
    found = anchor_reach(anchors, 0.5, boxes_of(Records(prepared / "train")), NAMES)
    assert {one.name: one.boxes for one in found} == {"square": 3, "disc": 3, "bar": 2}
    assert {one.share for one in found} == {1.0}
    assert {(round(one.width), round(one.height)) for one in found} == {(44, 67)}


def test_a_class_that_no_anchor_of_a_users_own_config_matches_is_warned_of(tmp_path: Path, prepared: Path) -> None:
    boxes = boxes_of(Records(prepared / "train"))
    lines = list(reach_lines(with_anchor_scale(tmp_path, 0.25), boxes, NAMES, bundled=False))
    assert lines[0][0] == "anchors"
    assert "of IoU 0.5 or more for the boxes of " in lines[0][1] and "bar 0 %" in lines[0][1]
    assert [subject for subject, _ in lines[1:]] == ["attention"] * 3
    warned = next(sentence for _, sentence in lines[1:] if "of bar " in sentence)
    assert "only 0 % of the 2 boxes of bar have an anchor of IoU 0.5" in warned
    assert "the median one is 44x67 pixels at 160x160" in warned
    assert [subject for subject, _ in reach_lines(with_anchor_scale(tmp_path, 2.0), boxes, NAMES, bundled=False)] == [
        "anchors"
    ]


def test_the_way_out_is_another_where_the_config_is_bundled(tmp_path: Path, prepared: Path) -> None:
    description, boxes = with_anchor_scale(tmp_path, 0.25), boxes_of(Records(prepared / "train"))
    assert "take an architecture with a larger input" in [*reach_lines(description, boxes, NAMES, bundled=True)][1][1]
    assert "give the config a larger image_resizer" in [*reach_lines(description, boxes, NAMES, bundled=False)][1][1]


def test_two_stages_are_told_by_what_their_second_takes_for_right(prepared: Path) -> None:
    description = load_bundled("faster_rcnn_resnet50_v1_640x640", 4)
    (line,) = reach_lines(description, boxes_of(Records(prepared / "train")), NAMES, bundled=True)
    assert line[1].startswith("of IoU 0.5 or more")


@pytest.mark.parametrize("names", [{}, {7: "unseen"}])
def test_nothing_is_said_of_classes_without_boxes(prepared: Path, names: dict[int, str]) -> None:
    assert list(reach_lines(load_bundled(SMALL, 4), boxes_of(Records(prepared / "train")), names, bundled=True)) == []
