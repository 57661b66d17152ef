# SPDX-License-Identifier: Apache-2.0
"""COCO's object instances: JSON with boxes as `[x, y, width, height]` in pixels.

The layouts that people have: `annotations/instances_train2017.json` beside `train2017/` (or `images/train2017/`), a
split's folder with `_annotations.coco.json` among its images, one JSON file beside `images/` or among the images.
Segmentations, polygons or run lengths, are not looked at. Source: https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training_src.data.dataset import Dataset
from training_src.data.formats import json_stream, sagemaker_builtin
from training_src.data.formats.data_folder import DataFolder, named_like, split_folders
from training_src.data.formats.fields import Edges
from training_src.data.formats.instances import Convention, InstancesFile, read_instances
from training_src.data.label_map import LabelMap
from training_src.data.splits import given_split
from training_src.errors import DataError

NAME = "coco"

# COCO's own files about the same images that are no boxes of ours.
_OTHER = ("captions_", "person_keypoints_", "stuff_", "panoptic_", "image_info_")


def recognise(folder: Path) -> bool:
    """Whether a JSON file in one of COCO's places holds images, annotations or categories."""
    for file, _ in _files(folder):
        if file.name == sagemaker_builtin.ANNOTATIONS and file.parent.name != "annotations":
            if sagemaker_builtin.is_coco(file):
                return True
        elif json_stream.first(file, "images", "annotations", "categories"):
            return True
    return False


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read every file; names come from the label map or `categories`, ids too, shifted by one if one of them is 0."""
    found = list(_files(folder))
    fitting = [(file, split) for file, split in found if json_stream.first(file, "images", "annotations", "categories")]
    files = [InstancesFile(file, tuple(_places(folder, file)), split) for file, split in fitting or found]
    if not files:
        raise DataError(f'{folder.name} holds no JSON file with "images" and "annotations"; COCO has them.')
    return read_instances(DataFolder(folder), files, Convention(NAME, _edges, from_zero=None), label_map)


def _edges(bbox: Edges) -> Edges:
    x, y, width, height = bbox
    return x, y, x + width, y + height


def _files(folder: Path) -> Iterator[tuple[Path, str | None]]:
    annotations = named_like(folder / "annotations", "*.json")
    instances = [file for file in annotations if file.name.startswith("instances")]
    for file in instances or annotations:
        if not file.name.startswith(_OTHER):
            yield file, given_split(file.name)
    for file in named_like(folder, "*.json"):
        yield file, given_split(file.name)
    for child, split in split_folders(folder):
        yield from ((file, split) for file in named_like(child, "*.json"))


def _places(folder: Path, file: Path) -> Iterator[Path]:
    """Where a file's images may lie: what is named like the file first."""
    named = file.stem.removeprefix("instances_")
    for place in (folder / named, folder / "images" / named, folder / named / "images"):
        if place.is_dir():
            yield place
    for root in (file.parent, folder):
        if (root / "images").is_dir():
            yield root / "images"
    yield from (file.parent, folder) if file.parent != folder else (folder,)
