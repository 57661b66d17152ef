# SPDX-License-Identifier: Apache-2.0
"""Small writers of every layout, each as its own tools write it, and images to write."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import numpy as np
import pytest

from containers.contract.tfrecord import write_record
from training_src.data.dataset import Box, Encoded, Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.images import read_header
from training_src.data.label_map import LabelMap, write_label_map
from training_src.data.records.example import encode, example_of
from training_src.data.writers.image import Image

Write = Callable[[Path, Sequence[Image]], None]


@cache
def picture(number: int, kind: str, width: int, height: int) -> bytes:
    """An image file's bytes, different for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".jpg" if kind == "jpeg" else ".png", pixels)[1])


@pytest.fixture(scope="session")
def make_image() -> Callable[..., Image]:
    """Makes an image of a name, split and boxes given as (name, xmin, ymin, xmax, ymax)."""

    def make(
        name: str,
        *boxes: tuple[str, float, float, float, float],
        number: int = 0,
        split: str | None = None,
        size: tuple[int, int] = (64, 48),
        **flags: bool,
    ) -> Image:
        kind = "png" if name.endswith(".png") else "jpeg"
        found = tuple(Box(*edges, 0, label, "", **flags) for label, *edges in boxes)  # type: ignore[arg-type, call-arg]
        labelled = LabelledImage(name, name, "", Encoded(""), found, *size, given_split=split)
        return Image(labelled, picture(number, kind, *size), kind)

    return make


@pytest.fixture(scope="session")
def read_images() -> Callable[..., list[Image]]:
    """Reads a folder back as images with their bytes, by name; no fault is expected."""

    def read(folder: Path, layout: str | None = None) -> list[Image]:
        found = list(read_dataset(folder, format=layout).entries())
        assert not [entry.message for entry in found if isinstance(entry, Fault)]
        return [_loaded(entry) for entry in found if isinstance(entry, LabelledImage)]

    return read


@pytest.fixture(scope="session")
def writers() -> Mapping[str, Write]:
    """A writer for each layout; classes are the names of the images' boxes."""
    return {
        "coco": write_coco,
        "sagemaker_builtin": write_builtin,
        "ground_truth": write_ground_truth,
        "pascal_voc": write_voc,
        "bbox_label_tool": write_bbox_label_tool,
        "yolo": write_yolo,
        "tfrecord": write_tfrecord,
        "csv": write_csv,
        "mxnet_builtin": write_mxnet_builtin,
    }


def _loaded(labelled: LabelledImage) -> Image:
    encoded = labelled.encoded.load()
    facts = read_header(encoded)
    assert (labelled.width or facts.width, labelled.height or facts.height) == (facts.width, facts.height)
    return Image(replace(labelled, width=facts.width, height=facts.height), encoded, facts.format)


FOLDERS = {"train": "train", "validation": "val", "test": "test", None: ""}


def classes(images: Sequence[Image]) -> list[str]:
    return sorted({box.name for image in images for box in image.labelled.boxes})


def by_split(images: Sequence[Image]) -> dict[str | None, list[Image]]:
    splits = dict.fromkeys(image.labelled.given_split for image in images)
    return {split: [image for image in images if image.labelled.given_split == split] for split in splits}


