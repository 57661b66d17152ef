# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields a path beside `path`, of the same suffix; what is written there takes its place, flushed, at the end.

    Raises:
        OSError: It cannot be written; the error names `path`, also where the disk is full and a system names nothing.
    """
    beside = path.with_name(f".{path.name}{path.suffix}")
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(beside)):
            error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)
