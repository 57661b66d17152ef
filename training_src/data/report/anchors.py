# SPDX-License-Identifier: Apache-2.0
"""The anchors of the detector that will be trained, for the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from training_src.models.anchor_overlaps import Anchors, anchors_of
from training_src.models.box_shapes import BoxShapes


def read_anchors(
    architecture: str, config: Path | None, greatest_id: int, shapes: BoxShapes | None = None, named: int = 0
) -> Anchors | None:
    """The anchors of a user's pipeline.config, or of a bundled architecture; None where neither is given.

    Args:
        architecture: A bundled one's name, or "".
        config: A user's own.
        greatest_id: Of the label map.
        shapes: Of the boxes to train on, which decide the anchors of some bundled architectures.
        named: How many classes the label map names.

    Raises:
        ModelError: The config cannot be read.
    """
    if config is None and not architecture:
        return None
    # The messages of a pipeline.config take a tenth of a second to define.
    from training_src.models.config.pipeline import bundled_architectures, load, load_bundled
    from training_src.models.fitted_input import decided_by_data

    if config is not None:
        return anchors_of(load(config, greatest_id, named))
    if architecture not in bundled_architectures():
        return None
    description, sentences = decided_by_data(load_bundled(architecture, greatest_id), shapes)
    anchors = anchors_of(description)
    return anchors and replace(anchors, decided=tuple(sentences))
