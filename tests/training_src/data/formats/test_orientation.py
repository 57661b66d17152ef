# SPDX-License-Identifier: Apache-2.0
"""Pictures that EXIF turns, in every layout: boxes end where they were drawn, or one error says what to say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from containers.contract.orientation import turn_boxes, upright_size
from tests.picture_files import with_orientation
from training_src.data.checks.policy import CHECKS, DataPolicy
from training_src.data.collection import collect, report_content
from training_src.data.convert import convert
from training_src.data.dataset import Encoded, LabelledImage
from training_src.data.examination import Examined, examine
from training_src.data.formats import read_dataset
from training_src.data.images import decode_upright, read_header
from training_src.data.report.figures import figures
from training_src.data.report.page import render
from training_src.data.writers.image import Image
from training_src.errors import DataError

HEIGHT, WIDTH = 96, 128
PATCH = (8, 16, 40, 72)
LAYOUTS = ("coco", "sagemaker_builtin", "ground_truth", "pascal_voc", "bbox_label_tool", "yolo", "tfrecord")
STATE_NO_SIZE = ("bbox_label_tool", "yolo")
Write = Callable[[str, int, str], Path]


@pytest.fixture
def write(writers: Mapping[str, Any], make_image: Callable[..., Image], tmp_path: Path) -> Write:
    """Writes pictures of a white patch in a layout, as a tool that shows the "stored" or the "upright" picture."""

    def run(layout: str, orientation: int, drawn: str) -> Path:
        boxes, size = np.array([PATCH], np.float64), (HEIGHT, WIDTH)
        if drawn == "upright":
            boxes, size = turn_boxes(boxes, orientation, *size), upright_size(*size, orientation)
        ymin, xmin, ymax, xmax = boxes[0].tolist()
        images = []
        for number in range(8):
            pixels = np.random.default_rng(number).integers(0, 60, (HEIGHT, WIDTH, 3), np.uint8)
            pixels[PATCH[0] : PATCH[2], PATCH[1] : PATCH[3]] = 255
            encoded = with_orientation(cv2.imencode(".png", pixels)[1].tobytes(), orientation)
            image = make_image(f"{number}.png", ("car", xmin, ymin, xmax, ymax), size=size[::-1])
            images.append(replace(image, encoded=encoded))
        folder = tmp_path / f"{layout}-{orientation}-{drawn}"
        writers[layout](folder, images)
        return folder

    return run


@pytest.mark.parametrize("drawn", ["stored", "upright"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_stated_size_tells_what_boxes_were_drawn_on(write: Write, layout: str, drawn: str) -> None:
    with _examined(write(layout, 6, drawn)) as found:
        undecided = layout in STATE_NO_SIZE or (layout, drawn) == ("tfrecord", "upright")
        assert _orientations(found) == {("error" if undecided else "notice"): 8}
        if not undecided:
            _assert_boxes_are_around_patches(found)


@pytest.mark.parametrize("drawn", ["stored", "upright"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("orientation", [3, 5, 8])
def test_policy_says_it_for_every_layout(write: Write, layout: str, orientation: int, drawn: Any) -> None:
    with _examined(write(layout, orientation, drawn), DataPolicy(orientation_boxes=drawn)) as found:
        assert _orientations(found) == {"notice": 8}
        _assert_boxes_are_around_patches(found)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_size_upright_is_decided_by_records_only(write: Write, layout: str) -> None:
    with _examined(write(layout, 3, "stored")) as found:
        assert _orientations(found) == {("notice" if layout == "tfrecord" else "error"): 8}


@pytest.mark.parametrize("to", ["coco", "tfrecord"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_conversion_writes_upright_images_with_their_boxes(write: Write, layout: str, to: str, tmp_path: Path) -> None:
    folder = write(layout, 6, "stored")
    if layout in STATE_NO_SIZE:
        with pytest.raises(DataError, match="orientation_boxes: upright"):
            convert(folder, tmp_path / "out", to=to)
        (folder / "data_policy.yaml").write_text("orientation_boxes: stored\n")
    convert(folder, tmp_path / "out", to=to)
    entries = [entry for entry in read_dataset(tmp_path / "out").entries() if isinstance(entry, LabelledImage)]
    assert len(entries) == 8
    for entry in entries:
        _assert_around(entry.encoded, [(box.xmin, box.ymin, box.xmax, box.ymax) for box in entry.boxes])
        assert (entry.width, entry.height) == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("layout", "drawn", "handling"),
    [
        ("yolo", "upright", "fix"),
        ("coco", "stored", "fix"),
        ("coco", "stored", "warning"),
        ("tfrecord", "stored", "off"),
    ],
)
def test_report_shows_pictures_upright_with_boxes_on_them(write: Write, layout: str, drawn: str, handling: Any) -> None:
    """Undecided ones as if drawn on the upright picture, so that people see whether they were."""
    checks = {**CHECKS, "orientation": replace(CHECKS["orientation"], handling=handling)}
    with _examined(write(layout, 6, drawn), DataPolicy(checks)) as found:
        content = report_content(found, collect(found), found.description)
        samples = [*content.samples, *(one.sample for one in content.fault_pictures if one.sample)]
        assert len(samples) >= 8
        for sample in samples:
            pixels = decode_upright(sample.encoded)
            assert pixels.shape[:2] == (WIDTH, HEIGHT)
            rows, columns = np.nonzero(pixels[:, :, 0] > 128)
            around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            # YOLO's reader multiplied shares by the stored size; what is shown is by the upright one.
            np.testing.assert_allclose(sample.boxes, [around], atol=1e-2)
        description = found.description | figures(content.collected)
        page = render(replace(content, description=description))
        sizes = re.findall(r'class="picture" viewBox="0 0 (\d+) (\d+)"', page)
        assert len(sizes) >= 8
        assert set(sizes) == {(str(HEIGHT), str(WIDTH))}


def _examined(folder: Path, policy: DataPolicy | None = None) -> Examined:
    return examine(folder, policy=policy, processes=1)


def _orientations(found: Examined) -> dict[str, int]:
    counts = found.findings.counts
    assert not [check for check, _ in counts if check in ("size", "outside", "image", "annotation", "record")]
    return {severity: count for (check, severity), count in counts.items() if check == "orientation"}


def _assert_boxes_are_around_patches(found: Examined) -> None:
    images = list(found.index.located("1"))
    assert len(images) == 8
    for image in images:
        edges = [tuple(image.objects[edge].tolist()[0] for edge in ("xmin", "ymin", "xmax", "ymax"))]
        _assert_around(image.encoded, edges)


def _assert_around(encoded: Encoded, edges: list[tuple[float, ...]]) -> None:
    assert read_header(encoded.load()).orientation == 1
    rows, columns = np.nonzero(decode_upright(encoded.load())[:, :, 0] > 128)
    around = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    np.testing.assert_allclose(edges, [around], atol=1e-2)
