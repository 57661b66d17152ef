# SPDX-License-Identifier: Apache-2.0
"""What stands behind the class in YOLO's long lines: a polygon, or a box with keypoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from training_src.data.dataset import Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.errors import DataError

Line = list[float]
Store = Callable[..., Path]

SIZE = (64, 48)


@pytest.fixture
def store(tmp_path: Path, encoded_image: Callable[..., bytes]) -> Store:
    """Writes a data set of one line an image and returns its folder."""

    def write(lines: Sequence[Line], settings: str = "names: [person]\n") -> Path:
        for name in ("images", "labels"):
            (tmp_path / name).mkdir()
        for number, line in enumerate(lines):
            (tmp_path / f"images/{number:03d}.jpg").write_bytes(encoded_image(number))
            (tmp_path / f"labels/{number:03d}.txt").write_text("0 " + " ".join(f"{one:.6g}" for one in line) + "\n")
        (tmp_path / "data.yaml").write_text(settings)
        return tmp_path

    return write


def boxes_of(folder: Path) -> list[tuple[float, ...]]:
    """Each image's only box, as shares."""
    found = [entry for entry in read_dataset(folder).entries() if isinstance(entry, LabelledImage)]
    return [
        (box.xmin / SIZE[0], box.ymin / SIZE[1], box.xmax / SIZE[0], box.ymax / SIZE[1])
        for image in found
        for box in image.boxes
    ]


def messages(folder: Path) -> list[str]:
    return [entry.message for entry in read_dataset(folder).entries() if isinstance(entry, Fault)]


def poses(count: int, points: int, marks: Sequence[float] | None, *, largest: float = 0.5) -> list[Line]:
    """Boxes with as many points each, at random places in them; `marks` are what stands behind points of three."""
    random = np.random.default_rng(points)
    lines = []
    for _ in range(count):
        wide, high = random.uniform(0.1, largest, 2)
        x, y = random.uniform(wide / 2, 1 - wide / 2), random.uniform(high / 2, 1 - high / 2)
        line = [x, y, wide, high]
        for _ in range(points):
            mark = [] if marks is None else [float(random.choice(marks))]
            seen = marks is None or mark[0] > 0
            place = [x + wide * random.uniform(-0.5, 0.5), y + high * random.uniform(-0.5, 0.5)] if seen else [0.0, 0.0]
            line += [*place, *mark]
        lines.append(line)
    return lines


def polygons(count: int, corners: int, *, centre: float | None = None) -> list[Line]:
    """Corners on an ellipse, once around, at random places."""
    random = np.random.default_rng(corners)
    lines = []
    for _ in range(count):
        wide, high = random.uniform(0.02, 0.2, 2)
        x, y = random.uniform(0.2, 0.8, 2) if centre is None else (centre, centre)
        first = random.uniform(0, 1)
        angles = [2 * math.pi * (n + first) / corners for n in range(corners)]
        lines.append([part for a in angles for part in (x + wide * math.cos(a), y + high * math.sin(a))])
    return lines


def expected_of_poses(lines: Sequence[Line]) -> list[tuple[float, ...]]:
    return [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h, *_ in lines]


def expected_of_polygons(lines: Sequence[Line]) -> list[tuple[float, ...]]:
    return [(min(one[::2]), min(one[1::2]), max(one[::2]), max(one[1::2])) for one in lines]


@pytest.mark.parametrize("points", [1, 2, 4, 5, 14, 17])
@pytest.mark.parametrize("marks", [(0, 1, 2), (2,), (0, 1), (0.25, 0.5, 0.93)])
def test_points_of_three_numbers_are_known_by_their_marks(store: Store, points: int, marks: Sequence[float]) -> None:
    lines = poses(20, points, marks)

    folder = store(lines)

    assert np.allclose(boxes_of(folder), expected_of_poses(lines), atol=1e-4)
    assert not messages(folder)


@pytest.mark.parametrize("points", [4, 5, 17])
def test_points_of_two_numbers_are_known_by_lying_in_their_box(store: Store, points: int) -> None:
    lines = poses(20, points, None)

    folder = store(lines)

    assert np.allclose(boxes_of(folder), expected_of_poses(lines), atol=1e-4)


def test_predicted_poses_end_with_a_confidence(store: Store) -> None:
    lines = [[*line, 0.875] for line in poses(20, 5, (0.25, 0.5, 0.93))]

    assert np.allclose(boxes_of(store(lines)), expected_of_poses(lines), atol=1e-4)


@pytest.mark.parametrize("corners", [3, 4, 5, 6, 8, 20])
def test_polygons_of_one_count_stay_polygons(store: Store, corners: int) -> None:
    lines = polygons(20, corners)

    folder = store(lines)

    assert np.allclose(boxes_of(folder), expected_of_polygons(lines), atol=1e-4)
    assert not messages(folder)


