# SPDX-License-Identifier: Apache-2.0
"""Which images a model has seen: the hashes of their groups in `dataset.json`, its own and those of all its ancestors.

`model.json` holds them under `seen`, as `dataset.json` holds `groups`: what a later test must leave out. Beside them
stand the groups by which it was tested, so that a later test can say how much of it is the same.

A `model.json` that anybody could have written is not believed, whatever it says: one that tells too little would let a
model be tested by what it has learnt from, one that tells too much would leave the hard images out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from containers.contract.files import json_object, write_whole
from training_src.data.statistics import MOST_GROUPS

SPLITS, TEST = ("train", "validation"), "test"


@dataclass(frozen=True)
class SeenGroups:
    """What a model has seen.

    Attributes:
        train: Hashes of the groups that weights were fitted to.
        validation: Of those by which weights were chosen.
        unknown: What else it has learnt from, of which nobody knows the images: weights from outside, by their names.
        test: Of those that its own data set tests by; neither it nor anything has learnt from them here.
    """

    train: frozenset[str] = frozenset()
    validation: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()
    test: frozenset[str] = frozenset()

    @property
    def learnt_from(self) -> frozenset[str]:
        """Groups that weights were fitted to or chosen by."""
        return self.train | self.validation

    def joined(self, ancestor: SeenGroups) -> SeenGroups:
        """With what the model to start from has seen."""
        unknown = dict.fromkeys((*self.unknown, *ancestor.unknown))
        train, validation = self.train | ancestor.train, self.validation | ancestor.validation
        return SeenGroups(train, validation, tuple(unknown), self.test)


def of_dataset(description: Path) -> SeenGroups:
    """What is seen by whom a prepared data set trains.

    Args:
        description: Its `dataset.json`; one without groups, as earlier versions wrote it, is an unknown data set.
    """
    content = json_object(description)
    name = f"data set {str(content.get('sha256', ''))[:12]}"
    return _groups(content, description.parent) or SeenGroups(unknown=(name.strip(),))


def of_model(description: Path) -> SeenGroups:
    """What a model and its ancestors have seen.

    Args:
        description: Its `model.json`; one without `seen` is of an unknown past. Earlier versions did not write down
            where a model lay that the training went on from: what it said is left out, and it is unknown.
    """
    content = json_object(description)
    seen, training = content.get("seen"), content.get("training")
    groups = _groups(seen, description.parent) if isinstance(seen, Mapping) else None
    mark = training.get("fingerprint") if isinstance(training, Mapping) else None
    name = f"model {mark or content.get('architecture', '')}".strip()
    if groups is None:
        return SeenGroups(unknown=(name,))
    assert isinstance(seen, Mapping)
    unknown = seen.get("unknown")
    found = groups.joined(SeenGroups(unknown=tuple(map(str, unknown)) if isinstance(unknown, list) else ()))
    if not _is_of_untold_place(content.get("initial_checkpoint")):
        return found
    return found.joined(SeenGroups(unknown=(f"the model that {name} started from",)))


def of_anybodys_model(description: Path, name: str) -> SeenGroups:
    """What is known of a model whose `model.json` may be anybody's: that it is unknown.

    Args:
        description: Its `model.json`; one that says nothing of what it has seen keeps the name that it has in any case.
        name: Of the model, by which people find it.
    """
    if json_object(description).get("seen") is None:
        return of_model(description)
    return SeenGroups(unknown=(name,))


def write_seen(seen: SeenGroups, folder: Path, most: int = MOST_GROUPS) -> dict[str, Any]:
    """What `model.json` says under `seen`; the groups of a split that has more than `most` go into a file beside it."""
    groups: dict[str, list[str]] = {}
    files: dict[str, str] = {}
    for split in (*SPLITS, *([TEST] if seen.test else [])):
        found = sorted(getattr(seen, split))
        if len(found) > most:
            files[split] = f"groups-{split}.txt"
            write_whole(folder / files[split], "".join(f"{group}\n" for group in found))
        groups[split] = [] if split in files else found
    return {"groups": groups, **({"groups_files": files} if files else {}), "unknown": list(seen.unknown)}


def _is_of_untold_place(initial: object) -> bool:
    """Whether a training went on from a model of which nobody wrote down where it lay."""
    return isinstance(initial, Mapping) and initial.get("kind") == "model" and "address" not in initial


def _groups(content: Mapping[str, Any], folder: Path) -> SeenGroups | None:
    """The groups of the splits, out of files where they are named; None where some are not told."""
    listed, files = content.get("groups"), content.get("groups_files", {})
    if not isinstance(listed, Mapping) or not isinstance(files, Mapping):
        return None
    found: dict[str, Iterable[str]] = {}
    for split in (*SPLITS, *([TEST] if TEST in listed else [])):
        if split in files:
            try:
                # A name, never a path: archives come from anywhere.
                found[split] = (folder / Path(str(files[split])).name).read_text(encoding="utf-8").split()
            except (OSError, ValueError):
                return None
        elif isinstance(listed.get(split), list):
            found[split] = map(str, listed[split])
        else:
            return None
    return SeenGroups(frozenset(found["train"]), frozenset(found["validation"]), test=frozenset(found.get(TEST, ())))
