# SPDX-License-Identifier: Apache-2.0
"""The layout of SageMaker's built-in Object Detection - TensorFlow: `images/` beside `annotations.json`.

Boxes are `[xmin, ymin, xmax, ymax]` in pixels and category ids start at 0, so that a label-map id is one more.
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection-tensorflow-inputoutput.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training_src.data.dataset import Dataset
from training_src.data.formats import json_stream
from training_src.data.formats.data_folder import DataFolder, split_folders
from training_src.data.formats.instances import Convention, InstancesFile, read_instances
from training_src.data.label_map import LabelMap
from training_src.data.splits import given_split
from training_src.errors import DataError

NAME = "sagemaker_builtin"
ANNOTATIONS = "annotations.json"


def recognise(folder: Path) -> bool:
    """Whether the folder, or a split's folder in it, has an `annotations.json` that is not COCO's."""
    return any(not is_coco(root / ANNOTATIONS) for root in _roots(folder))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read every `annotations.json`; names come from the label map, the file's `categories`, or are `class_<id>`."""
    files = [
        InstancesFile(root / ANNOTATIONS, (root / "images",), None if root == folder else given_split(root.name))
        for root in _roots(folder)
    ]
    if not files:
        raise DataError(f"{folder.name} holds no {ANNOTATIONS}; SageMaker's built-in layout has it beside images/.")
    convention = Convention(NAME, lambda bbox: bbox, from_zero=True)
    return read_instances(DataFolder(folder), files, convention, label_map)


def is_coco(file: Path) -> bool:
    """Whether annotations bear COCO's marks, which the built-in layout does not know."""
    found = json_stream.first(file, "annotations")
    return found is not None and isinstance(found[1], dict) and bool({"area", "segmentation"} & found[1].keys())


def _roots(folder: Path) -> Iterator[Path]:
    roots = [folder, *(child for child, _ in split_folders(folder))]
    yield from (root for root in roots if (root / ANNOTATIONS).is_file())
