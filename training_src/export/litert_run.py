# SPDX-License-Identifier: Apache-2.0
"""What a LiteRT file detects, run as an edge device runs it: nothing of TensorFlow takes part."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from training_src.errors import DataError
from training_src.export.litert_converter import MEAN_AND_DEVIATION

Found = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


class LitertDetector:
    """A file that ends in `TFLite_Detection_PostProcess`.

    Args:
        content: The file's.
        class_ids: The label map's, ascending: the ids of classes 0, 1, ...
    """

    def __init__(self, content: bytes, class_ids: Sequence[int]) -> None:
        # One thread, as is the default: with n, TFLite_Detection_PostProcess leaves out class n where there are more.
        # https://github.com/tensorflow/tensorflow/issues/56058
        self._interpreter = Interpreter(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        self._outputs = [each["index"] for each in self._interpreter.get_output_details()]
        self._ids = np.array(class_ids, np.int64)

    def detect(self, image: NDArray[np.uint8]) -> Found:
        """Boxes `(n, 4)`: ymin, xmin, ymax, xmax in shares of the picture, not clipped; scores and label-map ids `(n)`.

        Args:
            image: `(height, width, 3)` RGB in the file's size.

        Raises:
            DataError: What comes out is not that.
        """
        given: NDArray[Any] = image[None]
        if self._input["dtype"] is not np.uint8:
            given = (given.astype(np.float32) - MEAN_AND_DEVIATION) / MEAN_AND_DEVIATION
        self._interpreter.set_tensor(self._input["index"], given)
        self._interpreter.invoke()
        found = [self._interpreter.get_tensor(index)[0] for index in self._outputs]
        if not _is_detection(found, len(self._ids)):
            raise DataError("its outputs are not boxes, classes, scores and their count, in this order")
        boxes, classes, scores, count = found
        kept = slice(0, int(count))
        return boxes[kept], scores[kept], self._ids[classes[kept].astype(int)]


def _is_detection(found: list[NDArray[np.float32]], num_classes: int) -> bool:
    """Whether these can be the operation's outputs of one image, in its order."""
    if [np.ndim(each) for each in found] != [2, 1, 1, 0]:
        return False
    boxes, classes, scores, count = found
    if boxes.shape != (len(scores), 4) or len(classes) != len(scores) or not 0 <= count <= len(scores):
        return False
    known = np.isin(classes, np.arange(num_classes)).all()
    return bool(known and np.isfinite(scores).all() and (scores >= 0).all() and (scores <= 1).all())
