# SPDX-License-Identifier: Apache-2.0
"""mAP on the validation split while training goes on."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]
from numpy.typing import NDArray

from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.coco import CocoMetrics, evaluate
from training_src.models.detector import Detector, Inputs
from training_src.training.records import Records, pixels

BATCH_SIZE = 8
PARALLEL_CALLS = 2


class Validation:
    """Evaluates a detector on a split, as often as wanted; traced once.

    Args:
        detector: Its network's present weights count.
        records: The split.
        label_map: Names by id.
    """

    def __init__(self, detector: Detector, records: Records, label_map: Mapping[int, str]) -> None:
        self._detector = detector
        self._records = records
        self._label_map = label_map
        self._class_ids = np.array(sorted(label_map))
        self._predict = tf.function(self._predictions, autograph=False)
        examples = [records[index] for index in range(len(records))]
        self._truth = GroundTruth.from_images(
            sizes=[(example.height, example.width) for example in examples],
            boxes=[example.boxes for example in examples],
            classes=[example.labels for example in examples],
            ignored=[(example.difficult + example.crowd) > 0 for example in examples],
        )

    def evaluate(self) -> CocoMetrics:
        """COCO's metrics of the present weights."""
        boxes: list[NDArray[np.float32]] = []
        scores: list[NDArray[np.float32]] = []
        classes: list[NDArray[np.int64]] = []
        for inputs in self._batches():
            found = self._predict(inputs)
            for index, count in enumerate(found.count.numpy()):
                boxes.append(found.boxes[index, :count].numpy())
                scores.append(found.scores[index, :count].numpy())
                classes.append(self._class_ids[found.classes[index, :count].numpy().astype(int)])
        return evaluate(self._truth, Detections.from_images(boxes, scores, classes), self._label_map)

    def _predictions(self, inputs: Inputs) -> tf.Tensor:
        predictions = self._detector.predict(inputs, training=False)
        return self._detector.postprocess(predictions, inputs.true_shapes, self._class_ids.tolist())

    def _batches(self) -> tf.data.Dataset:
        size = self._detector.input_size or (None, None)

        def load(index: tf.Tensor) -> Inputs:
            image = tf.numpy_function(lambda number: pixels(self._records[int(number)]), [index], tf.uint8)
            inputs = self._detector.preprocess(tf.ensure_shape(image, [None, None, 3])[None])
            return Inputs(tf.ensure_shape(inputs.images[0], [*size, 3]), inputs.true_shapes[0])

        return tf.data.Dataset.range(len(self._records)).map(load, PARALLEL_CALLS).batch(BATCH_SIZE)