def store(file: Path, content: bytes | str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def write_coco(folder: Path, images: Sequence[Image]) -> None:
    """COCO's own layout: annotations/instances_train2017.json beside train2017/."""
    names = classes(images)
    for split, members in by_split(images).items():
        named = f"{FOLDERS[split]}2017" if split else "images"
        content = {
            "info": {"year": 2017},
            "images": [
                {"id": 7 * n, "file_name": m.labelled.source_id, "width": m.labelled.width, "height": m.labelled.height}
                for n, m in enumerate(members)
            ],
            "annotations": [
                {
                    "id": n,
                    "image_id": 7 * position,
                    "category_id": 10 + names.index(box.name),
                    "bbox": [box.xmin, box.ymin, box.xmax - box.xmin, box.ymax - box.ymin],
                    "area": (box.xmax - box.xmin) * (box.ymax - box.ymin) if box.area is None else box.area,
                    "iscrowd": int(box.crowd),
                    "difficult": int(box.difficult),
                    "segmentation": {"size": [1, 1], "counts": "01"} if box.crowd else [[1, 1, 2, 2, 3, 1]],
                }
                for n, (position, box) in enumerate((p, b) for p, m in enumerate(members) for b in m.labelled.boxes)
            ],
            "categories": [{"id": 10 + n, "name": name, "supercategory": "thing"} for n, name in enumerate(names)],
        }
        store(folder / "annotations" / f"instances_{named}.json", json.dumps(content))
        for member in members:
            store(folder / named / member.labelled.source_id, member.encoded)


def write_builtin(folder: Path, images: Sequence[Image]) -> None:
    names = classes(images)
    for split, members in by_split(images).items():
        root = folder / FOLDERS[split]
        content = {
            "images": [
                {"id": n, "file_name": m.labelled.source_id, "width": m.labelled.width, "height": m.labelled.height}
                for n, m in enumerate(members)
            ],
            "annotations": [
                {
                    "image_id": position,
                    "category_id": names.index(box.name),
                    "bbox": [box.xmin, box.ymin, box.xmax, box.ymax],
                    "difficult": int(box.difficult),
                }
                for position, member in enumerate(members)
                for box in member.labelled.boxes
            ],
            "categories": [{"id": n, "name": name} for n, name in enumerate(names)],
        }
        store(root / "annotations.json", json.dumps(content))
        for member in members:
            store(root / "images" / member.labelled.source_id, member.encoded)


def write_ground_truth(folder: Path, images: Sequence[Image]) -> None:
    """A manifest a split; the images under their keys' ends."""
    names = classes(images)
    for split, members in by_split(images).items():
        lines = []
        for member in members:
            key = f"{FOLDERS[split] or 'all'}-pictures/{member.labelled.source_id}"
            store(folder / key, member.encoded)
            boxes = member.labelled.boxes
            annotations = [
                {
                    "class_id": names.index(box.name),
                    "left": box.xmin,
                    "top": box.ymin,
                    "width": box.xmax - box.xmin,
                    "height": box.ymax - box.ymin,
                }
                for box in boxes
            ]
            line = {
                "source-ref": f"s3://labelling/project/{key}",
                "things": {
                    "image_size": [{"width": member.labelled.width, "height": member.labelled.height, "depth": 3}],
                    "annotations": annotations,
                },
                "things-metadata": {
                    "objects": [{"confidence": 0.75} for _ in boxes],
                    "class-map": {str(names.index(box.name)): box.name for box in boxes},
                    "type": "groundtruth/object-detection",
                    "human-annotated": "yes",
                    "creation-date": "2026-01-02T03:04:05.678901",
                    "job-name": "labeling-job/things",
                },
            }
            lines.append(json.dumps(line))
        store(folder / f"{FOLDERS[split] or 'output'}.manifest", "\n".join(lines) + "\n")


def write_voc(folder: Path, images: Sequence[Image]) -> None:
    for image in images:
        stem, _, suffix = image.labelled.source_id.rpartition(".")
        objects = "".join(
            f"<object><name>{escape(box.name)}</name><difficult>{int(box.difficult)}</difficult><bndbox>"
            f"<xmin>{box.xmin}</xmin><ymin>{box.ymin}</ymin><xmax>{box.xmax}</xmax><ymax>{box.ymax}</ymax>"
            "</bndbox></object>"
            for box in image.labelled.boxes
        )
        document = (
            f"<annotation><filename>{escape(stem)}.{suffix}</filename><size><width>{image.labelled.width}</width>"
            f"<height>{image.labelled.height}</height><depth>3</depth></size>{objects}</annotation>"
        )
        store(folder / "Annotations" / f"{stem}.xml", document)
        store(folder / "JPEGImages" / f"{stem}.{suffix}", image.encoded)
    for split, members in by_split(images).items():
        if split:
            stems = [member.labelled.source_id.rpartition(".")[0] for member in members]
            store(folder / "ImageSets" / "Main" / f"{FOLDERS[split]}.txt", "".join(f"{stem}\n" for stem in stems))


def write_bbox_label_tool(folder: Path, images: Sequence[Image]) -> None:
    for image in images:
        inner = FOLDERS[image.labelled.given_split] or "001"
        stem = image.labelled.source_id.rpartition(".")[0]
        boxes = [f"{b.xmin} {b.ymin} {b.xmax} {b.ymax} {b.name}\n" for b in image.labelled.boxes]
        store(folder / "Images" / inner / image.labelled.source_id, image.encoded)
        store(folder / "Labels" / inner / f"{stem}.txt", f"{len(boxes)}\n{''.join(boxes)}")


def write_yolo(folder: Path, images: Sequence[Image]) -> None:
    names = classes(images)
    settings = ["path: ../somewhere/else", "nc: " + str(len(names)), "names:"]
    settings += [f"  {number}: {json.dumps(name)}" for number, name in enumerate(names)]
    for split, members in by_split(images).items():
        inner = FOLDERS[split]
        if split:
            settings.append(f"{inner}: images/{inner}")
        for member in members:
            stem = member.labelled.source_id.rpartition(".")[0]
            wide, high = member.labelled.width, member.labelled.height
            lines = [
                f"{names.index(box.name)} {(box.xmin + box.xmax) / 2 / wide!r} {(box.ymin + box.ymax) / 2 / high!r} "
                f"{(box.xmax - box.xmin) / wide!r} {(box.ymax - box.ymin) / high!r}\n"
                for box in member.labelled.boxes
            ]
            store(folder / "images" / inner / member.labelled.source_id, member.encoded)
            if lines:
                store(folder / "labels" / inner / f"{stem}.txt", "".join(lines))
    store(folder / "data.yaml", "\n".join(settings) + "\n")


def write_tfrecord(folder: Path, images: Sequence[Image]) -> None:
    """Two shards a split, the second one compressed."""
    label_map = LabelMap(dict(enumerate(classes(images), start=1)))
    folder.mkdir(parents=True, exist_ok=True)
    if label_map.names:
        write_label_map(label_map, folder / "label_map.pbtxt")
    for split, members in by_split(images).items():
        for number in range(2):
            stream = io.BytesIO()
            for member in members[number::2]:
                boxes = tuple(replace(box, label=label_map.ids[box.name]) for box in member.labelled.boxes)
                labelled = replace(member.labelled, boxes=boxes)
                write_record(stream, encode(example_of(labelled, member.format, member.encoded)))
            if stream.tell():
                content = gzip.compress(stream.getvalue()) if number else stream.getvalue()
                store(folder / f"{FOLDERS[split] or 'all'}_{number}.record", content)


def write_csv(folder: Path, images: Sequence[Image]) -> None:
    """xml_to_csv.py's table a split; an image without a box is in none, so it gets none either."""
    for split, members in by_split(images).items():
        inner = FOLDERS[split]
        rows: list[list[object]] = [["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]]
        for member in members:
            one = member.labelled
            store(folder / "images" / inner / one.source_id, member.encoded)
            rows += [
                [one.source_id, one.width, one.height, box.name, *map(repr, (box.xmin, box.ymin, box.xmax, box.ymax))]
                for box in one.boxes
            ]
        table = io.StringIO(newline="")
        csv.writer(table).writerows(rows)
        store(folder / "data" / f"{inner or 'all'}_labels.csv", table.getvalue())


def write_mxnet_builtin(folder: Path, images: Sequence[Image]) -> None:
    names = classes(images)
    for image in images:
        one, channel = image.labelled, FOLDERS[image.labelled.given_split] or "images"
        content = {
            "file": f"somewhere/{one.source_id}",
            "image_size": [{"width": one.width, "height": one.height, "depth": 3}],
            "annotations": [
                {
                    "class_id": names.index(box.name),
                    "left": box.xmin,
                    "top": box.ymin,
                    "width": box.xmax - box.xmin,
                    "height": box.ymax - box.ymin,
                }
                for box in one.boxes
            ],
            "categories": [{"class_id": number, "name": name} for number, name in enumerate(names)],
        }
        store(folder / channel / one.source_id, image.encoded)
        store(folder / f"{channel}_annotation" / f"{one.source_id.rpartition('.')[0]}.json", json.dumps(content))
