# SPDX-License-Identifier: Apache-2.0
"""The page's numbers, as they also stand in `dataset.json`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_src.data.report.content import Collected
from training_src.data.splits import SPLITS
from training_src.models.anchor_overlaps import Anchors, BoxArrays, best_overlaps

CELLS = 24
# Edges of the histograms. Sizes are square roots of areas, in pixels; aspect ratios are width / height.
SIZES = (0, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
ASPECT_RATIOS = (0, 0.125, 0.2, 0.25, 0.33, 0.5, 0.67, 0.8, 1.25, 1.5, 2, 3, 4, 5, 8)
BRIGHTNESS = tuple(range(0, 257, 16))
OVERLAPS = tuple(round(step / 20, 2) for step in range(21))


def figures(collected: Collected) -> dict[str, Any]:
    """Ready for JSON: histograms by split, co-occurrence, centres, and how the anchors fit."""
    boxes = collected.boxes
    sizes = np.sqrt(np.maximum(boxes.width * boxes.height, 0))
    ratios = boxes.width / np.maximum(boxes.height, 1e-6)
    means = {
        str(split): _mean(collected.brightness[collected.brightness_split == at]) for at, split in enumerate(SPLITS)
    }
    return {
        "box_sizes": _by_split(sizes, boxes.split, SIZES),
        "aspect_ratios": _by_split(ratios, boxes.split, ASPECT_RATIOS),
        "brightness": _by_split(collected.brightness, collected.brightness_split, BRIGHTNESS) | {"mean": means},
        "centres": _centres(boxes),
        "co_occurrence": {"classes": list(collected.names.values()), "images": collected.co_occurrence.tolist()},
        "anchor_fit": None if collected.anchors is None else anchor_fit(collected, collected.anchors),
    }  # fmt: skip


def anchor_fit(collected: Collected, anchors: Anchors) -> dict[str, Any]:
    """How many boxes the detector's anchors reach.

    `never`: no anchor has the threshold's IoU even if it stood right on the box. `not_here`: an anchor's shape would
    do, but none stands near enough.
    """
    boxes = collected.boxes
    ever, here, home = best_overlaps(boxes, anchors)
    never, absent = ever < anchors.threshold, (ever >= anchors.threshold) & (here < anchors.threshold)
    return {
        "detector": anchors.detector,
        "input": [anchors.width, anchors.height],
        "threshold": round(anchors.threshold, 4),
        "forced": anchors.forced,
        "decided": list(anchors.decided),
        "boxes": len(boxes),
        "never": int(never.sum()),
        "not_here": int(absent.sum()),
        "by_class": {
            name: {
                "boxes": int((boxes.label == label).sum()),
                "never": int(never[boxes.label == label].sum()),
                "not_here": int(absent[boxes.label == label].sum()),
                "median_overlap": _median(here[boxes.label == label]),
            }
            for label, name in collected.names.items()
        },
        "by_level": [
            {"level": level.name, "smallest": round(float(np.sqrt(level.shapes.prod(axis=1)).min()), 1),
             "largest": round(float(np.sqrt(level.shapes.prod(axis=1)).max()), 1), "boxes": int((home == number).sum())}
            for number, level in enumerate(anchors.levels)
        ],
        "overlaps": {"edges": list(OVERLAPS), "boxes": np.histogram(here, OVERLAPS)[0].tolist()},
    }  # fmt: skip


def _by_split(values: NDArray[np.generic], splits: NDArray[np.int64], edges: tuple[float, ...]) -> dict[str, Any]:
    """Counts between edges; what lies beyond the last one counts in the last."""
    inside = np.clip(values.astype(np.float64), edges[0], edges[-1])
    counts: dict[str, Any] = {
        split: np.histogram(inside[splits == at], edges)[0].tolist() for at, split in enumerate(SPLITS)
    }
    return {"edges": list(edges), **counts}


def _centres(boxes: BoxArrays) -> list[list[int]]:
    """Boxes by the cell of a grid over the image that their centre lies in: rows from the top."""
    counts = np.histogram2d(
        np.clip(boxes.centre_y, 0, 1), np.clip(boxes.centre_x, 0, 1), bins=CELLS, range=((0, 1), (0, 1))
    )
    rows: list[list[int]] = counts[0].astype(int).tolist()
    return rows


def _mean(values: NDArray[np.generic]) -> float | None:
    return round(float(np.mean(values.astype(np.float64))), 2) if len(values) else None


def _median(values: NDArray[np.generic]) -> float | None:
    return round(float(np.median(values.astype(np.float64))), 4) if len(values) else None
