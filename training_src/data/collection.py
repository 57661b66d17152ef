# SPDX-License-Identifier: Apache-2.0
"""Collecting what a data set's report shows: figures, samples, and the images of faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from containers.contract.orientation import turn_boxes, upright_size
from training_src.data.dataset import Fault, LabelledImage
from training_src.data.examination import Examined
from training_src.data.images import read_orientation
from training_src.data.index import Located
from training_src.data.report.anchors import read_anchors
from training_src.data.report.content import (
    MOST_FAULT_PICTURES,
    MOST_FAULTS,
    Collected,
    FaultPicture,
    ReportContent,
    Sample,
)
from training_src.data.splits import SPLITS
from training_src.data.statistics import box_shapes
from training_src.errors import ConfigurationError
from training_src.models.anchor_overlaps import BoxArrays

# Of each split, spread evenly over it.
_SAMPLES = {"train": 12, "validation": 4, "test": 8}


def collect(examined: Examined, *, architecture: str = "", config: Path | None = None) -> Collected:
    """The figures of a data set's images and boxes."""
    sample, images = examined.tally.sample, examined.tally.image_sample
    bright = images[np.isfinite(images[:, 2])]
    boxes = BoxArrays(*sample.T[:6], *sample.T[6:8].astype(np.int64))
    try:
        shapes = box_shapes(examined.tally, SPLITS.index("train"), examined.label_map)
        label_map = examined.label_map
        anchors = read_anchors(architecture, config, label_map.greatest_id, shapes, len(label_map.names))
    except ConfigurationError:
        anchors = None  # the configuration's own checks say what is wrong with it
    return Collected(
        examined.label_map.names,
        boxes,
        bright[:, 2],
        bright[:, 0].astype(np.int64),
        examined.tally.co_occurrence,
        anchors,
    )


def report_content(examined: Examined, collected: Collected, description: Mapping[str, Any]) -> ReportContent:
    """All that the report shows."""
    faults = examined.findings.all()[:MOST_FAULTS]
    return ReportContent(description, collected, _samples(examined), faults, _fault_pictures(examined))


def _samples(examined: Examined) -> Sequence[Sample]:
    found: list[Sample] = []
    index = examined.index
    for number, split in enumerate(SPLITS):
        step = max(1, examined.images[split] // _SAMPLES[split])
        condition = (
            "number IN (SELECT number FROM (SELECT number, row_number() OVER (ORDER BY source_id) - 1 AS place "
            "FROM images WHERE split = ?) WHERE place % ? = 0 LIMIT ?)"
        )
        for image in index.located(condition, number, step, _SAMPLES[split]):
            found += _sample(image, examined.label_map.names)
    return found


def _fault_pictures(examined: Examined) -> Sequence[FaultPicture]:
    """Faults with the images that were kept beside them, else those that the index still knows."""
    pictures = [_kept_picture(fault, image) for fault, image in examined.findings.pictures if image]
    pictured = {id(picture.fault) for picture in pictures}
    for fault in examined.findings.all():
        if len(pictures) >= MOST_FAULT_PICTURES or fault.severity == "notice":
            break
        if fault.image and id(fault) not in pictured:
            for image in examined.index.located("image = ? LIMIT 1", fault.image):
                samples = _sample(image, examined.label_map.names)
                pictures.append(FaultPicture(fault, samples[0] if samples else None))
    return pictures[:MOST_FAULT_PICTURES]


def _kept_picture(fault: Fault, image: LabelledImage) -> FaultPicture:
    try:
        encoded = image.encoded.load()
    except OSError:
        return FaultPicture(fault)
    corners = [(box.xmin, box.ymin, box.xmax, box.ymax) for box in image.boxes]
    edges = np.array(corners, np.float32).reshape(-1, 4)
    labels = np.array([box.label for box in image.boxes], np.int64)
    names = tuple(box.name for box in image.boxes)
    sample = Sample(image.source_id, "", encoded, image.width, image.height, edges, labels, names)
    meant = [at for at, box in enumerate(image.boxes) if fault.box == f"{box.place} {box}"]
    return FaultPicture(fault, sample, meant[0] if meant else None)


def _sample(image: Located, names: Mapping[int, str]) -> list[Sample]:
    """The image to show; none where it lies on another machine."""
    try:
        encoded = image.encoded.load()
    except OSError:
        return []
    objects = image.objects
    edges = np.stack([objects[edge] for edge in ("ymin", "xmin", "ymax", "xmax")], axis=1).astype(np.float32)
    # Upright already, unless the policy leaves images as they are: then boxes mean the stored pixels.
    orientation = read_orientation(encoded)
    edges = turn_boxes(edges, orientation, image.height, image.width)[:, [1, 0, 3, 2]]
    height, width = upright_size(image.height, image.width, orientation)
    labels = objects["label"].astype(np.int64)
    split = "" if image.split is None else SPLITS[image.split]
    texts = tuple(names[label] for label in labels.tolist())
    return [Sample(image.source_id, split, encoded, width, height, edges, labels, texts)]
