# SPDX-License-Identifier: Apache-2.0
"""The layouts that a data set can come in. Each module recognises its own and reads it."""

from __future__ import annotations

from pathlib import Path

from training_src.data.dataset import Dataset
from training_src.data.formats import sources
from training_src.data.formats.folder import FORMATS, read_folder
from training_src.data.label_map import LabelMap
from training_src.errors import DataError

FORMAT_NAMES: tuple[str, ...] = (*(layout.NAME for layout in FORMATS), sources.NAME)


def read_dataset(folder: Path, label_map: LabelMap | None = None, format: str | None = None) -> Dataset:  # noqa: A002
    """Read a folder in whichever supported layout it has, or the several folders that a list file in it names.

    Args:
        folder: Of the data set, or the list file (`sources.yaml`).
        label_map: The user's; without it the folder's own `label_map.pbtxt`, if any.
        format: One of `FORMAT_NAMES`; None: the folder shows it.

    Raises:
        DataError: The folder is missing, has no supported layout, or cannot be read.
    """
    if format is not None and format not in FORMAT_NAMES:
        raise DataError(f'The format "{format}" is not known; give one of {", ".join(FORMAT_NAMES)}.')
    try:
        if format == sources.NAME or (format is None and sources.recognise(folder)):
            return sources.read(folder, label_map)
    except OSError as error:
        raise DataError(f"{folder.name} cannot be read: {error}.") from None
    return read_folder(folder, label_map, format)
