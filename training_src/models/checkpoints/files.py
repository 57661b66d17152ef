# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as files: found, opened, read and written tensor by tensor."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from containers.contract.archive import extract
from training_src.models.checkpoints import object_graph
from training_src.models.errors import CheckpointError

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
# A SavedModel's folder for its weights, and what they are called in it.
VARIABLES = "variables"
# What may lie beside a checkpoint and says what it is.
BESIDE = (
    "label_map.pbtxt",
    "model.json",
    "pipeline.config",
    "source.json",
    "groups-train.txt",
    "groups-validation.txt",
)


class Reader:
    """An opened checkpoint.

    Attributes:
        prefix: Its path without `.index`.
        shapes: Of its tensors, by name.

    Raises:
        CheckpointError: If it cannot be read.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        try:
            self._reader = tf.train.load_checkpoint(prefix)
        except (tf.errors.OpError, ValueError) as error:
            raise CheckpointError(f"{prefix}: not a readable TensorFlow checkpoint ({_first_line(error)})") from error
        self.shapes: dict[str, list[int]] = dict(self._reader.get_variable_to_shape_map())
        self._graph: object_graph.ObjectGraph | None = None
        if object_graph.KEY in self.shapes:
            self._graph = object_graph.ObjectGraph(self.tensor(object_graph.KEY).item())

    def stored(self, key: str) -> str | None:
        """The tensor that a variable's key means: of that name, or at that path of the object graph."""
        if key in self.shapes:
            return key
        found = self._graph.key(key.removesuffix(SUFFIX)) if self._graph else None
        return found if found in self.shapes else None

    def tensor(self, name: str) -> NDArray[np.generic]:
        """A tensor.

        Raises:
            CheckpointError: If its bytes are not all there.
        """
        try:
            value = self._reader.get_tensor(name)
            # NumPy's own strings lose zeros at their end.
            return np.asarray(value, object if isinstance(value, bytes) else None)
        except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
            raise CheckpointError(
                f"{self.prefix}: {name} cannot be read, the file is damaged ({_first_line(error)})"
            ) from error


def write(prefix: str, tensors: Mapping[str, NDArray[np.generic]]) -> None:
    """Write tensors as a TensorFlow checkpoint of one shard, readable by key."""
    names = sorted(tensors)
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=[tensors[name] for name in names]
    )


def read(prefix: str) -> dict[str, NDArray[np.generic]]:
    """Every tensor of a checkpoint.

    Raises:
        CheckpointError: If it cannot be read.
    """
    reader = Reader(prefix)
    return {name: reader.tensor(name) for name in reader.shapes}


def locate(source: str | Path, scratch: Path) -> str:
    """The prefix of the checkpoint that a prefix, a folder, an archive of the zoo or a model.tar.gz stands for.

    Args:
        source: As in `fine_tune_checkpoint`; a folder may hold an archive instead of the checkpoint itself.
        scratch: A directory for what is unpacked.

    Raises:
        ArchiveError: If an archive is damaged or not to be trusted.
        CheckpointError: If there is no checkpoint.
    """
    path = Path(source)
    if Path(f"{path}.index").is_file() or not path.exists():
        return str(path.with_suffix("") if path.suffix == ".index" else path)
    if path.suffix == ".index":
        return str(path.with_suffix(""))
    archive = archive_of(path)
    if archive is None:
        return find(path)
    path = archive
    for place, wanted in (("unpacked", _is_of_a_checkpoint), ("model", _is_of_a_saved_model)):
        extract(path, scratch / place, wanted)
        if _indices(scratch / place):
            return find(scratch / place)
    raise CheckpointError(f"{path}: neither a checkpoint (*.index and *.data-00000-of-00001) nor a SavedModel is in it")


def archive_of(source: Path) -> Path | None:
    """The archive that a file is, or that is all that a folder holds; None where there is a checkpoint, or nothing."""
    if source.is_file():
        return None if source.suffix == ".index" else source
    archives = sorted(source.rglob("*.tar.gz")) if source.is_dir() else []
    return archives[0] if len(archives) == 1 and not _indices(source) else None


def find(folder: Path) -> str:
    """The prefix of the checkpoint in a folder, the newest if there are several; else that of a SavedModel's variables.

    Raises:
        CheckpointError: If there is none.
    """
    indices = _indices(folder)
    if not indices:
        raise CheckpointError(
            f"{folder}: no checkpoint (a pair of *.index and *.data-00000-of-00001) is in it, nor one archive *.tar.gz"
        )
    # A SavedModel of the zoo's has variables of another layout, and the checkpoint beside it.
    checkpoints = [path for path in indices if path.parent.name != VARIABLES] or indices
    newest = max(checkpoints, key=lambda path: (_number(path.stem), path.stat().st_mtime))
    return str(newest.with_suffix(""))


def no_names(prefix: str) -> str:
    """What to say of a SavedModel whose variables are none of a detector's; "" for other checkpoints."""
    return "; it is a SavedModel whose variables have no names of layers" if Path(prefix).name == VARIABLES else ""


def beside(prefix: str, name: str) -> Path | None:
    """A file that describes a checkpoint: in its folder, or in that around a zoo's `checkpoint/` or a model's `1/`.

    Args:
        prefix: The checkpoint's path without `.index`.
        name: One of `BESIDE`.
    """
    folder = Path(prefix).parent
    if folder.name == "checkpoint":
        folders = [folder, folder.parent]
    elif folder.name == VARIABLES:
        folders = [folder.parent, folder.parent.parent]
    else:
        folders = [folder]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _indices(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.index") if any(path.parent.glob(f"{path.stem}.data-*"))]


def _is_of_a_checkpoint(path: PurePosixPath) -> bool:
    return path.name in BESIDE or (path.parent.name != VARIABLES and _is_a_part(path))


def _is_of_a_saved_model(path: PurePosixPath) -> bool:
    return path.name in BESIDE or (path.parent.name == VARIABLES and _is_a_part(path))


def _is_a_part(path: PurePosixPath) -> bool:
    return path.suffix == ".index" or path.suffix.startswith(".data-")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__


def _number(stem: str) -> int:
    match = re.search(r"-(\d+)$", stem)
    return int(match.group(1)) if match else -1
