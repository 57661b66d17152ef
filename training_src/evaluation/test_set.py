# SPDX-License-Identifier: Apache-2.0
"""The test images and their ground truth, read from the prepared TFRecord shards."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path

import numpy as np
import xxhash

from containers.contract.files import digest_of
from containers.contract.tfrecord import shards
from training_src.data.checks.policy import DataPolicy
from training_src.data.records.example import DetectionExample, read_examples
from training_src.data.statistics import short_hash
from training_src.evaluation.boxes import Booleans, GroundTruth, Integers
from training_src.evaluation.errors import EvaluationError


@dataclass(frozen=True)
class TestSet:
    """Ground truth of a split of N images; the images themselves stay in the shards until they are asked for.

    Attributes:
        folder: Of the shards.
        truth: With `source_ids`, in order of the records.
        digest: Of the shards' content and of the source ids in order: equal digests, equal test sets.
        places: Shape `(N,)`, which record of the shards each image is; None: they are all of them, in order.
        groups: Each image's sequence or drive, as its record names it, or else its file's name suggests; "" for none.
        hashes: By which each image may be known to have been seen, as `dataset.json` and `model.json` name groups: of
            the group that was not torn apart when it was prepared, of its sequence, and of its bytes.
        columns: By name, such as `camera`: each image's value; "" where it has none.
        names: Class names by the ids of `truth`, as the records state them beside their boxes.
    """

    __test__ = False  # no test class for pytest

    folder: Path
    truth: GroundTruth
    digest: str
    places: Integers | None = None
    groups: tuple[str, ...] = ()
    hashes: tuple[frozenset[str], ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)

    def subset(self, images: Booleans) -> "TestSet":
        """Some of the images, shape `(N,)`, which are counted anew from 0; the digest stays that of the whole."""
        return replace(
            self,
            truth=self.truth.subset(images),
            places=np.flatnonzero(images),
            groups=tuple(compress(self.groups, images)),
            hashes=tuple(compress(self.hashes, images)),
            columns={name: tuple(compress(values, images)) for name, values in self.columns.items()},
        )

    def encoded(self, images: Iterable[int]) -> dict[int, bytes]:
        """The image files of these indices."""
        wanted = {index if self.places is None else int(self.places[index]): index for index in images}
        return {wanted[at]: one.encoded for at, one in enumerate(read_examples(self.folder)) if at in wanted}


def read_test_set(folder: Path) -> TestSet:
    """Read every record of a split. Crowds are ignored.

    Raises:
        DataError: The folder has no shards, or a record is damaged.
        EvaluationError: There is no image, or one without source id or size, or records name a class differently.
    """
    sizes, boxes, labels, ignored, areas, source_ids = [], [], [], [], [], []
    groups, hashes, attributes, names = [], [], [], dict[int, str]()
    for index, example in enumerate(read_examples(folder)):
        if not example.source_id:
            raise EvaluationError(f"{folder}: image {index} has no source id; prepare the data set again")
        if example.height <= 0 or example.width <= 0:
            raise EvaluationError(f'{folder}: image "{example.source_id}" states no size; prepare the data set again')
        sizes.append((example.height, example.width))
        boxes.append(example.boxes)
        labels.append(example.labels)
        ignored.append(example.crowd != 0)
        areas.append(example.stated_areas())
        source_ids.append(example.source_id)
        name, known_by = _group(example)
        groups.append(name)
        hashes.append(known_by)
        attributes.append(example.attributes)
        _add_names(names, example, folder)
    if not source_ids:
        raise EvaluationError(f"{folder}: the test set has no image; give the data set a test split")
    truth = GroundTruth.from_images(sizes, boxes, labels, ignored, source_ids, areas)
    return TestSet(
        folder,
        truth,
        digest(source_ids, digest_of(shards(folder))),
        groups=tuple(groups),
        hashes=tuple(hashes),
        columns=_columns(attributes),
        names=names,
    )


def _group(example: DetectionExample) -> tuple[str, frozenset[str]]:
    """An image's sequence, and the hashes of what it may be known by; records of before do not state all."""
    likely, _ = DataPolicy().sequence_of(example.source_id)
    keys = {example.group, likely, xxhash.xxh3_128_hexdigest(example.encoded)} - {""}
    stated = {example.group_hash} - {""}
    return example.group or example.attributes.get("sequence") or likely, frozenset(map(short_hash, keys)) | stated


def _add_names(names: dict[int, str], example: DetectionExample, folder: Path) -> None:
    for number, text in zip(example.labels.tolist(), example.names, strict=False):
        if text and names.setdefault(number, text) != text:
            raise EvaluationError(
                f'{folder}: image "{example.source_id}" names class {number} "{text}", others "{names[number]}"; '
                "prepare the data set again"
            )


def _columns(attributes: Sequence[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    names = sorted({name for one in attributes for name in one})
    return {name: tuple(one.get(name, "") for one in attributes) for name in names}


def digest(source_ids: Iterable[str], shards_sha256: str) -> str:
    """SHA-256 over the content hash of the shards and the images' names in their order."""
    joined = hashlib.sha256(shards_sha256.encode())
    for name in source_ids:
        joined.update(name.encode() + b"\0")
    return joined.hexdigest()
