# SPDX-License-Identifier: Apache-2.0
"""The TF Object Detection API's side, run by an interpreter in which it is installed.

The API was frozen before TensorFlow 2.16; what it no longer finds is put in its way below, without a change to what is
measured. Run as a script, it does one of two whole processes: `start` (its training loop, up to the first finished
step) and `export` (its exporter).
"""

# ruff: noqa: E402
# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-call,untyped-decorator"
from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # Keras 2, for which it was written
os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"  # its generated code is older than today's protobuf

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import control_flow_ops


class _Named(type):
    """A class whose every attribute is another such class."""

    def __getattr__(cls, name: str) -> _Named:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Named(name, (), {})


# What it names, subclasses or calls when it is imported and does not use: estimators, and two packages.
for _module in (tf.compat.v1, tf):
    if not hasattr(_module, "estimator"):
        _module.estimator = _Named("estimator", (), {})
for _name in ("tensorflow_io", "lvis"):
    _spec = importlib.machinery.ModuleSpec(_name, None)
    sys.modules[_name] = _Named(_name, (), {"__spec__": _spec})  # type: ignore[assignment]

# Where tf-slim still looks for them.
control_flow_ops.case, control_flow_ops.cond = tf.case, tf.cond

from object_detection import exporter_lib_v2, inputs, model_lib_v2
from object_detection.builders import model_builder, optimizer_builder
from object_detection.core import standard_fields
from object_detection.metrics import coco_evaluation
from object_detection.utils import config_util, label_map_util

Works = dict[str, Callable[[], object]]
FIELDS = standard_fields.InputDataFields
RESULTS = standard_fields.DetectionResultFields
BATCH = 8


def training(config: str, threads: int = 0, seed: int = 17) -> Works:
    """Training: `step_from_memory`, on one batch that stays there; `step`, input pipeline included; `evaluate`."""
    own = _Training(config, threads, seed)
    batches = iter(own.batches)
    kept = next(batches)
    return {
        "step_from_memory": lambda: own.step(*kept),
        "step": lambda: own.step(*next(batches)),
        "evaluate": own.ap50,
    }


