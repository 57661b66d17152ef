# SPDX-License-Identifier: Apache-2.0
"""The numbers of parts of the test set: of each value of a column that `dataset.json` carries, such as a camera.

`columns` there is a mapping: `{"camera": {"front": ["a.jpg", "b.jpg"], "rear": [...]}}`, of source ids.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


def measure_slices(
    facts: Mapping[str, Any], source_ids: Sequence[str], scored: Scored, named: Collection[str]
) -> dict[str, Slice]:
    """Every part by `column=value`.

    Args:
        facts: The content of `dataset.json`.
        source_ids: Of the images that were scored.
        scored: What was found in them.
        named: What the policy asks for.
    """
    return {name: _measure(kept, scored) for name, kept in _masks(facts, source_ids, named).items()}


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


def _masks(facts: Mapping[str, Any], source_ids: Sequence[str], named: Collection[str]) -> dict[str, Booleans]:
    columns = facts.get("columns")
    places = {name: at for at, name in enumerate(source_ids)}
    found = {}
    for column, values in (columns if isinstance(columns, Mapping) else {}).items():
        for value, images in (values if isinstance(values, Mapping) else {}).items():
            name = f"{column}={value}"
            if name not in named and len(values) > MOST_VALUES:
                continue
            kept = np.zeros(len(source_ids), bool)
            kept[[places[image] for image in images if image in places]] = True
            if kept.any():
                found[name] = kept
    return found


def _measure(kept: Booleans, scored: Scored) -> Slice:
    matches = scored.matches.subset(kept)
    once = weighted(matches, np.ones((1, matches.images), np.uint8))
    values = {name: float(found[0]) if np.isfinite(found[0]) else None for name, found in once.metrics.items()}
    boxes = sum(int(found.truths.sum()) for found in matches.classes.values())
    return Slice(int(kept.sum()), boxes, values, weighted(matches, scored.resampled.draws))
