# SPDX-License-Identifier: Apache-2.0
"""What lies beside a checkpoint and describes it."""

from pathlib import Path

from training_src.errors import ConfigurationError


def beside(source: str, name: str, option: str) -> Path:
    """The file of a name in a checkpoint's folder, or in the one above, as the zoo's archives have it.

    Raises:
        ConfigurationError: There is none; the sentence names the option by which it can be given.
    """
    place = Path(source)
    folder = place if place.is_dir() else place.parent
    for candidate in (folder / name, folder.parent / name):
        if candidate.is_file():
            return candidate
    raise ConfigurationError(f"{source}: there is no {name} beside it; give {option}")
