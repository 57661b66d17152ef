# SPDX-License-Identifier: Apache-2.0
"""YOLO: a text file an image, in a folder `labels` beside `images` or beside the image itself.

A line is a class, counted from 0, and the box's centre, width and height as shares of the image's; a sixth number is a
confidence, and more than six are a polygon, which becomes the box around it, or a box and a pose's keypoints, which are
passed over (see `pose_or_polygon`). An image without a text file is background. Source: https://docs.ultralytics.com/datasets/detect/
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from training_src.data.dataset import Box, Dataset, Entry, Fault, labelled_file
from training_src.data.formats import yolo_settings
from training_src.data.formats.classes import SourceClasses, made_names
from training_src.data.formats.data_folder import DataFolder
from training_src.data.formats.fields import AnnotationError, Edges, confidence, number, shown
from training_src.data.formats.image_size import read_size
from training_src.data.formats.pose_or_polygon import SHORTEST, LineForm, LongLines
from training_src.data.formats.yolo_settings import Place, YoloSettings, read_settings
from training_src.data.images import IMAGE_SUFFIXES
from training_src.data.label_map import LabelMap, make_label_map
from training_src.errors import DataError

NAME = "yolo"

# A share beyond this was meant as pixels; tools that clip late write a little more than 1.
_GREATEST_SHARE = 2.0
# The same of a polygon's corner: what is 2 marks a keypoint.
_GREATEST_OF_CORNERS = 1.5

_UNNAMED = (
    "Nothing names the classes, so they are called class_0, class_1, ...; name them in classes.txt, a line each, or in "
    "data.yaml beside images/."
)

recognise = yolo_settings.recognise


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read all text files; class ids shift by one, names come from the label map or the tool's own list."""
    inside = DataFolder(folder)
    settings = read_settings(inside)
    places = settings.places
    made = label_map is None
    if label_map is None:
        used = sorted(_used(inside, places)) if not settings.names else []
        label_map = make_label_map([made_names(settings.names, used, 1)], folder.name)
    classes = SourceClasses(settings.names, 1, label_map, used=lambda: _used(inside, places))
    reading = _Reading(inside, classes, settings)

    def entries() -> Iterator[Entry]:
        texts = 0
        for place in places:
            for image in _images(inside, place):
                if isinstance(image, Fault):
                    yield image
                    continue
                try:
                    text = _text_file(inside, image)
                except AnnotationError as error:
                    yield error.fault(inside.name(image))
                    continue
                texts += text is not None
                yield from _labelled(reading, image, text, place.split)
        yield from _lone_texts(inside, places, texts)

    unnamed = (_UNNAMED,) if made and not settings.names else ()
    return Dataset(NAME, label_map, entries, (*settings.notices, *unnamed, *classes.notices(settings.source)))


@dataclass(frozen=True)
class _Reading:
    """What every text is read with."""

    folder: DataFolder
    classes: SourceClasses
    settings: YoloSettings

    @cached_property
    def form(self) -> LineForm:
        """What lines of more than five numbers hold; asked for at the first of them.

        Raises:
            DataError: They may hold polygons as well as keypoints.
        """
        if self.settings.kpt_shape is not None:
            return LineForm.stated(self.settings.kpt_shape)
        lines = LongLines()
        for shares in _long_lines(self.folder, self.settings.places):
            lines.add(shares)
        form = lines.form()
        if form is None:
            raise DataError(
                f"{self.folder.path.name}: the texts' long lines can be read as polygons and as boxes with keypoints "
                f"behind them, and nothing tells which they are; say `kpt_shape: {lines.points}` for keypoints, or "
                "`kpt_shape: []` for polygons, in data.yaml. Where some are one and some the other, part them and "
                "merge the folders by a sources.yaml; leave out what is neither, such as a track's number."
            )
        return form


