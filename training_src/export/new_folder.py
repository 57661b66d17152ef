# SPDX-License-Identifier: Apache-2.0
"""A folder that is there once all of it is."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training_src.errors import ConfigurationError


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A place to write to, which becomes the folder `output` when the block has ended well; it is not yet there.

    Raises:
        ConfigurationError: If something is at `output` already.
    """
    if output.exists() and any(output.iterdir()):
        raise ConfigurationError(f"{output}: something is there already; give another folder")
    unfinished = output.with_name(f"{output.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    yield unfinished
    if output.exists():
        output.rmdir()
    unfinished.rename(output)
