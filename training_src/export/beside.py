# SPDX-License-Identifier: Apache-2.0
"""What lies beside a checkpoint and describes it."""

from pathlib import Path

from training_src.errors import ConfigurationError

# A SavedModel's folder for its weights.
VARIABLES = "variables"


def beside(source: str, name: str, option: str) -> Path:
    """The file of a name in a checkpoint's folder, or in the one above, as the zoo's archives have it.

    A SavedModel's `variables` are a checkpoint of a model.tar.gz, where the file lies beside the SavedModel's folder.

    Raises:
        ConfigurationError: There is none; the sentence names the option by which it can be given.
    """
    place = Path(source)
    folder = place if place.is_dir() else place.parent
    folders = [folder, folder.parent, *([folder.parent.parent] if folder.name == VARIABLES else [])]
    for candidate in folders:
        if (candidate / name).is_file():
            return candidate / name
    raise ConfigurationError(f"{source}: there is no {name} beside it; give {option}")
