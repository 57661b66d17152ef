# SPDX-License-Identifier: Apache-2.0
"""The pre-trained detector in our code computes what LiteRT computes, and finds what is in real photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from training_src.data.label_map import read_label_map
from training_src.evaluation.boxes import intersection_over_union
from training_src.models.architectures import build_detector
from training_src.models.checkpoints.checkpoint import restore
from training_src.models.config.pipeline import load
from training_src.models.detector import Detector
from training_src.models.heads import BOXES, CLASSES

if TYPE_CHECKING:
    from tests.conftest import OpenImages

Frames = dict[str, NDArray[np.uint8]]
# What is plainly to be seen, drawn by hand: ymin, xmin, ymax, xmax in pixels of 640x640.
SEEN = {
    "frame_031": {
        "Car": [(349, 79, 485, 199), (331, 524, 443, 640), (336, 476, 407, 547), (324, 445, 386, 496)],
    },
    "frame_046": {"Car": [(330, 26, 372, 84)], "Person": [(323, 147, 384, 165), (324, 190, 380, 210)]},
    "frame_063": {
        "Car": [(331, 202, 377, 236)],
        "Person": [(362, 107, 478, 155), (333, 278, 477, 308), (326, 424, 469, 456), (340, 570, 481, 606)],
    },
}


@pytest.fixture(scope="module")
def detector(open_images: OpenImages) -> Detector:
    detector = build_detector(load(open_images.folder / "pipeline.config", 23).config.model)
    restored = restore(detector.variables(), open_images.folder, "full")
    assert (len(restored.restored), restored.left, restored.unused) == (324, {}, [])
    return detector


@pytest.fixture(scope="module")
def litert(open_images: OpenImages) -> Any:
    """LiteRT's interpreter, every number of it in float32."""
    # A delegate may compute in another precision where the CPU has one.
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=open_images.litert, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    return interpreter


@pytest.mark.parametrize("frame", SEEN)
def test_encodings_and_logits_equal_litert(detector: Detector, litert: Any, street_frames: Frames, frame: str) -> None:
    inputs = detector.preprocess(tf.constant(street_frames[frame][None]))
    ours = detector.predict(inputs, training=False)

    litert.set_tensor(litert.get_input_details()[0]["index"], inputs.images.numpy())
    litert.invoke()
    theirs = {output["name"]: litert.get_tensor(output["index"]) for output in litert.get_output_details()}

    encodings, logits = theirs["raw_outputs/box_encodings"], theirs["raw_outputs/class_predictions"]
    assert (encodings.shape, logits.shape) == ((1, 1917, 4), (1, 1917, 24))
    assert np.abs(encodings).max() > 20 and np.abs(logits).max() > 10
    np.testing.assert_allclose(ours[BOXES].numpy().reshape(encodings.shape), encodings, rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours[CLASSES].numpy().reshape(logits.shape), logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("frame", SEEN)
def test_cars_and_pedestrians_are_found(
    detector: Detector, open_images: OpenImages, street_frames: Frames, frame: str
) -> None:
    inputs = detector.preprocess(tf.constant(street_frames[frame][None]))
    found = detector.postprocess(detector.predict(inputs, training=False), inputs.true_shapes)

    numbers = {name: number for number, name in read_label_map(open_images.folder / "label_map.pbtxt").names.items()}
    good = found.scores.numpy()[0] > 0.3
    classes = found.classes.numpy()[0].astype(int) + 1
    for name, boxes in SEEN[frame].items():
        found_boxes = found.boxes.numpy()[0][good & (classes == numbers[name])].astype(np.float64) * 640
        overlap = intersection_over_union(np.array(boxes, np.float64), found_boxes)
        assert overlap.max(axis=1).min() > 0.5, (name, overlap.max(axis=1))


def test_the_labels_are_those_of_the_file(open_images: OpenImages) -> None:
    names = read_label_map(open_images.folder / "label_map.pbtxt").names
    assert list(names) == list(range(1, 24))
    assert (names[1], names[4], names[19], names[23]) == ("Bicycle", "Person", "Footwear", "Car")
