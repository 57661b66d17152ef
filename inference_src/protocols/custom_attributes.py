# SPDX-License-Identifier: Apache-2.0
"""The header X-Amzn-SageMaker-Custom-Attributes: what a client asks of mapgate in it, and what it asks of others.

It is `key=value` between commas, as TensorFlow's image on SageMaker reads it (`tfs-model-name=a,tfs-method=predict`).
Keys that begin with `mapgate-` are ours and are checked strictly; whatever else stands there is sent back as it came.
SageMaker passes at most 1024 visible characters:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from urllib.parse import quote, unquote

from inference_src.detections import FURTHER_OUTPUTS
from inference_src.errors import RequestError

HEADER = "x-amzn-sagemaker-custom-attributes"
MAX_CHARACTERS = 1024
MAX_TILES = 16

THRESHOLD, CLASS_THRESHOLDS = "mapgate-threshold", "mapgate-class-thresholds"
MAX_DETECTIONS, CLASSES = "mapgate-max-detections", "mapgate-classes"
TILES, OUTPUTS = "mapgate-tiles", "mapgate-outputs"

_OURS = re.compile(r"\s*mapgate[-_]", re.IGNORECASE)
_WITHIN = re.compile(r"mapgate[-_][a-z_-]+(?=[\"\'\s]*[=:])", re.IGNORECASE)
_FRACTION = re.compile(r"0?\.[0-9]{1,16}|[01](?:\.0{1,16})?")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_GRID = re.compile(r"([1-9][0-9]?)x([1-9][0-9]?)")


@dataclass(frozen=True)
class Attributes:
    """What a client asks for.

    Attributes:
        text: What the answer's header says: what was applied, and what was not for us.
        threshold: Least score of a detection.
        class_thresholds: Least score by class, in place of `threshold`.
        max_detections: How many of an image's best detections to give.
        classes: Names of the only classes to give; empty gives all.
        tiles: Columns and rows of overlapping windows to look at beside the whole picture.
        outputs: Further outputs of the model, of `FURTHER_OUTPUTS`.
        behind: By key of ours its value and what stands behind the comma after it, where that is no key of ours.
    """

    text: str = ""
    threshold: float = 0.0
    class_thresholds: Mapping[str, float] = field(default_factory=dict)
    max_detections: int | None = None
    classes: Sequence[str] = ()
    tiles: tuple[int, int] | None = None
    outputs: Sequence[str] = ()
    behind: Mapping[str, tuple[str, str]] = field(default_factory=dict, compare=False)

    @property
    def names_classes(self) -> bool:
        """Whether a class stands in them."""
        return bool(self.classes or self.class_thresholds)


def read_attributes(header: str | None) -> Attributes:
    """Read the header.

    Raises:
        RequestError: 400 it is too long, or a key of ours or its value is none.
    """
    text = header or ""
    if len(text) > MAX_CHARACTERS or not (text.isascii() and text.isprintable()):
        raise RequestError(400, f"{HEADER}: give at most {MAX_CHARACTERS} visible ASCII characters")
    told: list[str] = []
    given: dict[str, str] = {}
    behind: dict[str, tuple[str, str]] = {}
    before = ""
    for part in text.split(","):
        if not _OURS.match(part):
            told.append(part)
            if found := _WITHIN.search(part):
                within = f"{found[0]} stands within {part.strip()[:50]}"
                raise RequestError(400, f"{HEADER}: {within}: give key=value between commas")
            if before:
                behind[before] = given[before], part.strip()
            before = ""
            continue
        key, _, value = (side.strip() for side in part.partition("="))
        if key not in _READERS:
            raise RequestError(400, f"{HEADER}: {key[:50]}: there is no such key{did_you_mean(key, _READERS)}")
        if key in given:
            raise RequestError(400, f"{HEADER}: {key} stands twice: give it once")
        given[key], before = value, key
        told.append(f"{key}={value}")
    if TILES in given and OUTPUTS in given:
        raise RequestError(400, f"{HEADER}: {OUTPUTS} tells of one look at the picture: leave out {TILES}, or it")
    for key, (value, part) in behind.items():
        if part in FURTHER_OUTPUTS if key == OUTPUTS else key in (THRESHOLD, MAX_DETECTIONS) and part.isdigit():
            raise RequestError(400, f"{HEADER}: {key}={value[:50]},{part}: no comma stands in it")
    read = {_FIELDS[key]: _READERS[key](key, value) for key, value in given.items()}
    return Attributes(",".join(told), behind=behind, **read)  # type: ignore[arg-type]  # each reader gives its field's type


def check_classes(attributes: Attributes, known: Sequence[str]) -> None:
    """Hold the classes that a client names against a model's.

    Raises:
        RequestError: 400 the model has no such class, or one of its classes stands behind a comma.
    """
    if not attributes.names_classes:
        return
    spelled = {one_spelling(name) for name in known}
    for key, names in ((CLASSES, attributes.classes), (CLASS_THRESHOLDS, attributes.class_thresholds)):
        value, part = attributes.behind.get(key, ("", ""))
        further = unquote(part if key == CLASSES else part.rpartition(":")[0]).strip().lower()
        if further in (name.lower() for name in known):
            comma = f"{key}={value[:50]},{part[:50]}: no comma stands in it; names stand between |"
            raise RequestError(400, f"{HEADER}: {comma}")
        for name in names:
            if name not in spelled:
                hint = did_you_mean(name, known) or f"; it has {', '.join(known)[:200]}"
                raise RequestError(400, f"{HEADER}: {key}: the model has no class {name[:50]!r}{hint}")


def one_spelling(name: str) -> str:
    """A class's name as it is compared, however Unicode writes it (NFC and NFD), and whatever blanks are about it."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def did_you_mean(given: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """The likely name, as the end of a sentence; nothing if none is near."""
    near = {name.lower(): name for name in known}
    found = get_close_matches(given.lower().replace("_", "-"), near, n=1) or get_close_matches(given.lower(), near, n=1)
    return f"; did you mean {near[found[0]]}?" if found else ""


