# SPDX-License-Identifier: Apache-2.0
"""COCO's object instances: JSON with boxes as `[x, y, width, height]` in pixels.

The layouts that people have: `annotations/instances_train2017.json` beside `train2017/` (or `images/train2017/`), a
split's folder with `_annotations.coco.json` among its images, one JSON file beside `images/` or among the images.
Segmentations, polygons or run lengths, are not looked at where there is a box. Source: https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training_src.data.dataset import Dataset
from training_src.data.formats import json_stream, sagemaker_builtin
from training_src.data.formats.box_convention import are_corners
from training_src.data.formats.data_folder import DataFolder, named_like, split_folders
from training_src.data.formats.fields import AnnotationError, Edges, four_numbers, number, shown
from training_src.data.formats.instances import Convention, InstancesFile, read_instances
from training_src.data.formats.rotation import enclosing
from training_src.data.label_map import LabelMap
from training_src.data.splits import given_split
from training_src.errors import DataError

NAME = "coco"

# Where files and images lie, COCO's own name first; capitals do not matter. FiftyOne writes labels.json beside data/.
_ANNOTATIONS = ("annotations", "annotation", "labels")
_PICTURES = ("images", "image", "imgs", "jpegimages", "data")
# COCO's own files about the same images that are no boxes of ours.
_WITHOUT_BOXES = ("captions_", "stuff_", "panoptic_", "image_info_")
_KEYPOINTS = "person_keypoints_"


def recognise(folder: Path) -> bool:
    """Whether a JSON file in one of COCO's places lists images, or is called as COCO's files are.

    Other tools' files, such as Label Studio's notes.json, hold categories too.
    """
    return any(_is_coco(file) for file, _ in _files(folder))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read every file; names come from the label map or `categories`, ids too, shifted by one if one of them is 0."""
    found = list(_files(folder))
    fitting = [(file, split) for file, split in found if _lists_images(file)]
    files = [InstancesFile(file, tuple(_places(folder, file)), split) for file, split in fitting or found]
    if not files:
        raise DataError(f'{folder.name} holds no JSON file with "images" and "annotations"; COCO has them.')
    for source in files:
        _refuse_corners(DataFolder(folder), source.file)
    return read_instances(DataFolder(folder), files, Convention(NAME, _edges, from_zero=None), label_map)


def _refuse_corners(folder: DataFolder, file: Path) -> None:
    """A file that calls itself COCO's and holds another tool's boxes would be read wrong without a word.

    Raises:
        DataError: Its boxes make sense only as corners.
    """
    if folder.holds(str(file)) and are_corners(file):
        raise DataError(
            f"{folder.name(file)}: its boxes are corners [xmin, ymin, xmax, ymax], not COCO's [x, y, width, height], "
            "as their images' sizes, or their areas and outlines, tell; export it again, or subtract xmin and ymin "
            "from the last two numbers of each bbox."
        )


def _edges(annotation: Mapping[str, Any]) -> Edges:
    """A box: `bbox`, turned as CVAT's attributes say, or what encloses the polygons where there is no `bbox`."""
    if not annotation.get("bbox") and annotation.get("segmentation"):
        return _around(annotation["segmentation"])
    x, y, width, height = four_numbers(annotation.get("bbox"))
    attributes = annotation.get("attributes")
    degrees = number(attributes.get("rotation") or 0) if isinstance(attributes, dict) else 0.0
    return enclosing((x, y, x + width, y + height), degrees)


def _around(segmentation: Any) -> Edges:
    """What encloses polygons, each a list x1, y1, x2, y2, ..."""
    if not isinstance(segmentation, list):
        raise AnnotationError("annotation", "has no bbox, and a segmentation of run lengths; export it with boxes")
    polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
    points = [number(value) for polygon in polygons if isinstance(polygon, list) for value in polygon]
    if len(points) < 6 or len(points) % 2:
        raise AnnotationError(
            "annotation", f"has no bbox, and a segmentation that is no polygon: {shown(segmentation)}"
        )
    return min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])


def _is_coco(file: Path) -> bool:
    if file.name == sagemaker_builtin.ANNOTATIONS and file.parent.name.lower() not in _ANNOTATIONS:
        return sagemaker_builtin.is_coco(file)
    return _lists_images(file)


def _lists_images(file: Path) -> bool:
    listed = json_stream.first(file, "images")
    if listed is not None:
        return isinstance(listed[1], dict)
    called = file.name.startswith("instances") or "coco" in file.name
    return called and json_stream.first(file, "annotations", "categories") is not None


def _files(folder: Path) -> Iterator[tuple[Path, str | None]]:
    for place in _children(folder, _ANNOTATIONS):
        annotations = _of_boxes(place)
        instances = [file for file in annotations if file.name.startswith("instances")]
        for file in instances or annotations:
            yield file, given_split(file.name)
    for file in _of_boxes(folder):
        yield file, given_split(file.name)
    for child, split in split_folders(folder):
        yield from ((file, split) for file in _of_boxes(child))


def _of_boxes(place: Path) -> list[Path]:
    """A folder's JSON files but for COCO's other ones; those of keypoints have boxes, too, and count if alone."""
    found = [file for file in named_like(place, "*.json") if not file.name.startswith(_WITHOUT_BOXES)]
    return [file for file in found if not file.name.startswith(_KEYPOINTS)] or found


def _places(folder: Path, file: Path) -> Iterator[Path]:
    """Where a file's images may lie: what is named like the file first."""
    named = file.stem.removeprefix("instances_").removeprefix(_KEYPOINTS)
    pictures = list(_children(folder, _PICTURES))
    for place in (folder / named, *(root / named for root in pictures), folder / named / "images"):
        if place.is_dir():
            yield place
    yield from dict.fromkeys((*_children(file.parent, _PICTURES), *pictures))
    yield from (file.parent, folder) if file.parent != folder else (folder,)


def _children(folder: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """A folder's folders of some names, in the names' order."""
    inside = DataFolder(folder)
    yield from (place for name in names if (place := inside.child(folder, name)) is not None)
