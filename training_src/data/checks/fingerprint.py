# SPDX-License-Identifier: Apache-2.0
"""An image in 64 bits that hardly change when it is resized, encoded again or made brighter.

dHash: the sign of the brightness' step between neighbours in a row of a 9 x 8 miniature.
Source: https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training_src.data.images import Grey

# Below this standard deviation (of 255) the steps are noise: fog, night, a covered lens.
_LEAST_CONTRAST = 4.0


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """An image's dHash as a signed 64-bit number, None where it has no contrast; and its mean luma, 0..255."""

    dhash: int | None
    brightness: float


def fingerprint(grey: Grey) -> Fingerprint:
    """The fingerprint of a grey image, uint8 [rows, columns]."""
    miniature = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    brightness, deviation = (float(each.item()) for each in cv2.meanStdDev(miniature))
    if deviation < _LEAST_CONTRAST:
        return Fingerprint(None, brightness)
    bits = np.packbits(miniature[:, 1:] > miniature[:, :-1])
    return Fingerprint(int.from_bytes(bits.tobytes(), "big", signed=True), brightness)