def _fraction(key: str, text: str) -> float:
    if not _FRACTION.fullmatch(text):
        raise RequestError(400, f"{HEADER}: {key}={text[:50]}: give a number from 0 to 1, such as 0.4")
    return float(text)


def _number(key: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise RequestError(400, f"{HEADER}: {key}={text[:50]}: give a whole number above 0")
    return int(text)


def _names(key: str, text: str) -> tuple[str, ...]:
    names = tuple(one_spelling(unquote(name)) for name in text.split("|"))
    if not all(names) or len(set(names)) < len(names):
        example = f"{key}=car|{quote('Traffic light')}"
        raise RequestError(400, f"{HEADER}: {key}={text[:50]}: give different names between |, such as {example}")
    return names


def _class_thresholds(key: str, text: str) -> dict[str, float]:
    thresholds: dict[str, float] = {}
    for part in text.split("|"):
        written, colon, fraction = part.rpartition(":")
        name = one_spelling(unquote(written))
        if not colon or not name or name in thresholds:
            example = f"{key}=car:0.4|{quote('Stop sign')}:0.6"
            raise RequestError(400, f"{HEADER}: {key}={text[:50]}: give each class once, such as {example}")
        thresholds[name] = _fraction(key, fraction.strip())
    return thresholds


def _tiles(key: str, text: str) -> tuple[int, int]:
    found = _GRID.fullmatch(text)
    if not found or not 1 < int(found[1]) * int(found[2]) <= MAX_TILES:
        raise RequestError(
            400, f"{HEADER}: {key}={text[:50]}: give columns x rows of 2 to {MAX_TILES} windows, such as {key}=3x2"
        )
    return int(found[1]), int(found[2])


def _outputs(key: str, text: str) -> tuple[str, ...]:
    names = _names(key, text)
    for name in names:
        if name.startswith("raw_"):
            raise RequestError(
                400, f"{HEADER}: {key}: {name[:50]} is megabytes an image and not given here; run the SavedModel for it"
            )
        if name not in FURTHER_OUTPUTS:
            known = f"there are {' and '.join(FURTHER_OUTPUTS)}"
            hint = did_you_mean(name, FURTHER_OUTPUTS) or f"; {known}"
            raise RequestError(400, f"{HEADER}: {key}: there is no output {name[:50]!r} to ask for{hint}")
    return names


_READERS: Mapping[str, Callable[[str, str], object]] = {
    THRESHOLD: _fraction,
    CLASS_THRESHOLDS: _class_thresholds,
    MAX_DETECTIONS: _number,
    CLASSES: _names,
    TILES: _tiles,
    OUTPUTS: _outputs,
}
KEYS = tuple(_READERS)
_FIELDS = {key: key.removeprefix("mapgate-").replace("-", "_") for key in _READERS}
