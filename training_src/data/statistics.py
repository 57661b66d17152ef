# SPDX-License-Identifier: Apache-2.0
"""What a prepared data set holds: the content of `dataset.json`, counted without holding it in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_src.data.checks.findings import Findings
from training_src.data.index import CROWD, DIFFICULT, OBJECT, Index, Row
from training_src.data.label_map import LabelMap
from training_src.data.splits import SPLITS
from training_src.models.anchor_overlaps import BoxArrays
from training_src.models.box_shapes import BoxShapes

# COCO's limits between small, medium and large: areas in square pixels.
COCO_AREAS = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, float("inf"))}

# Figures that need every single value are computed from an even sample of so many, exact up to there.
_SAMPLED = 200_000
_CHUNK = 4096
# So many values of a column are counted.
MOST_VALUES = 1000
# So many groups a split are listed in dataset.json; a set with more has them all in files beside it.
MOST_GROUPS = 100_000

Counts = NDArray[np.int64]
Floats = NDArray[np.float32]


class EvenSample:
    """Rows of a long array: all of the first `limit`, then every second, every fourth and so on of the whole."""

    def __init__(self, columns: int, limit: int = _SAMPLED) -> None:
        self._parts: list[Floats] = [np.zeros((0, columns), np.float32)]
        self._limit, self._stride, self._seen, self._kept = limit, 1, 0, 0

    def add(self, rows: Floats) -> None:
        """Take rows [N, columns]."""
        part = rows[-self._seen % self._stride :: self._stride]
        self._seen += len(rows)
        self._parts.append(part)
        self._kept += len(part)
        while self._kept > self._limit:
            self._parts = [np.concatenate(self._parts)[::2]]
            self._kept = len(self._parts[0])
            self._stride *= 2

    def values(self) -> Floats:
        """The rows [N, columns]."""
        self._parts = [np.concatenate(self._parts)]
        return self._parts[0]


@dataclass(frozen=True)
class Tally:
    """Counts of a data set. S splits, C classes in the label map's order.

    Attributes:
        images, backgrounds, difficult: int64 [S]: images, those without a box, and difficult boxes.
        boxes: int64 [S, C].
        ignored: int64 [S, C]: those of them that are crowds, which an evaluation does not ask for.
        sizes: int64 [S, 3]: boxes by COCO's small, medium and large.
        clipped, dropped: Repaired boxes.
        co_occurrence: int64 [C, C]: images that hold both classes.
        sample: float32 [N, 9] of boxes: width, height, image's width, image's height, centre's x and y as shares,
            label, split, area.
        image_sample: float32 [N, 3] of images: split, boxes, brightness (not a number where it is not known).
    """

    images: Counts
    backgrounds: Counts
    difficult: Counts
    boxes: Counts
    ignored: Counts
    sizes: Counts
    clipped: int
    dropped: int
    co_occurrence: Counts
    sample: Floats
    image_sample: Floats


def tally(index: Index, label_map: LabelMap) -> Tally:
    """Count the images that have a split."""
    splits, classes = len(SPLITS), len(label_map.names)
    places = np.full(label_map.greatest_id + 1, -1)
    places[list(label_map.names)] = np.arange(classes)
    images, backgrounds, difficult = (np.zeros(splits, np.int64) for _ in range(3))
    boxes, ignored = np.zeros((splits, classes), np.int64), np.zeros((splits, classes), np.int64)
    sizes = np.zeros((splits, len(COCO_AREAS)), np.int64)
    co_occurrence = np.zeros((classes, classes), np.int64)
    sample, image_sample = EvenSample(9), EvenSample(3)
    query = "SELECT split, width, height, brightness, objects FROM images WHERE split IS NOT NULL ORDER BY number"
    for rows in index.chunks(query, _CHUNK):
        split, objects, counts, columns = _columns(rows)
        owner = np.repeat(np.arange(len(rows)), counts)
        home, place = split[owner], places[objects["label"]]
        images += np.bincount(split, minlength=splits)
        backgrounds += np.bincount(split[counts == 0], minlength=splits)
        difficult += np.bincount(home[objects["flags"] & DIFFICULT > 0], minlength=splits)
        np.add.at(boxes, (home, place), 1)
        np.add.at(ignored, (home, place), objects["flags"] & CROWD > 0)
        drawn = _drawn(objects, columns[owner], home)
        np.add.at(sizes, (home, np.digitize(drawn[:, 8], (32**2, 96**2))), 1)
        present = np.zeros((len(rows), classes), np.int64)
        present[owner, place] = 1
        co_occurrence += present.T @ present
        sample.add(drawn)
        image_sample.add(np.stack((split, counts, columns[:, 2]), axis=1).astype(np.float32))
    clipped, dropped = next(index.rows("SELECT total(clipped), total(dropped) FROM images WHERE split IS NOT NULL"))
    return Tally(
        images,
        backgrounds,
        difficult,
        boxes,
        ignored,
        sizes,
        int(clipped),
        int(dropped),
        co_occurrence,
        sample.values(),
        image_sample.values(),
    )


def _columns(rows: Sequence[Row]) -> tuple[Counts, NDArray[Any], Counts, Floats]:
    """Splits [N], objects [M], how many each image has [N], and its width, height and brightness [N, 3]."""
    split = np.array([row[0] for row in rows], np.int64)
    objects = np.frombuffer(b"".join(row[4] for row in rows), OBJECT)
    counts = np.array([len(row[4]) // OBJECT.itemsize for row in rows], np.int64)
    columns = np.array([(row[1], row[2], np.nan if row[3] is None else row[3]) for row in rows], np.float32)
    return split, objects, counts, columns


def _drawn(objects: NDArray[Any], images: Floats, split: Counts) -> Floats:
    """The columns of `Tally.sample`."""
    width, height = objects["xmax"] - objects["xmin"], objects["ymax"] - objects["ymin"]
    across, down = images[:, 0], images[:, 1]
    centre_x = (objects["xmin"] + objects["xmax"]) / 2 / across
    centre_y = (objects["ymin"] + objects["ymax"]) / 2 / down
    area = np.where(objects["area"] > 0, objects["area"], width * height)
    columns = (width, height, across, down, centre_x, centre_y, objects["label"], split, area)
    return np.stack(columns, axis=1).astype(np.float32)


def describe(
    index: Index, counted: Tally, label_map: LabelMap, findings: Findings, *, layout: str, decode_check: str
) -> dict[str, Any]:
    """Counts, class balance, box statistics, groups and the content hash, ready for JSON."""
    per_class = counted.boxes.sum(axis=0)
    boxes = int(per_class.sum())
    names = list(label_map.names.values())
    return {
        "schema_version": 1,
        "sha256": content_sha256(index, label_map),
        "format": layout,
        "images": int(counted.images.sum()),
        "boxes": boxes,
        "classes": [{"id": number, "name": name} for number, name in label_map.names.items()],
        "greatest_id": label_map.greatest_id,
        "class_balance": {
            name: round(count / max(boxes, 1), 4) for name, count in zip(names, per_class.tolist(), strict=True)
        },
        "splits": {split: _split(index, counted, number, label_map) for number, split in enumerate(SPLITS)},
        "balance": {split: _distance(counted, number) for number, split in enumerate(SPLITS)},
        "repaired": {"clipped_boxes": counted.clipped, "dropped_boxes": counted.dropped},
        "decode_check": decode_check,
        "findings": {
            severity: {check: count for (check, found), count in sorted(findings.counts.items()) if found == severity}
            for severity in ("error", "warning", "notice")
        },
        "notices": findings.sentences("notice", 50),
        "warnings": findings.sentences("warning", 50),
        "groups": {split: list(islice(groups(index, number), MOST_GROUPS)) for number, split in enumerate(SPLITS)},
    }


def content_sha256(index: Index, label_map: LabelMap) -> str:
    """A hash of all that training and evaluation see: classes, splits, images and boxes; not of names of folders."""
    digest = hashlib.sha256(json.dumps(list(label_map.names.items())).encode())
    for number, split in enumerate(SPLITS):
        digest.update(f"\n{split}\n".encode())
        for (image,) in index.rows("SELECT digest FROM images WHERE split = ? ORDER BY source_id, digest", number):
            digest.update(image)
    return digest.hexdigest()


def groups(index: Index, split: int) -> Iterator[str]:
    """Short hashes of a split's sequences and of its images' bytes, sorted: what a model of it has seen.

    Of the bytes in any case: whoever names sequences otherwise has the same images all the same.
    """
    index.connection.create_function("short_hash", 1, short_hash, deterministic=True)
    query = (
        "SELECT short_hash(sequence) AS hash FROM images WHERE split = ? AND sequence != '' "
        "UNION SELECT short_hash(content) FROM images WHERE split = ? ORDER BY hash"
    )
    for (found,) in index.rows(query, split, split):
        yield str(found)


def columns(index: Index, split: int) -> dict[str, dict[str, int]]:
    """How many of a split's images have each value of each attribute: what a test set can be sliced by.

    Of a column with more values than `MOST_VALUES` the most frequent ones are counted.
    """
    query = (
        "SELECT key, value, count(*) AS images FROM images, json_each(attributes) WHERE split = ? AND attributes != '' "
        "GROUP BY key, value ORDER BY key, images DESC, value"
    )
    found: dict[str, dict[str, int]] = {}
    for name, value, images in index.rows(query, split):
        if len(values := found.setdefault(str(name), {})) < MOST_VALUES:
            values[str(value)] = int(images)
    return found


def short_hash(group: str) -> str:
    """How `dataset.json` and `model.json` name a group by its key."""
    return hashlib.sha256(group.encode()).hexdigest()[:12]


def _split(index: Index, counted: Tally, split: int, label_map: LabelMap) -> dict[str, Any]:
    names = list(label_map.names.values())
    return {
        "images": int(counted.images[split]),
        "background_images": int(counted.backgrounds[split]),
        "boxes": int(counted.boxes[split].sum()),
        "difficult_boxes": int(counted.difficult[split]),
        "boxes_per_class": dict(zip(names, counted.boxes[split].tolist(), strict=True)),
        "boxes_to_find_per_class": dict(
            zip(names, (counted.boxes[split] - counted.ignored[split]).tolist(), strict=True)
        ),
        "largest_image": _largest(index, split, "width * height"),
        "largest_file": _largest(index, split, "length"),
        "box_statistics": _box_statistics(counted, split),
        "box_shapes": shapes.as_json() if (shapes := box_shapes(counted, split, label_map)) else None,
        "columns": columns(index, split),
    }


def _largest(index: Index, split: int, size: str) -> dict[str, Any] | None:
    """The image of a split that is the largest by a column's value; None where the split has no image."""
    query = f"SELECT image, width, height, length, max({size}) FROM images WHERE split = ?"
    name, width, height, length, greatest = next(index.rows(query, split))
    if greatest is None:
        return None
    return {"name": name, "width": width, "height": height, "bytes": length}


