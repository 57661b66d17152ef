# SPDX-License-Identifier: Apache-2.0
"""The names that variables of SSD MobileNet V2 have in checkpoints of TensorFlow 1, written with slim."""

import re
from collections.abc import Mapping, Sequence

from training_src.models.feature_extractors.mobilenet_v2 import BLOCKS

EXTRACTOR = "FeatureExtractor/MobilenetV2/"
# A checkpoint of the classifier has no extractor around it.
CLASSIFIER = "MobilenetV2/"

_BACKBONE = re.compile(r"model/_feature_extractor/classification_backbone/layer_with_weights-(\d+)/(\w+)")
_ADDED = re.compile(r"model/_feature_extractor/feature_map_generator/convolutions/(\d+)/(\d+)/(\w+)")
_HEAD = re.compile(r"model/_box_predictor/_prediction_heads/(\w+)/(\d+)/_\w+_layers/\d+/(\w+)")
_HEADS = {"box_encodings": "BoxEncodingPredictor", "class_predictions_with_background": "ClassPredictor"}
_LEAVES = {"kernel": "weights", "depthwise_kernel": "depthwise_weights", "bias": "biases"}


def slim_names(shapes: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """The slim name of each variable; empty where the variables are not those of an SSD MobileNet V2.

    Args:
        shapes: The detector's variables, by keys without suffix.
    """
    if not any(_ADDED.match(key) for key in shapes) or not any(_BACKBONE.match(key) for key in shapes):
        return {}
    backbone = _backbone_scopes()
    names = {}
    for key in shapes:
        name = _name(key, shapes, backbone)
        if name is None:
            return {}
        names[key] = name
    return names


def is_slim(keys: Mapping[str, object]) -> bool:
    """Whether a checkpoint is of TensorFlow 1: its tensors have names, not paths of objects."""
    return not any("/.ATTRIBUTES/" in key or key == "_CHECKPOINTABLE_OBJECT_GRAPH" for key in keys)


def _name(key: str, shapes: Mapping[str, Sequence[int]], backbone: Sequence[str]) -> str | None:
    if match := _BACKBONE.fullmatch(key):
        index, leaf = int(match.group(1)), match.group(2)
        return f"{EXTRACTOR}{backbone[index]}/{_LEAVES.get(leaf, leaf)}" if index < len(backbone) else None
    if match := _ADDED.fullmatch(key):
        return _added_name(shapes, match)
    if match := _HEAD.fullmatch(key):
        head, level, leaf = match.groups()
        return f"BoxPredictor_{level}/{_HEADS[head]}/{_LEAVES[leaf]}" if head in _HEADS and leaf in _LEAVES else None
    return None


def _added_name(shapes: Mapping[str, Sequence[int]], match: re.Match[str]) -> str | None:
    """Of the layers behind the backbone: a 1x1 convolution (0) and its norm (1), a 3x3 one (3) and its norm (4)."""
    map_number, layer, leaf = int(match.group(1)), int(match.group(2)), match.group(3)
    if layer not in (0, 1, 3, 4):
        return None
    kernel = f"model/_feature_extractor/feature_map_generator/convolutions/{map_number}/{layer // 3 * 3}/kernel"
    if kernel not in shapes:
        return None
    depth = shapes[kernel][-1]
    scope = f"layer_19_1_Conv2d_{map_number}_1x1_{depth}"
    if layer >= 3:
        scope = f"layer_19_2_Conv2d_{map_number}_3x3_s2_{depth}"
    return f"{EXTRACTOR}{scope}/{'BatchNorm/' if layer in (1, 4) else ''}{_LEAVES.get(leaf, leaf)}"


def _backbone_scopes() -> list[str]:
    """The scope of each layer with weights, in the network's order."""
    convolutions = ["Conv"]
    blocks = [expansion for expansion, _, repeats, _ in BLOCKS for _ in range(repeats)]
    for number, expansion in enumerate(blocks):
        scope = f"expanded_conv_{number}" if number else "expanded_conv"
        convolutions += [
            f"{scope}/{part}" for part in ("expand", "depthwise", "project") if part != "expand" or expansion > 1
        ]
    convolutions.append("Conv_1")
    return [scope for convolution in convolutions for scope in (convolution, f"{convolution}/BatchNorm")]
