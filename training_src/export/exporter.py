# SPDX-License-Identifier: Apache-2.0
"""A config and a checkpoint to what the OD API's exporter writes."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from training_src.data.label_map import read_label_map
from training_src.export.calibration import calibration_images
from training_src.export.int8 import save_int8
from training_src.export.new_folder import new_folder
from training_src.export.openvino_model import save_openvino, suppression_behind, why_not_convertible
from training_src.export.saved_model import IMAGE_TENSOR, save_model, tracked_by_key
from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.config.legacy import mapping_table
from training_src.models.config.pipeline import PipelineDescription, load
from training_src.models.detector import Detector
from training_src.training.records import Records

SAVED_MODEL = "saved_model"
CHECKPOINT = "checkpoint"
OPENVINO = "openvino/model.xml"
OPENVINO_INT8 = "openvino-int8/model.xml"


def export(
    pipeline_config: Path,
    source: str,
    output: Path,
    label_map: Path | None = None,
    input_type: str = IMAGE_TENSOR,
    calibration: Path | None = None,
) -> None:
    """Write `saved_model/`, `checkpoint/`, `pipeline.config` and, if one is given, `label_map.pbtxt`.

    Args:
        pipeline_config: Of the detector.
        source: Its checkpoint.
        output: The folder to write.
        label_map: Of the classes that are to be detected; None for all.
        input_type: What the SavedModel takes, one of `INPUT_TYPES`.
        calibration: A folder of labelled images; given, `openvino/` and `openvino-int8/` are written too.

    Raises:
        MapgateError: If config, checkpoint, label map or images do not fit, or something is at `output` already.
    """
    with new_folder(output) as unfinished:
        records = Records(calibration) if calibration else None
        ids = list(read_label_map(label_map).names) if label_map else []
        description: PipelineDescription = load(pipeline_config, max(ids, default=1))
        print(mapping_table(description.mapped), end="\n" if description.mapped else "")
        detector = build_detector(description.config.model)
        checkpoint.restore(detector.variables(), source, "full")
        ids = ids or list(range(1, detector.num_classes + 1))
        save_model(detector, ids, unfinished / SAVED_MODEL, input_type)
        _save_checkpoint(detector, unfinished / CHECKPOINT)
        (unfinished / "pipeline.config").write_text(description.text(), encoding="utf-8")
        if label_map:
            shutil.copyfile(label_map, unfinished / "label_map.pbtxt")
        if records is not None or description.config.quantize:
            _save_int8(detector, ids, records, unfinished)


def _save_checkpoint(detector: Detector, folder: Path) -> None:
    """As the API does: `ckpt-0` with an object graph, so that its own code restores it too."""
    root = tracked_by_key(tf.train.Checkpoint(), detector)
    tf.train.CheckpointManager(root, str(folder), max_to_keep=1).save(checkpoint_number=0)


def _save_int8(detector: Detector, class_ids: Sequence[int], records: Records | None, folder: Path) -> None:
    reason = why_not_convertible(detector)
    if reason:
        print(f"int8          not written, only float32: {reason}")
    elif records is None:
        print("int8          not written, only float32: give --calibration, the folder of a prepared validation split")
    else:
        save_openvino(detector, class_ids, folder / OPENVINO)
        written = save_int8(folder / OPENVINO, calibration_images(records), folder / OPENVINO_INT8)
        print(f"int8          {OPENVINO_INT8}: {written}")
        if suppression_behind(detector, class_ids) is not None:
            print("openvino      ends at boxes and scores: its suppression cannot do what the config asks for")
