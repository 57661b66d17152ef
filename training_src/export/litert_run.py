# SPDX-License-Identifier: Apache-2.0
"""What a LiteRT file detects, run as an edge device runs it: nothing of TensorFlow takes part."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

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
        """
        given: NDArray[Any] = image[None]
        if self._input["dtype"] is not np.uint8:
            given = (given.astype(np.float32) - MEAN_AND_DEVIATION) / MEAN_AND_DEVIATION
        self._interpreter.set_tensor(self._input["index"], given)
        self._interpreter.invoke()
        boxes, classes, scores, count = (self._interpreter.get_tensor(index)[0] for index in self._outputs)
        kept = slice(0, int(count))
        return boxes[kept], scores[kept], self._ids[classes[kept].astype(int)]
