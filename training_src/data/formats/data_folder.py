# SPDX-License-Identifier: Apache-2.0
"""The one way in which readers touch the disk: nothing outside the data set's folder is ever opened."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from containers.contract.job import ml_root
from training_src.data.formats.fields import AnnotationError, shown
from training_src.data.formats.file_names import FolderNames, is_file_entry, is_folder_entry
from training_src.data.images import IMAGE_SUFFIXES
from training_src.data.spill import Spill
from training_src.data.splits import given_split
from training_src.errors import DataError
from training_src.left_beside import is_foreign

# No tool writes a larger annotation file for a single image.
LARGEST_TEXT = 16 << 20
# Below a job's directory, where its inputs lie: several are shown as one folder, by links where disks differ.
_INPUTS = ("input/data", "processing/input")
# Whose names are kept for a while.
_LISTED_FOLDERS = 64


class DataFolder:
    """A data set's folder.

    Attributes:
        path: The folder itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._prefix = f"{path}/"
        self._within = [os.path.realpath(place) for place in (path, *(ml_root() / name for name in _INPUTS))]
        self._inside: dict[str, bool] = {}
        self._names: dict[str, FolderNames] = {}
        self._children: dict[tuple[Path, str], Path | None] = {}

    def name(self, path: Path) -> str:
        """A file's name for people, relative to the folder."""
        return path.relative_to(self.path).as_posix()

    def name_of(self, path: str) -> str:
        """The same of a text, for who asks for millions."""
        if path.startswith(self._prefix) and "//" not in path and "/." not in path:
            return path[len(self._prefix) :]
        return self.name(Path(path))

    def holds(self, path: str) -> bool:
        """Whether a file lies in the folder, or among the job's inputs, even after all symbolic links are followed."""
        parent, _ = os.path.split(path)
        inside = self._inside.get(parent)
        if inside is None:
            if len(self._inside) > 10_000:
                self._inside.clear()
            inside = self._inside[parent] = self._is_within(parent)
        return (inside and not os.path.islink(path)) or self._is_within(path)  # noqa: PTH114

    def check(self, file: Path) -> None:
        """See that a file may be opened: a pipe would wait for ever, a link may lead to what is nobody's business.

        Raises:
            AnnotationError: It is a link out of the folder, or there and no file.
        """
        if not self.holds(str(file)):
            raise AnnotationError("path", "is a link to a place outside the data set; copy the file in")
        if exists(str(file)) and not is_file(str(file)):
            raise AnnotationError("annotation", "is no file but a folder, pipe or device; copy the file itself")

    def read(self, file: Path, largest: int = LARGEST_TEXT) -> bytes:
        """An annotation file's bytes.

        Raises:
            AnnotationError: It cannot be read, is too large, or may not be opened (`check`).
        """
        self.check(file)
        try:
            with file.open("rb") as stream:
                content = stream.read(largest + 1)
        except OSError as error:
            raise AnnotationError("annotation", f"cannot be read ({error.strerror}); copy it again") from None
        if len(content) > largest:
            raise AnnotationError("annotation", f"is larger than {largest >> 20} MB; this is no annotation file")
        return content

    def text(self, file: Path, largest: int = LARGEST_TEXT) -> str:
        """An annotation file's text.

        Raises:
            AnnotationError: As `read`, or the bytes are no UTF-8.
        """
        try:
            return self.read(file, largest).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise AnnotationError("annotation", f"is no UTF-8 text (byte {error.start}); export it again") from None

    def lines(self, file: Path) -> Iterator[tuple[int, str]]:
        """The lines of a text of any length that are not empty, with their numbers, which count from 1.

        Raises:
            AnnotationError: As `text`, or a line is longer than any annotation file.
        """
        self.check(file)
        with file.open("rb") as stream:
            number = 0
            while line := stream.readline(LARGEST_TEXT):
                number += 1
                if len(line) == LARGEST_TEXT:
                    raise AnnotationError("annotation", f"has a line {number} of more than {LARGEST_TEXT >> 20} MB")
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                except UnicodeDecodeError:
                    rest = f"is no UTF-8 text (line {number}); export it again"
                    raise AnnotationError("annotation", rest) from None
                if text:
                    yield number, text

    def ending(self, path: str, places: Sequence[Path] = ()) -> Path | None:
        """What lies in the folder under a path's end, the longest end first: its beginning was another machine's.

        Args:
            path: Such as an S3 key, or an absolute path; `..` in it counts for nothing.
            places: Folders to look in; the data set's own is always the last.

        Raises:
            AnnotationError: No file has exactly the name, and several have nearly that name.
        """
        if "\0" in path or not is_text(path):
            return None
        parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        for start in range(len(parts)):
            for place in (*places, self.path):
                found = place.joinpath(*parts[start:])
                if exists(str(found)) and self.holds(str(found)):
                    return found
        for start in range(len(parts)):
            for place in (*places, self.path):
                if alike := self._alike("/".join(parts[start:]), place):
                    return Path(alike)
        return None

    def image(self, name: str, places: Sequence[Path]) -> Path:
        """The image file that an annotation names, in the first of some folders that has it.

        Raises:
            AnnotationError: No folder has it, or the name leads out of the data set's folder.
        """
        return Path(self.image_path(name, places))

    def image_path(self, name: str, places: Sequence[Path]) -> str:
        """The same as a text, for who asks for millions."""
        slashed = name.replace("\\", "/")
        if not slashed.strip() or "\0" in slashed or not is_text(slashed):
            raise AnnotationError("annotation", f'has the file name "{shown(name)}", which no file can have')
        if slashed.startswith("/") or (".." in slashed and ".." in slashed.split("/")):
            where = self._where(places)
            raise AnnotationError("path", f'lies outside {where}: "{shown(name)}"; write its name relative to {where}')
        for place in places:
            path = f"{place}/{slashed}"
            if self._is_plain_file(path):
                return path
            if not is_file(path):
                continue
            if not self.holds(path):
                where = self._where(places)
                raise AnnotationError("path", f'lies outside {where}: "{shown(name)}" is a link; copy the image in')
            return path
        for place in places:
            if alike := self._alike(slashed, place):
                return alike
        where = self._where(places)
        raise AnnotationError("missing_image", f'names the file "{shown(name)}", which is not in {where}')

    def _where(self, places: Sequence[Path]) -> str:
        return f"{places[0].name}/" if places[0] != self.path else "the data set's folder"

    def _is_plain_file(self, path: str) -> bool:
        """Whether a path is a file, no link, in a folder that is known to be inside: one call for nearly all images."""
        try:
            return self._inside.get(path.rpartition("/")[0], False) and stat.S_ISREG(os.lstat(path).st_mode)
        except (OSError, ValueError):
            return False

    def _alike(self, name: str, place: Path) -> str | None:
        """The file in a folder that a relative name means though no file has it letter by letter."""
        within, _, last = name.rpartition("/")
        folder = f"{place}/{within}" if within else str(place)
        found = self._names_in(folder).meant(last)
        path = f"{folder}/{found}"
        return path if found and self.holds(path) else None

    def child(self, place: Path, name: str) -> Path | None:
        """A folder's folder of a name in small letters, whose capitals do not matter; asked for each image."""
        key = (place, name)
        if key not in self._children:
            if len(self._children) > 10_000:
                self._children.clear()
            found = [one for one in folders_in(place) if one.name.lower() == name]
            self._children[key] = max(found, default=None)  # small letters come behind capitals
        return self._children[key]

    def _names_in(self, folder: str) -> FolderNames:
        names = self._names.get(folder)
        if names is None:
            if len(self._names) >= _LISTED_FOLDERS:
                self._names.clear()
            names = self._names[folder] = FolderNames(folder)
        return names

    def beside(self, stem: str, places: Sequence[Path], suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> Path | None:
        """The file of a stem and one of some suffixes; None where no folder has it.

        Raises:
            AnnotationError: No file has exactly the name, and several have nearly that name.
        """
        for suffix in suffixes:
            for written in (suffix, suffix.upper()):
                for place in places:
                    path = os.path.join(place, stem + written)  # noqa: PTH118
                    if is_file(path) and self.holds(path):
                        return Path(path)
        for place in places:
            within, _, last = f"{place}/{stem}".rpartition("/")
            found = self._names_in(within).of_stem(last, suffixes)
            if found and self.holds(f"{within}/{found}"):
                return Path(within) / found
        return None

    def files(self, place: Path, suffixes: Sequence[str], *, deep: bool = False) -> Iterator[Path]:
        """A folder's files by name, whatever order the operating system lists them in.

        Args:
            place: The folder; one that does not exist has no files.
            suffixes: In small letters.
            deep: Also those in its folders, but for links.

        Raises:
            DataError: A name is no UTF-8.
        """
        names, folders = Spill(), []
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if is_foreign(entry.name):
                        continue
                    if deep and entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.name.lower().endswith(tuple(suffixes)) and is_file_entry(entry):
                        names.add(_written(entry.name, place), 0)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names.sorted_keys():
            yield place / str(name)
        for name in sorted(folders):
            yield from self.files(place / name, suffixes, deep=True)

    def never_read(self, place: Path) -> Iterator[tuple[Path, str]]:
        """What lies under a folder and is never opened, and what it is: links out of the data set, pipes, devices."""
        folders: list[str] = []
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif (what := self._strange(entry)) is not None:
                    yield Path(entry.path), what
        for name in sorted(folders):
            yield from self.never_read(place / name)

    def _strange(self, entry: os.DirEntry[str]) -> str | None:
        try:
            if entry.is_file(follow_symlinks=False):
                return None
            if not entry.is_symlink():
                return "no file but a pipe, socket or device"
            if entry.is_dir():
                return None if self.holds(entry.path) else "a link to a folder outside the data set"
            return None if entry.is_file() else "a link that leads to no file"
        except OSError:
            return "a link that leads to no file"  # but around in a circle

    def _is_within(self, path: str) -> bool:
        real = os.path.realpath(path)
        return any(real == place or real.startswith(place.rstrip("/") + "/") for place in self._within)


def named_like(place: Path, pattern: str) -> list[Path]:
    """A folder's files and folders of a pattern, by name, but for what an operating system left beside the data."""
    return [place / name for name in sorted(_scanned(place, re.compile(fnmatch.translate(pattern)).match))]


def folders_in(place: Path) -> list[Path]:
    """A folder's folders by name; where a million files lie beside them, none of these is kept."""
    return [place / name for name in sorted(_scanned(place, lambda _: True, folders=True))]


def has_file(place: Path, suffix: str) -> bool:
    """Whether a folder has a file of a suffix, which is in small letters."""
    return next(_scanned(place, lambda name: name.lower().endswith(suffix)), None) is not None


def _scanned(place: Path, wanted: Callable[[str], object], *, folders: bool = False) -> Iterator[str]:
    """The names in a folder that are wanted, in no order; a place that is no folder has none."""
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if (not folders or is_folder_entry(entry)) and not is_foreign(entry.name) and wanted(entry.name):
                    yield entry.name
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return


def split_folders(folder: Path) -> Iterator[tuple[Path, str]]:
    """The folders in a folder whose names speak of a split, by name, with that split."""
    for child in folders_in(folder):
        if split := given_split(child.name):
            yield child, split


def is_text(text: str) -> bool:
    """Whether UTF-8 can write a text: JSON can smuggle in halves of characters."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _written(name: str, place: Path) -> str:
    if not is_text(name):
        raise DataError(f'{place.name} holds a file whose name is no UTF-8: "{shown(name)}"; rename it.')
    return name


def exists(path: str) -> bool:
    """Whether there is a file or folder."""
    try:
        return os.path.exists(path)  # noqa: PTH110
    except (OSError, ValueError):
        return False


def is_file(path: str) -> bool:
    """Whether there is a file, also where the name is longer than any file's."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False
