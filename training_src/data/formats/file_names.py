# SPDX-License-Identifier: Apache-2.0
"""Which file a name means that was written on another machine.

Windows and macOS take `A.JPG` for `a.jpg`; macOS decomposes accents, so that `é` is one letter in the annotation and
two in the file's name; some tools write names without a suffix. What macOS keeps beside files (`._a.jpg`) is no file of
the data set.
"""

from __future__ import annotations

import os
import unicodedata

from training_src.data.formats.fields import AnnotationError, shown
from training_src.data.spill import Spill
from training_src.left_beside import is_foreign


def is_file_entry(entry: os.DirEntry[str]) -> bool:
    """Whether what a folder lists is a file, or a link to one; a link that leads around in a circle is none."""
    try:
        return entry.is_file()
    except OSError:
        return False


def is_folder_entry(entry: os.DirEntry[str]) -> bool:
    """The same of a folder."""
    try:
        return entry.is_dir()
    except OSError:
        return False


class FolderNames:
    """A folder's files by what their names mean, for names that are not there letter by letter.

    Args:
        place: The folder; one that does not exist has no files.
    """

    def __init__(self, place: str) -> None:
        self._same, self._stems = Spill(), Spill()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if not is_foreign(entry.name) and is_file_entry(entry):
                        plain = _plain(entry.name)
                        self._same.add(plain, entry.name)
                        self._stems.add(os.path.splitext(plain)[0], entry.name)  # noqa: PTH122
        except (FileNotFoundError, NotADirectoryError):
            return

    def meant(self, name: str) -> str | None:
        """The file that a name means: of the same letters, else, for a name without a suffix, of the same stem.

        Raises:
            AnnotationError: Several files have such a name.
        """
        plain = _plain(name)
        found = self._same.rows(plain) or ([] if os.path.splitext(plain)[1] else self._stems.rows(plain))  # noqa: PTH122
        composed = unicodedata.normalize("NFC", name)
        exact = [one for one in found if unicodedata.normalize("NFC", one) == composed]
        return _only(name, exact or found)

    def of_stem(self, stem: str, suffixes: tuple[str, ...]) -> str | None:
        """The file with a stem and one of some suffixes, which are in small letters, the first of them first.

        Raises:
            AnnotationError: Several files have such a name.
        """
        found = self._stems.rows(_plain(stem))
        for suffix in suffixes:
            if fitting := [name for name in found if name.lower().endswith(suffix)]:
                return _only(stem, fitting)
        return None


def _plain(name: str) -> str:
    plain = unicodedata.normalize("NFC", name).casefold()
    return plain.removesuffix(".jpeg") + ".jpg" if plain.endswith(".jpeg") else plain


def _only(name: str, found: list[str]) -> str | None:
    if len(found) > 1:
        several = " and ".join(f'"{shown(one)}"' for one in sorted(found)[:3])
        raise AnnotationError("missing_image", f'names the file "{shown(name)}", which may be {several}; rename one')
    return found[0] if found else None
