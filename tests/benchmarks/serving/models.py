# SPDX-License-Identifier: Apache-2.0
"""The detectors that are served: `python -m tests.benchmarks.serving.models NAME FOLDER` writes one.

FOLDER/model is the artifact that our server serves, FOLDER/sample the SavedModel for whoever serves one as the OD API
exports it: there the whole picture becomes float32 before it is resized.

What suppression costs depends on how many boxes score how high, and untrained heads give every box the same. So an
untrained detector gets the batch norms' statistics of street photographs, and heads whose outputs spread as the real
Open Images detector's do on the same photographs: logits of -6.1 on average with a standard deviation of 1.1, box
encodings with 1.0, 0.9, 2.8 and 3.1 (y, x, height, width). Of that detector's scores 2 to 10 % are above 0.01, by
photograph, and all above the configs' threshold of 1e-8; here it is 6 to 11 %, and all.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[3]
ZOO = CHECKOUT / ".mapgate" / "zoo"
LOGITS_MEAN, LOGITS_SPREAD = -6.1, 1.1
ENCODINGS_SPREAD = (1.0, 0.9, 2.8, 3.1)
# What is left of the variances of 1 that a batch norm begins with: 0.9 to this power, 4 %.
PASSES = 30
CLASS_HEAD, BOX_HEAD = r"_class_predictor_layers/0/", r"_box_encoder_layers/0/"


@dataclass(frozen=True)
class Model:
    """A detector to serve.

    Attributes:
        name: As tables call it.
        architecture: The bundled config; empty: the real Open Images detector, as `mapgate zoo fetch` keeps it.
        classes: How many; 90 are COCO's, as the zoo's models have.
    """

    name: str
    architecture: str
    classes: int


FPNLITE = Model("FPNLite 640", "ssd_mobilenet_v2_fpnlite_640x640", 90)
FEW = Model("FPNLite 640, 3 classes", "ssd_mobilenet_v2_fpnlite_640x640", 3)
DEMO = Model("the demo's detector", "ssd_mobilenet_v2_fpnlite_160x160", 3)
OPEN_IMAGES = Model("Open Images 300", "", 23)
MODELS = (FPNLITE, FEW, DEMO, OPEN_IMAGES)


def main() -> None:
    """Write the named model."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serving.models", description=__doc__)
    parser.add_argument("name", choices=[model.name for model in MODELS])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    (model,) = (model for model in MODELS if model.name == options.name)
    _untrained(model, options.folder) if model.architecture else _open_images(options.folder)


def _untrained(model: Model, folder: Path) -> None:
    import keras

    from training_src.data.label_map import LabelMap
    from training_src.export.artifact import write_untrained
    from training_src.models.architectures import build_detector
    from training_src.models.config.pipeline import load_bundled

    keras.utils.set_random_seed(1)
    description = load_bundled(model.architecture, model.classes)
    detector = build_detector(description.config.model)
    _spread(detector)
    names = LabelMap({number: f"class {number}" for number in range(1, model.classes + 1)})
    write_untrained(folder / "model", detector, names, model.architecture, description.text())
    _save_sample(detector, sorted(names.names), folder / "sample")


def _open_images(folder: Path) -> None:
    from pipelines.zoo import pretrained
    from training_src.data.label_map import read_label_map
    from training_src.export.artifact import write_untrained
    from training_src.models.architectures import build_detector
    from training_src.models.checkpoints import checkpoint
    from training_src.models.config.pipeline import load

    source = pretrained.pinned()
    zoo = pretrained.fetch(source, ZOO, print).path
    names = read_label_map(zoo / "label_map.pbtxt")
    description = load(zoo / "pipeline.config", names.greatest_id)
    detector = build_detector(description.config.model)
    checkpoint.restore(detector.variables(), zoo / "checkpoint" / "ckpt-0", "full")
    write_untrained(folder / "model", detector, names, source.architecture, description.text())
    _save_sample(detector, sorted(names.names), folder / "sample")


def _save_sample(detector: Any, class_ids: list[int], folder: Path) -> None:
    import tensorflow as tf

    from training_src.export.saved_model import tracked_by_key

    def detect(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = detector.preprocess(tf.cast(input_tensor, tf.float32))  # as the API's exporter does
        found = detector.postprocess(detector.predict(inputs, training=False), inputs.true_shapes, class_ids)
        return {
            "detection_boxes": found.boxes,
            "detection_scores": found.scores,
            "detection_classes": found.classes,
            "num_detections": tf.cast(found.count, tf.float32),
        }

    pixels = tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")
    function = tf.function(detect, input_signature=[pixels], autograph=False)
    module = tracked_by_key(tf.Module(), detector)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})


def _spread(detector: Any) -> None:
    """Let an untrained detector's outputs spread over real photographs as a trained one's do."""
    import cv2
    import numpy as np
    import tensorflow as tf

    from tests.benchmarks.serving.photographs import FRAMES

    read = [np.asarray(cv2.imread(str(file)), np.uint8) for file in sorted(FRAMES.glob("*.jpg"))]
    frames = [cv2.resize(frame, detector.input_size[::-1]) for frame in read]
    inputs = detector.preprocess(tf.constant(np.stack(frames)[..., ::-1], tf.float32))
    for _ in range(PASSES):
        detector.predict(inputs, training=True)
    predictions = detector.predict(inputs, training=False)
    encodings = predictions["box_encodings"].numpy().reshape(-1, 4)
    factors = np.array(ENCODINGS_SPREAD) / encodings.std(0)
    logits = predictions["class_predictions_with_background"].numpy()
    for key, variable in detector.variables().items():
        value = variable.numpy()
        if re.search(CLASS_HEAD, key):
            if "bias" in key:
                variable.assign(np.full_like(value, LOGITS_MEAN))
            elif "depthwise" not in key:
                variable.assign(value * LOGITS_SPREAD / logits.std())
        elif re.search(BOX_HEAD, key) and "depthwise" not in key:
            of_each = np.tile(factors, value.shape[-1] // 4)
            centred = np.tile(-factors * encodings.mean(0), value.shape[-1] // 4)
            variable.assign(centred if "bias" in key else value * of_each)


if __name__ == "__main__":
    main()
