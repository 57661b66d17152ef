# SPDX-License-Identifier: Apache-2.0
"""Restoring what fits, and of the heads the columns of each class that the checkpoint knows by name.

The API has no such `fine_tune_checkpoint_type`: its `detection` draws all heads anew, its `full` wants the very same
classes. Here a class of equal name keeps what was learnt of it, whichever id it had.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from training_src.class_names import one_spelling
from training_src.models.checkpoints.checkpoint import (
    BOX_HEAD,
    Restored,
    backbone_places,
    stored_names,
    unused_names,
)
from training_src.models.checkpoints.files import SUFFIX, Reader, no_names
from training_src.models.errors import CheckpointError

# The layers of a class head; those of Faster R-CNN's first stage tell objects from background, whatever the classes.
CLASS_LAYER = re.compile(
    r"(?P<head>model/(?!_first_stage_box_predictor/).*/_class_predictor_layers)/(?P<number>\d+)/(?P<leaf>\w+)"
)
HEAD = re.compile(r"model/.*/_(class_predictor|box_encoder)_layers/")
CODE_SIZE = 4


@dataclass(frozen=True)
class Classes:
    """The classes of a detector's heads.

    Attributes:
        names: By id, from 1; ids may have gaps.
        count: `num_classes`: the heads have columns for the ids up to this one.
        background: Whether a column for the background stands before them.
    """

    names: Mapping[int, str]
    count: int
    background: bool = True


@dataclass(frozen=True)
class Layout:
    """A head's last dimension: `(anchors, columns, width)`.

    Attributes:
        anchors: At each cell; 1 for a proposal.
        width: 1 for logits, 4 for the boxes of each class.
        background: Whether the background has a column.
    """

    anchors: int = 1
    width: int = 1
    background: bool = True

    def size(self, count: int) -> int:
        """The dimension for so many classes."""
        return self.anchors * (count + self.background) * self.width

    def moved(
        self,
        drawn: NDArray[np.generic],
        stored: NDArray[np.generic],
        ids: Mapping[int, int],
    ) -> NDArray[np.generic]:
        """A variable's value with the columns of some classes, and the background's, taken from another one's.

        Args:
            drawn: `(..., size(count))`.
            stored: The same but for its count of classes.
            ids: Of the checkpoint, by the model's.
        """
        columns = {number - 1 + self.background: other - 1 + self.background for number, other in ids.items()}
        if self.background:
            columns[0] = 0
        value = drawn.reshape(*drawn.shape[:-1], self.anchors, -1, self.width).copy()
        source = stored.reshape(*stored.shape[:-1], self.anchors, -1, self.width)
        value[..., list(columns), :] = source[..., list(columns.values()), :]
        return value.reshape(drawn.shape)


def of_equal_name(model: Mapping[int, str], checkpoint: Mapping[int, str]) -> dict[int, int]:
    """The checkpoint's id for each of the model's whose class it knows: by its very name first, then without case."""
    found: dict[int, int] = {}
    for spelled in (one_spelling, lambda name: one_spelling(name).casefold()):
        taken = set(found.values())
        # Of two that are spelled alike, the one of the lower id.
        free = {spelled(checkpoint[other]): other for other in sorted(checkpoint, reverse=True) if other not in taken}
        for number, name in model.items():
            if number not in found and (same := free.pop(spelled(name), None)) is not None:
                found[number] = same
    return found


def _gaps(model: Classes, checkpoint: Classes) -> dict[int, int]:
    """The ids that stand for no class in either: what was learnt is that nothing is one."""
    ids = range(1, min(model.count, checkpoint.count) + 1)
    return {number: number for number in ids if number not in model.names and number not in checkpoint.names}


def restore_by_class(
    variables: Mapping[str, keras.Variable], prefix: str, model: Classes, checkpoint: Classes | None
) -> Restored:
    """Read of a checkpoint what fits; what does not stays as it was drawn, but for a backbone.

    Args:
        variables: The detector's by their keys; they are overwritten.
        prefix: The checkpoint's path without `.index`.
        model: The detector's classes.
        checkpoint: The checkpoint's; None where it does not say which it has.

    Raises:
        CheckpointError: If it cannot be read, or its backbone is another one.
    """
    reader = Reader(prefix)
    wanted = stored_names(list(variables), variables, reader, "")
    heads = _layouts(variables, model)
    ids = of_equal_name(model.names, checkpoint.names) if checkpoint else {}
    moved = ids | _gaps(model, checkpoint) if checkpoint else {}
    values: dict[str, NDArray[np.generic]] = {}
    left = {key: "not of a backbone, and the checkpoint is a classifier's" for key in variables if key not in wanted}
    left |= _unfit(variables, wanted, reader, heads)
    for key, name in wanted.items():
        layout = heads.get(key)
        if name is None:
            left[key] = "the checkpoint has none"
        elif key in left:
            continue
        elif layout is None:
            values[key] = reader.tensor(name)
        elif reason := _why_not(reader.shapes[name][-1], layout, checkpoint, ids):
            left[key] = reason
        else:
            values[key] = layout.moved(variables[key].numpy(), reader.tensor(name), moved)
    if not backbone_places(values):
        raise CheckpointError(
            f"{prefix}: none of its {len(reader.shapes)} tensors belongs to this model's backbone"
            f"{no_names(prefix)}; give a checkpoint of the same architecture"
        )
    for key, value in values.items():
        variables[key].assign(value)
    kept = {} if all(key in left for key in heads) or checkpoint is None else ids
    return Restored(
        list(values),
        left,
        unused_names(reader, wanted.values()),
        {name: checkpoint.names[kept[number]] for number, name in model.names.items() if checkpoint and number in kept},
        [name for number, name in model.names.items() if number not in kept],
    )


def _layouts(variables: Mapping[str, keras.Variable], model: Classes) -> dict[str, Layout]:
    """Of the variables whose last dimension follows from the classes; before a head's last layer none does."""
    matches = {key: match for key in variables if (match := CLASS_LAYER.match(key))}
    last = {match["head"]: int(match["number"]) for match in matches.values() if match["leaf"] == "bias"}
    layouts = {}
    for key, match in matches.items():
        if int(match["number"]) < last.get(match["head"], 0) or match["leaf"] == "depthwise_kernel":
            continue
        anchors = variables[key].shape[-1] // (model.count + model.background)
        layouts[key] = Layout(anchors, background=model.background)
    boxes = Layout(width=CODE_SIZE, background=False)
    for key, variable in variables.items():
        if BOX_HEAD.match(key) and variable.shape[-1] == boxes.size(model.count):
            layouts[key] = boxes
    return layouts


