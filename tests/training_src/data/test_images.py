# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import pytest

from training_src.data.images import BrokenImageError, ImageFacts, inspect

Encode = Callable[..., bytes]


@pytest.mark.parametrize(("suffix", "format_"), [(".jpg", "jpeg"), (".png", "png")])
def test_whole_image_tells_its_format_and_size(encoded_image: Encode, suffix: str, format_: str) -> None:
    assert inspect(encoded_image(1, suffix)) == ImageFacts(format_, 64, 48)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95, 0.999])
def test_truncated_image_is_noticed(encoded_image: Encode, suffix: str, share: float) -> None:
    encoded = encoded_image(1, suffix)

    with pytest.raises(BrokenImageError):
        inspect(encoded[: int(len(encoded) * share)])


def test_flipped_bit_in_a_png_is_noticed(encoded_image: Encode) -> None:
    encoded = bytearray(encoded_image(1, ".png"))
    encoded[len(encoded) // 2] ^= 8

    with pytest.raises(BrokenImageError, match="checksum"):
        inspect(bytes(encoded))


@pytest.mark.parametrize(("encoded", "sentence"), [(b"", "is empty"), (b"GIF89a...", "neither JPEG nor PNG")])
def test_other_files_are_refused(encoded: bytes, sentence: str) -> None:
    with pytest.raises(BrokenImageError, match=sentence):
        inspect(encoded)
