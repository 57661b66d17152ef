# SPDX-License-Identifier: Apache-2.0
"""Write a TF2 object-based checkpoint whose values follow from the variables' names and shapes alone.

    python -m tests.golden.make_checkpoint VARIABLES_JSON PREFIX

VARIABLES_JSON is a list of `{"key", "shape", "dtype", "crc32"}` with keys as `tf.train.Checkpoint(model=...)` writes
them, e.g. `model/_feature_extractor/classification_backbone/layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE`.
PREFIX.index and PREFIX.data-00000-of-00001 are written: one tensor a key, and `_CHECKPOINTABLE_OBJECT_GRAPH`, a graph
spelled out from the keys' paths, so that `tf.train.Checkpoint(model=...).restore(...)` works as well as reading by key.
The crc32 is that of a tensor's bytes; one that differs ends the program. Needs numpy and TensorFlow only.

The rule: n = `numpy.random.Generator(PCG64(zlib.crc32(key))).standard_normal(shape)`, where key is the whole string
in UTF-8. The value is computed from n in float64, then cast. `leaf` is the path's last part before `.ATTRIBUTES`; the
first line that fits holds:

    save_counter and other non-float tensors     1
    leaf gamma                                   1 + 0.1 n
    leaf beta, moving_mean                       0.1 n
    leaf moving_variance                         1 + 0.2 |n|
    leaf bifpn_combine_weights                   1 + 0.2 n
    leaf bias of an SSD's class head             -2 + 0.1 n
    leaf bias elsewhere                          0.1 n
    leaf depthwise_kernel [h,w,c,m]              n sqrt(2 / (h w))
    leaf kernel                                  n g sqrt(2 / fan_in)
    leaf pointwise_kernel                        n g sqrt(1 / fan_in)

fan_in is the product of all dimensions but the last. The gain g keeps activations near 1, the deviation of logits
between 1 and 2, and box encodings near 0.5; it is the first of these that fits:

    under _box_encoder_layers                    0.5
    under _class_predictor_layers                1.5
    [7,7,3,c]                                    1/64   (a ResNet's stem: its input is in 0..255)
    1x1 kernels of a backbone, c -> d channels:
      under _efficientnet, d < c                 1.46
      c in {64,128,256,512}, d = 4 c             0.3    (the last convolution of a ResNet's bottleneck)
      d in {64,128,256,512}, c = 2 d or 4 d      1      (its first one)
      other d < c                                0.55   (the projection of a MobileNet's block)
    any other                                    1
"""

import json
import sys
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
BOTTLENECKS = (64, 128, 256, 512)


def make_checkpoint(variables: Path, prefix: str) -> None:
    """Write the checkpoint of a case.

    Args:
        variables: The case's `variables.json`.
        prefix: Where the checkpoint goes; its folder is made.

    Raises:
        ValueError: A tensor is not the one that the case was made with.
    """
    import tensorflow as tf  # takes seconds, which whoever only reads arrays need not wait

    tensors: dict[str, NDArray[Any]] = {}
    for entry in sorted(json.loads(variables.read_text()), key=lambda entry: str(entry["key"])):
        tensor = value(entry["key"], entry["shape"], entry["dtype"])
        crc32 = zlib.crc32(tensor.tobytes())
        if crc32 != entry["crc32"]:
            raise ValueError(f"{entry['key']}: the tensor's crc32 is {crc32}, but {variables} says {entry['crc32']}")
        tensors[entry["key"]] = tensor
    Path(prefix).absolute().parent.mkdir(parents=True, exist_ok=True)
    names = ["_CHECKPOINTABLE_OBJECT_GRAPH", *tensors]
    data = [tf.constant(object_graph(tensors)), *map(tf.constant, tensors.values())]
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=data)


def value(key: str, shape: Sequence[int], dtype: str) -> NDArray[Any]:
    """The tensor of a key, by the rule above."""
    path = key.removesuffix(SUFFIX)
    leaf = path.rsplit("/", 1)[-1]
    if leaf == "save_counter" or np.dtype(dtype).kind != "f":
        return np.ones(shape, dtype)
    normal = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(tuple(shape))
    return np.asarray(_of_leaf(leaf, path, shape, normal)).astype(dtype)


def _of_leaf(leaf: str, path: str, shape: Sequence[int], normal: NDArray[np.float64]) -> Any:
    match leaf:
        case "gamma":
            return 1 + 0.1 * normal
        case "beta" | "moving_mean":
            return 0.1 * normal
        case "moving_variance":
            return 1 + 0.2 * np.abs(normal)
        case "bifpn_combine_weights":
            return 1 + 0.2 * normal
        case "bias":
            return (-2 if _is_class_head(path) else 0) + 0.1 * normal
        case "depthwise_kernel":
            return normal * np.sqrt(2 / (shape[0] * shape[1]))
        case "kernel" | "pointwise_kernel":
            return normal * (_gain(path, shape) * np.sqrt((2 if leaf == "kernel" else 1) / np.prod(shape[:-1])))
    raise ValueError(f"no rule for {path}")


def _is_class_head(path: str) -> bool:
    parts = ("class_predictions_with_background/", "/_class_predictor_layers/")
    return path.startswith("model/_box_predictor/") and all(part in path for part in parts)


def _gain(path: str, shape: Sequence[int]) -> float:
    if "/_box_encoder_layers/" in path:
        return 0.5
    if "/_class_predictor_layers/" in path:
        return 1.5
    if list(shape[:3]) == [7, 7, 3]:
        return 1 / 64
    if "/layer_with_weights-" not in path or list(shape[:2]) != [1, 1]:
        return 1.0
    before, after = shape[2:]
    if "/_efficientnet/" in path:
        return 1.46 if after < before else 1.0
    if before in BOTTLENECKS and after == 4 * before:
        return 0.3
    if after in BOTTLENECKS and before in (2 * after, 4 * after):
        return 1.0
    return 0.55 if after < before else 1.0


def object_graph(keys: Iterable[str]) -> bytes:
    """A serialised `TrackableObjectGraph` with a node for each part of the keys' paths."""
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.nodes.add()
    nodes: dict[tuple[str, ...], int] = {(): 0}
    for key in keys:
        parts = tuple(key.removesuffix(SUFFIX).split("/"))
        for depth in range(1, len(parts) + 1):
            if parts[:depth] in nodes:
                continue
            nodes[parts[:depth]] = len(graph.nodes)
            graph.nodes.add()
            name = parts[depth - 1].replace(".S", "/").replace("..", ".")
            graph.nodes[nodes[parts[: depth - 1]]].children.add(node_id=nodes[parts[:depth]], local_name=name)
        graph.nodes[nodes[parts]].attributes.add(name="VARIABLE_VALUE", full_name=key, checkpoint_key=key)
    return bytes(graph.SerializeToString())


if __name__ == "__main__":
    make_checkpoint(Path(sys.argv[1]), sys.argv[2])
