# SPDX-License-Identifier: Apache-2.0
"""Boxes and detections of another label map by our own ids: classes are the same where their names are.

Names are the same in every way in which Unicode writes them. What only looks the same is named, and decides nothing.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from training_src.class_names import look_alike, one_spelling
from training_src.evaluation.boxes import Detections, GroundTruth, Integers
from training_src.evaluation.comparison import CommonClasses


def common_classes(theirs: Mapping[int, str], ours: Mapping[int, str]) -> CommonClasses:
    """Which classes two label maps have, by name; common ones in our spelling."""
    theirs = _in_our_spelling(theirs, ours)
    both = set(theirs.values()) & set(ours.values())
    return CommonClasses(
        common=tuple(name for name in ours.values() if name in both),
        new=tuple(name for name in ours.values() if name not in both),
        missing=tuple(name for name in theirs.values() if name not in both),
        renamed=tuple(
            (name, ours[number])
            for number, name in theirs.items()
            if number in ours and name not in both and ours[number] not in both
        ),
        alike=tuple(
            (name, own)
            for name in theirs.values()
            for own in ours.values()
            if name not in both and own not in both and look_alike(name, own)
        ),
    )


def _in_our_spelling(theirs: Mapping[int, str], ours: Mapping[int, str]) -> dict[int, str]:
    own = {one_spelling(name): name for name in ours.values()}
    return {number: own.get(one_spelling(name), name) for number, name in theirs.items()}


def translated_detections(found: Detections, theirs: Mapping[int, str], ours: Mapping[int, str]) -> Detections:
    """Detections by our ids; those of classes that we have not are left out."""
    if dict(theirs) == dict(ours):
        return found
    ids = _ids(found.classes, theirs, ours)
    kept = ids > 0
    return Detections(found.image_index[kept], found.boxes[kept], found.scores[kept], ids[kept])


def translated_truth(
    truth: GroundTruth, theirs: Mapping[int, str], ours: Mapping[int, str]
) -> tuple[GroundTruth, dict[str, int]]:
    """Ground truth by our ids.

    Returns:
        It without the boxes of classes that we have not; of each such class its name, and how many boxes are to be
        found.
    """
    if dict(theirs) == dict(ours):
        return truth, {}
    ids = _ids(truth.classes, theirs, ours)
    kept = ids > 0
    lost = truth.classes[~kept & ~truth.ignored]
    missing = {theirs.get(int(number), f"id {number}"): int((lost == number).sum()) for number in np.unique(lost)}
    translated = replace(
        truth,
        image_index=truth.image_index[kept],
        boxes=truth.boxes[kept],
        classes=ids[kept],
        ignored=truth.ignored[kept],
        areas=None if truth.areas is None else truth.areas[kept],
    )
    return translated, missing


def _ids(classes: Integers, theirs: Mapping[int, str], ours: Mapping[int, str]) -> Integers:
    """Our id of each, 0 where we have none."""
    ids = {name: number for number, name in ours.items()}
    theirs = _in_our_spelling(theirs, ours)
    return np.array([ids.get(theirs.get(int(number), ""), 0) for number in classes], np.int64)
