# SPDX-License-Identifier: Apache-2.0
"""The image that an address of another machine means: of a labelling server, of a disk, of a bucket."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from training_src.data.formats.data_folder import DataFolder
from training_src.data.formats.fields import AnnotationError

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*/")
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
# Label Studio writes local files so, and puts a mark in front of what was uploaded:
# https://labelstud.io/guide/storage#Local-storage, https://labelstud.io/guide/tasks#Import-data
_LOCAL_FILE = re.compile(r"[?&]d=(?P<path>[^&#]+)")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")


def image_path(folder: DataFolder, name: str, places: Sequence[Path]) -> str:
    """The image that an annotation names: as it stands there, else by the longest end of its address.

    Raises:
        AnnotationError: No folder has it, or the name leads out of the data set's folder.
    """
    try:
        return folder.image_path(name, places)
    except AnnotationError as error:
        if _leads_upwards(name):
            raise
        for path in _paths(name):
            if (found := folder.ending(path, places)) is not None and found.is_file():
                return str(found)
        raise error


def _leads_upwards(name: str) -> bool:
    """Whether a name goes up, but for one that begins so and then names folders, which were another machine's.

    Label Studio writes `../../label-studio/data/media/upload/1/a.jpg`. What is meant by `../a.jpg` nobody can say.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    upwards = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    return ".." in parts[upwards:] or 0 < upwards >= len(parts) - 1


def _paths(name: str) -> list[str]:
    """What an address may mean, the most literal first."""
    local = _LOCAL_FILE.search(name)
    address = local["path"] if local else _SCHEME.sub("", name).partition("?")[0]
    path = unquote(_DRIVE.sub("", address)).replace("\\", "/")
    folders, _, last = path.rpartition("/")
    plain = _UPLOADED.sub("", last)
    return [path, *([f"{folders}/{plain}"] if plain != last else [])]
