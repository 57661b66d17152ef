# SPDX-License-Identifier: Apache-2.0
"""Images that EXIF turns become upright ones whose boxes are where they were drawn, or one error with both ways out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from containers.contract.orientation import turn_boxes, upright_size
from containers.contract.picture_header import png_chunks
from tests.picture_files import chunk, with_orientation
from training_src.data.checks.image import ImageChecks, ImageOutcome
from training_src.data.checks.orientation import are_shares
from training_src.data.checks.policy import CHECKS, DataPolicy
from training_src.data.dataset import Box, Encoded, LabelledImage
from training_src.data.images import decode_upright, read_header

HEIGHT, WIDTH = 48, 64
# A white patch, as ymin, xmin, ymax, xmax of the stored pixels.
PATCH = (4, 8, 12, 24)
TRANSPOSED = (5, 6, 7, 8)

Examine = Callable[..., ImageOutcome]


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    def run(
        orientation: int,
        drawn: str,
        stated: tuple[int, int] | None = None,
        *,
        suffix: str = ".jpg",
        size: tuple[int, int] = (HEIGHT, WIDTH),
        policy: DataPolicy | None = None,
        **changes: Any,
    ) -> ImageOutcome:
        """Check a picture with a patch, its box drawn on the "stored" or "upright" one; `stated` as width, height."""
        file = tmp_path / f"a{suffix}"
        file.write_bytes(with_orientation(scene(suffix, size), orientation))
        edges = np.array([PATCH], np.float64)
        if drawn == "upright":
            edges = turn_boxes(edges, orientation, *size)
        ymin, xmin, ymax, xmax = edges[0].tolist()
        box = Box(xmin, ymin, xmax, ymax, 1, "a", "object 0")
        height, width = upright_size(*size, orientation) if drawn == "upright" else size
        labelled = LabelledImage("a", file.name, "a.xml", Encoded(str(file)), (box,), *(stated or (width, height)))
        return ImageChecks(policy or DataPolicy(), "reduced", tmp_path).examine(replace(labelled, **changes))

    return run


def scene(suffix: str, size: tuple[int, int] = (HEIGHT, WIDTH)) -> bytes:
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[PATCH[0] : PATCH[2], PATCH[1] : PATCH[3]] = 255
    return bytes(cv2.imencode(suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])


def told(drawn: Any) -> DataPolicy:
    return DataPolicy(orientation_boxes=drawn)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("drawn", ["stored", "upright"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_pixels_are_turned_and_boxes_stay_on_what_they_show(
    examine: Examine, orientation: int, drawn: str, suffix: str
) -> None:
    """By the stated size where it differs, else by the policy's word."""
    found = examine(orientation, drawn, suffix=suffix, policy=None if orientation in TRANSPOSED else told(drawn))

    assert [(fault.check, fault.severity) for fault in found.faults] == [("orientation", "notice")]
    assert ("upright already" in found.faults[0].message) == (drawn == "upright")
    _assert_box_is_around_the_patch(found)
    assert read_header(found.encoded).format == suffix.replace("jpg", "jpeg")[1:]
    assert found.image and found.image.labelled.encoded.load() == found.encoded


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_size_that_is_the_same_upright_tells_nothing(examine: Examine, orientation: int) -> None:
    _assert_undecided(examine(orientation, "stored"), "upright it has the same size, 64 x 48")


@pytest.mark.parametrize("drawn", ["stored", "upright"])
def test_squares_tell_nothing(examine: Examine, drawn: str) -> None:
    _assert_undecided(examine(6, drawn, size=(48, 48)), "upright it has the same size, 48 x 48")
    _assert_box_is_around_the_patch(examine(6, drawn, size=(48, 48), policy=told(drawn)))


@pytest.mark.parametrize("drawn", ["stored", "upright"])
def test_without_a_size_nothing_tells(examine: Examine, drawn: str) -> None:
    _assert_undecided(examine(6, drawn, width=0, height=0), "a.xml states no size")
    found = examine(6, drawn, width=0, height=0, policy=told(drawn))
    _assert_box_is_around_the_patch(found)


def test_a_size_of_neither_tells_nothing_and_is_a_fault_of_its_own(examine: Examine) -> None:
    _assert_undecided(examine(6, "stored", (32, 24)), "states the size 32 x 24, which is not the image's")
    # Nobody's word about the boxes makes that size right.
    found = examine(6, "stored", (32, 24), policy=told("stored"))
    assert [(fault.check, fault.severity) for fault in found.faults] == [("orientation", "notice"), ("size", "error")]


