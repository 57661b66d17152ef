# SPDX-License-Identifier: Apache-2.0
"""The numbers of parts of the test set: of each value of a column, such as a camera.

`dataset.json` says which columns there are, and the records which value each image has.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training_src.evaluation import schema
from training_src.evaluation.bootstrap import Resampled, weighted
from training_src.evaluation.boxes import Booleans
from training_src.evaluation.rules import Estimate
from training_src.evaluation.scoring import Scored, estimate, estimated

MOST_VALUES = 20
"""A column with more values is no list to read; of it only what the policy names is measured."""


@dataclass(frozen=True)
class Slice:
    """A part of the test set.

    Attributes:
        images: How many.
        boxes: Boxes to be found in them.
        values: By COCO's names; None where unknown.
        resampled: The same over the draws of the whole test set.
    """

    images: int
    boxes: int
    values: Mapping[str, float | None]
    resampled: Resampled


def measure_slices(columns: Mapping[str, Sequence[str]], scored: Scored, named: Collection[str]) -> dict[str, Slice]:
    """Every part by `column=value`.

    Args:
        columns: Each image's value, by the column's name; "" for none.
        scored: What was found in the images.
        named: What the policy asks for.
    """
    return {name: _measure(kept, scored) for name, kept in _masks(columns, named).items()}


def slice_evidence(slices: Mapping[str, Slice]) -> dict[str, dict[str, Estimate]]:
    """What the gate looks at."""
    return {
        name: {metric: estimated(value, one.resampled.metrics[metric]) for metric, value in one.values.items()}
        for name, one in slices.items()
    }


def slice_results(slices: Mapping[str, Slice]) -> dict[str, schema.SliceResult]:
    """What evaluation.json says."""
    return {
        name: schema.SliceResult(
            images=one.images,
            boxes=one.boxes,
            metrics={
                metric: estimate(value, one.resampled.metrics[metric], "the slice has no such box")
                for metric, value in one.values.items()
            },
        )
        for name, one in slices.items()
    }


def _masks(columns: Mapping[str, Sequence[str]], named: Collection[str]) -> dict[str, Booleans]:
    found = {}
    for column, of_images in columns.items():
        values = sorted(set(of_images) - {""})
        for value in values:
            name = f"{column}={value}"
            if name in named or len(values) <= MOST_VALUES:
                found[name] = np.array([one == value for one in of_images], bool)
    return found


def _measure(kept: Booleans, scored: Scored) -> Slice:
    matches = scored.matches.subset(kept)
    once = weighted(matches, np.ones((1, matches.images), np.uint8))
    values = {name: float(found[0]) if np.isfinite(found[0]) else None for name, found in once.metrics.items()}
    boxes = sum(int(found.truths.sum()) for found in matches.classes.values())
    return Slice(int(kept.sum()), boxes, values, weighted(matches, scored.resampled.draws))