def _images(folder: DataFolder, place: Place) -> Iterator[Path | Fault]:
    if place.path.is_dir():
        for file in folder.files(place.path, IMAGE_SUFFIXES, deep=place.path != folder.path):
            if folder.holds(str(file)):
                yield file
            else:
                named = folder.name(file)
                yield Fault(named, None, "path", f"{named} is a link to a place outside the data set; copy it in.")
        return
    listing = folder.name(place.path)
    try:
        for line, text in folder.lines(place.path):
            found = folder.ending(text, (place.path.parent,))
            if found is not None and found.is_file():
                yield found
            else:
                message = f'{listing}: line {line} names the file "{shown(text)}", which is not in the data set.'
                yield Fault(listing, f"line {line}", "missing_image", message)
    except AnnotationError as error:
        yield error.fault(listing)


def _text_file(folder: DataFolder, image: Path) -> Path | None:
    """The twin in `labels` of an image in `images`, or the text file beside it.

    Raises:
        AnnotationError: Several texts have nearly the image's name, or several images the text's.
    """
    for place in (_labels_of(folder, image.parent), image.parent):
        if place is None:
            continue
        exactly = place / f"{image.stem}.txt"
        # A link out of the data set and a pipe are such, too, and refused when they are read.
        if text := exactly if os.path.lexists(exactly) else folder.beside(image.stem, (place,), (".txt",)):
            _refuse_shared(folder, image, text)
            return text
    return None


def _refuse_shared(folder: DataFolder, image: Path, text: Path) -> None:
    """Of `a.jpg` and `a.png` a text can only be one's."""
    other = folder.beside(image.stem, (image.parent,))
    if other is not None and other != image:
        rest = f"has the text {folder.name(text)}, which may be of {folder.name(other)}; remove one of the images"
        raise AnnotationError("annotation", f"{rest}, or give each a name of its own")


def _labels_of(folder: DataFolder, place: Path) -> Path | None:
    """The twin in `labels` of a folder in `images`."""
    parts = place.relative_to(folder.path).parts
    at = next((at for at in reversed(range(len(parts))) if parts[at].lower() == "images"), None)
    labels = folder.child(folder.path.joinpath(*parts[:at]), "labels") if at is not None else None
    return labels.joinpath(*parts[at + 1 :]) if labels is not None and at is not None else None


def _long_lines(folder: DataFolder, places: tuple[Place, ...]) -> Iterator[list[float]]:
    """The numbers behind the class of every line that has more than a box and a confidence."""
    for file in _texts(folder, places):
        with suppress(AnnotationError):
            for _, written in folder.lines(file):
                fields = written.split()
                if len(fields) > SHORTEST:
                    with suppress(AnnotationError):
                        yield [number(field) for field in fields[1:]]


def _texts(folder: DataFolder, places: tuple[Place, ...]) -> Iterator[Path]:
    """Every text that may hold boxes: all of a folder, whichever of its images this machine has."""
    for home in sorted({_labels_of(folder, place.path) or place.path for place in places if place.path.is_dir()}):
        for file in folder.files(home, (".txt",), deep=home != folder.path):
            if file.name not in yolo_settings.LISTS:
                yield file
    for place in places:
        if place.path.is_file():
            for image in _images(folder, place):
                with suppress(AnnotationError):
                    if isinstance(image, Path) and (text := _text_file(folder, image)) is not None:
                        yield text


def _lone_texts(folder: DataFolder, places: tuple[Place, ...], used: int) -> Iterator[Fault]:
    """Texts that belong to no image, counted, or that there is none at all."""
    if not used and next(_texts(folder, places), None) is None:
        message = "No image has a text: they are looked for beside the images, and of images in images/ in labels/."
        yield Fault(folder.path.name, None, "empty", message)
        return
    folders = {place.path for place in places if place.path.is_dir()}
    homes = {_labels_of(folder, path) or path for path in folders}
    texts = sum(
        file.name not in yolo_settings.LISTS
        for home in homes
        for file in folder.files(home, (".txt",), deep=home != folder.path)
    )
    listings = sum(place.path.is_relative_to(home) for place in places if place.path.is_file() for home in homes)
    if (lone := texts - used - listings) > 0:
        where = ", ".join(sorted(folder.name(home) or folder.path.name for home in homes))
        message = f"{lone} text files in {where} belong to no image and are left out."
        yield Fault(where, None, "unlisted", message, "notice")


