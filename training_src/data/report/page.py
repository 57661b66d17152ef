# SPDX-License-Identifier: Apache-2.0
"""report.html of a data set: one file that loads nothing from anywhere, and runs no script but its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import cv2
import numpy as np

from containers.contract.cores import cores
from containers.contract.orientation import turn_pixels
from containers.contract.picture_header import BrokenHeaderError, read_header
from containers.contract.pictures import MAX_PIXELS
from training_src import drawing
from training_src.data.dataset import Fault
from training_src.data.report.content import (
    Collected,
    FaultPicture,
    ReportContent,
    Sample,
)
from training_src.data.splits import SPLITS
from training_src.models.anchor_overlaps import Anchors, BoxArrays, best_overlaps, scaled_boxes
from training_src.report.charts import SERIES, heat_map, histogram, shapes
from training_src.report.page import data_uri, facts, render_page

# The longer side of a picture on the page, in pixels.
PICTURE = 520
# Points of a scatter, classes of a matrix: what an eye can take in.
POINTS, CLASSES = 3000, 24
# Facts of dataset.json that have a place of their own on the page.
_SHOWN_ELSEWHERE = frozenset(
    {"schema_version", "sha256", "splits", "groups", "classes", "class_balance", "notices", "images", "boxes", "format",
     "box_sizes", "aspect_ratios", "brightness", "centres", "co_occurrence", "anchor_fit", "findings", "warnings"}
)  # fmt: skip


def render(content: ReportContent) -> str:
    """The page's HTML."""
    script = files("training_src.data.report").joinpath("templates/report.js").read_text(encoding="utf-8")
    collected = content.collected
    description = content.description
    names = list(collected.names.items())
    colours = drawing.colours(collected.names)
    # Decoding, scaling and encoding are most of a page's time, and hold no lock of Python's.
    with ThreadPoolExecutor(cores()) as pool:
        pictures = list(pool.map(lambda one: _picture(one, colours, collected.anchors), content.samples))
        fault_pictures = list(pool.map(lambda one: _fault_picture(one, colours), content.fault_pictures))
    shown = {box.label for picture in pictures for box in picture.boxes}
    return render_page(
        "training_src.data.report",
        script=script,
        description=description,
        fit=description["anchor_fit"],
        faults=content.faults,
        findings=(findings := {severity: checks for severity, checks in description["findings"].items() if checks}),
        fault_total=sum(sum(checks.values()) for checks in findings.values()),
        fault_pictures=fault_pictures,
        pictures=pictures,
        filters=[(label, name, colours[label]) for label, name in names if label in shown],
        splits=[split for split in SPLITS if any(picture.split == split for picture in pictures)],
        rows=_class_rows(description, colours, collected.names),
        split_rows=_split_rows(description),
        series=[(split, SERIES[at]) for at, split in enumerate(SPLITS)],
        charts=_charts(collected, description),
        co_occurrence=_co_occurrence(collected),
        brightness=description["brightness"]["mean"],
        facts=[
            ("content hash (SHA-256)", str(description["sha256"])),
            ("layout", description["format"] or "unknown"),
            *facts(description, _SHOWN_ELSEWHERE),
        ],
    )


@dataclass(frozen=True)
class _Mark:
    """A box on a picture, in the picture's own units."""

    x: float
    y: float
    width: float
    height: float
    label: int
    name: str
    colour: str
    note: str
    wanted: bool


@dataclass(frozen=True)
class _Picture:
    """An image as the page shows it; `uri` is empty where it cannot be decoded."""

    uri: str
    width: int
    height: int
    name: str
    split: str
    boxes: tuple[_Mark, ...]
    fault: Fault | None = None

    @property
    def labels(self) -> str:
        return " ".join(str(label) for label in sorted({box.label for box in self.boxes}))

    @property
    def reached(self) -> bool:
        return not any(box.note for box in self.boxes)


def _picture(
    sample: Sample, colours: Mapping[int, str], anchors: Anchors | None, fault: Fault | None = None,
    wanted: int | None = None,
) -> _Picture:  # fmt: skip
    uri, width, height = _thumbnail(sample.encoded)
    if not uri:
        width, height = PICTURE, round(PICTURE * 0.62)
    scale = np.array([width / max(sample.width, 1), height / max(sample.height, 1)] * 2)
    edges = np.asarray(sample.boxes, np.float64).reshape(-1, 4) * scale
    marks = []
    missed = _unreachable(sample, anchors)
    for at, ((left, top, right, bottom), label, name) in enumerate(
        zip(edges.tolist(), sample.labels.tolist(), sample.names, strict=True)
    ):
        if not all(map(math.isfinite, (left, top, right, bottom))):
            continue
        x, y = min(left, right), min(top, bottom)
        note = "no anchor reaches it" if missed[at] else ""
        marks.append(
            _Mark(x, y, abs(right - left), abs(bottom - top), label, name, colours.get(label, "#868e96"), note,
                  wanted is None or at == wanted)
        )  # fmt: skip
    return _Picture(uri, width, height, sample.source_id, sample.split, tuple(marks), fault)


def _fault_picture(one: FaultPicture, colours: Mapping[int, str]) -> _Picture:
    if one.sample is None:
        return _Picture("", PICTURE, round(PICTURE * 0.62), one.fault.image or one.fault.file, "", (), one.fault)
    return _picture(one.sample, colours, None, one.fault, one.box)


