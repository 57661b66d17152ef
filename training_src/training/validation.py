# SPDX-License-Identifier: Apache-2.0
"""mAP and loss on the validation split while training goes on, and pictures of what is found."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training_src.drawing import Mark, colours, draw
from training_src.evaluation.boxes import Detections, GroundTruth
from training_src.evaluation.coco import CocoMetrics, evaluate
from training_src.models import detector as models
from training_src.models.detector import Detector
from training_src.training.input_pipeline import Batch
from training_src.training.records import Records

BATCH_SIZE = 8
PARALLEL_CALLS = 2
# Pictures for TensorBoard: how many images, and the least score that is drawn.
PICTURES = 4
DRAWN_SCORE = 0.3


@dataclass(frozen=True)
class ValidationResult:
    """What a validation found.

    Attributes:
        metrics: COCO's.
        losses: Means over the batches by the API's names, without regularisation.
        pictures: `(height, width, 3)` uint8: some images, ground truth dashed, detections with their scores.
    """

    metrics: CocoMetrics
    losses: Mapping[str, float]
    pictures: list[NDArray[np.uint8]]

    @property
    def loss(self) -> float:
        return sum(self.losses.values())


class Validation:
    """Evaluates a detector on a split, as often as wanted.

    Args:
        detector: Its networks' present weights count.
        records: The split.
        label_map: Names by id.
        every: Only the first of so many images counts.

    Attributes:
        traces: How often the detector was traced; once, whatever the last batch's size.
    """

    def __init__(self, detector: Detector, records: Records, label_map: Mapping[int, str], every: int = 1) -> None:
        self._detector = detector
        self._folded = detector.folded()
        self._records = records
        self._label_map = label_map
        self._class_ids = np.array(sorted(label_map))
        self._colours = colours(label_map)
        self._chosen = range(0, len(records), every)
        examples = [records[index] for index in self._chosen]
        self._rows = max(1, *(len(example.boxes) for example in examples))
        self._truth = GroundTruth.from_images(
            sizes=[(example.height, example.width) for example in examples],
            boxes=[example.boxes for example in examples],
            classes=[example.labels for example in examples],
            ignored=[example.crowd > 0 for example in examples],
            areas=[example.stated_areas() for example in examples],
        )
        self.traces = 0
        self._batches = self._read_batches()
        signature = [self._batches.element_spec]
        self._predict = tf.function(self._predictions, autograph=False, input_signature=signature)

    def __len__(self) -> int:
        return len(self._chosen)

    def evaluate(self) -> ValidationResult:
        """COCO's metrics and the losses of the present weights."""
        boxes: list[NDArray[np.float32]] = []
        scores: list[NDArray[np.float32]] = []
        classes: list[NDArray[np.int64]] = []
        losses: list[tuple[int, Mapping[str, float]]] = []
        for batch in self._batches:
            found, terms = self._predict(batch)
            columns = [np.asarray(column) for column in (found.boxes, found.scores, found.classes)]
            for index, count in enumerate(np.asarray(found.count).astype(int)):
                boxes.append(columns[0][index, :count])
                scores.append(columns[1][index, :count])
                classes.append(self._class_ids[columns[2][index, :count].astype(int)])
            losses.append((len(columns[0]), {name: float(value) for name, value in terms.items()}))
        metrics = evaluate(self._truth, Detections.from_images(boxes, scores, classes), self._label_map)
        return ValidationResult(metrics, _means(losses), self._pictures(boxes, scores, classes))

    def _predictions(self, batch: Batch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        self.traces += 1
        inputs = models.Inputs(batch.images, batch.true_shapes)
        predictions = self._folded.predict(inputs, training=False)
        found = self._detector.postprocess(predictions, batch.true_shapes, self._class_ids.tolist())
        truth = models.GroundTruth(batch.boxes, batch.classes, batch.weights)
        if len(self._detector.networks) > 1:
            # Two stages: the second one's losses are those of proposals sampled as in training.
            self._detector.freeze_batch_norm(True)
            predictions = self._detector.predict(inputs, training=True, truth=truth)
        return found, self._detector.losses(predictions, truth)

    def _read_batches(self) -> tf.data.Dataset:
        """Boxes are padded to the greatest number of them, so that there is one trace."""

        def load(index: tf.Tensor) -> Batch:
            types = [tf.uint8, tf.float32, tf.int32, tf.float32]
            image, boxes, classes, weights = tf.numpy_function(self._load, [index], types)
            inputs = self._detector.preprocess(tf.ensure_shape(image, [None, None, 3])[None])
            height, width = tf.unstack(tf.cast(tf.shape(inputs.images)[1:3], tf.float32))
            true = tf.cast(inputs.true_shapes[0], tf.float32)
            scale = tf.stack([true[0] / height, true[1] / width] * 2)
            boxes = tf.ensure_shape(boxes, [None, 4]) * scale
            return Batch(inputs.images[0], inputs.true_shapes[0], boxes, classes, weights)

        chosen = tf.data.Dataset.from_tensor_slices(np.array(self._chosen, np.int64))
        loaded = chosen.map(tf.autograph.experimental.do_not_convert(load), PARALLEL_CALLS)
        size, rows = self._detector.input_size, self._rows
        shapes = Batch([*(size or (None, None)), 3], [3], [rows, 4], [rows], [rows])
        return loaded.padded_batch(BATCH_SIZE if size else 1, shapes).prefetch(1)

    def _load(self, index: NDArray[np.int64]) -> tuple[NDArray[np.generic], ...]:
        example, image = self._records.decoded(int(index))
        weights = (example.crowd == 0).astype(np.float32)
        # A copy: TensorFlow reads the array where it lies, and another image may come to lie there.
        return image.copy(), example.boxes, (example.labels - 1).astype(np.int32), weights

    def _pictures(
        self,
        boxes: list[NDArray[np.float32]],
        scores: list[NDArray[np.float32]],
        classes: list[NDArray[np.int64]],
    ) -> list[NDArray[np.uint8]]:
        pictures = []
        for place, index in enumerate(self._chosen[:PICTURES]):
            example, image = self._records.decoded(index)
            marks = [
                Mark(box, "", self._colours[int(label)], dashed=True)
                for box, label in zip(example.boxes, example.labels, strict=True)
            ]
            marks += [
                Mark(box, f"{self._label_map[int(label)]} {score:.2f}", self._colours[int(label)])
                for box, score, label in zip(boxes[place], scores[place], classes[place], strict=True)
                if score >= DRAWN_SCORE
            ]
            pictures.append(np.asarray(draw(image, marks), np.uint8))
        return pictures


def _means(losses: list[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    images = sum(count for count, _ in losses)
    return {
        name: sum(count * terms[name] for count, terms in losses) / images for name in (losses[0][1] if losses else ())
    }
