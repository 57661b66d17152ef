# SPDX-License-Identifier: Apache-2.0
"""Each planted fault gives one sentence that names file and box; slight ones are repaired and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from training_src.data.check import check, check_num_classes
from training_src.data.dataset import Fault
from training_src.data.formats import read_dataset
from training_src.data.label_map import LabelMap
from training_src.errors import ConfigurationError

Edit = Callable[..., None]


def test_sound_data_set_has_no_fault(voc_folder: Path) -> None:
    verdict = check(read_dataset(voc_folder))

    assert (verdict.faults, verdict.notices, len(verdict.images)) == ((), (), 6)


def test_truncated_image_is_named(voc_folder: Path) -> None:
    file = voc_folder / "JPEGImages/street_2.jpg"
    file.write_bytes(file.read_bytes()[:-200])

    fault = _only_fault(voc_folder)

    assert (fault.file, fault.check) == ("JPEGImages/street_2.jpg", "image")
    assert fault.message.startswith("JPEGImages/street_2.jpg cannot be decoded")


def test_wrong_stated_size_is_named(voc_folder: Path) -> None:
    _replace(voc_folder / "Annotations/street_1.xml", "<width>64</width>", "<width>65</width>")

    fault = _only_fault(voc_folder)

    assert (fault.file, fault.check) == ("Annotations/street_1.xml", "size")
    assert "65 x 48" in fault.message and "64 x 48" in fault.message


@pytest.mark.parametrize(
    ("edges", "rule", "words"),
    [
        ([4, 6, 70, 30], "outside", "(4, 6, 70, 30) lies outside its image of 64 x 48 pixels, by 6"),
        ([-10, 6, 32, 30], "outside", "by 10"),
        ([64.5, 6, 65, 30], "outside", "wholly outside"),
        ([32, 6, 4, 30], "corners", "swapped corners"),
        ([4, 6, 4, 30], "area", "has no area"),
        ([float("nan"), 6, 4, 30], "box", "no finite number"),
    ],
)
def test_faulty_box_is_named(
    builtin_folder: Path, edit_builtin: Edit, edges: list[float], rule: str, words: str
) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "annotations", 3, bbox=edges)

    fault = _only_fault(builtin_folder)

    assert (fault.file, fault.check) == ("train/annotations.json", rule)
    assert fault.box is not None and fault.box.startswith("annotation 3")
    assert fault.message.startswith("train/annotations.json: train/images/3.jpg: annotation 3 (pedestrian)")
    assert words in fault.message


def test_repeated_annotation_is_named(builtin_folder: Path, edit_builtin: Edit) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "annotations", 2, image_id=0)

    fault = _only_fault(builtin_folder)

    assert fault.check == "duplicate"
    assert "annotation 2" in fault.message and "repeats annotation 0" in fault.message


def test_unknown_classes_are_named(builtin_folder: Path, voc_folder: Path, edit_builtin: Edit) -> None:
    edit_builtin(builtin_folder / "val/annotations.json", "annotations", 1, category_id=7)
    _replace(voc_folder / "Annotations/street_4.xml", "cyclist", "tram")

    builtin, voc = _only_fault(builtin_folder), _only_fault(voc_folder)

    assert builtin.message.startswith('val/annotations.json: annotation 1 (of "1.jpg") has the unknown class 7')
    assert voc.message.startswith('Annotations/street_4.xml: object 1 has the unknown class "tram"')


def test_image_listed_twice_is_named(builtin_folder: Path, edit_builtin: Edit) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "images", 1, file_name="0.jpg")

    assert "stands twice" in _only_fault(builtin_folder).message


@pytest.mark.parametrize("content", ["", "  \n", "<annotation>", "<html/>"])
def test_faulty_annotation_file_is_named_once(voc_folder: Path, content: str) -> None:
    (voc_folder / "Annotations/street_0.xml").write_text(content)

    assert _only_fault(voc_folder).file == "Annotations/street_0.xml"


def test_box_that_leaves_its_image_by_two_pixels_is_clipped_and_told(builtin_folder: Path, edit_builtin: Edit) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "annotations", 0, bbox=[-1, 6, 66, 30])

    verdict = check(read_dataset(builtin_folder))
    (repaired,) = [image for image in verdict.images if image.clipped]

    assert not verdict.faults
    assert (repaired.labelled.boxes[0].xmin, repaired.labelled.boxes[0].xmax) == (0, 64)
    assert "train/annotations.json: 1 box clipped" in verdict.notices[0]


def test_box_that_is_a_point_is_dropped_and_told(builtin_folder: Path, edit_builtin: Edit) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "annotations", 0, bbox=[5, 6, 5, 6])

    verdict = check(read_dataset(builtin_folder))

    assert not verdict.faults
    assert "1 box that is a single point dropped" in verdict.notices[0]


CONFIG = "model { %s { num_classes: %d  # of the label map\n } }\ntrain_config { batch_size: 8 }\n"


@pytest.mark.parametrize("architecture", ["ssd", "faster_rcnn"])
def test_num_classes_must_reach_the_greatest_label_id(tmp_path: Path, architecture: str) -> None:
    label_map = LabelMap({1: "vehicle", 2: "pedestrian", 4: "cyclist"})
    config = tmp_path / "pipeline.config"

    config.write_text(CONFIG % (architecture, 3))
    fault = check_num_classes(config, label_map)
    assert fault is not None
    assert "num_classes is 3, but the greatest label id is 4" in fault.message

    config.write_text(CONFIG % (architecture, 4))
    assert check_num_classes(config, label_map) is None


@pytest.mark.parametrize("text", ["model { ssd { } }", "not a config"])
def test_config_without_num_classes_is_refused(tmp_path: Path, text: str) -> None:
    config = tmp_path / "pipeline.config"
    config.write_text(text)

    with pytest.raises(ConfigurationError, match=r"pipeline\.config"):
        check_num_classes(config, LabelMap({1: "vehicle"}))


def _only_fault(folder: Path) -> Fault:
    faults = check(read_dataset(folder)).faults
    assert len(faults) == 1, [fault.message for fault in faults]
    return faults[0]


def _replace(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
