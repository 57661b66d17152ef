# SPDX-License-Identifier: Apache-2.0
"""Of which kind a detector's errors are, and what each kind costs, in the manner of TIDE (https://arxiv.org/abs/2008.08115).

A wrong detection is the first of these that it is: badly placed (a box of its class at IoU 0.1 to 0.5), of the wrong
class (a box of another class at 0.5 or more), a duplicate (of a box that is found), of background (no box at 0.1), or
both badly placed and of the wrong class. A box is missed where nothing found it and no detection of the first two kinds
is meant for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from training_src.evaluation.assignment import FOUND, NONE, Assignment, greatest_overlap
from training_src.evaluation.boxes import Booleans, Detections, Floats, GroundTruth, Integers
from training_src.evaluation.curves import average_precision

RIGHT, CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED = range(7)
NAMES = {
    CLASSIFICATION: "classification",
    LOCALISATION: "localisation",
    BOTH: "both",
    DUPLICATE: "duplicate",
    BACKGROUND: "background",
    MISSED: "missed",
}


@dataclass(frozen=True)
class Kinds:
    """The kind of each detection, and for which box it was meant.

    Attributes:
        kind: Shape `(D,)`; `RIGHT` for what found a box, and for what does not count.
        meant: Shape `(D,)`, the row of the box that a detection of the wrong class or place lies on, or `NONE`.
    """

    kind: Integers
    meant: Integers


@dataclass(frozen=True)
class ErrorTypes:
    """How many errors of each kind there are, and what mending one kind alone would bring.

    Attributes:
        counts: By name, at the score that was asked for.
        by_class: The same by label-map id: of the detected class, for missed ones of the box's.
        gains: By name, the mean AP at IoU 0.5 that would be gained, 0 to 1, over all scores; None where no class has a
            box.
    """

    counts: Mapping[str, int]
    by_class: Mapping[int, Mapping[str, int]]
    gains: Mapping[str, float | None]


def error_types(truth: GroundTruth, detections: Detections, found: Assignment, score: float) -> ErrorTypes:
    """Tell errors apart.

    Args:
        truth: What is in the images.
        detections: What was found in them.
        found: Both matched.
        score: Detections of this score or more are counted; gains are over all.
    """
    kinds = error_kinds(detections, found)
    kept = detections.scores >= score
    missed = _missed(truth, found, kinds, kept)
    by_class: dict[int, dict[str, int]] = {}
    for label in np.union1d(truth.classes, detections.classes).tolist():
        mine = kinds.kind[kept & (detections.classes == label)]
        counts = {name: int((mine == kind).sum()) for kind, name in NAMES.items()}
        by_class[label] = counts | {NAMES[MISSED]: int((missed & (truth.classes == label)).sum())}
    totals = {name: sum(counts[name] for counts in by_class.values()) for name in NAMES.values()}
    return ErrorTypes(totals, by_class, _gains(truth, detections, found, kinds))


def error_kinds(detections: Detections, found: Assignment) -> Kinds:
    """The kind of every detection."""
    overlaps, number = found.overlaps, len(detections.scores)
    own, own_box = greatest_overlap(overlaps, overlaps.own_class, number)
    other, other_box = greatest_overlap(overlaps, ~overlaps.own_class, number)
    wrong = ~found.right & found.counted
    place = wrong & (own > 0) & (own < FOUND)
    label = wrong & ~place & (other >= FOUND)
    twice = wrong & ~place & ~label & (own >= FOUND)
    nothing = wrong & (own == 0) & (other == 0)
    kind = np.select(
        [place, label, twice, nothing, wrong], [LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND, BOTH], RIGHT
    )
    meant = np.select([place, label], [own_box, other_box], NONE)
    return Kinds(np.asarray(kind, np.int64), np.asarray(meant, np.int64))


def _missed(truth: GroundTruth, found: Assignment, kinds: Kinds, kept: Booleans) -> Booleans:
    """Shape `(M,)`, the boxes that no kept detection found or was meant for."""
    missed = ~truth.ignored
    missed[found.found[kept & found.right]] = False
    missed[kinds.meant[kept & (kinds.meant != NONE)]] = False
    return missed


def _gains(truth: GroundTruth, detections: Detections, found: Assignment, kinds: Kinds) -> dict[str, float | None]:
    counted = found.counted
    scores, classes = detections.scores, detections.classes
    labels, numbers = np.unique(truth.classes[~truth.ignored], return_counts=True)
    truths = dict(zip(labels.tolist(), numbers.tolist(), strict=True))
    as_it_is = _mean_precision(scores[counted], classes[counted], found.right[counted], truths)
    meant_first = _first_for_a_free_box(kinds.meant, found.finder, scores)
    gains: dict[str, float | None] = {}
    for kind, name in NAMES.items():
        of_kind = kinds.kind == kind
        mended, left, labels = found.right.copy(), counted & ~of_kind, classes
        if kind in (CLASSIFICATION, LOCALISATION):
            first = meant_first & of_kind
            mended, left, labels = mended | first, left | first, classes.copy()
            labels[first] = truth.classes[kinds.meant[first]]
        wanted = truths
        if kind == MISSED:
            lost = truth.classes[_missed(truth, found, kinds, np.ones(len(scores), bool))]
            wanted = {label: number - int((lost == label).sum()) for label, number in truths.items()}
        value = _mean_precision(scores[left], labels[left], mended[left], wanted)
        gains[name] = None if value is None or as_it_is is None else max(value - as_it_is, 0.0)
    return gains


def _first_for_a_free_box(meant: Integers, finder: Integers, scores: Floats) -> Booleans:
    """Shape `(D,)`, the surest that is meant for each box that nothing found; the others would be duplicates."""
    rows = np.flatnonzero(meant != NONE)
    rows = rows[finder[meant[rows]] == NONE]
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    first = np.zeros(len(scores), bool)
    first[rows[np.unique(meant[rows], return_index=True)[1]]] = True
    return first


def _mean_precision(scores: Floats, classes: Integers, right: Booleans, truths: Mapping[int, int]) -> float | None:
    values = []
    for label, number in truths.items():
        mine = classes == label
        # A class all of whose boxes were missed has none left once these are mended.
        values.append(1.0 if number <= 0 else average_precision(scores[mine], right[mine], number) or 0.0)
    return float(np.mean(values)) if values else None
