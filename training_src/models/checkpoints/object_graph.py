# SPDX-License-Identifier: Apache-2.0
"""The graph of objects in a checkpoint of `tf.train.Checkpoint`: under which key a variable's value is stored.

An object can be reached over several paths, of which one became the key; the graph knows all of them.
"""

from tensorflow.core.protobuf.trackable_object_graph_pb2 import (
    TrackableObjectGraph,
)

KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "VARIABLE_VALUE"


class ObjectGraph:
    """A checkpoint's graph.

    Args:
        serialised: The tensor that is stored under `KEY`.
    """

    def __init__(self, serialised: bytes) -> None:
        self._nodes = TrackableObjectGraph.FromString(serialised).nodes

    def key(self, path: str) -> str | None:
        """The key of the variable at the end of a path such as `model/_box_predictor/0/kernel`; None without one."""
        node = 0
        for name in path.split("/"):
            children = (child.node_id for child in self._nodes[node].children if child.local_name == name)
            following = next(children, None)
            if following is None:
                return None
            node = following
        return next((each.checkpoint_key for each in self._nodes[node].attributes if each.name == VALUE), None)
