# SPDX-License-Identifier: Apache-2.0
"""Which test images a model has learnt from, so that they say nothing of how it does on others.

An image belongs to a group: the sequence or drive that its record names or its file's name suggests, else the images
with the same bytes. `dataset.json` and `model.json` name groups by short hashes of these keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from training_src.data.seen_groups import SeenGroups
from training_src.evaluation.boxes import Booleans, Integers
from training_src.evaluation.test_set import TestSet

LEAST_GROUPS = 5
"""With fewer groups their draws tell nothing, and images are drawn."""

Learner = Literal["challenger", "champion", "best", "ancestors"]


@dataclass(frozen=True)
class ImageGroup:
    """What an image belongs to.

    Attributes:
        name: Its sequence or drive; empty: none is told.
        hashes: By which it may be known to have been seen: of the sequence, of the one that its name suggests, and of
            its bytes.
    """

    name: str
    hashes: frozenset[str]


@dataclass(frozen=True)
class Exclusion:
    """What is left of the test images.

    Attributes:
        kept: Shape `(N,)`, which images nobody has learnt from.
        groups: How many groups the others belong to.
        by: Images by who has learnt from them.
        unknown: What else was learnt from, of which nobody knows the images.
    """

    kept: Booleans
    groups: int
    by: Mapping[Learner, int]
    unknown: tuple[str, ...]

    @property
    def left_out(self) -> int:
        """Images that somebody has learnt from."""
        return int((~self.kept).sum())


def image_groups(test_set: TestSet) -> list[ImageGroup]:
    """The group of each image, in their order."""
    return [ImageGroup(name, hashes) for name, hashes in zip(test_set.groups, test_set.hashes, strict=True)]


def exclude(groups: Sequence[ImageGroup], seen: Mapping[Learner, SeenGroups]) -> Exclusion:
    """Leave out the images of every group that somebody has learnt from."""
    learnt = {who: one.learnt_from for who, one in seen.items()}
    hits = {who: np.array([bool(one.hashes & theirs) for one in groups], bool) for who, theirs in learnt.items()}
    left = np.logical_or.reduce(list(hits.values())) if hits else np.zeros(len(groups), bool)
    gone = {one.name or min(one.hashes) for one, out in zip(groups, left.tolist(), strict=True) if out}
    unknown = dict.fromkeys(name for one in seen.values() for name in one.unknown)
    return Exclusion(~left, len(gone), {who: int(hit.sum()) for who, hit in hits.items() if hit.any()}, tuple(unknown))


def without_own(seen: SeenGroups, own: SeenGroups) -> SeenGroups:
    """What a model has seen only by the models that it was trained from."""
    return SeenGroups(seen.train - own.learnt_from, seen.validation - own.learnt_from)


def sequences(groups: Sequence[ImageGroup]) -> Integers:
    """The number of each image's sequence, shape `(N,)`; an image of none is one by itself."""
    names = [one.name or f"\0{at}" for at, one in enumerate(groups)]
    return np.unique(names, return_inverse=True)[1]


def drawn_groups(sequences: Integers) -> Integers | None:
    """What the bootstrap draws together; None: images one by one, as they are of none, or of too few to tell anything.

    Args:
        sequences: Shape `(N,)`, the number of each image's.
    """
    return sequences if LEAST_GROUPS <= len(np.unique(sequences)) < len(sequences) else None


def overlap(groups: Sequence[ImageGroup], tested: frozenset[str]) -> int | None:
    """How many images belong to groups by which another model was tested; None where it does not tell them."""
    return sum(bool(one.hashes & tested) for one in groups) if tested else None
