# SPDX-License-Identifier: Apache-2.0
"""Every check has a fault planted for it: found under its name, judged by a policy file, fixed where that is safe."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from training_src.data.checks.policy import CHECKS, POLICY_FILE, read_policy
from training_src.data.convert import convert
from training_src.data.dataset import Fault
from training_src.data.examination import examine

WIDTH, HEIGHT = 96, 72
COUNTS = {"train": 14, "val": 4, "test": 4}
CONFIG = "model { ssd { num_classes: 1 } }\ntrain_config { batch_size: 8 }\n"

Plant = Callable[[Path], Path]
"""Breaks a sound data set; returns the folder that is to be checked then."""


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Images in SageMaker's built-in layout without any fault: one box of each class in each."""
    folder = tmp_path / "set"
    for number, (split, count) in enumerate(COUNTS.items()):
        (folder / split / "images").mkdir(parents=True)
        for image in range(count):
            (folder / split / "images" / f"{image}.png").write_bytes(_picture(100 * number + image))
        content = {
            "images": [
                {"id": image, "file_name": f"{image}.png", "width": WIDTH, "height": HEIGHT} for image in range(count)
            ],
            "annotations": [
                {"image_id": image, "bbox": [4 + category, 6, 60, 50], "category_id": category}
                for image in range(count)
                for category in (0, 1)
            ],
            "categories": [{"id": 0, "name": "vehicle"}, {"id": 1, "name": "pedestrian"}],
        }
        (folder / split / "annotations.json").write_text(json.dumps(content))
    (tmp_path / "pipeline.config").write_text(CONFIG.replace("1", "2"))
    return folder


def _image(encoded: bytes) -> Plant:
    def plant(folder: Path) -> Path:
        (folder / "train/images/3.png").write_bytes(encoded)
        return folder

    return plant


def _truncated(folder: Path) -> Path:
    return _image((folder / "train/images/3.png").read_bytes()[:-300])(folder)


def _turned_by_exif(folder: Path) -> Path:
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(">HH", 6, 0) + bytes(4)
    encoded = (folder / "train/images/3.png").read_bytes()
    return _image(encoded[:33] + _chunk(b"eXIf", tiff) + encoded[33:])(folder)


def _long(folder: Path) -> Path:
    _set(folder, "images", 3, width=400, height=20)
    for box in (6, 7):
        _set(folder, "annotations", box, bbox=[4, box, 60, 18])
    return _image(_encoded(np.random.default_rng(1).integers(0, 256, (20, 400), np.uint8)))(folder)


def _box(*edges: float) -> Plant:
    return _field("annotations", 6, bbox=list(edges))


def _field(section: str, position: int, **changes: Any) -> Plant:
    def plant(folder: Path) -> Path:
        _set(folder, section, position, **changes)
        return folder

    return plant


def _without_boxes(folder: Path) -> Path:
    return _rewrite(folder, "train", lambda box: box["image_id"] > 0)


def _without_class(folder: Path) -> Path:
    return _rewrite(folder, "val", lambda box: box["category_id"] == 0)


def _rare_class(folder: Path) -> Path:
    return _rewrite(folder, "train", lambda box: box["category_id"] == 0 or box["image_id"] < 3)


def _nothing_to_validate_on(folder: Path) -> Path:
    return _rewrite(folder, "val", lambda _: False)


def _rewrite(folder: Path, split: str, kept: Callable[[dict[str, Any]], bool]) -> Path:
    file = folder / split / "annotations.json"
    content = json.loads(file.read_text())
    content["annotations"] = [box for box in content["annotations"] if kept(box)]
    file.write_text(json.dumps(content))
    return folder


def _ids_from_one(folder: Path) -> Path:
    for number in range(2 * COUNTS["train"]):
        _set(folder, "annotations", number, category_id=1 + number % 2)
    return folder


def _fewer_classes_in_config(folder: Path) -> Path:
    (folder.parent / "pipeline.config").write_text(CONFIG)
    return folder


def _leak(folder: Path) -> Path:
    return _image((folder / "test/images/2.png").read_bytes())(folder)


