# SPDX-License-Identifier: Apache-2.0
"""Which image trains, which chooses the best checkpoint, and which is only ever measured on.

Splits that the data set brings are respected. Where it brings none, a group's split is a hash of its key, so that it
never moves when images are added; images of one group (the same picture twice, frames of one drive) stay together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

# What folders, lists and files call a split. "eval" is a validation set unless there is another.
_WORDS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "eval": "eval",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Member:
    """An image as far as splitting is concerned.

    Attributes:
        given: the split that the data set gives it, see `given_split`.
        group: key of the group that must not be torn apart.
    """

    given: str | None
    group: str


@dataclass(frozen=True)
class Assignment:
    """The split of each member in order, None where it is left out, and sentences on what was decided."""

    splits: tuple[Split | None, ...]
    notices: tuple[str, ...]


def given_split(name: str) -> str | None:
    """The split that a folder's, list's or file's name speaks of: train, validation, eval, test, or None.

    A file name counts by its words: `pets_train.record-00000-of-00010` is train, `trainer.record` is nothing.
    """
    found = {_WORDS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _WORDS}
    return found.pop() if len(found) == 1 else None


def assign(members: Sequence[Member]) -> Assignment:
    """Give every image its split.

    Nothing that early stopping, the best checkpoint or calibration looks at is in `test`: a data set that brings train
    and validation only lends its validation as test, and a tenth of train's groups becomes the validation.

    Raises:
        ValueError: the data set brings splits, but none to train on.
    """
    present = {member.given for member in members} - {None}
    if len(present) < 2:
        notice = "No splits are given: a hash of each group's key decides (80 % train, 10 % validation, 10 % test)."
        return Assignment(tuple(_by_hash(member.group) for member in members), (notice,))
    roles = _roles(present)
    if "train" not in roles.values():
        raise ValueError(f"splits are given ({', '.join(sorted(map(str, present)))}), but none to train on")
    notices = _explain(present, roles)
    missing_validation = "validation" not in roles.values()
    splits: list[Split | None] = []
    for member in members:
        split = roles.get(member.given)
        if split == "train" and missing_validation and _share(member.group, "validation") < 0.1:
            split = "validation"
        splits.append(split)
    return Assignment(tuple(splits), (*notices, *_leaks(members, splits)))


def _roles(present: set[str | None]) -> dict[str | None, Split]:
    """What each given split becomes."""
    roles: dict[str | None, Split] = {}
    if "train" in present:
        roles["train"] = "train"
    held_out = [name for name in ("validation", "eval", "test") if name in present]
    if "test" in present:
        roles["test"] = "test"
    elif held_out:
        roles[held_out.pop()] = "test"
    for name in held_out:
        roles.setdefault(name, "validation")
    return roles


def _explain(present: set[str | None], roles: dict[str | None, Split]) -> tuple[str, ...]:
    notices = []
    for name, split in roles.items():
        if split == "test" and name != "test":
            notices.append(f"No test split is given: the given {name} split becomes the test.")
    if "validation" not in roles.values():
        notices.append("No validation split is left: a tenth of the training groups becomes the validation.")
    if {"validation", "eval", "test"} <= present:
        notices.append("Both a validation and an eval split are given: both validate.")
    return tuple(notices)


def _leaks(members: Sequence[Member], splits: Sequence[Split | None]) -> tuple[str, ...]:
    homes: dict[str, set[Split]] = {}
    for member, split in zip(members, splits, strict=True):
        if split:
            homes.setdefault(member.group, set()).add(split)
    shared = sum(len(found) > 1 for found in homes.values())
    left_out = sum(split is None for split in splits)
    notices = []
    if shared:
        notices.append(f"{shared} groups of identical or related images stand in more than one of the given splits.")
    if left_out:
        notices.append(f"{left_out} images are in none of the given splits and are left out.")
    return tuple(notices)


def _by_hash(group: str) -> Split:
    share = _share(group, "split")
    if share < 0.8:
        return "train"
    return "validation" if share < 0.9 else "test"


def _share(group: str, purpose: str) -> float:
    """A number from 0 to 1 that depends on the key and purpose only."""
    digest = hashlib.sha256(f"{purpose}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
