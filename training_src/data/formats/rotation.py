# SPDX-License-Identifier: Apache-2.0
"""Boxes that a tool turned: what encloses them is what a detector of upright boxes can learn."""

from __future__ import annotations

import math

from training_src.data.formats.fields import Edges


def enclosing(edges: Edges, degrees: float) -> Edges:
    """What encloses a box that is turned about its centre.

    CVAT exports a box as it was before it was turned, and beside it by how many degrees, as an attribute `rotation`:
    https://docs.cvat.ai/docs/manual/advanced/formats/format-coco/

    Args:
        edges: xmin, ymin, xmax, ymax in pixels.
        degrees: Clockwise or not is the same to what encloses it; one that is no finite number turns nothing.
    """
    if not degrees or not math.isfinite(degrees):
        return edges
    xmin, ymin, xmax, ymax = edges
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    width, height = xmax - xmin, ymax - ymin
    across, along = (width * cosine + height * sine) / 2, (width * sine + height * cosine) / 2
    middle_x, middle_y = xmin + width / 2, ymin + height / 2
    return middle_x - across, middle_y - along, middle_x + across, middle_y + along
