# SPDX-License-Identifier: Apache-2.0
"""An image that is about to be written."""

from __future__ import annotations

from dataclasses import dataclass

from training_src.data.dataset import LabelledImage


@dataclass(frozen=True, slots=True)
class Image:
    """A labelled image with its bytes.

    Attributes:
        labelled: As it was read.
        encoded: The image file's bytes.
        format: "jpeg" or "png".
        width, height: Pixels; what the boxes are shares of.
    """

    labelled: LabelledImage
    encoded: bytes
    format: str
    width: int
    height: int
