# SPDX-License-Identifier: Apache-2.0
"""COCO's object instances: `annotations/instances_<split>.json` beside a folder of images for each split."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, Self, TextIO

from training_src.data.dataset import Box
from training_src.data.label_map import LabelMap
from training_src.data.splits import given_split
from training_src.data.writers.image import Image

_SUFFIXES = {"jpeg": (".jpg", ".jpeg"), "png": (".png",)}


class CocoWriter:
    """Writes images as they come; a split's annotations wait in a file of their own, since JSON has them last."""

    def __init__(self, folder: Path, label_map: LabelMap) -> None:
        self._folder = folder
        self._label_map = label_map
        self._splits: dict[str | None, _Split] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        (self._folder / "annotations").mkdir()
        return self

    def write(self, image: Image) -> None:
        """Add an image file, its entry and its annotations."""
        name = image.labelled.given_split
        if name not in self._splits:
            self._splits[name] = _Split(self._folder, name, self._label_map, self._open)
        self._splits[name].write(image)

    def __exit__(self, *_: object) -> None:
        with self._open:
            for split in self._splits.values():
                split.finish()


class _Split:
    def __init__(self, folder: Path, name: str | None, label_map: LabelMap, opened: ExitStack) -> None:
        self._name = name
        self._pictures = folder / (name or "images")
        whole = folder / "annotations" / (f"instances_{name}.json" if name else "instances.json")
        self._waiting = whole.with_suffix(".partial")
        self._images: TextIO = opened.enter_context(whole.open("w", encoding="utf-8"))
        self._annotations: TextIO = opened.enter_context(self._waiting.open("w+", encoding="utf-8"))
        self._image_count = self._box_count = 0
        categories = [{"id": number, "name": text} for number, text in label_map.names.items()]
        self._images.write(f'{{"categories": {json.dumps(categories)},\n"images": [')

    def write(self, image: Image) -> None:
        labelled = image.labelled
        self._image_count += 1
        entry: dict[str, Any] = {"id": self._image_count, "file_name": self._store(image)}
        entry |= {"width": labelled.width, "height": labelled.height}
        if labelled.group:
            entry["group"] = labelled.group
        if labelled.attributes:
            entry["attributes"] = dict(labelled.attributes)
        _append(self._images, entry, first=self._image_count == 1)
        for box in labelled.boxes:
            self._box_count += 1
            annotation = {"id": self._box_count, "image_id": self._image_count, **_annotation(box)}
            _append(self._annotations, annotation, first=self._box_count == 1)

    def finish(self) -> None:
        self._images.write('\n],\n"annotations": [')
        self._annotations.seek(0)
        shutil.copyfileobj(self._annotations, self._images, 1 << 20)
        self._images.write("\n]}\n")
        self._waiting.unlink()

    def _store(self, image: Image) -> str:
        """Write the image under its source's name, or one made from it where that cannot be a file here."""
        named = _file_name(image.labelled.source_id, self._name, image.format)
        for name in filter(None, (named, _made_name(image, self._image_count))):
            try:
                file = self._pictures / name
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("xb") as stream:
                    stream.write(image.encoded)
                return name
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                continue
        raise FileExistsError(f"{self._pictures / name} exists already")


def _annotation(box: Box) -> dict[str, Any]:
    width, height = box.xmax - box.xmin, box.ymax - box.ymin
    annotation: dict[str, Any] = {
        "category_id": box.label,
        "bbox": [box.xmin, box.ymin, width, height],
        "area": width * height if box.area is None else box.area,
        "iscrowd": int(box.crowd),
        "segmentation": [],
    }
    annotation |= {key: 1 for key, given in (("difficult", box.difficult), ("truncated", box.truncated)) if given}
    return annotation if box.confidence is None else {**annotation, "score": box.confidence}


def _append(stream: TextIO, entry: dict[str, Any], *, first: bool) -> None:
    stream.write("\n" if first else ",\n")
    json.dump(entry, stream, allow_nan=False)


def _file_name(source_id: str, split: str | None, kind: str) -> str:
    """The source's own name as a path below the split's folder; the empty text where it is not fit for one."""
    parts = PurePosixPath(source_id).parts
    if len(parts) > 1 and (given_split(parts[0]) == split if split else parts[0] == "images"):
        parts = parts[1:]  # the folder that it is written to
    fit = all(part not in ("..", "/") and part.isprintable() and len(part.encode()) < 200 for part in parts)
    if not fit or not parts or "\\" in source_id or not parts[-1].lower().endswith(_SUFFIXES[kind]):
        return ""
    return "/".join(parts)


def _made_name(image: Image, number: int) -> str:
    digest = hashlib.sha256(image.labelled.source_id.encode()).hexdigest()[:12]
    return f"{number:08d}-{digest}{_SUFFIXES[image.format][0]}"
