# SPDX-License-Identifier: Apache-2.0
"""What the fields of an annotation may hold. Nothing in a file is believed before it went through here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from training_src.class_names import one_spelling
from training_src.data.dataset import Fault
from training_src.data.label_map import LONGEST_NAME

Edges = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax in pixels."""

_PLAIN = {int, float}
# Greater whole numbers do not all fit into a float.
GREATEST = 1e300


class AnnotationError(ValueError):
    """Something in an annotation is wrong; the message is the rest of a sentence that begins with the place.

    Attributes:
        check: The rule's short name.
    """

    def __init__(self, check: str, rest: str) -> None:
        self.check = check
        super().__init__(rest)

    def fault(self, file: str, place: str | None = None, image: str = "") -> Fault:
        """The whole sentence, of a file or of a place in it."""
        where = f"{file}: {place}" if place else file
        return Fault(file, place, self.check, f"{where} {self}.", image=image)


def shown(value: object, longest: int = 80) -> str:
    """A value as a message can show it: short, on one line."""
    text = str(value)[: longest + 1] if isinstance(value, str) else _representation(value)
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def four_numbers(values: Any) -> Edges:
    """Four numbers of a list; not-a-number and infinity pass, since the gate names such boxes.

    Raises:
        AnnotationError: There are not four, or they are no numbers.
    """
    if type(values) is list and len(values) == 4 and _PLAIN.issuperset(map(type, values)):
        first, second, third, fourth = values  # as good as always, and millions of times
        if max(values) < GREATEST and min(values) > -GREATEST:
            return float(first), float(second), float(third), float(fourth)
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 4:
        raise AnnotationError("annotation", f"has a bbox that is not four numbers: {shown(values)}")
    try:
        first, second, third, fourth = map(number, values)
    except AnnotationError:
        raise AnnotationError("annotation", f"has a bbox that is not four numbers: {shown(values)}") from None
    return first, second, third, fourth


def number(value: Any) -> float:
    """A JSON number, or a text that is one.

    Raises:
        AnnotationError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise AnnotationError("annotation", f"has {shown(value)} where a number is expected")
    try:
        return float(value)
    except OverflowError:
        return float("inf") if isinstance(value, int) and value > 0 else float("-inf")
    except ValueError:
        raise AnnotationError("annotation", f'has "{shown(value)}" where a number is expected') from None


def size(width: Any, height: Any) -> tuple[int, int]:
    """An image's stated width and height; 0 where nothing is stated.

    Raises:
        AnnotationError: They are no whole numbers of pixels.
    """
    if type(width) is type(height) is int and 0 <= width < 1 << 31 and 0 <= height < 1 << 31:
        return width, height
    try:
        wide, high = number(width or 0), number(height or 0)
    except AnnotationError:
        wide = high = -1.0
    if not 0 <= wide < 2**31 or not 0 <= high < 2**31:
        raise AnnotationError("size", f'states the size "{shown(width)}" x "{shown(height)}"; write whole pixels')
    return int(wide), int(high)


def identifier(value: Any) -> int | str:
    """The id of an image or class: a whole number of at most 63 bits, or a text.

    Some tools write an id as a number in one place and as a text in another: a text of a number's digits is the number.

    Raises:
        AnnotationError: It is neither.
    """
    if type(value) is int and -(1 << 63) < value < 1 << 63:
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or (isinstance(value, int) and abs(value) >> 63):
        raise AnnotationError("annotation", f"has the id {shown(value)}, which is neither a whole number nor a text")
    if isinstance(value, str) and not value.isprintable():
        raise AnnotationError("annotation", f'has the id "{shown(value)}", which holds unprintable characters')
    if isinstance(value, str) and len(value) < 19 and value.isdecimal() and str(int(value)) == value:
        return int(value)
    return value


def flag(value: Any) -> bool:
    """Whether an annotation says yes: 1, true, or a text of these."""
    return value is not None and (value is True or value in (1, "1", "true", "True"))


def confidence(value: Any) -> float | None:
    """A share from 0 to 1; None where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        return None
    return float(value)


def area(value: Any, edges: Edges) -> float | None:
    """Square pixels of an object, where they are not its box's own.

    None also where there is no such number, or 0, which tools write for what they did not compute.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < GREATEST:
        return None
    xmin, ymin, xmax, ymax = edges
    # float32, as TFRecords have it, keeps seven digits.
    return None if math.isclose(value, (xmax - xmin) * (ymax - ymin), rel_tol=1e-5) else float(value)


def attributes(value: Any) -> dict[str, str]:
    """Names and values of an image's attributes, as texts; what is no short printable text or number is left out."""
    if not isinstance(value, dict):
        return {}
    found = {}
    for name, given in value.items():
        text = (
            str(given).lower() if isinstance(given, bool) else str(given) if isinstance(given, int | float) else given
        )
        if isinstance(text, str) and _is_short(name.strip()) and _is_short(text.strip()):
            found[name.strip()] = text.strip()
    return found


def _is_short(text: str) -> bool:
    return 0 < len(text) <= LONGEST_NAME and text.isprintable()


def class_name(value: Any) -> str:
    """A class's name in its one spelling: composed, and without blanks around it or twice in it.

    Raises:
        AnnotationError: It is empty, or holds what cannot be printed.
    """
    name = one_spelling(value) if isinstance(value, str) else ""
    if not name or not name.isprintable() or len(name) > LONGEST_NAME:
        raise AnnotationError("class", f'has the class name "{shown(value)}"; write a short printable text')
    return name


def _representation(value: object) -> str:
    try:
        return repr(value)[:200]
    except (ValueError, RecursionError):  # a number of thousands of digits, or lists in lists
        return type(value).__name__