def _thumbnail(encoded: bytes) -> tuple[str, int, int]:
    """A JPEG as data URI and its size, upright; what is damaged, as far as it can be decoded.

    Of what the checks refuse by its header, being too large or neither JPEG nor PNG, nothing is decoded.
    """
    try:
        header = read_header(encoded)
    except BrokenHeaderError:
        return "", 0, 0
    if header.width * header.height > MAX_PIXELS:
        return "", 0, 0
    found = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if found is None:
        return "", 0, 0
    image = turn_pixels(found, header.orientation)
    scale = min(1.0, PICTURE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    # Averaging takes ten times as long, and shows only where several pixels become one.
    how = cv2.INTER_LINEAR if scale > 0.5 else cv2.INTER_AREA
    small = cv2.resize(image, size, interpolation=how) if scale < 1 else image
    jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes()
    return data_uri(jpeg), size[0], size[1]


def _unreachable(sample: Sample, anchors: Anchors | None) -> list[bool]:
    """Whether a box's shape is one that no anchor has."""
    count = len(sample.labels)
    if anchors is None or not count:
        return [False] * count
    xmin, ymin, xmax, ymax = np.asarray(sample.boxes, np.float32).reshape(-1, 4).T
    size = np.full(count, sample.width, np.float32), np.full(count, sample.height, np.float32)
    centres = [(xmin + xmax) / 2 / max(sample.width, 1), (ymin + ymax) / 2 / max(sample.height, 1)]
    centre_x, centre_y = (np.asarray(one, np.float32) for one in centres)
    arrays = BoxArrays(
        xmax - xmin, ymax - ymin, *size, centre_x, centre_y, np.asarray(sample.labels), np.zeros(count, np.int64)
    )
    ever, _, _ = best_overlaps(arrays, anchors)
    missed: list[bool] = (ever < anchors.threshold).tolist()
    return missed


def _class_rows(
    description: Mapping[str, Any], colours: Mapping[int, str], names: Mapping[int, str]
) -> list[dict[str, Any]]:
    """A row a class: its boxes in each split and in all."""
    splits = description.get("splits", {})
    rows: list[dict[str, Any]] = []
    for label, name in names.items():
        counts = [int((splits.get(split, {}).get("boxes_per_class") or {}).get(name, 0)) for split in SPLITS]
        rows.append({"id": label, "name": name, "colour": colours[label], "counts": counts})
    most = max((sum(row["counts"]) for row in rows), default=0) or 1
    return [row | {"all": sum(row["counts"]), "share": sum(row["counts"]) / most} for row in rows]


def _split_rows(description: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    rows: list[tuple[str, list[Any]]] = []
    for split in SPLITS:
        one = description.get("splits", {}).get(split, {})
        sizes = (one.get("box_statistics") or {}).get("coco_sizes") or {}
        values = [one.get("images", 0), one.get("background_images", 0), one.get("boxes", 0)]
        rows.append((split, [*values, *(sizes.get(size, 0) for size in ("small", "medium", "large"))]))
    return rows


def _charts(collected: Collected, numbers: Mapping[str, Any]) -> dict[str, str]:
    def by_split(name: str, title: str, x: str) -> str:
        found = numbers[name]
        return histogram(title, x, found["edges"], {split: found[split] for split in SPLITS})

    charts = {
        "sizes": by_split("box_sizes", "Box sizes", "square root of the area, pixels"),
        "ratios": by_split("aspect_ratios", "Aspect ratios", "width / height"),
        "brightness": by_split("brightness", "Brightness", "mean luma of an image, 0 black, 255 white"),
        "centres": heat_map("Where boxes' centres lie", numbers["centres"]),
    }
    if collected.anchors is None or not len(collected.boxes):
        return charts
    anchors, fit = collected.anchors, numbers["anchor_fit"]
    overlaps = fit["overlaps"]
    charts["overlaps"] = histogram(
        "Best overlap", "IoU of a box and its best anchor", overlaps["edges"], {"boxes": overlaps["boxes"]},
        anchors.threshold,
    )  # fmt: skip
    chosen = np.random.default_rng(0).permutation(len(collected.boxes))[:POINTS]
    width, height = scaled_boxes(collected.boxes, anchors)
    ever, here, _ = best_overlaps(collected.boxes, anchors)
    points = np.stack([width, height], axis=1)[chosen].astype(np.float32)
    never = ever[chosen] < anchors.threshold
    absent = ~never & (here[chosen] < anchors.threshold)
    groups = [
        ("reached", "var(--line-1)", points[~never & ~absent]),
        ("not where they stand", "var(--line-2)", points[absent]),
        ("never", "var(--bad)", points[never]),
    ]
    charts["shapes"] = shapes(
        "Boxes and anchors", groups, np.unique(np.concatenate([level.shapes for level in anchors.levels]), axis=0)
    )
    return charts


def _co_occurrence(collected: Collected) -> dict[str, Any] | None:
    """Images with both classes as shares of the row's images; the classes in most images where there are many."""
    counts = np.asarray(collected.co_occurrence)
    if len(counts) < 2:
        return None
    order = np.sort(np.argsort(-counts.diagonal(), kind="stable")[:CLASSES])
    names = list(collected.names.values())
    rows = []
    for at in order:
        of = int(counts[at, at])
        cells = [{"count": int(counts[at, other]), "share": counts[at, other] / of if of else 0.0, "own": at == other}
                 for other in order]  # fmt: skip
        rows.append({"name": names[at], "cells": cells})
    return {"names": [names[at] for at in order], "rows": rows, "left_out": len(names) - len(order)}
