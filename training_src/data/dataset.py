# SPDX-License-Identifier: Apache-2.0
"""A data set as it was found, before anything is checked or written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from training_src.data.label_map import LabelMap


@dataclass(frozen=True)
class Box:
    """An object's box, in pixels from the left upper corner; edges, not pixel indices.

    Attributes:
        xmin, ymin, xmax, ymax: the edges.
        label: label-map id.
        name: class name.
        place: where it stands in its file, for messages, such as `object 3`.
        difficult, truncated, crowd: as the annotation says.
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

    def __str__(self) -> str:
        """The edges as people write them."""
        return f"({self.xmin:g}, {self.ymin:g}, {self.xmax:g}, {self.ymax:g})"


@dataclass(frozen=True)
class LabelledImage:
    """An image that is not loaded yet, and its annotation.

    Attributes:
        source_id: unique in the data set.
        image: the image's name relative to the data set's folder.
        annotation: the file that its boxes come from, relative to the data set's folder.
        load: reads the encoded image.
        boxes: its objects; none makes it a background image.
        width, height: as the annotation states them, 0 where it does not.
        given_split: see `splits.given_split`.
        group: key of the images that must stay in one split; empty: images with the same bytes.
    """

    source_id: str
    image: str
    annotation: str
    load: Callable[[], bytes]
    boxes: tuple[Box, ...]
    width: int = 0
    height: int = 0
    given_split: str | None = None
    group: str = ""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        file: relative to the data set's folder.
        box: which box, as text; None where the fault is the file's.
        check: a short name of the rule.
        message: a sentence that names file, box and the way out.
    """

    file: str
    box: str | None
    check: str
    message: str


@dataclass(frozen=True)
class Dataset:
    """What a layout's reader found.

    Attributes:
        format: the layout's name.
        images: in the order of their source ids.
        label_map: given, or made from the annotations.
        faults: what the reader could not make sense of.
        notices: what people should know, but nobody needs to mend.
    """

    format: str
    images: tuple[LabelledImage, ...]
    label_map: LabelMap
    faults: tuple[Fault, ...] = ()
    notices: tuple[str, ...] = field(default=())
