# SPDX-License-Identifier: Apache-2.0
"""Images of a folder that its reader does not read: which they are, where they lie, and why."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from training_src.data.dataset import Fault
from training_src.data.formats.data_folder import DataFolder
from training_src.data.formats.fields import AnnotationError, shown
from training_src.data.images import IMAGE_SUFFIXES

# So many images' names are kept at most; where there are more, those that are left out are only counted.
_REMEMBERED = 200_000
_NAMED = 3
_PICTURES = frozenset(("images", "image", "jpegimages", "imgs", "img"))
_TEXTS = ("labels", "annotations", "annots")
_SUFFIXES = (".txt", ".xml", ".json")
_WAY_OUT = "Call it train, val or test, or merge the folders by a sources.yaml."


class ReadImages:
    """The images that a reader has yielded, by the folders that they lie in."""

    def __init__(self) -> None:
        self.by_folder: Counter[str] = Counter()
        self._names: set[int] | None = set()

    def add(self, file: str) -> None:
        """Count one; an annotation may write `./a.jpg`."""
        if "/." in file or "//" in file:
            file = os.path.normpath(file)
        self.by_folder[os.path.dirname(file)] += 1  # noqa: PTH120
        if self._names is not None:
            self._names.add(hash(file))
            if len(self._names) > _REMEMBERED:
                self._names = None

    def lacks(self, file: Path) -> bool:
        """Whether a file is known not to be among them."""
        return self._names is not None and hash(str(file)) not in self._names


def left_out(folder: DataFolder, read: ReadImages, faults: int, is_data_set: Callable[[Path], bool]) -> Iterator[Fault]:
    """A notice for each reason why images of a folder are left out.

    Args:
        folder: Of the data set.
        read: The images that were read.
        faults: How many were named; each may speak of an image, which then is not said to be left out unnamed.
        is_data_set: Whether a folder has a layout.
    """
    there = Counter(str(file.parent) for file in folder.files(folder.path, IMAGE_SUFFIXES, deep=True))
    lacking = Counter({place: count - read.by_folder[place] for place, count in there.items()})
    lacking = +lacking
    for place, count in _unread_data_sets(folder, read, lacking, is_data_set):
        why = "the folder is a data set of its own, and its name is none of a split"
        yield _notice(
            folder, f"{_images(count)} in {shown(folder.name(place))} {_are(count)} left out: {why}. {_WAY_OUT}"
        )
    for place, count, twin in _unread_with_annotations(folder, read, lacking):
        why = f"left out though there are annotations such as {shown(folder.name(twin), 200)}"
        where = f"{_images(count)} in {shown(folder.name(place))} {_are(count)}"
        yield _notice(folder, f"{where} {why}: the folder's name is none of a split. {_WAY_OUT}")
    if (count := lacking.total() - faults) > 0:
        yield _notice(folder, _unnamed(folder, read, lacking, count, faults))


def _unread_data_sets(
    folder: DataFolder, read: ReadImages, lacking: Counter[str], is_data_set: Callable[[Path], bool]
) -> Iterator[tuple[Path, int]]:
    """Folders in the folder of which nothing was read and that could be read alone; they no longer lack anything."""
    tops = {
        folder.path / Path(place).relative_to(folder.path).parts[0] for place in lacking if place != str(folder.path)
    }
    for top in sorted(tops):
        if any(Path(place).is_relative_to(top) for place in read.by_folder) or not is_data_set(top):
            continue
        within = [place for place in lacking if Path(place).is_relative_to(top)]
        yield top, sum(lacking.pop(place) for place in within)


def _unread_with_annotations(
    folder: DataFolder, read: ReadImages, lacking: Counter[str]
) -> Iterator[tuple[Path, int, Path]]:
    """Folders of which nothing was read though their first image has an annotation; they no longer lack anything."""
    for place in sorted(lacking):
        if read.by_folder[place]:
            continue
        image = next(folder.files(Path(place), IMAGE_SUFFIXES))
        if (twin := next(_annotations_of(folder, image), None)) is not None:
            yield Path(place), lacking.pop(place), twin


def _annotations_of(folder: DataFolder, image: Path) -> Iterator[Path]:
    """Files with an image's stem, beside it or in the twin of its folder."""
    parts = image.parent.relative_to(folder.path).parts
    places = [image.parent]
    for at in (at for at in range(len(parts)) if parts[at].lower() in _PICTURES):
        root = folder.path.joinpath(*parts[:at])
        twins = (folder.child(root, name) for name in _TEXTS)
        places += [twin.joinpath(*parts[at + 1 :]) for twin in twins if twin is not None]
    for place in places:
        try:
            found = folder.beside(image.stem, (place,), _SUFFIXES)
        except AnnotationError:
            continue
        if found is not None:
            yield found


def _unnamed(folder: DataFolder, read: ReadImages, lacking: Counter[str], count: int, faults: int) -> str:
    """The sentence about images that no annotation names; which they are is known where no fault may speak of one."""
    what = f"{_images(count)} that no annotation {'names is' if count == 1 else 'names are'} left out"
    named = [] if faults else list(islice(_names(folder, read, lacking), _NAMED))
    if named:
        what += ": " + ", ".join(named) + (", ..." if count > len(named) else "")
    if len(named) == count:
        return f"{what}."
    places = ", ".join(folder.name(Path(place)) for place, _ in lacking.most_common(_NAMED))
    where = "the folder itself" if places == "." else shown(places, 300) + (", ..." if len(lacking) > _NAMED else "")
    return f"{what}; they lie in {where}."


def _names(folder: DataFolder, read: ReadImages, lacking: Counter[str]) -> Iterator[str]:
    for place in sorted(lacking):
        for file in folder.files(Path(place), IMAGE_SUFFIXES):
            if read.lacks(file):
                yield shown(folder.name(file), 120)


def _notice(folder: DataFolder, message: str) -> Fault:
    return Fault(folder.path.name, None, "unlisted", message, "notice")


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
