# SPDX-License-Identifier: Apache-2.0
"""How a source's own class ids and names become those of the label map."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from training_src.class_names import look_alike
from training_src.data.dataset import Box, Fault
from training_src.data.formats.fields import AnnotationError, Edges, shown
from training_src.data.label_map import LabelMap


class SourceClasses:
    """The classes of one annotation file.

    Names decide where the label map knows any of the source's names; otherwise the label map's names are the truth
    and the ids decide.

    Args:
        names: By the source's id; empty where the source names nothing.
        shift: What makes a label id of a source's id: 1 where they count from 0.
        label_map: Given, or made.
        by_name: Where the source has names, only they decide: it may show a part of its classes only.
        used: All ids that the source's boxes have; asked for once an unknown one is met, to tell what is wrong with it.

    Attributes:
        renamed: The source's names with those of the label map that the ids decided on; empty where names did.
    """

    def __init__(
        self,
        names: Mapping[int, str],
        shift: int,
        label_map: LabelMap,
        *,
        by_name: bool = False,
        used: Callable[[], Collection[int]] = tuple,
    ) -> None:
        ids = label_map.ids
        self._used = used
        self.renamed: dict[str, str] = {}
        if (names and by_name) or any(name in ids for name in names.values()):
            self._labels = {number: ids[name] for number, name in names.items() if name in ids}
            self._known = {number: names[number] for number in self._labels}
        else:
            self._labels = {label - shift: label for label in label_map.names}
            self._known = {label - shift: name for label, name in label_map.names.items()}
            self.renamed = {name: self._known[number] for number, name in names.items() if number in self._known}
        self._names = names
        self._from_zero = shift == 1

    def notices(self, place: str) -> tuple[str, ...]:
        """A sentence where the ids decided against the source's names."""
        if not self.renamed:
            return ()
        pairs = ", ".join(f"{own} as {name}" for own, name in list(self.renamed.items())[:30])
        return (f"{place}: the label map knows none of its class names, so the ids decide: {pairs}.",)

    def label(self, number: object) -> tuple[int, str]:
        """Label id and name.

        Raises:
            AnnotationError: The label map has no such class.
        """
        if isinstance(number, int) and not isinstance(number, bool) and number in self._labels:
            return self._labels[number], self._known[number]
        own = f' "{self._names[number]}"' if isinstance(number, int) and number in self._names else ""
        counted = ", counted from 0" if self._from_zero else ""
        sentence = f"has the unknown class {shown(number)}{own}; known are{counted}: {listed(self._known)}"
        if not self._offset:
            raise AnnotationError("class", sentence)
        how = "lower" if self._offset < 0 else "higher"
        raise AnnotationError("label_offset", f"{sentence}. All ids of the file would fit if they were 1 {how}")

    @cached_property
    def _offset(self) -> int:
        """What makes known ids of all that are used; 0 where nothing so simple does."""
        used = self._used()
        return next((step for step in (-1, 1) if used and {number + step for number in used} <= self._labels.keys()), 0)


def named_class(label_map: LabelMap, ids: Mapping[str, int], name: str) -> int:
    """The label id of a class that the source knows by its name only.

    Raises:
        AnnotationError: The label map has no such class.
    """
    if name not in ids:
        known = ", ".join(list(label_map.names.values())[:30])
        raise AnnotationError(
            "class", f'has the unknown class "{shown(name)}"; the label map has: {known}{alike(name, ids)}'
        )
    return ids[name]


def alike(name: str, names: Iterable[str]) -> str:
    """What to say of a class that is unknown and looks like a known one; empty where it does not."""
    found = next((known for known in names if look_alike(name, known)), None)
    if found is None:
        return ""
    return f'. It looks like "{found}" and is written with other characters: {name!a}, not {found!a}'


class NamedBox(NamedTuple):
    """A box as a source has it that knows classes by name only; the fields are those of `Box`."""

    edges: Edges
    name: str
    place: str
    difficult: bool = False
    truncated: bool = False


def labelled_boxes(
    named: Iterable[NamedBox], label_map: LabelMap, ids: Mapping[str, int], file: str, image: str
) -> Iterator[Box | Fault]:
    """Boxes with the label ids of their names, and faults where the label map has no such class."""
    for edges, name, place, difficult, truncated in named:
        try:
            yield Box(*edges, named_class(label_map, ids, name), name, place, difficult, truncated)
        except AnnotationError as error:
            yield error.fault(file, place, image)


def made_names(names: Mapping[int, str], used: Iterable[int], shift: int) -> dict[int, str]:
    """Names by label id; `class_<id>`, with the source's id, where the source names nothing."""
    own = names or {number: f"class_{number}" for number in used if number >= 0}
    return {number + shift: name for number, name in own.items()}


def listed(names: Mapping[int, str], most: int = 30) -> str:
    """Classes as messages list them."""
    shown_names = [f"{number} ({name})" for number, name in list(names.items())[:most]]
    return ", ".join([*shown_names, "..."] if len(names) > most else shown_names)