def loss(config: str, boxes: int) -> Works:
    """Matching and losses of given predictions, as in training: `compute`; `differentiate`: gradients too."""
    configs = config_util.get_configs_from_pipeline_file(config)
    model = model_builder.build(configs["model"], is_training=True)
    size, classes = _size(configs), model.num_classes
    shapes = tf.constant([[size, size, 3]] * BATCH)
    # Leaves its anchors in the model.
    known = model.predict(tf.zeros([1, size, size, 3]), shapes[:1])
    known = {name: value for name, value in known.items() if name not in ("box_encodings", CLASS_PREDICTIONS)}
    random = np.random.default_rng(3)
    anchors = model.anchors.num_boxes_static() or int(model.anchors.num_boxes())
    encodings = tf.constant(random.normal(0, 1, (BATCH, anchors, 4)), tf.float32)
    logits = tf.constant(random.normal(-4, 1, (BATCH, anchors, classes + 1)), tf.float32)
    corners = random.uniform(0, 0.6, (BATCH, boxes, 2))
    truth = tf.constant(np.concatenate([corners, corners + random.uniform(0.05, 0.4, corners.shape)], -1), tf.float32)
    labels = tf.one_hot(random.integers(0, classes, (BATCH, boxes)), classes)

    def computed(encodings: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        model.provide_groundtruth(
            groundtruth_boxes_list=tf.unstack(truth),
            groundtruth_classes_list=tf.unstack(labels),
            groundtruth_weights_list=[tf.ones([boxes])] * BATCH,
        )
        losses = model.loss({**known, "box_encodings": encodings, CLASS_PREDICTIONS: logits}, shapes)
        return tf.add_n(list(losses.values()))

    def differentiated(encodings: tf.Tensor, logits: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([encodings, logits])
            total = computed(encodings, logits)
        return [total, *tape.gradient(total, [encodings, logits])]

    works = {name: tf.function(work) for name, work in (("compute", computed), ("differentiate", differentiated))}
    return {name: partial(_waiting, work, encodings, logits) for name, work in works.items()}


def evaluation(config: str, prefix: str, images: str) -> Works:
    """From a batch of images to its detections: `detect`; `trace` traces its post-processing alone."""
    model = _restored(config, prefix)
    pixels = tf.constant(np.load(images))
    preprocessed, shapes = model.preprocess(tf.cast(pixels, tf.float32))
    predictions = model.predict(preprocessed, shapes)
    own = ("box_encodings", CLASS_PREDICTIONS)
    other = {name: value for name, value in predictions.items() if name not in own}

    @tf.function
    def detect(pixels: tf.Tensor) -> list[tf.Tensor]:
        images, shapes = model.preprocess(tf.cast(pixels, tf.float32))
        found = model.postprocess(model.predict(images, shapes), shapes)
        return [found[name] for name in ("detection_boxes", "detection_scores", "detection_classes")]

    def trace() -> None:
        @tf.function
        def postprocess(encodings: tf.Tensor, logits: tf.Tensor) -> dict[str, tf.Tensor]:
            named = dict(zip(own, (encodings, logits), strict=True))
            found = model.postprocess({**other, **named}, shapes)
            return {name: value for name, value in found.items() if value is not None}

        postprocess.get_concrete_function(*(tf.TensorSpec(predictions[name].shape, tf.float32) for name in own))

    return {"detect": partial(_waiting, detect, pixels), "trace": trace}


def checkpoint(config: str, folder: str) -> Works:
    """Write a checkpoint as training does, of weights under which layers' outputs have their inputs' scale: `write`."""
    configs = config_util.get_configs_from_pipeline_file(config)
    model = model_builder.build(configs["model"], is_training=False)
    size = _size(configs)
    model.predict(tf.zeros([1, size, size, 3]), tf.constant([[size, size, 3]]))
    random = np.random.default_rng(11)
    for variable in model.trainable_variables:
        if "kernel" in variable.name:
            # A depthwise kernel's last axis is its number of outputs for each input.
            inputs_ = variable.shape[:2] if "depthwise" in variable.name else variable.shape[:3]
            scale = np.sqrt(2.0 / np.prod(inputs_))
            variable.assign(random.normal(0, scale, variable.shape))

    return {"write": lambda: tf.train.Checkpoint(model=model).save(f"{folder}/ckpt")}


class _Training:
    """Its own training step on its own input pipeline, as `train_loop` joins them, and its own COCO metrics."""

    def __init__(self, config: str, threads: int, seed: int) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        tf.keras.utils.set_random_seed(seed)
        self._configs = config_util.get_configs_from_pipeline_file(config)
        train_config, model_config = self._configs["train_config"], self._configs["model"]
        self._model = model_builder.build(model_config, is_training=True)
        self.batches = inputs.train_input(
            train_config, self._configs["train_input_config"], model_config, model=self._model
        ).repeat()
        self._evaluated: list[Any] = []
        counter = tf.Variable(0, trainable=False, dtype=tf.int64)
        optimizer, _ = optimizer_builder.build(train_config.optimizer, global_step=counter)

        @tf.function
        def step(features: dict[str, tf.Tensor], labels: dict[str, tf.Tensor]) -> tf.Tensor:
            losses = model_lib_v2.eager_train_step(
                self._model,
                features,
                labels,
                train_config.unpad_groundtruth_tensors,
                optimizer,
                training_step=counter,
                add_regularization_loss=train_config.add_regularization_loss,
            )
            counter.assign_add(1)
            return losses["Loss/total_loss"]

        @tf.function
        def detect(images: tf.Tensor, shapes: tf.Tensor) -> list[tf.Tensor]:
            found = self._model.postprocess(self._model.predict(images, shapes), shapes)
            return [found[name] for name in ("detection_boxes", "detection_scores", "detection_classes")]

        self._step, self._detect = step, detect

    def step(self, features: dict[str, tf.Tensor], labels: dict[str, tf.Tensor]) -> float:
        """Train on a batch; its loss."""
        return float(self._step(features, labels))

    def ap50(self) -> float:
        """AP50 on the validation split."""
        self._for_training(False)
        label_map = self._configs["eval_input_config"].label_map_path
        categories = label_map_util.create_category_index_from_labelmap(label_map)
        evaluator = coco_evaluation.CocoDetectionEvaluator(list(categories.values()))
        for number, (features, labels) in enumerate(self._validation()):
            scale = np.tile(np.asarray(features[FIELDS.original_image_spatial_shape])[0], 2).astype(np.float32)
            found = self._detect(features[FIELDS.image], features[FIELDS.true_image_shape])
            boxes, scores, classes = (np.asarray(value)[0] for value in found)
            count = int(labels[FIELDS.num_groundtruth_boxes][0])
            truth = {
                FIELDS.groundtruth_boxes: np.asarray(labels[FIELDS.groundtruth_boxes])[0, :count] * scale,
                FIELDS.groundtruth_classes: np.argmax(labels[FIELDS.groundtruth_classes][0, :count], -1) + 1,
            }
            evaluator.add_single_ground_truth_image_info(number, truth)
            detections = {
                RESULTS.detection_boxes: boxes * scale,
                RESULTS.detection_scores: scores,
                RESULTS.detection_classes: classes.astype(int) + 1,
            }
            evaluator.add_single_detected_image_info(number, detections)
        self._for_training(True)
        return float(evaluator.evaluate()["DetectionBoxes_Precision/mAP@.50IOU"])

    def _validation(self) -> list[Any]:
        if not self._evaluated:
            configs = self._configs
            self._evaluated = list(
                inputs.eval_input(
                    configs["eval_config"], configs["eval_input_config"], configs["model"], model=self._model
                )
            )
        return self._evaluated

    def _for_training(self, training: bool) -> None:
        # As its training step and its evaluation loop do it.
        self._model._is_training = training
        tf.keras.backend.set_learning_phase(training)


CLASS_PREDICTIONS = "class_predictions_with_background"
TASKS = {
    "checkpoint": checkpoint,
    "evaluation": evaluation,
    "loss": loss,
    "training": training,
}


def _restored(config: str, prefix: str) -> Any:
    configs = config_util.get_configs_from_pipeline_file(config)
    model = model_builder.build(configs["model"], is_training=False)
    tf.keras.backend.set_learning_phase(False)
    size = _size(configs)
    model.predict(tf.zeros([1, size, size, 3]), tf.constant([[size, size, 3]]))
    tf.train.Checkpoint(model=model).restore(prefix).expect_partial().assert_existing_objects_matched()
    return model


def _size(configs: dict[str, Any]) -> int:
    height, width = config_util.get_spatial_image_size(config_util.get_image_resizer_config(configs["model"]))
    assert height == width
    return int(height)


def _waiting(function: Callable[..., Any], *arguments: tf.Tensor) -> None:
    # The function is done when any of its results is there; copying great ones takes longer than some losses.
    tf.nest.flatten(function(*arguments))[0].numpy()


def _start(config: str, folder: str) -> None:
    model_lib_v2.train_loop(config, folder, train_steps=1, num_steps_per_iteration=1)
    print("first step", flush=True)


def _export(config: str, checkpoint: str, folder: str) -> None:
    configs = config_util.get_configs_from_pipeline_file(config)
    pipeline = config_util.create_pipeline_proto_from_configs(configs)
    exporter_lib_v2.export_inference_graph("image_tensor", pipeline, checkpoint, folder)
    print("exported", flush=True)


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {"start": _start, "export": _export}
    commands[sys.argv[1]](*sys.argv[2:])
