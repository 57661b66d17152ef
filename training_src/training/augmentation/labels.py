# SPDX-License-Identifier: Apache-2.0
"""What `preprocessor.proto` does to boxes and classes alone: no pixel changes its place or its value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training_src.models.config.label_augmentation import DropLabelProbabilistically, RandomJitterBoxes, RemapLabels
from training_src.training.augmentation.window import Boxes, Window

# `(boxes,)`: label-map ids less 1, of the first boxes, whichever are left.
Classes = NDArray[np.int32]
# The least height and width with which the API computes.
LEAST_SIZE = 1e-6


def jitter_boxes(config: RandomJitterBoxes, window: Window, classes: Classes, rng: Generator) -> tuple[Window, Classes]:
    """Boxes a little larger or smaller, each by itself, within the canvas."""
    return replace(window, boxes=jittered(config, window.boxes, rng.random((len(window.boxes), 4)))), classes


def jittered(config: RandomJitterBoxes, boxes: Boxes, drawn: Boxes) -> Boxes:
    """Boxes with their sizes changed.

    Args:
        config: By how much at most, and which way.
        boxes: `(boxes, 4)`: ymin, xmin, ymax, xmax as shares of the canvas.
        drawn: `(boxes, 4)`, from 0 to 1: for ymin, xmin, ymax and xmax; a symmetric mode takes the first two, for
            height and width, and one that changes both alike the first.
    """
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    sizes = np.maximum(np.abs(boxes[:, 2:] - boxes[:, :2]), LEAST_SIZE)
    least = 0.0 if config.jitter_mode.startswith("EXPAND") else -config.ratio
    greatest = 0.0 if config.jitter_mode.startswith("SHRINK") else config.ratio
    factors = 1 + least + drawn * (greatest - least)
    if "SYMMETRIC" not in config.jitter_mode:
        below, above = factors[:, :2], factors[:, 2:]
    else:
        # A box that would leave the canvas on one side grows as little on the other.
        within = np.abs(np.minimum(2 * centres / sizes, 2 * (1 - centres) / sizes))
        both = factors[:, :2]
        if config.jitter_mode.endswith("_XY"):
            both = np.repeat(factors[:, :1], 2, axis=1)
            within = np.repeat(within.min(axis=1, keepdims=True), 2, axis=1)
        below = above = np.clip(both, -within, within)
    found = np.concatenate([centres - sizes * below / 2, centres + sizes * above / 2], axis=1)
    return np.asarray(np.clip(found, 0.0, 1.0))


def drop_label(
    config: DropLabelProbabilistically, window: Window, classes: Classes, rng: Generator
) -> tuple[Window, Classes]:
    """Without some of the boxes of one class, each with its probability."""
    kept = (rng.random(len(window.rows)) > config.drop_probability) | (classes[window.rows] != config.label - 1)
    return replace(window, boxes=window.boxes[kept], rows=window.rows[kept]), classes


def remap_labels(
    config: RemapLabels,
    window: Window,
    classes: Classes,
    rng: Generator,  # noqa: ARG001
) -> tuple[Window, Classes]:
    """Several classes as one."""
    changed = np.isin(classes, np.array(config.original_labels, np.int32) - 1)
    return window, np.where(changed, np.int32(config.new_label - 1), classes)
