# SPDX-License-Identifier: Apache-2.0
"""The test images as they are scored: by the challenger's classes, and without those that a model has learnt from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training_src.data.label_map import read_label_map
from training_src.data.seen_groups import SeenGroups
from training_src.evaluation.boxes import Booleans, Integers
from training_src.evaluation.class_names import translated_truth
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.exclusion import (
    Exclusion,
    ImageGroup,
    Learner,
    drawn_groups,
    exclude,
    image_groups,
    overlap,
    sequences,
)
from training_src.evaluation.test_set import TestSet, read_test_set

LABEL_MAP = "label_map.pbtxt"


@dataclass(frozen=True)
class ScoredImages:
    """What is left of the test images.

    Attributes:
        test_set: These images.
        exclusion: Which they are of all.
        groups: Of each of them.
        drawn: Shape `(N,)`, the number of each image's sequence, where sequences are drawn; None: images are.
        sequences: How many sequences there are, images of none counted one by one.
    """

    test_set: TestSet
    exclusion: Exclusion
    groups: Sequence[ImageGroup]
    drawn: Integers | None
    sequences: int

    @property
    def mask(self) -> Booleans:
        """Which of all test images these are."""
        return self.exclusion.kept

    def overlap(self, tested: frozenset[str]) -> int | None:
        """How many belong to groups by which another model was tested; None where it does not tell them."""
        return overlap(self.groups, tested)


@dataclass(frozen=True)
class TestImages:
    """All test images.

    Attributes:
        whole: As they were measured, with the boxes of the challenger's classes.
        groups: Of each image.
        unlearnt: Boxes to be found of other classes, by name.
    """

    __test__ = False  # no test class for pytest

    whole: TestSet
    groups: Sequence[ImageGroup]
    unlearnt: Mapping[str, int]

    def leave_out(self, seen: Mapping[Learner, SeenGroups]) -> ScoredImages:
        """What nobody has learnt from.

        Raises:
            EvaluationError: Nothing is left.
        """
        found = exclude(self.groups, seen)
        if not found.kept.any():
            by = ", ".join(found.by)
            raise EvaluationError(f"every test image was learnt from ({by}); bring test images that no model has seen")
        groups = [one for one, kept in zip(self.groups, found.kept.tolist(), strict=True) if kept]
        numbers = sequences(groups)
        left = self.whole.subset(found.kept) if found.left_out else self.whole
        return ScoredImages(left, found, groups, drawn_groups(numbers), len(np.unique(numbers)))


def read_test_images(folder: Path, labels: Mapping[int, str]) -> TestImages:
    """Read a folder of prepared shards.

    Args:
        folder: A test set that the environment chose has its own label map beside its shards, whose classes are ours
            where their names are.
        labels: The challenger's label map.

    Raises:
        DataError: The folder has no shards, a record is damaged, or its label map is none.
        EvaluationError: There is no image, or one without source id or size.
    """
    whole = read_test_set(folder)
    beside = folder / LABEL_MAP
    # What the records say is part of the test set's digest, and counts more than a file beside them.
    theirs = {**(read_label_map(beside).names if beside.is_file() else labels), **whole.names}
    truth, unlearnt = translated_truth(whole.truth, theirs, labels)
    return TestImages(replace(whole, truth=truth, names=labels), image_groups(whole), unlearnt)
