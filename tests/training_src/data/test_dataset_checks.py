# SPDX-License-Identifier: Apache-2.0
"""Faults of a data set as a whole: leaks, missing classes, repeated images; each planted once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from training_src.data.checks.policy import CHECKS, DataPolicy
from training_src.data.dataset import Fault
from training_src.data.examination import Examined, examine

NAMES = ("train", "val", "test")
Examine = Callable[..., Examined]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty images in SageMaker's built-in layout, sound in every way: 24 train, 8 val and 8 test."""
    folder = tmp_path / "set"
    for number, (split, count) in enumerate(zip(NAMES, (24, 8, 8), strict=True)):
        (folder / split / "images").mkdir(parents=True)
        for image in range(count):
            (folder / split / "images" / f"{image}.png").write_bytes(_picture(100 * number + image))
        _write(folder / split, range(count))
    return folder


@pytest.fixture
def examined() -> Iterator[Examine]:
    """Examines a folder, and forgets it after the test."""
    with ExitStack() as opened:

        def run(folder: Path, **options: object) -> Examined:
            return opened.enter_context(examine(folder, **options))  # type: ignore[arg-type]

        yield run


def test_sound_data_set_has_no_finding(folder: Path, examined: Examine) -> None:
    found = examined(folder)

    assert found.findings.all() == []
    assert found.images == {"train": 24, "validation": 8, "test": 8}


def test_same_image_in_two_splits_is_an_error_and_fixed_by_leaving_it_to_the_test(
    folder: Path, examined: Examine
) -> None:
    (folder / "train/images/5.png").write_bytes((folder / "test/images/2.png").read_bytes())

    fault = _only(examined(folder))
    fixed = examined(folder, policy=DataPolicy().with_fixes())

    assert (fault.check, fault.severity) == ("leak", "error")
    assert "train/images/5.png (train) and test/images/2.png (test) are the same image" in fault.message
    assert not fixed.findings.of("error")
    assert fixed.images == {"train": 23, "validation": 8, "test": 8}