def _near_leak(folder: Path) -> Path:
    pixels = cv2.imdecode(np.frombuffer((folder / "test/images/2.png").read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return _image(_encoded(cv2.add(pixels, np.full_like(pixels, 6))))(folder)


def _twice_in_a_split(folder: Path) -> Path:
    return _image((folder / "train/images/2.png").read_bytes())(folder)


def _stated_sequence(folder: Path) -> Path:
    _set(folder, "images", 1, group="drive 7")
    _set(folder, "images", 1, split="test", group="drive 7")
    return folder


def _named_sequence(folder: Path) -> Path:
    for split, frame in (("train", 11), ("test", 12)):
        (folder / split / "images/1.png").rename(folder / split / f"images/drive_frame_{frame}.png")
        _set(folder, "images", 1, split=split, file_name=f"drive_frame_{frame}.png")
    return folder


def _records(folder: Path) -> Path:
    records = folder.with_name("records")
    convert(folder, records, to="tfrecord")
    return records


def _shard(folder: Path) -> Path:
    return min(file for file in folder.rglob("*.tfrecord*") if "train" in file.as_posix())


def _damaged_record(folder: Path) -> Path:
    shard = _shard(records := _records(folder))
    content = bytearray(shard.read_bytes())
    content[-20] ^= 255
    shard.write_bytes(content)
    return records


def _missing_shard(folder: Path) -> Path:
    shard = _shard(records := _records(folder))
    shard.rename(shard.with_name(shard.name.replace("-of-00001", "-of-00002")))
    return records


def _empty_shard(folder: Path) -> Path:
    records = _records(folder)
    (records / "train_more.tfrecord").touch()
    return records


def _second_layout(folder: Path) -> Path:
    (folder / "more.record").write_bytes(b"...")
    return folder


def _unlisted(folder: Path) -> Path:
    (folder / "train" / "images" / "nobody.jpg").write_bytes(_encoded(NOISE, ".jpg"))
    return folder


def _unlabelled(folder: Path) -> Path:
    labelled = folder.with_name("labelled")
    for split, count in COUNTS.items():
        (labelled / split).mkdir(parents=True)
        lines = []
        for image in range(count):
            name = f"{split}-{image}.png"
            (labelled / split / name).write_bytes((folder / split / f"images/{image}.png").read_bytes())
            boxes = [{"class_id": number, "left": 4, "top": 6 + number, "width": 50, "height": 40} for number in (0, 1)]
            metadata = {"class-map": {"0": "vehicle", "1": "pedestrian"}, "type": "groundtruth/object-detection"}
            if (split, image) == ("train", 3):
                metadata["failure-reason"] = "ClientError: no worker answered"
            value = {"image_size": [{"width": WIDTH, "height": HEIGHT, "depth": 3}], "annotations": boxes}
            lines.append({"source-ref": f"s3://bucket/{split}/{name}", "boxes": value, "boxes-metadata": metadata})
        (labelled / split / "output.manifest").write_text("\n".join(map(json.dumps, lines)))
    return labelled


def _remove_image(folder: Path) -> Path:
    (folder / "train/images/3.png").unlink()
    return folder


def _set(folder: Path, section: str, position: int, split: str = "train", **changes: Any) -> None:
    file = folder / split / "annotations.json"
    content = json.loads(file.read_text())
    content[section][position].update(changes)
    file.write_text(json.dumps(content))


def _picture(number: int) -> bytes:
    coarse = np.random.default_rng(number).integers(0, 249, (9, 12, 3), dtype=np.uint8)
    return _encoded(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST))


def _encoded(pixels: np.ndarray[Any, Any], suffix: str = ".png") -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


BOMB = b"\x89PNG\r\n\x1a\n" + b"".join(
    (
        _chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress(bytes(1000))),
        _chunk(b"IEND", b""),
    )
)
NOISE = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)

PLANTS: dict[str, Plant] = {
    "image": _truncated,
    "bomb": _image(BOMB),
    "other_format": _image(_encoded(NOISE, ".bmp")),
    "format": _image(_encoded(NOISE, ".jpg")),
    "size": _field("images", 3, width=WIDTH + 1),
    "orientation": _turned_by_exif,
    "image_size": _long,
    "background": _without_boxes,
    "box": _box(float("nan"), 6, 60, 50),
    "corners": _box(60, 6, 4, 50),
    "point": _box(5, 6, 5, 6),
    "area": _box(4, 6, 4, 50),
    "normalised": lambda folder: _field("annotations", 7, bbox=[0.5, 0.5, 1, 0.75])(_box(0.25, 0.5, 0.75, 1)(folder)),
    "outside": _box(4, 6, WIDTH + 6, 50),
    "duplicate": _field("annotations", 7, bbox=[4, 6, 60, 50], category_id=0),
    "box_size": _box(4, 6, 5, 20),
    "box_aspect": _box(0, 6, 94, 9),
    "class": _field("annotations", 6, category_id=7),
    "label_offset": _ids_from_one,
    "num_classes": _fewer_classes_in_config,
    "missing_class": _without_class,
    "few_examples": _rare_class,
    "split": _nothing_to_validate_on,
    "leak": _leak,
    "near_leak": _near_leak,
    "repeated_image": _twice_in_a_split,
    "sequence": _stated_sequence,
    "likely_sequence": _named_sequence,
    "empty": _empty_shard,
    "annotation": _field("annotations", 6, bbox="left"),
    "record": _damaged_record,
    "layout": _second_layout,
    "unlisted": _unlisted,
    "unlabelled": _unlabelled,
    "missing_image": _remove_image,
    "missing_shard": _missing_shard,
    "path": _field("images", 3, file_name="../../secret.png"),
}

