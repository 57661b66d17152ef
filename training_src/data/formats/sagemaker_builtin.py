# SPDX-License-Identifier: Apache-2.0
"""The layout of SageMaker's built-in Object Detection - TensorFlow: `images/` beside `annotations.json`.

Boxes are `[xmin, ymin, xmax, ymax]` in pixels and category ids start at 0, so that a label-map id is one more.
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection-tensorflow-inputoutput.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training_src.data.dataset import Dataset
from training_src.data.formats.box_convention import convention_of
from training_src.data.formats.data_folder import DataFolder, split_folders
from training_src.data.formats.fields import four_numbers
from training_src.data.formats.instances import Convention, InstancesFile, read_instances
from training_src.data.label_map import LabelMap
from training_src.data.splits import given_split
from training_src.errors import DataError

NAME = "sagemaker_builtin"
ANNOTATIONS = "annotations.json"


def recognise(folder: Path) -> bool:
    """Whether the folder, or a split's folder in it, has an `annotations.json` that is not COCO's.

    Raises:
        DataError: One may be either, so that only who made it can say.
    """
    return any(not is_coco(root / ANNOTATIONS) for root in _roots(folder))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read every `annotations.json`; names come from the label map, the file's `categories`, or are `class_<id>`."""
    files = [
        InstancesFile(root / ANNOTATIONS, (root / "images",), None if root == folder else given_split(root.name))
        for root in _roots(folder)
    ]
    if not files:
        raise DataError(f"{folder.name} holds no {ANNOTATIONS}; SageMaker's built-in layout has it beside images/.")
    convention = Convention(NAME, lambda annotation: four_numbers(annotation.get("bbox")), from_zero=True)
    return read_instances(DataFolder(folder), files, convention, label_map)


def is_coco(file: Path) -> bool:
    """Whether annotations are COCO's (see `box_convention`).

    Raises:
        DataError: Nothing in them tells.
    """
    convention = convention_of(file)
    if convention == "either":
        raise DataError(
            f"{file.parent.name}/{file.name}: its boxes can be read as COCO's [x, y, width, height] and as the "
            "[xmin, ymin, xmax, ymax] of SageMaker's built-in layout, and nothing tells which is meant; say "
            f"--format coco or --format {NAME}, and to a pipeline by `format:` in a sources.yaml."
        )
    return convention == "coco"


def _roots(folder: Path) -> Iterator[Path]:
    roots = [folder, *(child for child, _ in split_folders(folder))]
    yield from (root for root in roots if (root / ANNOTATIONS).is_file())
