# SPDX-License-Identifier: Apache-2.0
"""Pictures in other formats are named, and made JPEG or PNG where the policy says so."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training_src.data.checks.image import ImageChecks
from training_src.data.checks.policy import DataPolicy, read_policy
from training_src.data.dataset import Box, Encoded, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.images import BrokenImageError, decode_upright, other_format
from training_src.data.other_formats import read_size, reencoded

PIXELS = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)
SAVED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "WebP": ("WEBP", "RGB", {"quality": 95}),
    "BMP": ("BMP", "RGB", {}),
    "TIFF": ("TIFF", "RGB", {}),
    "GIF": ("GIF", "P", {}),
    "AVIF": ("AVIF", "RGB", {"quality": 95}),
    "CMYK": ("JPEG", "CMYK", {"quality": 95}),
}


def picture(kind: str, **more: Any) -> bytes:
    name, mode, options = SAVED[kind]
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(buffer, name, **options, **more)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", SAVED)
def test_format_is_named_and_its_size_is_read(kind: str) -> None:
    assert other_format(picture(kind)) == kind
    assert read_size(picture(kind)) == (64, 48)


@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
def test_picture_without_loss_becomes_the_same_pixels(kind: str) -> None:
    made = reencoded(picture(kind), 1e6)

    assert made.startswith(b"\x89PNG")
    np.testing.assert_array_equal(decode_upright(made), PIXELS)


@pytest.mark.parametrize("kind", SAVED)
def test_every_format_becomes_what_everybody_reads(kind: str) -> None:
    assert decode_upright(reencoded(picture(kind), 1e6)).shape == (48, 64, 3)


def test_the_way_a_picture_was_held_is_kept() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6

    assert decode_upright(reencoded(picture("WebP", exif=exif), 1e6)).shape == (64, 48, 3)


def test_first_of_several_pictures_counts() -> None:
    buffer = io.BytesIO()
    others = [Image.fromarray(255 - PIXELS)]
    Image.fromarray(PIXELS).save(buffer, "TIFF", save_all=True, append_images=others)

    np.testing.assert_array_equal(decode_upright(reencoded(buffer.getvalue(), 1e6)), PIXELS)


@pytest.mark.parametrize("kind", SAVED)
def test_damage_and_size_are_named(kind: str) -> None:
    with pytest.raises(BrokenImageError, match="announces 64 x 48 pixels, and was not decoded"):
        reencoded(picture(kind), 3000)
    with pytest.raises(BrokenImageError, match="cannot be decoded"):
        reencoded(picture(kind)[: len(picture(kind)) // 3 if kind != "CMYK" else 700], 1e6)


@pytest.mark.parametrize(
    ("encoded", "name"),
    [(b"\0\0\0\x18ftypheic", "HEIC"), (b"\xff\x0a\xfa\x1f", "JPEG XL"), (b"8BPS\0\1", "Photoshop's PSD")],
)
def test_format_that_nothing_reads_is_named(encoded: bytes, name: str) -> None:
    with pytest.raises(BrokenImageError, match=f"is {name}, which nothing here reads"):
        read_size(encoded)


def labelled(file: Path) -> LabelledImage:
    return LabelledImage(file.name, file.name, "a.xml", Encoded(str(file)), (Box(1, 2, 30, 40, 1, "car", "object 0"),))


@pytest.mark.parametrize("kind", SAVED)
def test_policy_says_what_becomes_of_it(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(picture(kind))

    refused = ImageChecks(DataPolicy(), "full", tmp_path).examine(labelled(file))
    (tmp_path / "policy.yaml").write_text("checks: {other_format: fix}\n")
    fixed = ImageChecks(read_policy(tmp_path / "policy.yaml"), "full", tmp_path).examine(labelled(file))

    named = "has the colour space CMYK" if kind == "CMYK" else f"is {kind}"
    assert refused.image is None
    assert [fault.message for fault in refused.faults] == [
        f"a.jpg {named}, which neither TensorFlow nor the server reads; save it as JPEG or PNG, or let the policy fix "
        "it (--fix)."
    ]
    assert fixed.image is not None and (fixed.image.labelled.width, fixed.image.labelled.height) == (64, 48)
    assert [(fault.check, fault.severity) for fault in fixed.faults] == [("other_format", "notice")]


def test_images_of_other_formats_do_not_vanish_from_yolo(tmp_path: Path, encoded_image: Callable[..., bytes]) -> None:
    for place in ("images", "labels"):
        (tmp_path / place).mkdir()
    for kind in ("WebP", "BMP", "TIFF", "GIF"):
        (tmp_path / f"images/{kind}.{kind.lower()}").write_bytes(picture(kind))
        (tmp_path / f"labels/{kind}.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    (tmp_path / "images/one.jpg").write_bytes(encoded_image(1))

    images = [entry for entry in read_dataset(tmp_path).entries() if isinstance(entry, LabelledImage)]

    assert len(images) == 5
    assert {(box.xmin, box.ymin, box.xmax, box.ymax) for image in images for box in image.boxes} == {(24, 12, 40, 36)}
