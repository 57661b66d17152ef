# SPDX-License-Identifier: Apache-2.0
"""A detector's weights by the keys under which `tf.train.Checkpoint(model=...)` of the OD API stores them.

A layer is named after its path, dots for slashes, so a variable's key follows from its layer and its own name. What a
training takes from a checkpoint follows the API's `restore_from_objects`; TensorFlow 1's are read by name.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras

from training_src.models.checkpoints import slim
from training_src.models.checkpoints.files import SUFFIX, Reader, find, locate, no_names, read, write
from training_src.models.checkpoints.object_graph import KEY as OBJECT_GRAPH
from training_src.models.errors import CheckpointError

__all__ = ["SUFFIX", "Restored", "find", "locate", "read", "restore", "variables_by_key", "write"]

KINDS = ("classification", "detection", "detection_with_heads", "full")

# `model/_feature_extractor/` of single-shot detectors, and the two of Faster R-CNN.
EXTRACTORS = re.compile(r"model/_feature_extractor(_for_proposal_features|_for_box_classifier_features)?/")
# Backbones are numbered from the image on; Faster R-CNN's second stage goes on counting where the first ends, unless
# there is a pyramid.
_BACKBONE = re.compile(
    r"model/_feature_extractor"
    r"(?:/(?:classification_backbone|_efficientnet)|_for_proposal_features(?P<pyramid>/classification_backbone)?"
    r"|(?P<second>_for_box_classifier_features))"
    r"/layer_with_weights-(?P<number>\d+)/"
)
# Checkpoints of a classifier are rooted at it.
CLASSIFIER = "feature_extractor/"
# How many classes there are decides the shape of these; the first stage of Faster R-CNN has the same two for all.
CLASS_DEPENDENT = re.compile(r"model/(?!_first_stage_box_predictor/).*/_class_predictor_layers/")
BOX_HEAD = re.compile(r"model/_mask_rcnn_box_predictor/_box_prediction_head/")


@dataclass(frozen=True)
class Restored:
    """What came of reading a checkpoint.

    Attributes:
        restored: Keys of the model's variables that were read.
        left: Why others were not, by key.
        unused: Names of the checkpoint's tensors that found no variable.
        kept: Where classes go by name, those whose columns of the heads were read, with the checkpoint's own spelling.
        drawn: The others.
    """

    restored: list[str]
    left: dict[str, str]
    unused: list[str]
    kept: Mapping[str, str] = field(default_factory=dict)
    drawn: Sequence[str] = ()

    def table(self) -> str:
        """A few lines for the log."""
        rows = [("restored", len(self.restored), f"variables of {_parts(self.restored)}")]
        for reason, count in Counter(self.left.values()).items():
            keys = [key for key, why in self.left.items() if why == reason]
            rows.append(("as drawn", count, f"variables of {_parts(keys)}: {reason}"))
        rows.append(("not used", len(self.unused), "tensors of the checkpoint"))
        kept = [name if name == own else f"{name} (from {own})" for name, own in self.kept.items()]
        if kept or self.drawn:
            rows += [("classes kept", len(kept), _some(kept)), ("classes drawn", len(self.drawn), _some(self.drawn))]
        return "\n".join(f"{what:<13} {count:4d} {rest}".rstrip() for what, count, rest in rows)


def variables_by_key(network: keras.Model) -> dict[str, keras.Variable]:
    """Every variable of a network by its checkpoint key. Dropout's random state is none of the checkpoint's."""
    return {
        f"{layer.name.replace('.', '/')}/{_leaf(layer, variable)}{SUFFIX}": variable
        for layer in _layers(network)
        if not isinstance(layer, keras.layers.Dropout)
        for variable in layer.variables
    }


def restore(variables: Mapping[str, keras.Variable], source: str | Path, kind: str) -> Restored:
    """Read an OD API checkpoint into a detector.

    Args:
        variables: The detector's by their keys; they are overwritten.
        source: The checkpoint's path without `.index`, a folder, or an archive of the zoo.
        kind: `fine_tune_checkpoint_type`: `detection` takes the feature extractors, `classification` the backbone,
            `full` every variable, `detection_with_heads` all but what depends on the classes; empty is
            `classification` for a checkpoint of a classifier, else `detection`.

    Raises:
        ArchiveError: If an archive is damaged or not to be trusted.
        CheckpointError: If the checkpoint cannot be read, a shape differs, nothing matches, or `full` lacks a variable.
    """
    if kind not in ("", *KINDS):
        raise CheckpointError(f"fine_tune_checkpoint_type {kind!r} is not supported, only {', '.join(KINDS)}")
    with tempfile.TemporaryDirectory(prefix="checkpoint-") as scratch:
        reader = Reader(locate(source, Path(scratch)))
        kind = kind or ("classification" if is_of_a_classifier(reader) else "detection")
        backbone = backbone_places(variables)
        asked = [key for key in variables if _asked_for(key, kind, backbone)]
        wanted = stored_names(asked, variables, reader, kind)
        left = {key: f"{kind} does not ask for them" for key in variables if key not in wanted}
        values = {}
        for key, name in wanted.items():
            if name is None:
                left[key] = "the checkpoint has none"
            elif _fits(variables[key], reader, name, kind, key):
                values[key] = name
            else:
                left[key] = "of another class count"
        _check(values, left, reader, kind)
        for key, name in values.items():
            variables[key].assign(reader.tensor(name))
    return Restored(list(values), left, unused_names(reader, wanted.values()))


def is_of_a_classifier(reader: Reader) -> bool:
    """Whether a checkpoint holds a backbone alone, as it was trained on whole images."""
    return any(name.startswith((CLASSIFIER, *slim.CLASSIFIERS)) for name in reader.shapes)


def stored_names(
    asked: Sequence[str], variables: Mapping[str, keras.Variable], reader: Reader, kind: str
) -> dict[str, str | None]:
    """The name of each variable's tensor in a checkpoint of whichever layout; None where it has none.

    Args:
        asked: Keys of the variables that are wanted.
        variables: All of the detector's.
        reader: Of the checkpoint.
        kind: `classification` or "" reads a classifier's checkpoint, of which a detector has the backbone alone.

    Raises:
        CheckpointError: If it is one of TensorFlow 1 of another architecture.
    """
    if slim.is_slim(reader.shapes):
        return _stored_by_slim(asked, variables, reader)
    if is_of_a_classifier(reader) and kind in ("", "classification"):
        return {key: reader.stored(name) for key, name in _classifier_keys(asked).items()}
    return {key: reader.stored(key) for key in asked}


def unused_names(reader: Reader, used: Iterable[str | None]) -> list[str]:
    """The checkpoint's tensors that nothing was read from."""
    ignored = (OBJECT_GRAPH, f"save_counter{SUFFIX}", "global_step")
    return sorted(set(reader.shapes) - {name for name in used if name} - set(ignored))


