# SPDX-License-Identifier: Apache-2.0
"""The test images and their ground truth, read from the prepared TFRecord shards."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from containers.contract.files import digest_of
from containers.contract.tfrecord import shards
from training_src.data.records.example import read_examples
from training_src.evaluation.boxes import Booleans, GroundTruth, Integers
from training_src.evaluation.errors import EvaluationError


@dataclass(frozen=True)
class TestSet:
    """Ground truth of a split; the images themselves stay in the shards until they are asked for.

    Attributes:
        folder: Of the shards.
        truth: With `source_ids`, in order of the records.
        digest: Of the shards' content and of the source ids in order: equal digests, equal test sets.
        places: Shape `(N,)`, which record of the shards each image is; None: they are all of them, in order.
    """

    __test__ = False  # no test class for pytest

    folder: Path
    truth: GroundTruth
    digest: str
    places: Integers | None = None

    def subset(self, images: Booleans) -> "TestSet":
        """Some of the images, shape `(N,)`, which are counted anew from 0; the digest stays that of the whole."""
        return replace(self, truth=self.truth.subset(images), places=np.flatnonzero(images))

    def encoded(self, images: Iterable[int]) -> dict[int, bytes]:
        """The image files of these indices."""
        wanted = {index if self.places is None else int(self.places[index]): index for index in images}
        return {wanted[at]: one.encoded for at, one in enumerate(read_examples(self.folder)) if at in wanted}


def read_test_set(folder: Path) -> TestSet:
    """Read every record of a split. Crowds are ignored.

    Raises:
        DataError: The folder has no shards, or a record is damaged.
        EvaluationError: There is no image, or one without source id or size.
    """
    sizes, boxes, labels, ignored, names, areas = [], [], [], [], [], []
    for index, example in enumerate(read_examples(folder)):
        if not example.source_id:
            raise EvaluationError(f"{folder}: image {index} has no source id; prepare the data set again")
        if example.height <= 0 or example.width <= 0:
            raise EvaluationError(f'{folder}: image "{example.source_id}" states no size; prepare the data set again')
        sizes.append((example.height, example.width))
        boxes.append(example.boxes)
        labels.append(example.labels)
        ignored.append(example.crowd != 0)
        names.append(example.source_id)
        areas.append(example.stated_areas())
    if not names:
        raise EvaluationError(f"{folder}: the test set has no image; give the data set a test split")
    truth = GroundTruth.from_images(sizes, boxes, labels, ignored, names, areas)
    return TestSet(folder, truth, digest(names, digest_of(shards(folder))))


def digest(source_ids: Iterable[str], shards_sha256: str) -> str:
    """SHA-256 over the content hash of the shards and the images' names in their order."""
    joined = hashlib.sha256(shards_sha256.encode())
    for name in source_ids:
        joined.update(name.encode() + b"\0")
    return joined.hexdigest()