def test_polygons_of_several_counts_stay_polygons_wherever_they_lie(store: Store) -> None:
    lines = [*polygons(10, 5, centre=0.4), *polygons(10, 8, centre=0.4)]

    assert np.allclose(boxes_of(store(lines)), expected_of_polygons(lines), atol=1e-4)


def test_turned_boxes_of_four_corners_are_polygons_wherever_they_lie(store: Store) -> None:
    lines = polygons(10, 4, centre=0.4)  # parallelograms

    assert np.allclose(boxes_of(store(lines)), expected_of_polygons(lines), atol=1e-4)


CENTRED = [[0.4, 0.3, 0.35, 0.4, 0.5, 0.42], [0.42, 0.31, 0.36, 0.4, 0.48, 0.41]]


def test_what_may_be_either_is_an_error_with_the_way_out(store: Store) -> None:
    folder = store(CENTRED)

    with pytest.raises(DataError, match=r"polygon.* keypoints .*`kpt_shape: \[1, 2\]`.*`kpt_shape: \[\]`.*data\.yaml"):
        messages(folder)


@pytest.mark.parametrize(("shape", "expected"), [("[1, 2]", expected_of_poses), ("[]", expected_of_polygons)])
@pytest.mark.parametrize("file", ["data.yaml", "shape.yaml"])
def test_kpt_shape_says_which(
    store: Store, shape: str, expected: Callable[[Sequence[Line]], list[tuple[float, ...]]], file: str
) -> None:
    folder = store(CENTRED)
    with (folder / file).open("a") as settings:
        settings.write(f"kpt_shape: {shape}\n")

    assert np.allclose(boxes_of(folder), expected(CENTRED), atol=1e-4)


def test_poses_among_polygons_are_an_error(store: Store) -> None:
    folder = store([*poses(5, 4, (0, 1, 2)), *polygons(5, 8)])

    with pytest.raises(DataError, match="kpt_shape"):
        messages(folder)


def test_single_pose_among_many_polygons_is_a_fault(store: Store) -> None:
    folder = store([*polygons(60, 8), *polygons(60, 9), *poses(1, 4, (2,))])

    assert ["labels/120.txt: line 1" in message for message in messages(folder)] == [True]


def test_line_of_another_length_than_kpt_shape_says_is_a_fault(store: Store) -> None:
    folder = store([*poses(2, 4, (0, 1, 2)), *polygons(1, 5), [0.5, 0.5, 0.25, 0.5]], "names: [p]\nkpt_shape: [4, 3]\n")

    (message,) = messages(folder)
    assert "labels/002.txt: line 1" in message and "10 numbers" in message and "16" in message
    assert len(boxes_of(folder)) == 3


@pytest.mark.parametrize("shape", ["17", "[17]", "[17, 4]", "[a, b]", "[0, 3]", "{a: 1}"])
def test_kpt_shape_that_makes_no_sense_is_an_error(store: Store, shape: str) -> None:
    folder = store(poses(1, 1, (2,)), f"names: [p]\nkpt_shape: {shape}\n")

    with pytest.raises(DataError, match=r"data\.yaml has kpt_shape"):
        read_dataset(folder)


@pytest.mark.parametrize("sixth", [30.0, -0.5, 1.57])
def test_sixth_number_that_is_no_confidence_may_be_an_angle_and_is_a_fault(store: Store, sixth: float) -> None:
    folder = store([[0.5, 0.5, 0.25, 0.5, sixth]])

    (message,) = messages(folder)
    assert "confidence" in message and "turned" in message


@pytest.mark.parametrize("track", [0, 1, 7])
def test_confidence_and_track_are_no_corner(store: Store, track: float) -> None:
    folder = store([[0.5, 0.5, 0.25, 0.5, confidence, track] for confidence in (0.9, 0.8, 0.75)])

    with pytest.raises(DataError, match="leave out what is neither, such as a track's number"):
        messages(folder)


@pytest.mark.parametrize("stray", [[0.1, 0.1, 0.3, 0.1, 0.3, 0.3, 0.2, 0.4, 0.1, 0.3], [0.5, 0.5, 0.2, 0.2, 0.5, 0.5]])
@pytest.mark.parametrize("first", [True, False])
def test_stray_line_does_not_make_polygons_of_poses(store: Store, stray: Line, first: bool) -> None:
    lines = poses(60, 5, None)

    folder = store([stray, *lines] if first else [*lines, stray])

    assert np.allclose(boxes_of(folder), expected_of_poses(lines), atol=1e-4)
    assert [f"{0 if first else 60:03d}.txt" in message for message in messages(folder)] == [True]


def test_poses_of_several_counts_are_an_error(store: Store) -> None:
    folder = store([*poses(20, 5, None), *poses(20, 17, None)])

    with pytest.raises(DataError, match="kpt_shape"):
        messages(folder)