def test_boxes_that_do_not_fit_the_stated_size_tell_nothing(examine: Examine) -> None:
    """Label Studio's COCO export states the stored size of upright boxes."""
    box = Box(10, 40, 30, 60, 1, "a", "object 0")  # of 48 x 64 upright pixels, not of 64 x 48
    _assert_undecided(examine(6, "stored", boxes=(box,)), "states 64 x 48 pixels, and its boxes do not fit these")
    found = examine(6, "upright", (64, 48), policy=told("upright"))
    _assert_box_is_around_the_patch(found)


@pytest.mark.parametrize(
    ("stated", "edges", "decided"),
    [
        ((64, 48), (0, 0, 66, 50), True),
        ((64, 48), (0, 0, 40, 50), True),
        ((48, 64), (0, 0, 50, 40), True),
        ((64, 48), (0, 0, 40, 51), False),
        ((48, 64), (0, 0, 50, 66), True),
        ((48, 64), (0, 0, 51, 40), False),
        # Neither size has room for these: the size is believed, and the box is a fault of its own.
        ((64, 48), (0, 0, 67, 51), True),
        ((48, 64), (0, 0, 67, 40), True),
    ],
)
def test_a_box_fits_up_to_two_pixels_beyond_the_edge(
    examine: Examine, stated: tuple[int, int], edges: tuple[float, float, float, float], decided: bool
) -> None:
    faults = examine(6, "stored", stated, boxes=(Box(*edges, 1, "a", "object 0"),)).faults
    assert [fault.severity for fault in faults if fault.check == "orientation"] == ["notice" if decided else "error"]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_records_boxes_mean_the_stored_pixels(examine: Examine, orientation: int) -> None:
    """TensorFlow's decoders, and so the Object Detection API, know no orientation."""
    found = examine(orientation, "stored", written_as="stored shares")
    assert [fault.severity for fault in found.faults] == ["notice"]
    _assert_box_is_around_the_patch(found)


def test_a_record_that_states_the_upright_size_contradicts_itself(examine: Examine) -> None:
    _assert_undecided(examine(6, "upright", written_as="stored shares"), "its record states the upright size")
    _assert_box_is_around_the_patch(examine(6, "upright", written_as="stored shares", policy=told("upright")))
    # Shares of the stored pixels, which a reader multiplied by the size that the record states.
    box = Box(8 * 48 / 64, 4 * 64 / 48, 24 * 48 / 64, 12 * 64 / 48, 1, "a", "object 0")
    found = examine(6, "stored", (48, 64), boxes=(box,), written_as="stored shares", policy=told("stored"))
    _assert_box_is_around_the_patch(found)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_shares_tell_nothing_of_the_sides_that_they_are_of(examine: Examine, orientation: int) -> None:
    _assert_undecided(examine(orientation, "stored", written_as="shares"), "shares of the image's sides")
    _assert_box_is_around_the_patch(examine(orientation, "stored", written_as="shares", policy=told("stored")))
    # Shares of the upright image, which a reader multiplied by the stored size.
    height, width = upright_size(HEIGHT, WIDTH, orientation)
    ymin, xmin, ymax, xmax = (
        turn_boxes(np.array([PATCH], float), orientation, HEIGHT, WIDTH)[0] / ([height, width] * 2)
    ).tolist()
    box = Box(xmin * WIDTH, ymin * HEIGHT, xmax * WIDTH, ymax * HEIGHT, 1, "a", "line 1")
    found = examine(orientation, "stored", boxes=(box,), written_as="shares", policy=told("upright"))
    _assert_box_is_around_the_patch(found)


def test_without_boxes_nothing_needs_to_be_known(examine: Examine) -> None:
    for changes in ({}, {"width": 0, "height": 0}, {"written_as": "shares"}):
        found = examine(6, "stored", boxes=(), **changes)
        assert [fault.severity for fault in found.faults] == ["notice"]
        assert found.image and (found.image.labelled.width, found.image.labelled.height) == (48, 64)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_boxes_from_0_to_1_are_turned_as_such(examine: Examine, orientation: int) -> None:
    box = Box(8 / 64, 4 / 48, 24 / 64, 12 / 48, 1, "a", "object 0")
    policy = replace(DataPolicy().with_fixes(), orientation_boxes="stored")
    _assert_box_is_around_the_patch(examine(orientation, "stored", boxes=(box,), policy=policy))


