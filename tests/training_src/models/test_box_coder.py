# SPDX-License-Identifier: Apache-2.0
"""Boxes as offsets from anchors."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training_src.models.box_coder import decode, encode
from training_src.models.config.matching import FasterRcnnBoxCoder

CODER = FasterRcnnBoxCoder()


def test_codes_equal_the_reference(functions: tuple[dict[str, Any], dict[str, Any]]) -> None:
    _, arrays = functions
    boxes, anchors, codes = (arrays[f"box_coder/{name}"] for name in ("boxes", "anchors", "codes"))
    np.testing.assert_allclose(encode(CODER, boxes, anchors), arrays["box_coder/encoded"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(decode(CODER, codes, anchors), arrays["box_coder/decoded"], rtol=1e-5, atol=1e-6)


corners = st.tuples(st.floats(0, 0.6), st.floats(0, 0.6), st.floats(0.05, 0.4), st.floats(0.05, 0.4))


@given(corners, corners)
def test_decoding_undoes_encoding(box: tuple[float, ...], anchor: tuple[float, ...]) -> None:
    boxes, anchors = (np.array([[y, x, y + height, x + width]], np.float32) for y, x, height, width in (box, anchor))
    np.testing.assert_allclose(decode(CODER, encode(CODER, boxes, anchors), anchors), boxes, atol=1e-5)