def _labelled(reading: _Reading, image: Path, text: Path | None, split: str | None) -> Iterator[Entry]:
    folder = reading.folder
    named = folder.name(image)
    annotation = folder.name(text) if text else named
    try:
        size = read_size(image)
    except AnnotationError as error:
        yield error.fault(named)
        return
    try:
        found = _boxes(reading, text, size, named) if text else ()
        yield from labelled_file(named, str(image), annotation, found, size, split, written_as="shares")
    except AnnotationError as error:
        yield error.fault(annotation, image=named)


def _boxes(reading: _Reading, file: Path, size: tuple[int, int], image: str) -> Iterator[Box | Fault]:
    for line, written in reading.folder.lines(file):
        where = f"line {line}"
        try:
            label, name, edges, score = _box(written, reading, *size)
            yield Box(*edges, label, name, where, confidence=score)
        except AnnotationError as error:
            yield error.fault(reading.folder.name(file), where, image)


def _box(written: str, reading: _Reading, width: int, height: int) -> tuple[int, str, Edges, float | None]:
    fields = written.split()
    if "," in written:
        rest = f'has commas: "{shown(written)}"; write points in numbers and blanks between them'
        raise AnnotationError("annotation", rest)
    category, shares = _category(fields[0]), [number(field) for field in fields[1:]]
    label, name = reading.classes.label(category)
    if len(shares) < 4:
        raise AnnotationError("annotation", f'is no class with four numbers: "{shown(written)}"')
    score = _score(shares, written)
    is_polygon = _is_polygon(shares, written, reading)
    greatest = _GREATEST_OF_CORNERS if is_polygon else _GREATEST_SHARE
    if any(abs(share) > greatest for share in shares):
        rest = f'has values beyond 1 where shares of the image are expected: "{shown(written)}"; divide by its size'
        raise AnnotationError("annotation", rest)
    x, y, wide, high = shares[:4]
    edges = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
    if is_polygon:
        edges = (min(shares[::2]), min(shares[1::2]), max(shares[::2]), max(shares[1::2]))
    return label, name, (edges[0] * width, edges[1] * height, edges[2] * width, edges[3] * height), score


def _score(shares: list[float], written: str) -> float | None:
    """The confidence behind a box, if there is one."""
    if len(shares) != 5:
        return None
    if (score := confidence(shares[4])) is None:
        rest = f'ends with {shares[4]:g}, which is no confidence from 0 to 1: "{shown(written)}"; '
        rest += "write a box that is turned by an angle as its four corners, and leave out other numbers"
        raise AnnotationError("annotation", rest)
    return score


def _is_polygon(shares: list[float], written: str, reading: _Reading) -> bool:
    """Whether a line's numbers are a polygon's corners, not a box.

    Raises:
        AnnotationError: It is a long line that is not like the others.
    """
    if len(shares) < SHORTEST:
        return False
    form = reading.form
    if not form.fits(shares):
        if form.kind == "polygons":
            raise AnnotationError("annotation", f'is no class with four numbers: "{shown(written)}"')
        lengths = " or ".join(map(str, sorted(form.lengths)))
        rest = f"has {len(shares)} numbers behind its class, and is no pose like the others, which have {lengths}"
        raise AnnotationError("annotation", f"{rest}; export it again, or say kpt_shape in data.yaml")
    return form.kind == "polygons"


def _category(text: str) -> int:
    try:
        value = number(text)
        return int(value) if value.is_integer() else -1
    except AnnotationError:
        raise AnnotationError(
            "annotation", f'begins with "{shown(text)}" where the class\'s number is expected'
        ) from None


def _used(folder: DataFolder, places: tuple[Place, ...]) -> set[int]:
    """Every class number in the text files, those that make no sense left out."""
    used = set()
    for place in places:
        for image in _images(folder, place):
            try:
                text = None if isinstance(image, Fault) else _text_file(folder, image)
                for _, written in folder.lines(text) if text else ():
                    used.add(_category(written.split()[0]))
            except AnnotationError:
                continue
    return {category for category in used if 0 <= category < 1 << 20}
