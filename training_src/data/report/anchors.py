# SPDX-License-Identifier: Apache-2.0
"""The anchors of the detector that will be trained, for the page."""

from __future__ import annotations

from pathlib import Path

from training_src.models.anchor_overlaps import Anchors, anchors_of


def read_anchors(architecture: str, config: Path | None, greatest_id: int) -> Anchors | None:
    """The anchors of a user's pipeline.config, or of a bundled architecture; None where neither is given.

    Raises:
        ModelError: The config cannot be read.
    """
    if config is None and not architecture:
        return None
    # The messages of a pipeline.config take a tenth of a second to define.
    from training_src.models.config.pipeline import bundled_architectures, load, load_bundled

    if config is not None:
        return anchors_of(load(config, greatest_id))
    return anchors_of(load_bundled(architecture, greatest_id)) if architecture in bundled_architectures() else None
