# SPDX-License-Identifier: Apache-2.0
"""The layout of SageMaker's built-in Object Detection - TensorFlow: `images/` beside `annotations.json`.

Boxes are `[xmin, ymin, xmax, ymax]` in pixels and category ids start at 0, so that a label-map id is one more.
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection-tensorflow-inputoutput.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training_src.data.dataset import Box, Dataset, Encoded, Entry, Fault, LabelledImage
from training_src.data.label_map import LabelMap
from training_src.data.splits import given_split
from training_src.errors import DataError

NAME = "sagemaker_builtin"
ANNOTATIONS = "annotations.json"


def recognise(folder: Path) -> bool:
    """Whether the folder, or a split's folder in it, has an `annotations.json`."""
    return bool(_roots(folder))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read every `annotations.json`; names come from the label map, the file's `categories`, or are `class_<id>`."""
    contents = {root: _content(root / ANNOTATIONS, folder) for root in _roots(folder)}
    label_map = label_map or _made_label_map(contents)
    faults: list[Fault] = []
    images: list[LabelledImage] = []
    for root, content in contents.items():
        images += _read_root(folder, root, content, label_map, faults)
    entries: tuple[Entry, ...] = (*sorted(images, key=lambda image: image.source_id), *faults)
    return Dataset(NAME, label_map, lambda: iter(entries))


def _roots(folder: Path) -> list[Path]:
    children = [child for child in sorted(folder.iterdir()) if child.is_dir() and given_split(child.name)]
    return [root for root in [folder, *children] if (root / ANNOTATIONS).is_file()]


def _content(file: Path, folder: Path) -> Mapping[str, Any]:
    place = file.relative_to(folder).as_posix()
    text = file.read_text(encoding="utf-8")
    if not text.strip():
        raise DataError(f'{place} is empty; it must hold {{"images": [...], "annotations": [...]}}.')
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DataError(f"{place} is no JSON: {error}; export it again.") from None
    if not isinstance(content, dict):
        raise DataError(f'{place} holds no object; it must hold {{"images": [...], "annotations": [...]}}.')
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), list) or not content[key]:
            raise DataError(f'{place} is empty: it has no "{key}"; export it again, with at least one of them.')
    return content


def _made_label_map(contents: Mapping[Path, Mapping[str, Any]]) -> LabelMap:
    names: dict[int, str] = {}
    for content in contents.values():
        for category in content.get("categories") or []:
            names[int(category["id"]) + 1] = str(category["name"])
    if not names:
        numbers = {item.get("category_id") for content in contents.values() for item in content["annotations"]}
        names = {number + 1: f"class_{number}" for number in numbers if isinstance(number, int) and number >= 0}
    return LabelMap(dict(sorted(names.items())))


def _read_root(
    folder: Path, root: Path, content: Mapping[str, Any], label_map: LabelMap, faults: list[Fault]
) -> list[LabelledImage]:
    place = (root / ANNOTATIONS).relative_to(folder).as_posix()
    entries: dict[Any, Mapping[str, Any]] = {}
    for number, entry in enumerate(content["images"]):
        fault = _image_fault(root, entry, entries)
        if fault:
            faults.append(Fault(place, None, "annotation", f"{place}: image {number} {fault}."))
        else:
            entries[entry["id"]] = entry
    known = {entry.get("id") for entry in content["images"] if isinstance(entry, dict)}
    boxes: dict[Any, list[Box]] = {}
    for number, item in enumerate(content["annotations"]):
        where = f"annotation {number}"
        box = _box(item, where, label_map)
        if isinstance(box, str) or item["image_id"] not in known:
            sentence = box if isinstance(box, str) else f"belongs to image {item['image_id']}, which is not listed"
            check = "class" if "class" in sentence else "annotation"
            faults.append(Fault(place, where, check, f"{place}: {where}{_of(item, entries)} {sentence}."))
        else:
            boxes.setdefault(item["image_id"], []).append(box)
    return [_labelled(folder, root, entry, tuple(boxes.get(key, ()))) for key, entry in entries.items()]


def _image_fault(root: Path, entry: Any, entries: Mapping[Any, Any]) -> str:
    if not isinstance(entry, dict) or "id" not in entry or not isinstance(entry.get("file_name"), str):
        return "has no id or file_name"
    file = root / "images" / entry["file_name"]
    if not file.resolve().is_relative_to((root / "images").resolve()):
        return f'lies outside images/: "{entry["file_name"]}"'
    if not file.is_file():
        return f'names the file "{entry["file_name"]}", which is not in images/'
    if entry["id"] in entries:
        return f'("{entry["file_name"]}") has the id {entry["id"]}, which "{entries[entry["id"]]["file_name"]}" has too'
    return ""


def _box(item: Any, where: str, label_map: LabelMap) -> Box | str:
    """An annotation's box, or what is wrong with it."""
    if not isinstance(item, dict) or not {"image_id", "bbox", "category_id"} <= item.keys():
        return "lacks image_id, bbox or category_id"
    edges, category = item["bbox"], item["category_id"]
    if not isinstance(edges, list) or len(edges) != 4 or not all(isinstance(edge, int | float) for edge in edges):
        return f"has a bbox that is not four numbers: {edges}"
    if not isinstance(category, int) or category + 1 not in label_map.names:
        known = ", ".join(f"{number - 1} ({name})" for number, name in label_map.names.items())
        return f"has the unknown class {category}; known are, counted from 0: {known}"
    name = label_map.names[category + 1]
    xmin, ymin, xmax, ymax = map(float, edges)
    return Box(xmin, ymin, xmax, ymax, category + 1, name, where, crowd=bool(item.get("iscrowd")))


def _of(item: Any, entries: Mapping[Any, Mapping[str, Any]]) -> str:
    entry = entries.get(item.get("image_id")) if isinstance(item, dict) else None
    return f' (of "{entry["file_name"]}")' if entry else ""


def _labelled(folder: Path, root: Path, entry: Mapping[str, Any], boxes: tuple[Box, ...]) -> LabelledImage:
    file = root / "images" / entry["file_name"]
    image = file.relative_to(folder).as_posix()
    return LabelledImage(
        source_id=image,
        image=image,
        annotation=(root / ANNOTATIONS).relative_to(folder).as_posix(),
        encoded=Encoded(file),
        boxes=boxes,
        width=int(entry.get("width") or 0),
        height=int(entry.get("height") or 0),
        given_split=None if root == folder else given_split(root.name),
        group=str(entry.get("group") or ""),
    )
