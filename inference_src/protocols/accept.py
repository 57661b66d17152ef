# SPDX-License-Identifier: Apache-2.0
"""The Accept header, with the two parameters of AWS's built-in Object Detection - TensorFlow.

Its example client sends `application/json;verbose;n_predictions=5`; both parameters may be left out. Which form is
taken follows https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1: that of the greatest weight, as the range says it
which names a form most exactly.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from inference_src.errors import RequestError

JSON, LINES, NPY = "application/json", "application/jsonlines", "application/x-npy"
FORMS = (JSON, LINES, NPY)
"""What an answer can be, the best first. Only JSON is meant by a range such as `*/*`; the others must be named."""

_RANGES = {name: exactness for exactness, name in enumerate(("*", "*/*", "application/*"))}
_PARTS = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PARAMETERS = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*")+')
_WEIGHT = re.compile(r"0?\.[0-9]{1,9}|[01](?:\.0{0,9})?|0\.[0-9]{1,9}")


@dataclass(frozen=True)
class Wanted:
    """What the client wants in the answer.

    Attributes:
        verbose: Whether to add the model's own output.
        n_predictions: How many of the best detections to give; None gives all.
        media_type: One of `FORMS`.
    """

    verbose: bool = False
    n_predictions: int | None = None
    media_type: str = JSON


class _Range(NamedTuple):
    name: str
    parameters: list[str]
    weight: float


def read_accept(header: str | None) -> Wanted:
    """Read an Accept header; a missing or empty one takes JSON.

    Raises:
        RequestError: 406 no form of an answer is accepted; 400 `n_predictions` is no positive whole number.
    """
    if not header or not header.strip():
        return Wanted()
    ranges = [_range(part) for part in _PARTS.findall(header) if part.strip()]
    best: _Range | None = None
    form = JSON
    for media_type in FORMS:
        found = _most_exact(ranges, media_type)
        if found and found.weight > (best.weight if best else 0):
            best, form = found, media_type
    if best is None:
        raise RequestError(406, f"Accept: {header[:100]}: the answer is {JSON}, {LINES} or {NPY}")
    return Wanted("verbose" in best.parameters, _n_predictions(best.parameters), form)


def _range(text: str) -> _Range:
    name, *parameters = (part.strip().lower() for part in _PARAMETERS.findall(text) or [text])
    weights = [parameter[2:].strip() for parameter in parameters if parameter.startswith("q=")]
    valid = [float(weight) for weight in weights if _WEIGHT.fullmatch(weight)]
    return _Range(name, parameters, valid[0] if valid else 1.0)


def _most_exact(ranges: list[_Range], media_type: str) -> _Range | None:
    """The range that says how much a form is wanted: the most exact, of several the one of the greatest weight."""
    named = [each for each in ranges if each.name == media_type]
    if not named and media_type == JSON:
        meant = [each for each in ranges if each.name in _RANGES]
        exactness = max((_RANGES[each.name] for each in meant), default=0)
        named = [each for each in meant if _RANGES[each.name] == exactness]
    return max(named, key=lambda each: each.weight, default=None)


def _n_predictions(parameters: list[str]) -> int | None:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() != "n_predictions":
            continue
        digits = value.strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) < 10 and int(digits) > 0):
            raise RequestError(400, f"Accept: n_predictions={digits[:20]}: give a whole number above 0")
        return int(digits)
    return None