def _distance(counted: Tally, split: int) -> Mapping[str, float | None]:
    """How far a split's classes and box sizes are from the whole: 0 alike, 1 nothing in common; None without a box."""
    return {"classes": _variation(counted.boxes, split), "box_sizes": _variation(counted.sizes, split)}


def _variation(counts: Counts, split: int) -> float | None:
    """Total variation distance between a row's shares and those of all rows."""
    mine, all_ = counts[split], counts.sum(axis=0)
    if not mine.any():
        return None
    return round(float(np.abs(mine / mine.sum() - all_ / all_.sum()).sum() / 2), 4)


def _box_statistics(counted: Tally, split: int) -> dict[str, Any] | None:
    """Quantiles of boxes' sizes as shares of their images; None without a box."""
    sample = counted.sample[counted.sample[:, 7] == split].astype(np.float64)
    if not len(sample):
        return None
    widths, heights, image_widths, image_heights = sample.T[:4]
    per_image = counted.image_sample[counted.image_sample[:, 0] == split, 1]
    return {
        "width": _quantiles(widths / image_widths),
        "height": _quantiles(heights / image_heights),
        "aspect_ratio": _quantiles(widths / heights),
        "boxes_per_image": _quantiles(per_image.astype(np.float64)),
        "coco_sizes": dict(zip(COCO_AREAS, counted.sizes[split].tolist(), strict=True)),
    }


def box_shapes(counted: Tally, split: int, label_map: LabelMap) -> BoxShapes | None:
    """How wide and high a split's boxes are, class by class; None without a box."""
    sample = counted.sample[counted.sample[:, 7] == split]
    if not len(sample):
        return None
    return BoxShapes.counted(BoxArrays(*sample.T[:6], *sample.T[6:8].astype(np.int64)), label_map.names)


def _quantiles(values: NDArray[np.float64]) -> dict[str, float]:
    names = ("least", "tenth", "median", "ninetieth", "greatest")
    found = np.quantile(values, (0, 0.1, 0.5, 0.9, 1))
    return {name: round(float(value), 5) for name, value in zip(names, found, strict=True)}
