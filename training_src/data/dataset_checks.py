# SPDX-License-Identifier: Apache-2.0
"""What must be true of a data set as a whole, and what split each image gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training_src.data.checks.config import check_num_classes
from training_src.data.checks.findings import Findings
from training_src.data.checks.policy import DataPolicy
from training_src.data.dataset import Fault
from training_src.data.index import Index
from training_src.data.label_map import LabelMap
from training_src.data.leaks import drop_leaks, repeated_images, same_images, similar_images, torn_sequences
from training_src.data.splits import SPLITS, assign
from training_src.data.statistics import Tally


def give_splits(index: Index, policy: DataPolicy, name: str, findings: Findings) -> None:
    """Write every image's split into the index.

    Args:
        index: Of all images, or of one machine's.
        policy: May state the splits that there are, where a machine sees only some, and whether a test is needed.
        name: The data set's, for messages.
        findings: Takes what was decided.
    """
    present = policy.splits
    if present is None:
        present = frozenset(str(given) for (given,) in index.rows("SELECT DISTINCT given FROM images") if given)
    if len(present) > 1 and not policy.test_needed:
        present |= {"validation", "test"}  # so that none is lent, and none of the training groups set aside
    try:
        assignment = assign(present)
    except ValueError as error:
        message = f"{name}: {error}; add a train split, or remove the others."
        findings.add(policy.judged([Fault(name, None, "split", message)]))
        return
    index.set_fact("splits", ",".join(sorted(present)))
    findings.add(Fault(name, None, "split", notice, "notice") for notice in assignment.notices)

    def number(given: str | None, sequence: str, content: str) -> int | None:
        split = assignment.split(given, sequence or content)
        return None if split is None else SPLITS.index(split)

    index.connection.create_function("split_of", 3, number, deterministic=True)
    index.execute("UPDATE images SET split = split_of(given, sequence, content)")
    if left_out := index.number("SELECT count(*) FROM images WHERE split IS NULL"):
        message = f"{_images(left_out)} in none of the given splits and left out: {_without_split(index)}."
        findings.add([Fault(name, None, "split", message, "notice")])
    if policy.handling("leak") == "fix" and (dropped := drop_leaks(index)):
        message = f"{_images(dropped)} left out of a split, since a later one holds the same."
        findings.add([Fault(name, None, "leak", message, "notice")])


def _without_split(index: Index) -> str:
    """The first images that have no split, and the folders that they lie in."""
    names = [name for (name,) in index.rows("SELECT image FROM images WHERE split IS NULL ORDER BY number LIMIT 4")]
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    index.connection.create_function("folder_of", 1, lambda name: name.rpartition("/")[0], deterministic=True)
    query = "SELECT DISTINCT folder_of(image) AS place FROM images WHERE split IS NULL ORDER BY place LIMIT 4"
    places = [f"{place}/" if place else "the folder itself" for (place,) in index.rows(query)]
    where = ", ".join(places[:3]) + (", ..." if len(places) > 3 else "")
    return f"{listed} (in {where})" if len(names) > 1 else listed


def check_set(
    index: Index,
    tally: Tally,
    label_map: LabelMap,
    policy: DataPolicy,
    findings: Findings,
    *,
    name: str,
    config: Path | None,
) -> None:
    """Judge the whole: what stands twice, what leaks, and which classes are missing.

    Args:
        index: Of all images, with their splits.
        tally: Of the same.
        label_map: The classes.
        policy: See there.
        findings: Takes what is wrong. Where images were left out for a fault, they are not missed again.
        name: The data set's, for messages.
        config: The user's pipeline.config, whose `num_classes` must reach the greatest label id.
    """
    faulty = findings.number("error") > 0
    found = [*_listed_twice(index)]
    if policy.handling("leak") != "off":
        found += same_images(index)
    if policy.handling("near_leak") != "off":
        found += similar_images(index, policy)
    found += torn_sequences(index)
    found += repeated_images(index)
    if config is not None and (fault := check_num_classes(config, label_map)):
        found.append(fault)
    if not faulty:
        found += _empty_splits(tally, name)
    found += _backgrounds(tally, policy, name)
    found += _classes(tally, label_map, policy, name)
    findings.add(policy.judged(found))


def _listed_twice(index: Index) -> Iterator[Fault]:
    query = (
        "SELECT source_id, min(annotation), max(annotation) FROM images GROUP BY source_id HAVING count(*) > 1 "
        "ORDER BY min(number)"
    )
    for source_id, first, last in index.rows(query):
        message = f'{last}: the image "{source_id}" stands twice, first in {first}; keep one.'
        yield Fault(last, None, "duplicate", message, image=source_id)


def _empty_splits(tally: Tally, name: str) -> Iterator[Fault]:
    boxes = tally.boxes.sum(axis=1)
    if not boxes.any():
        yield Fault(name, None, "empty", "No image has a box; there is nothing to learn.")
        return
    for split, count in zip(SPLITS, boxes.tolist(), strict=True):
        if not count:
            message = (
                f"{name}: the {split} split has no image with a box; give it more images, or splits of your own "
                "(folders train, val and test)."
            )
            yield Fault(name, None, "split", message)


def _backgrounds(tally: Tally, policy: DataPolicy, name: str) -> Iterator[Fault]:
    images, empty = int(tally.images.sum()), int(tally.backgrounds.sum())
    if empty > policy.threshold("background", "share") * images:
        verb = "has" if empty == 1 else "have"
        message = f"{empty} of {images} images {verb} no box: they teach what is no object."
        yield Fault(name, None, "background", message)


def _classes(tally: Tally, label_map: LabelMap, policy: DataPolicy, name: str) -> Iterator[Fault]:
    names = list(label_map.names.values())
    adjectives = ("training", "validation", "test")
    for split, adjective in enumerate(adjectives):
        missing = [names[place] for place, count in enumerate(tally.boxes[split].tolist()) if not count]
        if missing and tally.images[split]:
            message = f"No {adjective} image has a box of: {', '.join(missing)}."
            yield Fault(name, None, "missing_class", message)
    least = policy.threshold("few_examples", "boxes")
    few = [f"{names[place]} {count}" for place, count in enumerate(tally.boxes[0].tolist()) if 0 < count < least]
    if few:
        message = f"Some classes have fewer than {least:g} boxes to learn from: {', '.join(few)}."
        yield Fault(name, None, "few_examples", message)


def _images(count: int) -> str:
    return "1 image is" if count == 1 else f"{count} images are"
