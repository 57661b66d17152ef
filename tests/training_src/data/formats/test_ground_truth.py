# SPDX-License-Identifier: Apache-2.0
"""Ground Truth's manifests: several jobs' attributes, confidences, and images by the end of their S3 keys."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training_src.data.dataset import Box, Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.errors import DataError


def attribute(class_id: int, name: str, **metadata: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    value = {
        "image_size": [{"width": 64, "height": 48, "depth": 3}],
        "annotations": [{"class_id": class_id, "left": 4, "top": 6, "width": 28, "height": 24}],
    }
    about = {
        "objects": [{"confidence": 0.5}],
        "class-map": {str(class_id): name},
        "type": "groundtruth/object-detection",
    }
    return value, {**about, **metadata}


def line(reference: str = "s3://bucket/a/b/one.jpg", **attributes: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"source-ref": reference}
    for name, (value, metadata) in attributes.items():
        content |= {name: value, f"{name}-metadata": metadata}
    return content


@pytest.fixture
def folder(tmp_path: Path, encoded_image: Callable[..., bytes]) -> Path:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/one.jpg").write_bytes(encoded_image(1))
    (tmp_path / "one.jpg").write_bytes(encoded_image(2))
    return tmp_path


def read(folder: Path, *lines: object) -> tuple[list[LabelledImage], list[Fault]]:
    texts = [text if isinstance(text, str) else json.dumps(text) for text in lines]
    (folder / "output.manifest").write_text("\n".join(texts) + "\n")
    entries = list(read_dataset(folder).entries())
    images = [entry for entry in entries if isinstance(entry, LabelledImage)]
    return images, [entry for entry in entries if isinstance(entry, Fault) and entry.check != "unlisted"]


def test_box_class_and_confidence_are_read(folder: Path) -> None:
    images, faults = read(folder, line(boxes=attribute(0, "dog")))

    assert not faults
    assert images[0].boxes == (Box(4, 6, 32, 30, 1, "dog", "line 1 box 0", confidence=0.5),)
    assert (images[0].width, images[0].height) == (64, 48)


def test_image_is_found_by_the_longest_end_of_its_key(folder: Path) -> None:
    images, _ = read(
        folder, line("s3://x/a/b/one.jpg", b=attribute(0, "dog")), line("s3://x/one.jpg", b=attribute(0, "dog"))
    )

    assert [image.source_id for image in images] == ["b/one.jpg", "one.jpg"]


def test_boxes_of_several_jobs_come_together_by_name(folder: Path) -> None:
    images, _ = read(folder, line(people=attribute(0, "person"), cars=attribute(0, "car")))

    assert {(box.name, box.label) for box in images[0].boxes} == {("person", 2), ("car", 1)}


def test_adjusted_boxes_replace_those_before(folder: Path) -> None:
    first = attribute(0, "dog")
    second = attribute(1, "cat", **{"adjustment-status": "adjusted", "creation-date": "2026-01-01T00:00:00"})
    third = attribute(2, "cow", **{"adjustment-status": "unadjusted", "creation-date": "2026-01-02T00:00:00"})

    images, _ = read(folder, line(a=first, b=third, c=second))

    assert [box.name for box in images[0].boxes] == ["cow"]


def test_other_jobs_of_the_line_are_passed_over(folder: Path) -> None:
    content = line(boxes=attribute(0, "dog")) | {
        "weather": 1,
        "weather-metadata": {"type": "groundtruth/image-classification", "class-name": "rain"},
        "check": "1",
        "check-metadata": {"type": "groundtruth/label-verification", "class-name": "good"},
    }

    images, faults = read(folder, content)

    assert (len(images[0].boxes), faults) == (1, [])


def test_class_map_names_only_its_own_line_and_ids_hold_for_all(folder: Path) -> None:
    images, faults = read(folder, line(b=attribute(3, "dog")), line("s3://x/one.jpg", b=attribute(1, "cat")))

    assert not faults
    assert [(box.name, box.label) for image in images for box in image.boxes] == [("dog", 4), ("cat", 2)]


def test_names_of_a_label_map_decide(folder: Path) -> None:
    (folder / "label_map.pbtxt").write_text("item { id: 1 name: 'cat' } item { id: 7 name: 'dog' }")

    images, faults = read(folder, line(b=attribute(0, "dog")), line("s3://x/one.jpg", b=attribute(1, "tram")))

    assert images[0].boxes[0].label == 7
    assert [fault.check for fault in faults] == ["class"]


def test_image_that_was_not_labelled_is_left_out_with_a_warning(folder: Path) -> None:
    failed = attribute(0, "dog", **{"failure-reason": "ClientError: image too large"})

    images, faults = read(folder, line(b=failed), line("s3://x/one.jpg"), line("s3://x/one.jpg", b=attribute(0, "dog")))

    assert len(images) == 1
    assert [(fault.check, fault.severity) for fault in faults] == [("unlabelled", "warning")] * 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "line 2 is no JSON object"),
        ("[" * 100_000, "line 2 is no JSON object"),
        ("17", "line 2 is no JSON object"),
        ({"source-ref": 7}, "line 2 has no source-ref"),
        (line("s3://x/missing.jpg", b=attribute(0, "dog")), 'names the file "s3://x/missing.jpg", which is not in'),
        (line("s3://x/../../../etc/passwd", b=attribute(0, "dog")), "which is not in the data set"),
        (line(b=({"annotations": 7}, {"type": "groundtruth/object-detection"})), "has no list of annotations"),
        (line(b=({"annotations": [7]}, {"type": "groundtruth/object-detection"})), "box 0 is no object: 7"),
        (line(b=attribute(0, "dog", **{"class-map": {"x": "dog"}})), "class-map that names no class numbers"),
        (line(b=attribute(0, "dog", **{"class-map": {"1": "cat"}})), "has the unknown class 0"),
    ],
)
def test_faulty_line_is_named(folder: Path, content: object, sentence: str) -> None:
    images, faults = read(folder, line(b=attribute(0, "dog")), content)

    assert len(images) >= 1
    assert any(sentence in fault.message for fault in faults), [fault.message for fault in faults]


def names_of(images: list[LabelledImage]) -> list[list[str]]:
    return [sorted(box.name for box in image.boxes) for image in images]


ADJUSTED = {"adjustment-status": "adjusted", "creation-date": "2026-01-01T00:00:00"}


def test_adjusted_boxes_of_one_job_leave_those_of_another(folder: Path) -> None:
    people, cars = attribute(0, "person"), attribute(0, "car")
    adjusted = attribute(1, "van", **{**ADJUSTED, "class-map": {"0": "car", "1": "van"}})

    images, faults = read(folder, line(people=people, cars=cars, again=adjusted))

    assert (names_of(images), faults) == ([["person", "van"]], [])


def test_each_of_two_adjustments_takes_its_own_place(folder: Path) -> None:
    again: dict[str, Any] = {
        "people-2": attribute(0, "person", **ADJUSTED),
        "cars-2": attribute(1, "lorry", **ADJUSTED),
    }

    images, faults = read(folder, line(people=attribute(0, "person"), cars=attribute(0, "car"), **again))

    assert (names_of(images), faults) == ([["lorry", "person"]], [])


def test_the_same_boxes_tell_what_was_adjusted(folder: Path) -> None:
    one, two = attribute(0, "dog"), attribute(1, "cat")
    two[0]["annotations"][0]["left"] = 20
    both = {"class-map": {"0": "dog", "1": "cat"}}
    unchanged = attribute(1, "cat", **ADJUSTED, **both)
    unchanged[0]["annotations"][0]["left"] = 20

    images, faults = read(folder, line(a=one, b=two, c=unchanged))

    assert (names_of(images), faults) == ([["cat", "dog"]], [])


def test_adjustment_of_nobody_knows_what_is_an_error(folder: Path) -> None:
    one, two, three = attribute(0, "dog"), attribute(1, "cat"), attribute(2, "cow", **ADJUSTED)

    images, faults = read(folder, line(a=one, b=two, x=three))

    assert not images
    assert [fault.message for fault in faults] == [
        'output.manifest: line 1 has "x" of an adjustment job, and nothing tells whether it takes the place of "a" and '
        '"b"; remove the attribute that it replaces.'
    ]


def test_adjusted_boxes_without_the_first_ones_count(folder: Path) -> None:
    images, faults = read(folder, line(people=attribute(0, "person"), cars=attribute(0, "car", **ADJUSTED)))

    assert (names_of(images), faults) == ([["car", "person"]], [])


def test_key_that_stands_twice_is_an_error(folder: Path) -> None:
    text = json.dumps(line(b=attribute(0, "dog")))
    twice = text[:-1] + ', "b": {"annotations": []}}'

    images, faults = read(folder, twice, line("s3://x/one.jpg", b=attribute(0, "dog")))

    assert len(images) == 1
    assert [fault.message for fault in faults] == [
        'output.manifest: line 1 has the key "b" twice, of which one would be lost; give each its own name.'
    ]


@pytest.mark.parametrize("kind", ["groundtruth/video-object-detection", "groundtruth/video-object-tracking"])
def test_video_job_is_named(folder: Path, kind: str) -> None:
    video = {
        "source-ref": "s3://bucket/sequence1.json",
        "boxes-ref": "s3://bucket/annotations/SeqLabel.json",
        "boxes-ref-metadata": {"type": kind, "class-map": {"0": "car"}},
    }

    _, faults = read(folder, line(b=attribute(0, "dog")), video)

    (message,) = [fault.message for fault in faults]
    assert f"line 2 is of a video job ({kind}), whose boxes lie in a SeqLabel.json" in message


@pytest.mark.parametrize("in_a_list", [False, True])
def test_manifest_that_an_editor_spread_over_lines_is_read(folder: Path, in_a_list: bool) -> None:
    lines = [line(b=attribute(0, "dog")), line("s3://x/one.jpg", b=attribute(0, "dog"))]
    text = json.dumps(lines, indent=2) if in_a_list else "\n".join(json.dumps(each, indent=4) for each in lines)

    images, faults = read(folder, text)

    assert (names_of(images), faults) == ([["dog"], ["dog"]], [])


def test_object_that_was_cut_off_does_not_swallow_the_next(folder: Path) -> None:
    whole = json.dumps(line(b=attribute(0, "dog")))

    images, faults = read(folder, whole[:40], whole, '{"source-ref": nonsense}', whole, whole[:-1])

    assert names_of(images) == [["dog"], ["dog"]]
    assert [fault.box for fault in faults] == ["line 1", "line 3", "line 5"]


def test_object_that_never_ends_takes_no_time(folder: Path) -> None:
    (folder / "output.manifest").write_text('{"a":\n' * 60_000)
    began = time.process_time()

    with pytest.raises(DataError, match=r"line 1 is no JSON object"):
        read_dataset(folder)

    assert time.process_time() - began < 5


def test_jobs_of_one_name_may_number_their_classes_differently(folder: Path) -> None:
    images, faults = read(
        folder, line(b=attribute(0, "dog")), line("s3://x/one.jpg", b=attribute(0, "cat")), line(b=attribute(1, "dog"))
    )

    assert not faults
    assert [[(box.label, box.name) for box in image.boxes] for image in images] == [
        [(2, "dog")],
        [(1, "cat")],
        [(2, "dog")],
    ]