def test_almost_the_same_image_in_two_splits_is_a_warning(folder: Path, examined: Examine) -> None:
    pixels = cv2.imdecode(np.frombuffer((folder / "val/images/3.png").read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    again = cv2.imencode(".png", np.clip(pixels.astype(int) + 6, 0, 255).astype(np.uint8))[1]
    (folder / "train/images/7.png").write_bytes(bytes(again))
    strict = replace(CHECKS["near_leak"], handling="error")

    fault = _only(examined(folder))
    error = _only(examined(folder, policy=DataPolicy({**CHECKS, "near_leak": strict})))
    blind = examined(folder, policy=replace(DataPolicy(), decode_check="header"))

    assert (fault.check, fault.severity, error.severity) == ("near_leak", "warning", "error")
    assert "val/images/3.png (validation) looks like train/images/7.png (train)" in fault.message
    assert blind.findings.all() == []


def test_near_duplicates_are_found_at_every_distance_that_is_asked_for(folder: Path, examined: Examine) -> None:
    found = examined(folder)
    base = 0x0123_4567_89AB_CDEF
    for bits in range(5):
        flipped = base ^ sum(1 << (13 * bit) for bit in range(bits))
        found.index.execute("UPDATE images SET dhash = NULL")
        found.index.execute("UPDATE images SET dhash = ? WHERE image = 'train/images/0.png'", base)
        found.index.execute("UPDATE images SET dhash = ? WHERE image = 'test/images/0.png'", flipped)
        for most in range(5):
            check = replace(CHECKS["near_leak"], thresholds={"bits": most})
            seen = list(_similar(found, DataPolicy({**CHECKS, "near_leak": check})))
            assert len(seen) == (bits <= most)


def test_sequence_in_two_splits_is_an_error_where_it_is_stated(folder: Path, examined: Examine) -> None:
    for split, image in (("train", 1), ("test", 1)):
        _edit(folder / split, "images", image, group="drive 7")

    fault = _only(examined(folder))

    assert (fault.check, fault.severity) == ("sequence", "error")
    assert 'The sequence "drive 7" (2 images) stands in train and in test' in fault.message


def test_sequence_in_two_splits_is_a_warning_where_only_names_tell_it(folder: Path, examined: Examine) -> None:
    for split, image, number in (("train", 1, 11), ("test", 1, 12)):
        images = folder / split / "images"
        (images / f"{image}.png").rename(images / f"drive_frame_{number}.png")
        _edit(folder / split, "images", image, file_name=f"drive_frame_{number}.png")
    pattern = replace(DataPolicy(), sequence=r"(?P<sequence>drive)_frame_\d+$")

    likely = _only(examined(folder))
    assert (likely.check, likely.severity) == ("likely_sequence", "warning")
    assert 'The sequence "drive" (2 images) stands in train and in test' in likely.message
    assert (_only(examined(folder, policy=pattern)).check) == "sequence"


def test_frames_stay_together_where_no_splits_are_given(tmp_path: Path, examined: Examine) -> None:
    folder = tmp_path / "frames"
    (folder / "images").mkdir(parents=True)
    names = [f"drive{number % 9}_frame_{number:03d}.png" for number in range(90)]
    for number, name in enumerate(names):
        (folder / "images" / name).write_bytes(_picture(number))
    _write(folder, range(90), names)
    found = examined(folder)
    homes = {(row[0], row[1]) for row in found.index.rows("SELECT sequence, split FROM images")}

    assert len(homes) == 9
    assert not [fault for fault in found.findings.all() if fault.check in ("sequence", "likely_sequence")]


def test_class_missing_from_a_split_or_rare_is_a_warning(folder: Path, examined: Examine) -> None:
    content = json.loads((folder / "val/annotations.json").read_text())
    content["annotations"] = [item for item in content["annotations"] if item["category_id"] == 0]
    (folder / "val/annotations.json").write_text(json.dumps(content))
    many = replace(CHECKS["few_examples"], thresholds={"boxes": 25})

    found = examined(folder, policy=DataPolicy({**CHECKS, "few_examples": many}))
    messages = {fault.check: fault.message for fault in found.findings.of("warning")}

    assert messages == {
        "missing_class": "No validation image has a box of: pedestrian.",
        "few_examples": "Some classes have fewer than 25 boxes to learn from: vehicle 24, pedestrian 24.",
    }


def test_images_without_boxes_are_counted(folder: Path, examined: Examine) -> None:
    content = json.loads((folder / "train/annotations.json").read_text())
    content["annotations"] = [item for item in content["annotations"] if item["image_id"] > 1]
    (folder / "train/annotations.json").write_text(json.dumps(content))

    found = examined(folder)

    assert _only(found).message == "2 of 40 images have no box: they teach what is no object."
    assert found.description["splits"]["train"]["background_images"] == 2


def test_same_image_twice_in_a_split_is_a_notice(folder: Path, examined: Examine) -> None:
    (folder / "train/images/5.png").write_bytes((folder / "train/images/2.png").read_bytes())

    fault = _only(examined(folder))

    assert (fault.check, fault.severity) == ("repeated_image", "notice")
    assert "train/images/2.png and train/images/5.png" in fault.message


def test_balance_of_classes_and_sizes_is_reported(folder: Path, examined: Examine) -> None:
    assert examined(folder).description["balance"]["test"] == {"classes": 0.0, "box_sizes": 0.0}
    content = json.loads((folder / "test/annotations.json").read_text())
    content["annotations"] = [item for item in content["annotations"] if item["category_id"] == 0]
    (folder / "test/annotations.json").write_text(json.dumps(content))

    assert examined(folder).description["balance"]["test"]["classes"] == pytest.approx(8 / 18, abs=0.03)


def _similar(found: Examined, policy: DataPolicy) -> Iterator[Fault]:
    from training_src.data.leaks import similar_images

    return similar_images(found.index, policy)


def _only(found: Examined) -> Fault:
    faults = found.findings.all()
    assert len(faults) == 1, [fault.message for fault in faults]
    return faults[0]


def _picture(number: int) -> bytes:
    coarse = np.random.default_rng(number).integers(0, 249, (9, 12, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".png", cv2.resize(coarse, (96, 72), interpolation=cv2.INTER_NEAREST))[1])


def _write(folder: Path, numbers: range, names: list[str] | None = None) -> None:
    """One box of each class an image."""
    images = [
        {"id": number, "file_name": names[number] if names else f"{number}.png", "width": 96, "height": 72}
        for number in numbers
    ]
    annotations = [
        {"image_id": number, "bbox": [4 + category, 6, 60, 50], "category_id": category}
        for number in numbers
        for category in (0, 1)
    ]
    categories = [{"id": 0, "name": "vehicle"}, {"id": 1, "name": "pedestrian"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))


def _edit(folder: Path, key: str, position: int, **changes: object) -> None:
    content = json.loads((folder / "annotations.json").read_text())
    content[key][position].update(changes)
    (folder / "annotations.json").write_text(json.dumps(content))


def test_images_in_none_of_the_splits_are_named_with_their_folders(folder: Path, examined: Examine) -> None:
    found = examined(folder, policy=DataPolicy(splits=frozenset(("train", "test"))))

    notices = [fault.message for fault in found.findings.all() if "none of the given splits" in fault.message]
    assert notices == [
        "8 images are in none of the given splits and left out: val/images/0.png, val/images/1.png, val/images/2.png, "
        "... (in val/images/)."
    ]
