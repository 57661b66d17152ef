# SPDX-License-Identifier: Apache-2.0
"""What a prepared data set holds: the content of `dataset.json`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training_src.data.check import CheckedImage
from training_src.data.label_map import LabelMap
from training_src.data.splits import SPLITS, Split

# COCO's limits between small, medium and large: areas in square pixels.
COCO_AREAS = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, float("inf"))}

Prepared = Mapping[Split, Sequence[CheckedImage]]


def describe(prepared: Prepared, label_map: LabelMap, *, layout: str, notices: Sequence[str] = ()) -> dict[str, Any]:
    """Counts, class balance, box statistics, groups and the content hash, ready for JSON."""
    everything = [image for split in SPLITS for image in prepared[split]]
    boxes = sum(len(image.labelled.boxes) for image in everything)
    counts = _per_class(everything, label_map)
    return {
        "schema_version": 1,
        "sha256": content_sha256(prepared, label_map),
        "format": layout,
        "images": len(everything),
        "boxes": boxes,
        "classes": [{"id": number, "name": name} for number, name in label_map.names.items()],
        "greatest_id": label_map.greatest_id,
        "class_balance": {name: round(count / max(boxes, 1), 4) for name, count in counts.items()},
        "splits": {split: _split(prepared[split], label_map) for split in SPLITS},
        "repaired": {
            "clipped_boxes": sum(image.clipped for image in everything),
            "dropped_boxes": sum(image.dropped for image in everything),
        },
        "notices": list(notices),
        "groups": {split: sorted({_group_digest(image) for image in prepared[split]}) for split in SPLITS},
    }


def content_sha256(prepared: Prepared, label_map: LabelMap) -> str:
    """A hash of all that training and evaluation see: classes, splits, images and boxes; not of names of folders."""
    digest = hashlib.sha256(json.dumps(list(label_map.names.items())).encode())
    for split in SPLITS:
        for image in prepared[split]:
            boxes = [
                (box.label, box.xmin, box.ymin, box.xmax, box.ymax, box.difficult, box.crowd)
                for box in image.labelled.boxes
            ]
            digest.update(json.dumps([split, image.labelled.source_id, image.sha256, boxes]).encode())
    return digest.hexdigest()


def group_key(image: CheckedImage) -> str:
    """What must stay in one split: the group that the data set names, else all images with the same bytes."""
    return image.labelled.group or image.sha256


def _split(images: Sequence[CheckedImage], label_map: LabelMap) -> dict[str, Any]:
    return {
        "images": len(images),
        "background_images": sum(not image.labelled.boxes for image in images),
        "boxes": sum(len(image.labelled.boxes) for image in images),
        "difficult_boxes": sum(box.difficult for image in images for box in image.labelled.boxes),
        "boxes_per_class": _per_class(images, label_map),
        "box_statistics": _box_statistics(images),
    }


def _per_class(images: Sequence[CheckedImage], label_map: LabelMap) -> dict[str, int]:
    counts = Counter(box.label for image in images for box in image.labelled.boxes)
    return {name: counts[number] for number, name in label_map.names.items()}


def _box_statistics(images: Sequence[CheckedImage]) -> dict[str, Any] | None:
    """Quantiles of boxes' sizes as shares of their images; None without a box."""
    rows = [
        ((box.xmax - box.xmin), (box.ymax - box.ymin), image.labelled.width, image.labelled.height)
        for image in images
        for box in image.labelled.boxes
    ]
    if not rows:
        return None
    widths, heights, image_widths, image_heights = np.array(rows, np.float64).T
    areas = widths * heights
    return {
        "width": _quantiles(widths / image_widths),
        "height": _quantiles(heights / image_heights),
        "aspect_ratio": _quantiles(widths / heights),
        "boxes_per_image": _quantiles(np.array([len(image.labelled.boxes) for image in images], np.float64)),
        "coco_sizes": {name: int(((low <= areas) & (areas < high)).sum()) for name, (low, high) in COCO_AREAS.items()},
    }


def _quantiles(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    names = ("least", "tenth", "median", "ninetieth", "greatest")
    found = np.quantile(values, (0, 0.1, 0.5, 0.9, 1))
    return {name: round(float(value), 5) for name, value in zip(names, found, strict=True)}


def _group_digest(image: CheckedImage) -> str:
    return hashlib.sha256(group_key(image).encode()).hexdigest()[:12]
