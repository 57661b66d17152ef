# SPDX-License-Identifier: Apache-2.0
"""The names that variables of SSD MobileNet V1 and V2 have in checkpoints of TensorFlow 1, written with slim.

The layers' scopes: https://github.com/tensorflow/models/blob/master/research/slim/nets/mobilenet_v1.py,
`mobilenet/mobilenet_v2.py` beside it, and `multi_resolution_feature_maps` in
https://github.com/tensorflow/models/blob/master/research/object_detection/models/feature_map_generators.py
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from training_src.models.feature_extractors import mobilenet_v1, mobilenet_v2

EXTRACTOR = "FeatureExtractor/"
# A checkpoint of the classifier has no extractor around it.
CLASSIFIERS = ("MobilenetV1/", "MobilenetV2/")

_BACKBONE = re.compile(r"model/_feature_extractor/classification_backbone/layer_with_weights-(\d+)/(\w+)")
_ADDED = re.compile(r"model/_feature_extractor/(_?feature_map_generator)/convolutions/(\d+)/(\d+)/(\w+)")
_HEAD = re.compile(r"model/_box_predictor/_prediction_heads/(\w+)/(\d+)/_\w+_layers/\d+/(\w+)")
_HEADS = {"box_encodings": "BoxEncodingPredictor", "class_predictions_with_background": "ClassPredictor"}
_LEAVES = {"kernel": "weights", "depthwise_kernel": "depthwise_weights", "bias": "biases"}


class _Network(NamedTuple):
    """A backbone with maps behind it.

    Attributes:
        scope: Of all its variables.
        backbone: The scope of each layer with weights, in the network's order.
        last: With what the scopes of the layers behind the backbone begin.
    """

    scope: str
    backbone: Sequence[str]
    last: str


def slim_names(shapes: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """The slim name of each variable; empty where the variables are not those of an SSD MobileNet V1 or V2.

    Args:
        shapes: The detector's variables, by keys without suffix.
    """
    added = next((match for key in shapes if (match := _ADDED.match(key))), None)
    if not added or not any(_BACKBONE.match(key) for key in shapes):
        return {}
    # The API's two extractors call what makes the further maps differently.
    network = _mobilenet_v1() if added.group(1).startswith("_") else _mobilenet_v2()
    names = {}
    for key in shapes:
        name = _name(key, shapes, network)
        if name is None:
            return {}
        names[key] = name
    return names


def is_slim(keys: Mapping[str, object]) -> bool:
    """Whether a checkpoint is of TensorFlow 1: its tensors have names, not paths of objects."""
    return not any("/.ATTRIBUTES/" in key or key == "_CHECKPOINTABLE_OBJECT_GRAPH" for key in keys)


def _name(key: str, shapes: Mapping[str, Sequence[int]], network: _Network) -> str | None:
    if match := _BACKBONE.fullmatch(key):
        index, leaf = int(match.group(1)), match.group(2)
        known = index < len(network.backbone)
        return f"{EXTRACTOR}{network.scope}/{network.backbone[index]}/{_LEAVES.get(leaf, leaf)}" if known else None
    if match := _ADDED.fullmatch(key):
        return _added_name(shapes, match, network)
    if match := _HEAD.fullmatch(key):
        head, level, leaf = match.groups()
        return f"BoxPredictor_{level}/{_HEADS[head]}/{_LEAVES[leaf]}" if head in _HEADS and leaf in _LEAVES else None
    return None


def _added_name(shapes: Mapping[str, Sequence[int]], match: re.Match[str], network: _Network) -> str | None:
    """Of the layers behind the backbone: a 1x1 convolution (0) and its norm (1), a 3x3 one (3) and its norm (4)."""
    generator, map_number, layer, leaf = match.group(1), int(match.group(2)), int(match.group(3)), match.group(4)
    if layer not in (0, 1, 3, 4):
        return None
    kernel = f"model/_feature_extractor/{generator}/convolutions/{map_number}/{layer // 3 * 3}/kernel"
    if kernel not in shapes:
        return None
    depth = shapes[kernel][-1]
    scope = f"{network.last}_1_Conv2d_{map_number}_1x1_{depth}"
    if layer >= 3:
        scope = f"{network.last}_2_Conv2d_{map_number}_3x3_s2_{depth}"
    return f"{EXTRACTOR}{network.scope}/{scope}/{'BatchNorm/' if layer in (1, 4) else ''}{_LEAVES.get(leaf, leaf)}"


def _mobilenet_v1() -> _Network:
    blocks = range(1, len(mobilenet_v1.BLOCKS) + 1)
    separable = [f"Conv2d_{number}_{part}" for number in blocks for part in ("depthwise", "pointwise")]
    return _Network("MobilenetV1", _with_norms(["Conv2d_0", *separable]), "Conv2d_13_pointwise")


def _mobilenet_v2() -> _Network:
    convolutions = ["Conv"]
    blocks = [expansion for expansion, _, repeats, _ in mobilenet_v2.BLOCKS for _ in range(repeats)]
    for number, expansion in enumerate(blocks):
        scope = f"expanded_conv_{number}" if number else "expanded_conv"
        convolutions += [
            f"{scope}/{part}" for part in ("expand", "depthwise", "project") if part != "expand" or expansion > 1
        ]
    return _Network("MobilenetV2", _with_norms([*convolutions, "Conv_1"]), "layer_19")


def _with_norms(convolutions: Sequence[str]) -> list[str]:
    return [scope for convolution in convolutions for scope in (convolution, f"{convolution}/BatchNorm")]
