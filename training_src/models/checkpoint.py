# SPDX-License-Identifier: Apache-2.0
"""Weights by the keys under which `tf.train.Checkpoint(model=...)` of the OD API stores them.

A layer is named after its path, dots for slashes, so a variable's key follows from its layer and its own name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras  # type: ignore[import-untyped]
import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]
from numpy.typing import NDArray

from training_src.models.errors import CheckpointError

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
EXTRACTOR = "model/_feature_extractor/"
# Checkpoints of the backbone alone are rooted at it.
BACKBONE = EXTRACTOR + "classification_backbone/"
CLASSIFICATION_ROOTS = ("feature_extractor/", "model/_feature_extractor/classification_backbone/")


@dataclass(frozen=True)
class Restored:
    """What came of reading a checkpoint.

    Attributes:
        restored: Keys of the model's variables that were read.
        missing: Keys of those that the type asks for and the checkpoint lacks.
        left: Keys of the model's variables that the type does not ask for.
        unused: Keys of the checkpoint's tensors that found no variable.
    """

    restored: list[str]
    missing: list[str]
    left: list[str]
    unused: list[str]

    def table(self) -> str:
        """A few lines for the log."""
        lines = [
            f"restored      {len(self.restored):4d} variables",
            f"left as drawn {len(self.left) + len(self.missing):4d} variables"
            + (f", {len(self.missing)} of them not in the checkpoint" if self.missing else ""),
            f"not used      {len(self.unused):4d} tensors of the checkpoint",
        ]
        return "\n".join(lines)


def variables_by_key(network: keras.Model) -> dict[str, keras.Variable]:
    """Every variable of a network by its checkpoint key. Dropout's random state is none of the checkpoint's."""
    return {
        f"{layer.name.replace('.', '/')}/{_leaf(layer, variable)}{SUFFIX}": variable
        for layer in _layers(network)
        if not isinstance(layer, keras.layers.Dropout)
        for variable in layer.variables
    }


def _layers(network: keras.Model) -> Iterator[keras.layers.Layer]:
    """A network's layers, those that it only keeps included."""
    for layer in network.layers:
        kept = getattr(layer, "idle", None)
        yield from kept if kept is not None else (layer,)


def restore(variables: Mapping[str, keras.Variable], prefix: str, kind: str) -> Restored:
    """Read an OD API checkpoint into a detector.

    Args:
        variables: The detector's by their keys; they are overwritten.
        prefix: The checkpoint's path without `.index`.
        kind: `fine_tune_checkpoint_type`: `detection` takes the feature extractor, `classification` the backbone,
            `full` every variable; empty is `classification` for a checkpoint of a backbone alone, else `detection`.

    Raises:
        CheckpointError: If the checkpoint cannot be read, a shape differs, nothing matches, or `full` lacks a variable.
    """
    reader = _open(prefix)
    shapes = reader.get_variable_to_shape_map()
    kind = kind or ("detection" if any(key.startswith(EXTRACTOR) for key in shapes) else "classification")
    wanted, left = _wanted(variables, shapes, kind)
    restored, missing = [], []
    for key, (variable, stored) in wanted.items():
        if stored not in shapes:
            missing.append(key)
            continue
        if list(variable.shape) != list(shapes[stored]):
            raise CheckpointError(
                f"{prefix}: {stored.removesuffix(SUFFIX)} has shape {shapes[stored]}, the model needs "
                f"{list(variable.shape)}; is it of another architecture, depth or class count?"
            )
        variable.assign(_tensor(reader, stored, prefix))
        restored.append(key)
    if not restored:
        raise CheckpointError(
            f"{prefix}: none of its {len(shapes)} tensors is a {kind} variable of this model; "
            "check fine_tune_checkpoint and fine_tune_checkpoint_type"
        )
    if kind == "full" and missing:
        raise CheckpointError(f"{prefix}: {len(missing)} variables are missing, the first is {missing[0]}")
    used = {stored for _, stored in wanted.values()}
    unused = sorted(
        name for name in shapes if name not in used and not name.startswith(("_CHECKPOINTABLE", "save_counter"))
    )
    return Restored(restored, missing, left, unused)


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
    reader = _open(prefix)
    return {name: _tensor(reader, name, prefix) for name in reader.get_variable_to_shape_map()}


def find(folder: Path) -> str:
    """The prefix of the checkpoint in a folder, the newest if there are several.

    Raises:
        CheckpointError: If there is none.
    """
    indices = [path for path in folder.rglob("*.index") if path.with_suffix(".data-00000-of-00001").exists()]
    if not indices:
        raise CheckpointError(f"{folder}: no checkpoint (a pair of *.index and *.data-00000-of-00001) is in it")
    newest = max(indices, key=lambda path: (_number(path.stem), path.stat().st_mtime))
    return str(newest.with_suffix(""))


def _wanted(
    variables: Mapping[str, keras.Variable], stored: Mapping[str, list[int]], kind: str
) -> tuple[dict[str, tuple[keras.Variable, str]], list[str]]:
    """The variables to read, each with the name of its tensor, and the keys of the others."""
    if kind == "full":
        return {key: (variable, key) for key, variable in variables.items()}, []
    root, stored_root = EXTRACTOR, EXTRACTOR
    if kind == "classification":
        root = BACKBONE
        stored_root = next((r for r in CLASSIFICATION_ROOTS if any(k.startswith(r) for k in stored)), BACKBONE)
    elif kind != "detection":
        raise CheckpointError(
            f"fine_tune_checkpoint_type {kind!r} is not supported, only classification, detection, full"
        )
    wanted = {
        key: (variable, stored_root + key.removeprefix(root))
        for key, variable in variables.items()
        if key.startswith(root)
    }
    return wanted, [key for key in variables if key not in wanted]


def _leaf(layer: keras.layers.Layer, variable: keras.Variable) -> str:
    # Keras 3 calls a depthwise convolution's kernel just `kernel`.
    if isinstance(layer, keras.layers.DepthwiseConv2D) and variable.name == "kernel":
        return "depthwise_kernel"
    return str(variable.name)


def _open(prefix: str) -> tf.train.load_checkpoint:
    try:
        return tf.train.load_checkpoint(prefix)
    except (tf.errors.OpError, ValueError) as error:
        raise CheckpointError(f"{prefix}: not a readable TensorFlow checkpoint ({_first_line(error)})") from error


def _tensor(reader: tf.train.load_checkpoint, name: str, prefix: str) -> NDArray[np.generic]:
    try:
        return np.asarray(reader.get_tensor(name))
    except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
        raise CheckpointError(f"{prefix}: {name} cannot be read, the file is damaged ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__


def _number(stem: str) -> int:
    match = re.search(r"-(\d+)$", stem)
    return int(match.group(1)) if match else -1
