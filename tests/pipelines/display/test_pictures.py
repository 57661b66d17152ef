# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from inference_src.images import decode_image
from pipelines.client.invocation import Detection
from pipelines.display import pictures
from pipelines.errors import BadInputError
from tests.picture_files import with_orientation

GREY = np.full((100, 200, 3), 90, np.uint8)
CAR = Detection("vehicle", 0.9, (0.25, 0.25, 0.75, 0.75))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_drawn_on_is_the_picture_that_the_server_saw(suffix: str, orientation: int) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)
    encoded = with_orientation(cv2.imencode(suffix, noise)[1].tobytes(), orientation)

    drawn_on = pictures.decode(encoded, "a picture")

    np.testing.assert_array_equal(drawn_on[:, :, ::-1], decode_image(encoded))


def test_a_box_is_drawn_where_the_detection_says() -> None:
    drawn = pictures.draw(GREY, [CAR], ["vehicle"], shortest=100)

    assert drawn.shape == GREY.shape
    edge = drawn[25:76, 50]
    assert (edge != 90).any(axis=1).all()
    assert (drawn[60, 100] == 90).all()


def test_a_small_picture_is_scaled_up_and_the_original_stays() -> None:
    drawn = pictures.draw(GREY, [CAR], ["vehicle"], shortest=300)

    assert drawn.shape == (300, 600, 3)
    assert (GREY == 90).all()


def test_a_contact_sheet_holds_pictures_of_any_shape() -> None:
    tall = np.full((50, 20, 3), 200, np.uint8)

    sheet = pictures.contact_sheet([GREY, tall, GREY], columns=2)

    assert sheet.shape[0] == 2 * 100 + 3 * pictures.GAP
    assert sheet.shape[1] == 2 * 200 + 3 * pictures.GAP
    assert (sheet == 200).any()


def test_a_picture_is_written_as_its_name_says(tmp_path: Path) -> None:
    for name, magic in (("a.png", b"\x89PNG"), ("a.jpg", b"\xff\xd8")):
        pictures.write(tmp_path / name, GREY)
        assert (tmp_path / name).read_bytes().startswith(magic)


def test_a_disk_without_room_is_not_blamed_on_the_kind_of_file(tmp_path: Path, least_room: None) -> None:  # noqa: ARG001
    with pytest.raises(OSError, match=r"File too large: '.*a\.png'"):
        pictures.write(tmp_path / "a.png", np.random.default_rng(1).integers(0, 255, (90, 90, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_an_animation_holds_a_frame_for_each_picture(tmp_path: Path) -> None:
    frames = [np.full((40, 60, 3), shade, np.uint8) for shade in (0, 100, 200)]

    pictures.write_animation(tmp_path / "a.gif", frames)

    found, animation = cv2.imreadanimation(str(tmp_path / "a.gif"))
    assert found
    assert len(animation.frames) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


def test_bytes_that_are_no_image_are_named() -> None:
    with pytest.raises(BadInputError, match=r"no\.jpg"):
        pictures.decode(b"nothing", "no.jpg")


@pytest.mark.parametrize(("name", "told"), [("a.txt", "name it .png or .jpg"), ("nowhere/a.png", "there is no folder")])
def test_a_picture_that_cannot_be_written_is_named(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(BadInputError, match=rf"{name}: .*{told}"):
        pictures.write(tmp_path / name, GREY)
    assert list(tmp_path.iterdir()) == []
