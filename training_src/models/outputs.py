# SPDX-License-Identifier: Apache-2.0
"""Every number of a detector that can be compared with another implementation's.

Names, shapes and conventions are those of the reference cases of the OD API: classes from 0, boxes normalised to the
padded image before suppression and to the image itself after it, zeros as padding. `train_` is training with the
batch's statistics, `frozen_` with batch norms' moving averages; in both nothing is dropped out or shuffled.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from containers.contract.files import write_whole
from training_src.errors import DataError
from training_src.models.detector import Detector, GroundTruth, Inputs, Predictions

Arrays = dict[str, NDArray[Any]]

PREDICTIONS = (
    "box_encodings",
    "class_predictions_with_background",
    "rpn_box_encodings",
    "rpn_objectness_predictions_with_background",
    "proposal_boxes_normalized",
    "num_proposals",
    "refined_box_encodings",
)
# The maps of Faster R-CNN; others are numbered.
CROPPED_MAPS = "rpn_features_to_crop"
MOVING = ("moving_mean", "moving_variance")


def preprocess(detector: Detector, images: Sequence[NDArray[np.uint8]]) -> Inputs:
    """Each image by itself, then all in one batch.

    Raises:
        DataError: If they become different sizes.
    """
    each = [detector.preprocess(tf.constant(image[None])) for image in images]
    sizes = {tuple(one.images.shape[1:3]) for one in each}
    if len(sizes) > 1:
        shown = ", ".join(f"{height}x{width}" for height, width in sorted(sizes))
        raise DataError(f"The images become {shown} pixels, which make no batch; give images of one shape.")
    return Inputs(tf.concat([one.images for one in each], 0), tf.concat([one.true_shapes for one in each], 0))


def inference_arrays(detector: Detector, inputs: Inputs) -> Arrays:
    """The arrays of inference."""

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def infer() -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
        predictions = detector.predict(inputs, training=False)
        found = detector.postprocess(predictions, inputs.true_shapes)
        detections = {
            "detection_boxes": found.boxes,
            "detection_scores": found.scores,
            "detection_classes": found.classes,
            "num_detections": tf.cast(found.count, tf.float32),
            "detection_anchor_indices": found.anchor_indices,
            "detection_multiclass_scores": found.multiclass_scores,
        }
        return _raw(predictions) | detections | detector.inner_arrays(predictions), _feature_maps(predictions)

    tensors, maps = infer()
    last = maps[-1].numpy()
    return {
        "preprocessed_inputs": inputs.images.numpy(),
        "true_image_shapes": inputs.true_shapes.numpy(),
        "feature_map_shapes": np.array([features.shape for features in maps], np.int32),
        "feature_map_stats": _stats(maps),
        "last_feature_map": last[:, ::2, ::2, ::16] if "rpn_box_encodings" in tensors else last,
        **_numpy(tensors),
    }


def training_arrays(detector: Detector, inputs: Inputs, truth: GroundTruth) -> Arrays:
    """The `frozen_` and the `train_` arrays; moving averages end as they were.

    Args:
        detector: Its dropout is switched off for good.
        inputs: Of `preprocess`.
        truth: Relative to the padded images.
    """
    detector.switch_dropout_off()
    variables = detector.variables()
    trainable = {id(variable) for variable in detector.trainable_variables}
    trainable_keys = sorted(key for key, variable in variables.items() if id(variable) in trainable)
    frozen = _training_step(detector, inputs, truth, trainable_keys, frozen=True)
    moving_keys = sorted(key for key, variable in variables.items() if variable.name in MOVING)
    before = {key: variables[key].numpy() for key in moving_keys}
    train = _training_step(detector, inputs, truth, trainable_keys, frozen=False)
    after = {key: variables[key].numpy() for key in moving_keys}
    for key, value in before.items():
        variables[key].assign(value)
    terms = np.sort(np.array([term.numpy() for term in detector.regularization_terms()], np.float32))
    return {
        **{f"frozen_{name}": array for name, array in frozen.items()},
        **{f"train_{name}": array for name, array in train.items()},
        "train_regularization_loss": detector.regularization_loss().numpy(),
        "train_regularization_terms_sorted": terms,
        "train_num_regularization_terms": np.int32(len(terms)),
        "train_trainable_keys": np.array(trainable_keys),
        "train_moving_keys": np.array(moving_keys),
        "train_moving_delta_first4": np.array([(after[key] - before[key])[:4] for key in moving_keys], np.float32),
    }


def read_images(path: Path) -> list[NDArray[Any]]:
    """`image_0`, `image_1`, ...: uint8, height x width x 3."""
    return _numbered(path, "image_")


def read_ground_truth(path: Path) -> GroundTruth:
    """`groundtruth_boxes_i` (n, 4) and `groundtruth_classes_i` (n), from 0, of each image; all count alike."""
    boxes, classes = _numbered(path, "groundtruth_boxes_"), _numbered(path, "groundtruth_classes_")
    return pad_ground_truth(boxes, classes)


def pad_ground_truth(boxes: Sequence[NDArray[Any]], classes: Sequence[NDArray[Any]]) -> GroundTruth:
    """A batch of as many rows as the image with the most boxes has, and at least one."""
    rows = max(1, *(len(each) for each in boxes))
    missing = [rows - len(each) for each in boxes]
    return GroundTruth(
        tf.constant([np.pad(box, [[0, gap], [0, 0]]) for box, gap in zip(boxes, missing, strict=True)], tf.float32),
        tf.constant([np.pad(label, [0, gap]) for label, gap in zip(classes, missing, strict=True)], tf.int32),
        tf.constant([[1.0] * (rows - gap) + [0.0] * gap for gap in missing], tf.float32),
    )


def _training_step(
    detector: Detector, inputs: Inputs, truth: GroundTruth, trainable_keys: Sequence[str], frozen: bool
) -> Arrays:
    """One forward and backward pass with batch norms in one of their modes."""
    variables = detector.variables()
    detector.freeze_batch_norm(frozen)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step() -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            predictions = detector.predict(inputs, training=True, truth=truth)
            losses = detector.losses(predictions, truth)
            total = tf.add_n([*losses.values(), detector.regularization_loss()])
        gradients = tape.gradient(total, [variables[key].value for key in trainable_keys])
        tensors = {
            **{name.replace("/", "_"): loss for name, loss in losses.items()},
            "total_loss": total,
            "grad_norms": tf.stack([np.nan if each is None else tf.norm(each) for each in gradients]),
        }
        return tensors | _raw(predictions) | detector.inner_arrays(predictions, truth), _feature_maps(predictions)

    tensors, maps = step()
    detector.freeze_batch_norm(False)
    return {**_numpy(tensors), "feature_map_stats": _stats(maps)}


def _raw(predictions: Predictions) -> dict[str, tf.Tensor]:
    return {name: predictions[name] for name in PREDICTIONS if name in predictions}


def _feature_maps(predictions: Predictions) -> list[tf.Tensor]:
    numbered = [name for name in predictions if name.startswith("feature_map_")]
    return [predictions[name] for name in sorted(numbered, key=lambda name: int(name.rsplit("_", 1)[1]))] or list(
        predictions[CROPPED_MAPS]
    )


def _stats(maps: Sequence[tf.Tensor]) -> NDArray[np.float32]:
    """Mean, standard deviation, least and greatest value of each map."""
    arrays = [features.numpy() for features in maps]
    return np.array([[each.mean(), each.std(), each.min(), each.max()] for each in arrays], np.float32)


def _numpy(tensors: Mapping[str, tf.Tensor]) -> Arrays:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _numbered(path: Path, prefix: str) -> list[NDArray[Any]]:
    """The arrays prefix0, prefix1, ... of a file.

    Raises:
        DataError: If there is none, or the file cannot be read.
    """
    try:
        with np.load(path) as arrays:
            count = sum(1 for name in arrays.files if name.startswith(prefix))
            found = [arrays[f"{prefix}{index}"] for index in range(count)]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: cannot be read as .npz with {prefix}0, {prefix}1, ... ({error}).") from error
    if not found:
        raise DataError(f"{path}: there is no array {prefix}0 in it.")
    return found


def write(path: Path, arrays: Arrays) -> None:
    """Write an .npz file, whole or not at all."""
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_whole(path, content.getvalue())
