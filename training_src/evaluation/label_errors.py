# SPDX-License-Identifier: Apache-2.0
"""Labels that are likely wrong: where a detector that is mostly right is sure, and the labels say otherwise.

An object without a box, a box of the wrong class, and a box in the wrong place are looked for, as
https://arxiv.org/abs/2309.00832 (ObjectLab) does. How sure a score is depends on the class: a detection counts as sure
when it is surer than half of its class's right ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from training_src.evaluation.assignment import FOUND, NONE, Assignment
from training_src.evaluation.boxes import Booleans, Detections, Floats, Integers, intersection_over_union
from training_src.evaluation.error_types import BACKGROUND, CLASSIFICATION, LOCALISATION, error_kinds

Kind = Literal["no box", "wrong class", "wrong place"]
# Below this share of a class's right detections a detection is too unsure to doubt a label.
LEAST_SURE = 0.5
# With fewer right detections of a class nobody knows what its scores mean.
LEAST_RIGHT = 5
# So many are told at most: what somebody looks through in an hour.
MOST = 500
_KINDS: Mapping[int, Kind] = {BACKGROUND: "no box", CLASSIFICATION: "wrong class", LOCALISATION: "wrong place"}


@dataclass(frozen=True)
class LabelError:
    """One label in doubt.

    Attributes:
        kind: `no box` where an object seems to have none, else what seems wrong with the box.
        image: Its index.
        detection: Row of the detection that contradicts.
        box: Row of the box in doubt; `NONE` where there is none.
        sure: The share of its class's right detections that are less sure than this one, `LEAST_SURE` to 1.
    """

    kind: Kind
    image: int
    detection: int
    box: int
    sure: float


def label_errors(detections: Detections, found: Assignment, score: float) -> list[LabelError]:
    """What to look at, the surest first; at most `MOST`, and one for each place and for each box.

    Args:
        detections: What was found.
        found: It, matched with the labels in doubt.
        score: A box that a detection of this score or more has found is in no doubt.
    """
    kinds = error_kinds(detections, found)
    sure = _sureness(detections, found)
    finder = found.finder[kinds.meant] if len(found.finder) else np.full(len(sure), NONE)
    confirmed = (kinds.meant != NONE) & (finder != NONE) & (_at(detections.scores, finder) >= score)
    wanted = np.isin(kinds.kind, list(_KINDS)) & (sure >= LEAST_SURE) & (detections.scores >= score) & ~confirmed
    rows = np.flatnonzero(wanted)
    rows = rows[np.lexsort((rows, -detections.scores[rows], -sure[rows]))]
    told: list[LabelError] = []
    doubted: set[int] = set()
    places: dict[int, list[int]] = {}
    for row in rows.tolist():
        image, box = int(detections.image_index[row]), int(kinds.meant[row])
        if box in doubted or _is_told(detections, row, places.get(image, [])):
            continue
        doubted |= {box} - {NONE}
        places.setdefault(image, []).append(row)
        told.append(LabelError(_KINDS[int(kinds.kind[row])], image, row, box, float(sure[row])))
        if len(told) == MOST:
            break
    return told


def _sureness(detections: Detections, found: Assignment) -> Floats:
    """Shape `(D,)`, the share of its class's right detections that have a lower score; 0 where they are too few."""
    sure = np.zeros(len(detections.scores))
    for label in np.unique(detections.classes).tolist():
        mine = detections.classes == label
        right = np.sort(detections.scores[mine & found.right])
        if len(right) >= LEAST_RIGHT:
            sure[mine] = np.searchsorted(right, detections.scores[mine], side="left") / len(right)
    return sure


def _is_told(detections: Detections, row: int, told: list[int]) -> bool:
    """Whether a surer detection lies on the same place."""
    if not told:
        return False
    overlap = intersection_over_union(detections.boxes[[row]], detections.boxes[told])
    return bool((overlap >= FOUND).any())


def _at(values: Floats, rows: Integers) -> Floats:
    """The values of rows, -1 for no row."""
    known: Booleans = rows != NONE
    found = np.full(len(rows), -1.0)
    found[known] = values[rows[known]]
    return found