def backbone_places(keys: Iterable[str]) -> dict[str, re.Match[str]]:
    """The keys of a backbone, with their places in it; behind a pyramid, a second stage is no part of one."""
    places = {key: match for key in keys if (match := _BACKBONE.match(key))}
    if not any(place.group("pyramid") for place in places.values()):
        return places
    return {key: place for key, place in places.items() if not place.group("second")}


def _asked_for(key: str, kind: str, backbone: Collection[str]) -> bool:
    if kind == "detection":
        return EXTRACTORS.match(key) is not None
    if kind == "classification":
        return key in backbone
    return kind == "full" or CLASS_DEPENDENT.match(key) is None


def _classifier_keys(keys: Sequence[str]) -> dict[str, str]:
    """The key of each backbone variable in a checkpoint of the classifier alone."""
    places = backbone_places(keys)
    first = [int(place.group("number")) for place in places.values() if not place.group("second")]
    offset = 1 + max(first, default=-1)
    return {
        key: f"{CLASSIFIER}layer_with_weights-"
        f"{int(place.group('number')) + (offset if place.group('second') else 0)}/{key[place.end() :]}"
        for key, place in places.items()
    }


def _stored_by_slim(
    keys: Sequence[str], variables: Mapping[str, keras.Variable], reader: Reader
) -> dict[str, str | None]:
    """The name of each variable's tensor in a checkpoint of TensorFlow 1."""
    names = slim.slim_names({key.removesuffix(SUFFIX): list(each.shape) for key, each in variables.items()})
    if not names:
        raise CheckpointError(
            f"{reader.prefix}: this is a checkpoint of TensorFlow 1, of which only those of SSD MobileNet V1 and V2 "
            "can be read, into their own architecture; take the TensorFlow 2 zoo's checkpoint of this one, or leave it "
            "out"
        )
    stored: dict[str, str | None] = {}
    for key in keys:
        name = names[key.removesuffix(SUFFIX)]
        choices = (name, name.removeprefix(slim.EXTRACTOR))
        stored[key] = next((each for each in choices if each in reader.shapes), None)
    return stored


def _fits(variable: keras.Variable, reader: Reader, name: str, kind: str, key: str) -> bool:
    """Whether a tensor has the variable's shape; a box head for each class may differ where that is allowed."""
    if list(variable.shape) == list(reader.shapes[name]):
        return True
    if kind == "detection_with_heads" and BOX_HEAD.match(key):
        return False
    raise CheckpointError(
        f"{reader.prefix}: {name.removesuffix(SUFFIX)} has shape {reader.shapes[name]}, the model needs "
        f"{list(variable.shape)}; is it of another architecture, depth or class count?"
    )


def _check(values: Mapping[str, str], left: Mapping[str, str], reader: Reader, kind: str) -> None:
    if not values:
        raise CheckpointError(
            f"{reader.prefix}: none of its {len(reader.shapes)} tensors is a {kind} variable of this model"
            f"{no_names(reader.prefix)}; check fine_tune_checkpoint and fine_tune_checkpoint_type"
        )
    if kind == "full" and left:
        raise CheckpointError(f"{reader.prefix}: {len(left)} variables are missing, the first is {next(iter(left))}")


def _some(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _parts(keys: list[str]) -> str:
    """The parts of the model to which keys belong: `_feature_extractor`, `_box_predictor`."""
    return ", ".join(sorted({key.split("/")[1].lstrip("_") for key in keys}))


def _layers(network: keras.Model) -> Iterator[keras.layers.Layer]:
    """A network's layers, those that it only keeps included."""
    for layer in network.layers:
        kept = getattr(layer, "idle", None)
        yield from kept if kept is not None else (layer,)


def _leaf(layer: keras.layers.Layer, variable: keras.Variable) -> str:
    # Keras 3 calls a depthwise convolution's kernel just `kernel`.
    if isinstance(layer, keras.layers.DepthwiseConv2D) and variable.name == "kernel":
        return "depthwise_kernel"
    return str(variable.name)