# A number at which the sound set gets the fault; or where a plant stands before it, at which that fault goes away.
THRESHOLDS: dict[tuple[str, str], tuple[Plant | None, float]] = {
    ("bomb", "megapixels"): (None, 0.001),
    ("image_size", "least"): (None, 80),
    ("image_size", "greatest"): (None, 90),
    ("image_size", "aspect"): (None, 1.2),
    ("background", "share"): (_without_boxes, 0.5),
    ("outside", "tolerance"): (_box(4, 6, WIDTH + 6, 50), 8),
    ("outside", "kept_area"): (_box(60, 6, WIDTH + 60, 50), 0.2),
    ("box_size", "least"): (None, 50),
    ("box_aspect", "aspect"): (None, 1.2),
    ("few_examples", "boxes"): (None, 15),
    ("near_leak", "bits"): (None, 40),
}


def test_every_check_and_every_threshold_has_its_plant() -> None:
    assert PLANTS.keys() == CHECKS.keys()
    assert THRESHOLDS.keys() == {(name, number) for name, check in CHECKS.items() for number in check.thresholds}


def test_sound_set_has_no_finding(sound: Path) -> None:
    assert _examined(sound) == []


@pytest.mark.parametrize("name", PLANTS)
def test_planted_fault_is_found_under_its_name(sound: Path, name: str) -> None:
    faults = _examined(PLANTS[name](sound))
    handling = CHECKS[name].handling

    found = {fault.severity for fault in faults if fault.check == name}
    assert found == {"notice" if handling == "fix" else handling}, [fault.message for fault in faults]
    assert {fault.check for fault in faults if fault.severity == "error"} <= {name}


@pytest.mark.parametrize("name", PLANTS)
def test_policy_file_changes_its_severity_and_switches_it_off(sound: Path, name: str) -> None:
    folder = PLANTS[name](sound)
    severity = "warning" if CHECKS[name].handling == "error" else "error"

    judged = _examined(folder, f"checks: {{{name}: {severity}}}")
    silent = _examined(folder, f"checks: {{{name}: off}}")

    assert severity in {fault.severity for fault in judged if fault.check == name}
    assert not [fault for fault in silent if fault.check == name and fault.severity != "notice"]


@pytest.mark.parametrize("name", [name for name, check in CHECKS.items() if check.fix])
def test_fix_repairs_it_and_says_so(sound: Path, name: str) -> None:
    faults = _examined(PLANTS[name](sound), f"checks: {{{name}: fix}}")

    assert {fault.severity for fault in faults} == {"notice"}, [fault.message for fault in faults]


@pytest.mark.parametrize(("check", "number"), THRESHOLDS)
def test_policy_file_changes_its_threshold(sound: Path, check: str, number: str) -> None:
    plant, value = THRESHOLDS[check, number]
    handling = "fix" if number == "kept_area" else CHECKS[check].handling
    folder = plant(sound) if plant else sound

    before = _examined(folder, f"checks: {{{check}: {handling}}}")
    after = _examined(folder, f"checks: {{{check}: {{severity: {handling}, {number}: {value}}}}}")

    if number == "kept_area":  # both are told: first it is dropped, then clipped
        assert ("dropped" in before[0].message, "clipped" in after[0].message) == (True, True)
        return
    said = [any(f.check == check and f.severity == handling for f in faults) for faults in (before, after)]
    assert said == ([True, False] if plant else [False, True])


def _examined(folder: Path, policy: str = "") -> Sequence[Fault]:
    """All findings, by a policy file in the data set's folder."""
    (folder / POLICY_FILE).write_text(policy)
    config = folder.parent / "pipeline.config"
    with examine(folder, policy=read_policy(folder / POLICY_FILE), config=config, processes=1) as examined:
        return examined.findings.all()
