# SPDX-License-Identifier: Apache-2.0
"""Which image trains, which chooses the best checkpoint, and which is only ever measured on.

Splits that the data set brings are respected. Where it brings none, a group's split is a hash of its key, so that it
never moves when images are added; images of one group (the same picture twice, frames of one drive) stay together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
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
    "trainval": "train",
}


def given_split(name: str) -> str | None:
    """The split that a folder's, list's or file's name speaks of: train, validation, eval, test, or None.

    A file name counts by its words: `pets_train.record-00000-of-00010` is train, `trainer.record` is nothing. What is
    train and validation together (`training_and_validation`, `trainval`) is train, of which a part will validate.
    """
    found = {_WORDS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _WORDS}
    if found in ({"train", "validation"}, {"train", "eval"}):
        return "train"
    return found.pop() if len(found) == 1 else None


@dataclass(frozen=True)
class Assignment:
    """How images get their splits; make it with `assign`.

    Attributes:
        roles: What each split that the data set brings becomes; empty where a hash of each group's key decides.
        notices: Sentences on what was decided.
    """

    roles: Mapping[str, Split]
    notices: tuple[str, ...]

    def split(self, given: str | None, group: str) -> Split | None:
        """The split of an image; None where it is left out.

        Args:
            given: The split that the data set gives it, see `given_split`.
            group: Key of the group that must not be torn apart.
        """
        if not self.roles:
            return _by_hash(group)
        split = self.roles.get(given) if given else None
        if split == "train" and "validation" not in self.roles.values() and _share(group, "validation") < 0.1:
            return "validation"
        return split


def assign(present: Iterable[str]) -> Assignment:
    """How every image gets its split, by the splits that the data set brings.

    Nothing that early stopping, the best checkpoint or calibration looks at is in `test`: a data set that brings train
    and validation only lends its validation as test, and a tenth of train's groups becomes the validation.

    Raises:
        ValueError: The data set brings splits, but none to train on.
    """
    given = set(present)
    if len(given) < 2:
        notice = "No splits are given: a hash of each group's key decides (80 % train, 10 % validation, 10 % test)."
        return Assignment({}, (notice,))
    roles = _roles(given)
    if "train" not in roles.values():
        raise ValueError(f"splits are given ({', '.join(sorted(given))}), but none to train on")
    return Assignment(roles, _explain(given, roles))


def _roles(present: set[str]) -> dict[str, Split]:
    """What each given split becomes."""
    roles: dict[str, Split] = {}
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


def _explain(present: set[str], roles: dict[str, Split]) -> tuple[str, ...]:
    notices = []
    for name, split in roles.items():
        if split == "test" and name != "test":
            notices.append(f"No test split is given: the given {name} split becomes the test.")
    if "validation" not in roles.values():
        notices.append("No validation split is left: a tenth of the training groups becomes the validation.")
    if {"validation", "eval", "test"} <= present:
        notices.append("Both a validation and an eval split are given: both validate.")
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