@pytest.mark.parametrize(
    ("edges", "shares"),
    [
        ((0, 0, 0.5, 1), True),
        ((0.25, 0, 1, 1), True),
        ((0, 0, 1, 1), False),  # a pixel
        ((0, 0, 0, 0), False),
        ((-0.5, 0, 0.5, 1), False),
        ((0, 0.5, 1.5, 1), False),
        ((0, 0.5, 2, 1), False),
    ],
)
def test_shares_go_from_0_to_1_and_are_not_these_alone(edges: tuple[float, float, float, float], shares: bool) -> None:
    assert are_shares([Box(*edges, 1, "a", "object 0")]) == shares


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_damage_that_only_turning_meets_is_damage(tmp_path: Path, suffix: str) -> None:
    """Where images are checked by their headers and end marks alone."""
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    encoded = with_orientation(bytes(cv2.imencode(suffix, noise)[1]), 6)
    if suffix == ".jpg":
        encoded = encoded[: len(encoded) // 2] + b"\xff\xd9"
    else:
        kept = [encoded[start - 8 : end + 4] for kind, start, end in png_chunks(encoded) if kind != b"IDAT"]
        encoded = encoded[:8] + b"".join([*kept[:-1], chunk(b"IDAT", b"no stream"), kept[-1]])
    (tmp_path / "a").write_bytes(encoded)
    labelled = LabelledImage("a", "a", "a.xml", Encoded(str(tmp_path / "a")), ())
    found = ImageChecks(DataPolicy(), "header", tmp_path).examine(labelled)
    assert found.image is None
    assert [(fault.check, fault.severity) for fault in found.faults] == [("image", "error")]


@pytest.mark.parametrize("handling", ["error", "warning", "notice", "off"])
def test_what_the_policy_does_not_fix_stays_as_it_is(examine: Examine, handling: Any) -> None:
    policy = DataPolicy({**CHECKS, "orientation": replace(CHECKS["orientation"], handling=handling)})
    found = examine(6, "stored", policy=policy)
    assert [fault.severity for fault in found.faults] == ([] if handling == "off" else [handling])
    assert found.image and read_header(found.encoded).orientation == 6
    assert found.image.labelled.boxes == (Box(8, 4, 24, 12, 1, "a", "object 0"),)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_turned_image_looks_like_the_same_saved_upright(tmp_path: Path, suffix: str) -> None:
    """A phone's picture in one split and an edited copy of it in another are almost the same image."""
    smooth = cv2.resize(np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8), (320, 240))
    encoded = with_orientation(bytes(cv2.imencode(suffix, smooth)[1]), 6)
    hashes = []
    for name, content in (("a", encoded), ("b", bytes(cv2.imencode(".jpg", decode_upright(encoded)[..., ::-1])[1]))):
        (tmp_path / f"{name}{suffix}").write_bytes(content)
        labelled = LabelledImage(name, name, name, Encoded(str(tmp_path / f"{name}{suffix}")), ())
        checked = ImageChecks(DataPolicy(), "full", tmp_path).examine(labelled).image
        assert checked and checked.fingerprint and checked.fingerprint.dhash
        hashes.append(checked.fingerprint.dhash)
    assert (hashes[0] ^ hashes[1]).bit_count() <= 2


def _assert_undecided(found: ImageOutcome, why: str) -> None:
    (fault,) = found.faults
    assert (fault.check, fault.severity, fault.image) == ("orientation", "error", fault.file)
    assert why in fault.message
    for way_out in ("orientation_boxes: upright", "orientation_boxes: stored", "data_policy.yaml"):
        assert way_out in fault.message


def _assert_box_is_around_the_patch(found: ImageOutcome) -> None:
    assert found.image is not None
    assert read_header(found.encoded).orientation == 1
    pixels = decode_upright(found.encoded)
    labelled = found.image.labelled
    assert pixels.shape[:2] == (labelled.height, labelled.width)
    rows, columns = np.nonzero(pixels[:, :, 0] > 128)
    (box,) = labelled.boxes
    around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose([box.xmin, box.ymin, box.xmax, box.ymax], around, atol=1e-6)
