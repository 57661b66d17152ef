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
            return np.asarray(self._reader.get_tensor(name))
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
    """The prefix of the checkpoint that a prefix, a folder or an archive of the zoo stands for.

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
    if path.is_dir():
        archives = sorted(path.rglob("*.tar.gz"))
        if len(archives) != 1 or _indices(path):
            return find(path)
        path = archives[0]
    if path.suffix == ".index":
        return str(path.with_suffix(""))
    extract(path, scratch / "unpacked", _is_of_a_checkpoint)
    return find(scratch)


def find(folder: Path) -> str:
    """The prefix of the checkpoint in a folder, the newest if there are several.

    Raises:
        CheckpointError: If there is none.
    """
    indices = _indices(folder)
    if not indices:
        raise CheckpointError(
            f"{folder}: no checkpoint (a pair of *.index and *.data-00000-of-00001) is in it, nor one archive *.tar.gz"
        )
    newest = max(indices, key=lambda path: (_number(path.stem), path.stat().st_mtime))
    return str(newest.with_suffix(""))


def _indices(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.index") if any(path.parent.glob(f"{path.stem}.data-*"))]


def _is_of_a_checkpoint(path: PurePosixPath) -> bool:
    # A SavedModel has variables/variables.index of another layout beside it.
    return path.parent.name != "variables" and (path.suffix == ".index" or path.suffix.startswith(".data-"))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__


def _number(stem: str) -> int:
    match = re.search(r"-(\d+)$", stem)
    return int(match.group(1)) if match else -1
