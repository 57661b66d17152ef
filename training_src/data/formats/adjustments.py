# SPDX-License-Identifier: Apache-2.0
"""Which attribute of a manifest an adjustment job's attribute takes the place of.

The manifest does not say it. An adjustment job has the labels of the job that it adjusts, perhaps more, and another
attribute name: https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-verify-start-api.html. So what contradicts its
class-map is not meant; of what is left, the attribute whose name is part of its own, else the one with the same boxes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from training_src.data.formats.fields import AnnotationError, shown

Attribute = tuple[str, Mapping[str, Any], Mapping[str, Any]]
"""Name, value and metadata of a job's boxes."""

STATUS = "adjustment-status"


class Adjustments:
    """What every adjusting attribute of a manifest replaces.

    Args:
        lines: Goes through the box attributes of every line; asked for once a line with an adjustment is met.
    """

    def __init__(self, lines: Callable[[], Iterable[Sequence[Attribute]]]) -> None:
        self._lines: Callable[[], Iterable[Sequence[Attribute]]] | None = lines
        self._classes: dict[str, dict[str, str]] = {}
        self._same: Counter[tuple[str, str]] = Counter()

    def standing(self, line: Sequence[Attribute]) -> Sequence[Attribute]:
        """A line's attributes without those that others of the line replace.

        Raises:
            AnnotationError: Nothing tells what an attribute replaces.
        """
        left = {attribute[0]: attribute for attribute in line if STATUS not in attribute[2]}
        adjusting = [attribute for attribute in line if STATUS in attribute[2]]
        if adjusting and self._lines is not None:
            for each in self._lines():
                self._look(each)
            self._lines = None
        # A chain of adjustments ends with the youngest; dates are ISO 8601, so texts compare.
        for attribute in sorted(adjusting, key=lambda one: str(one[2].get("creation-date"))):
            replaced = self._replaced(attribute[0], list(left))
            left.pop(replaced or "", None)
            left[attribute[0]] = attribute
        return list(left.values())

    def _look(self, line: Sequence[Attribute]) -> None:
        for name, _, metadata in line:
            written = metadata.get("class-map")
            known = self._classes.setdefault(name, {})
            known |= {str(number): str(label) for number, label in written.items()} if isinstance(written, dict) else {}
        for name, value, metadata in line:
            if STATUS in metadata:
                for other, others, _ in line:
                    if other != name:
                        self._same[name, other] += len(_boxes(value) & _boxes(others))

    def _replaced(self, name: str, candidates: list[str]) -> str | None:
        """The attribute that another one replaces; None where it is not there."""
        fitting = [other for other in candidates if not self._contradict(name, other)]
        if len(fitting) <= 1:
            return fitting[0] if fitting else None
        named = [other for other in fitting if other in name]
        if len(named) == 1:
            return named[0]
        most = max(self._same[name, other] for other in fitting)
        alike = [other for other in fitting if self._same[name, other] == most]
        if most and len(alike) == 1:
            return alike[0]
        listed = " and ".join(f'"{shown(other)}"' for other in fitting[:3])
        rest = f'has "{shown(name)}" of an adjustment job, and nothing tells whether it takes the place of {listed}'
        raise AnnotationError("annotation", f"{rest}; remove the attribute that it replaces")

    def _contradict(self, name: str, other: str) -> bool:
        mine, theirs = self._classes.get(name, {}), self._classes.get(other, {})
        return any(theirs.get(number, label) != label for number, label in mine.items())


def _boxes(value: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    annotations = value.get("annotations")
    keys = ("class_id", "left", "top", "width", "height")
    found = set()
    for item in annotations if isinstance(annotations, list) else ():
        if isinstance(item, dict):
            found.add(tuple(str(item.get(key)) for key in keys))
    return found
