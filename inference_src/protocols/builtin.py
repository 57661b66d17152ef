# SPDX-License-Identifier: Apache-2.0
"""The answer of AWS's built-in algorithm Object Detection - TensorFlow to an image.

Its clients read `normalized_boxes` as left, bottom, right, top with y downwards, which is xmin, ymin, xmax, ymax, and
take a detection's name from `labels[int(class)]`:
https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection-tensorflow-inputoutput.html
"""

from typing import Any

import numpy as np

from inference_src.detections import Detections
from inference_src.model import ObjectClass


def answer(
    detections: Detections,
    classes: list[ObjectClass],
    n_predictions: int | None = None,
    model_output: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Render one image's detections, best first.

    Args:
        detections: What to tell of; an id that the label map does not name is left out.
        classes: The model's classes, sorted by id: their names are the `labels`.
        n_predictions: How many detections at most.
        model_output: What the model gave for the image, by output; None leaves it out.

    Returns:
        `normalized_boxes` [M][4] xmin, ymin, xmax, ymax as fractions, `classes` [M] indices into `labels`, `scores` [M]
        with all digits of float32, `labels`; and with the model's output `tensorflow_model_output`, a batch of one.
    """
    indices = {entry.id: index for index, entry in enumerate(classes)}
    best_first = np.argsort(-detections.scores[: detections.count], kind="stable")
    known = [row for row in best_first.tolist() if int(detections.classes[row]) in indices]
    kept = known[:n_predictions]
    result: dict[str, Any] = {
        "normalized_boxes": detections.boxes[kept][:, [1, 0, 3, 2]].tolist(),
        "classes": [indices[int(detections.classes[row])] for row in kept],
        "scores": detections.scores[kept].tolist(),
        "labels": [entry.name for entry in classes],
    }
    if model_output is not None:
        result["tensorflow_model_output"] = {name: [value] for name, value in model_output.items()}
    return result
