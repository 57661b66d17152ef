# SPDX-License-Identifier: Apache-2.0
"""An image that is about to be written."""

from __future__ import annotations

from dataclasses import dataclass

from training_src.data.dataset import LabelledImage


@dataclass(frozen=True)
class Image:
    """A labelled image with its bytes.

    Attributes:
        labelled: With the image's own size, which the boxes are shares of.
        encoded: The image file's bytes.
        format: "jpeg" or "png".
    """

    labelled: LabelledImage
    encoded: bytes
    format: str
