# SPDX-License-Identifier: Apache-2.0
"""Report contents, drawn and real."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from training_src.data.dataset import Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.images import read_header
from training_src.data.report.anchors import read_anchors
from training_src.data.report.content import Collected, FaultPicture, ReportContent, Sample
from training_src.data.report.figures import figures
from training_src.data.splits import SPLITS
from training_src.models.anchor_overlaps import BoxArrays

SHARED = Path(__file__).resolve().parents[4].parent / "shared" / "data"
MakeContent = Callable[..., ReportContent]


@pytest.fixture(scope="session")
def bccd() -> ReportContent:
    """Real blood cells, their faults and all."""
    folder = SHARED / "bccd"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    dataset = read_dataset(folder)
    entries = [entry for entry in dataset.entries() if isinstance(entry, LabelledImage)]
    samples = [of(entry, ("train", "validation", "test")[at % 3]) for at, entry in enumerate(entries[:360:10])]
    everything = [of(entry, ("train", "validation", "test")[at % 3]) for at, entry in enumerate(entries)]
    faulty = samples[4]
    bad = np.concatenate([faulty.boxes, [[-30, 40, 200, 700]]]).astype(np.float32)
    broken = Sample(faulty.source_id, faulty.split, faulty.encoded, faulty.width, faulty.height, bad,
                    np.append(faulty.labels, 1), (*faulty.names, faulty.names[0]))  # fmt: skip
    place, image = entries[4].annotation, entries[4].image
    outside = (
        f"{place}: object 3 (RBC) (-30, 40, 200, 700) lies outside its image of 640 x 480 pixels, by 220; correct it."
    )
    cut = "a.jpg cannot be decoded (premature end of JPEG file); export it again."
    alike = "b.jpg looks like c.jpg, which is in another split."
    faults = (
        Fault(place, "object 3", "outside", outside, "error", image),
        Fault("a.jpg", None, "image", cut, "error", "a.jpg"),
        Fault("b.jpg", None, "near_duplicate", alike, "warning", "b.jpg"),
    )
    pictures = (FaultPicture(faults[0], broken, len(bad) - 1), FaultPicture(faults[1]))
    anchors = read_anchors("ssd_mobilenet_v2_fpnlite_640x640", None, 3)
    return content(everything, dict(dataset.label_map.names), samples, faults, pictures, anchors)


@pytest.fixture(scope="session")
def drawn() -> MakeContent:
    """Make a content of two drawn images with names of one's choice: `drawn(class_name, image_name)`."""

    def make(name: str = "cat", image: str = "a.jpg", message: str = "fine", anchors: bool = True) -> ReportContent:
        encoded = cv2.imencode(".png", np.full((100, 200, 3), 90, np.uint8))[1].tobytes()
        boxes = np.array([[10, 20, 60, 70], [0, 0, 200, 4]], np.float32)
        samples = [
            Sample(image, split, encoded, 200, 100, boxes, np.array([1, 2]), (name, "dog"))
            for split in ("train", "test")
        ]
        faults = (Fault(image, None, "image", message, "error", image),)
        fit = read_anchors("ssd_mobilenet_v2_fpnlite_320x320", None, 2) if anchors else None
        return content(samples, {1: name, 2: "dog"}, samples, faults, (FaultPicture(faults[0], samples[0], 0),), fit)

    return make


def of(entry: LabelledImage, split: str) -> Sample:
    encoded = entry.encoded.load()
    facts = read_header(encoded)
    boxes = np.array([[b.xmin, b.ymin, b.xmax, b.ymax] for b in entry.boxes], np.float32).reshape(-1, 4)
    labels = np.array([b.label for b in entry.boxes], np.int64)
    names = tuple(b.name for b in entry.boxes)
    return Sample(entry.image, split, encoded, facts.width, facts.height, boxes, labels, names)


def _brightness(encoded: bytes) -> float:
    grey = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    return float(grey.mean())


def content(everything, names, samples, faults, pictures, anchors) -> ReportContent:  # type: ignore[no-untyped-def]
    rows = [
        (box[2] - box[0], box[3] - box[1], one.width, one.height, (box[0] + box[2]) / 2 / one.width,
         (box[1] + box[3]) / 2 / one.height, label, SPLITS.index(one.split))
        for one in everything for box, label in zip(one.boxes.tolist(), one.labels.tolist(), strict=True)
    ]  # fmt: skip
    columns = np.array(rows, np.float64).reshape(-1, 8).T
    boxes = BoxArrays(
        *(column.astype(np.float32) for column in columns[:6]), *(column.astype(np.int64) for column in columns[6:])
    )
    labels = list(names)
    together = np.zeros((len(labels), len(labels)), np.int64)
    for one in everything:
        held = [labels.index(label) for label in sorted(set(one.labels.tolist())) if label in labels]
        together[np.ix_(held, held)] += 1
    lumas = [_brightness(one.encoded) for one in everything]
    splits: dict[str, dict[str, Any]] = {}
    for number, split in enumerate(SPLITS):
        own = [one for one in everything if one.split == split]
        per_class = {
            name: int(((boxes.label == label) & (boxes.split == number)).sum()) for label, name in names.items()
        }
        splits[split] = {
            "images": len(own),
            "background_images": sum(not len(one.labels) for one in own),
            "boxes": sum(len(one.labels) for one in own),
            "boxes_per_class": per_class,
            "box_statistics": {"coco_sizes": {"small": 1, "medium": 2, "large": 3}},
        }
    description = {
        "schema_version": 1, "sha256": "5e" * 32, "format": "pascal_voc", "images": len(everything), "boxes": len(rows),
        "classes": [{"id": label, "name": name} for label, name in names.items()], "splits": splits,
        "repaired": {"clipped_boxes": 3, "dropped_boxes": 1}, "notices": ["1 box that is a single point dropped."],
        "findings": {"error": {"outside": 1, "image": 1}, "warning": {"near_duplicate": 4}},
    }  # fmt: skip
    collected = Collected(
        names, boxes, np.array(lumas, np.float32), np.array([SPLITS.index(one.split) for one in everything]), together,
        anchors,
    )  # fmt: skip
    return ReportContent(description | figures(collected), collected, samples, faults, pictures)