def _unfit(
    variables: Mapping[str, keras.Variable],
    wanted: Mapping[str, str | None],
    reader: Reader,
    heads: Mapping[str, Layout],
) -> dict[str, str]:
    """Why variables of other shapes stay as they were drawn; a head of which one does so as a whole.

    Raises:
        CheckpointError: If a backbone's variable has another shape.
    """
    reasons, whole, backbone = {}, {}, backbone_places(wanted)
    for key, name in wanted.items():
        own, stored = list(variables[key].shape), list(reader.shapes[name]) if name else []
        if name is None or own == stored or (key in heads and own[:-1] == stored[:-1]):
            continue
        if key in backbone:
            raise CheckpointError(
                f"{reader.prefix}: {name.removesuffix(SUFFIX)} has shape {stored}, the model needs {own}; is it of "
                "another architecture or depth?"
            )
        reasons[key] = "of another depth" if own[:-1] != stored[:-1] else "of another depth or number of anchors"
        if head := HEAD.match(key):
            whole[head.group()] = reasons[key]
    for key in wanted:
        if (head := HEAD.match(key)) and head.group() in whole:
            reasons[key] = whole[head.group()]
    return reasons


def _why_not(size: int, layout: Layout, checkpoint: Classes | None, ids: Mapping[int, int]) -> str:
    """Why no column of a head whose last dimension in the checkpoint is `size` can be read; "" if some can."""
    if checkpoint is None:
        return "the checkpoint does not say which classes it has"
    if size != layout.size(checkpoint.count):
        return f"not for the checkpoint's {checkpoint.count} classes with as many anchors"
    return "" if ids else "the checkpoint has no class of equal name"
