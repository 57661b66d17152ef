# SPDX-License-Identifier: Apache-2.0
"""A data set as it was found, before anything is checked or written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from containers.contract.errors import printable
from training_src.data.label_map import LabelMap

Severity = Literal["error", "warning", "notice"]
Written = Literal["pixels", "shares", "stored shares"]


@dataclass(frozen=True)
class Encoded:
    """Where an image's encoded bytes lie: a file, or a part of one. Small and picklable, so that processes can load it.

    Attributes:
        file: Its path.
        offset: Of the first byte.
        length: In bytes; -1 means to the end of the file.
    """

    file: str
    offset: int = 0
    length: int = -1

    def load(self) -> bytes:
        """The bytes.

        Raises:
            OSError: The file is gone or cannot be read.
        """
        with open(self.file, "rb") as stream:  # noqa: PTH123 - a Path for each image takes longer than the reading
            stream.seek(self.offset)
            return stream.read(self.length)


@dataclass(frozen=True)
class Box:
    """An object's box, in pixels from the left upper corner; edges, not pixel indices.

    Attributes:
        xmin, ymin, xmax, ymax: The edges.
        label: Label-map id.
        name: Class name.
        place: Where it stands in its file, for messages, such as `object 3`.
        difficult, truncated, crowd: As the annotation says.
        confidence: Of whoever or whatever drew it, from 0 to 1; None where the annotation says nothing.
        area: Square pixels that decide whether it is small, medium or large (COCO's `area`, that of an outline); None
            where the annotation says nothing else than the box's own.
    """

    xmin: float
    ymin: float
    xmax: float
    ymax: float
    label: int
    name: str
    place: str
    difficult: bool = False
    truncated: bool = False
    crowd: bool = False
    confidence: float | None = None
    area: float | None = None

    def __str__(self) -> str:
        """The edges as people write them."""
        return f"({self.xmin:g}, {self.ymin:g}, {self.xmax:g}, {self.ymax:g})"


@dataclass(frozen=True)
class LabelledImage:
    """An image that is not loaded yet, and its annotation.

    Attributes:
        source_id: Unique in the data set.
        image: The image's name relative to the data set's folder.
        annotation: The file that its boxes come from, relative to the data set's folder.
        encoded: Where the image's bytes lie.
        boxes: Its objects; none makes it a background image.
        width, height: As the annotation states them, 0 where it does not.
        given_split: See `splits.given_split`.
        group: Key of the images that must stay in one split, such as a video's name; empty: none is stated.
        attributes: What else is known of it, by which a test set can be sliced: `{"camera": "front"}`.
        written_as: What box edges were written as, which matters where EXIF turns the image: pixels of an image of the
            stated size; shares of the sides of whatever was shown; or shares of the stored pixels. Shares became
            pixels by `width` and `height`.
    """

    source_id: str
    image: str
    annotation: str
    encoded: Encoded
    boxes: Sequence[Box]
    width: int = 0
    height: int = 0
    given_split: str | None = None
    group: str = ""
    written_as: Written = "pixels"
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        file: Relative to the data set's folder.
        box: Which box, as text; None where the fault is the file's.
        check: A short name of the rule.
        message: A sentence that names file, box and the way out, on one line whatever files are called.
        severity: An error stops the execution.
        image: The image to show beside it, relative to the data set's folder; empty: none.
    """

    file: str
    box: str | None
    check: str
    message: str
    severity: Severity = "error"
    image: str = ""

    def __post_init__(self) -> None:
        if not self.message.isprintable():
            object.__setattr__(self, "message", printable(self.message))


Entry = LabelledImage | Fault


def labelled_file(
    name: str,
    file: str,
    annotation: str,
    found: Iterable[Box | Fault],
    size: tuple[int, int] = (0, 0),
    split: str | None = None,
    group: str = "",
    written_as: Written = "pixels",
    attributes: Mapping[str, str] | None = None,
) -> Iterator[Entry]:
    """An image in a file of its own, whose name is its id, after the faults that were found among its boxes."""
    boxes: list[Box] = []
    for one in found:
        if isinstance(one, Box):
            boxes.append(one)
        else:
            yield one
    stated = attributes or {}
    yield LabelledImage(name, name, annotation, Encoded(file), tuple(boxes), *size, split, group, written_as, stated)


@dataclass(frozen=True)
class Dataset:
    """What a layout's reader found. Nothing in it grows with the number of images.

    Attributes:
        format: The layout's name.
        label_map: Given, or made from the annotations; complete before the first entry.
        entries: Goes through the images, and through what the reader could not make sense of. Each call starts
            again and yields the same sequence, whatever order the operating system lists files in.
        notices: What people should know, but nobody needs to mend.
        tells_left_out: Whether the reader itself says which images of the folder it leaves out.
    """

    format: str
    label_map: LabelMap
    entries: Callable[[], Iterator[Entry]]
    notices: tuple[str, ...] = ()
    tells_left_out: bool = False
