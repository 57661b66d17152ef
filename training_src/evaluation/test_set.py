# SPDX-License-Identifier: Apache-2.0
"""The test images and their ground truth, read from the prepared TFRecord shards."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xxhash

from containers.contract.files import digest_of
from containers.contract.tfrecord import shards
from training_src.data.label_map import read_label_map
from training_src.data.records.example import DetectionExample, read_examples
from training_src.data.splits import group_hash
from training_src.evaluation.boxes import Booleans, GroundTruth, Integers
from training_src.evaluation.errors import EvaluationError

LABEL_MAP = "label_map.pbtxt"


@dataclass(frozen=True)
class TestSet:
    """Ground truth of a split; the images themselves stay in the shards until they are asked for.

    Attributes:
        folder: Of the shards.
        truth: With `source_ids`, in order of the records.
        digest: Of the shards' content and of the source ids in order: equal digests, equal test sets.
        groups: Of each of N images the short hash of its group (sequence, drive, else all images with the same bytes),
            as `dataset.json` and `model.json` list those that a model has seen.
        columns: By name, such as `camera`: each of N images' value; "" where an image has none.
    """

    __test__ = False  # no test class for pytest

    folder: Path
    truth: GroundTruth
    digest: str
    groups: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def encoded(self, images: Iterable[int]) -> dict[int, bytes]:
        """The image files of these indices."""
        wanted = set(images)
        return {index: example.encoded for index, example in enumerate(read_examples(self.folder)) if index in wanted}

    def units(self) -> Integers | None:
        """What the bootstrap draws, shape `(N,)`: the number of each image's group; None where all differ."""
        names, numbers = np.unique(np.array(self.groups, str), return_inverse=True)
        return None if len(names) == len(self.groups) else numbers

    def images_of(self, column: str, value: str) -> Booleans:
        """Which images a slice holds, shape `(N,)`: none where no image has this value of this column."""
        values = self.columns.get(column, ("",) * self.truth.images)
        return np.array([one == value != "" for one in values], bool)

    def images_outside(self, groups: Iterable[str]) -> Booleans:
        """Which images are of none of some groups, shape `(N,)`, such as of those that a model was trained on."""
        seen = frozenset(groups)
        return np.array([group not in seen for group in self.groups], bool)


def read_test_set(folder: Path, label_map: Mapping[int, str] | None = None) -> TestSet:
    """Read every record of a split. Crowds are ignored.

    Args:
        folder: Of the shards; a test set that was prepared apart has its own `label_map.pbtxt` beside them.
        label_map: The model's names by id: each box gets the id of its class's name, which its record states, else the
            folder's own label map. None: ids are taken as they are.

    Raises:
        DataError: The folder has no shards, or a record is damaged.
        EvaluationError: There is no image, or one without source id or size, or a box of a class that the label map
            does not have.
    """
    sizes, boxes, labels, ignored, areas, names = [], [], [], [], [], []
    groups, attributes = [], []
    classes = _Classes(folder, label_map) if label_map else None
    for index, example in enumerate(read_examples(folder)):
        if not example.source_id:
            raise EvaluationError(f"{folder}: image {index} has no source id; prepare the data set again")
        if example.height <= 0 or example.width <= 0:
            raise EvaluationError(f'{folder}: image "{example.source_id}" states no size; prepare the data set again')
        sizes.append((example.height, example.width))
        boxes.append(example.boxes)
        labels.append(example.labels if classes is None else classes.ids(example))
        ignored.append(example.crowd != 0)
        areas.append(example.stated_areas())
        names.append(example.source_id)
        groups.append(example.group_hash or group_hash(example.group or xxhash.xxh3_128_hexdigest(example.encoded)))
        attributes.append(example.attributes)
    if not names:
        raise EvaluationError(f"{folder}: the test set has no image; give the data set a test split")
    if classes is not None:
        classes.refuse_unknown()
    truth = GroundTruth.from_images(sizes, boxes, labels, ignored, names, areas)
    columns = {
        name: tuple(one.get(name, "") for one in attributes)
        for name in sorted({name for one in attributes for name in one})
    }
    return TestSet(folder, truth, digest(names, digest_of(shards(folder))), tuple(groups), columns)


class _Classes:
    """The present label map's ids of a test set's classes, by their names."""

    def __init__(self, folder: Path, label_map: Mapping[int, str]) -> None:
        self._folder = folder
        self._ids = {name: number for number, name in label_map.items()}
        own = folder / LABEL_MAP
        self._own = read_label_map(own).names if own.is_file() else label_map
        self._unknown: Counter[str] = Counter()

    def ids(self, example: DetectionExample) -> Integers:
        """Shape `(m,)`; 0 for a class that the present label map does not have."""
        names = list(self._names(example))
        self._unknown.update(name for name in names if name not in self._ids)
        return np.array([self._ids.get(name, 0) for name in names], np.int64)

    def _names(self, example: DetectionExample) -> Iterator[str]:
        for position, label in enumerate(example.labels.tolist()):
            text = example.names[position] if position < len(example.names) else ""
            yield text or self._own.get(label, f"class {label}")

    def refuse_unknown(self) -> None:
        if not self._unknown:
            return
        named = ", ".join(f'"{name}" ({count} boxes)' for name, count in sorted(self._unknown.items()))
        raise EvaluationError(
            f"{self._folder}: the test set has boxes of classes that the model's label map does not have: {named}; the "
            f"model has {', '.join(self._ids)}. Train with these classes, or measure on a test set without them"
        )


def digest(source_ids: Iterable[str], shards_sha256: str) -> str:
    """SHA-256 over the content hash of the shards and the images' names in their order."""
    joined = hashlib.sha256(shards_sha256.encode())
    for name in source_ids:
        joined.update(name.encode() + b"\0")
    return joined.hexdigest()
