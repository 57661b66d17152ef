# SPDX-License-Identifier: Apache-2.0
"""The SavedModel's own detections of the test set, with which those of every runtime that serves are compared.

The image that serves on CPUs has no TensorFlow, so no server can give them. Pictures are decoded as the server decodes
them (`inference_src/images.py`), one after the other, so memory holds one picture and what was found so far.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from containers.contract.archive import extract
from containers.contract.errors import MapgateError
from training_src.data.records.example import read_examples
from training_src.errors import DataError
from training_src.evaluation.artifact import Artifact, read_artifact
from training_src.evaluation.boxes import Detections
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.measurements import ChampionMeasurements, Measurement, Timings
from training_src.evaluation.test_set import TestSet
from training_src.progress import Progress

RUNTIME = "tensorflow"
"""The runtime that runs the SavedModel itself, as `model.json` names it."""
UNTIMED = "EvaluateDetector ran its SavedModel, not the server on the endpoint's instance type"
OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")

Detect = Callable[[NDArray[np.uint8]], tuple[NDArray[Any], ...]]


def answer(archive: Path, artifact: Artifact, test_set: TestSet, work: Path, verb: str) -> Measurement:
    """Let the SavedModel of an archive answer the test set.

    Args:
        archive: The model.tar.gz.
        artifact: What it says of itself.
        test_set: Its images; one that cannot be decoded has no detections, as from the server, which refuses it.
        work: Folder for the unpacked SavedModel, which is gone when this returns.
        verb: What progress calls an answered image.

    Raises:
        ArchiveError: The archive is damaged, or was made to do harm.
        EvaluationError: It has no SavedModel that TensorFlow can load and run.
    """
    place = _place(archive, artifact)
    folder = Path(tempfile.mkdtemp(prefix="saved-model-", dir=work))
    try:
        extract(archive, folder / "model", lambda name: name.is_relative_to(place))
        detect = _load(folder / "model" / place, archive)
        return _measurement(detect, artifact.class_names, test_set, verb)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def answer_champion(
    measured: ChampionMeasurements | None, recorded: str | None, folder: Path | None, test_set: TestSet, work: Path
) -> ChampionMeasurements | None:
    """The champion's measurements, with the SavedModel's answers where its version serves by them and no server gave.

    Args:
        measured: What MeasureServing measured of it.
        recorded: The runtime that its version records, where that is known.
        folder: Holds its model.tar.gz; None where there is none.
        test_set: The present test images.
        work: Folder for what is unpacked.
    """
    if recorded != RUNTIME or folder is None or (measured is not None and RUNTIME in measured.runtimes):
        return measured
    archive = folder / "model.tar.gz"
    try:
        artifact = read_artifact(archive)
        found = answer(archive, artifact, test_set, work, "champion_answered")
    except MapgateError as error:
        return ChampionMeasurements(runtime=recorded, reason=str(error).rstrip("."))
    return ChampionMeasurements({RUNTIME: found}, RUNTIME, artifact.class_names)


def _place(archive: Path, artifact: Artifact) -> PurePosixPath:
    """Where the SavedModel lies in the archive."""
    runtimes = artifact.description.get("runtimes")
    form = runtimes.get(RUNTIME) if isinstance(runtimes, Mapping) else None
    path = form.get("path") if isinstance(form, Mapping) else None
    if not isinstance(path, str) or not path:
        raise EvaluationError(f"{archive}: its model.json names no SavedModel; export the model again")
    return PurePosixPath(path)


def _load(folder: Path, archive: Path) -> Detect:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Bad input is refused before these seconds.
    import tensorflow as tf

    # Else a GPU rounds what goes into a convolution to ten bits, and what is compared with it fails by its error.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        model = tf.saved_model.load(str(folder))
        signature = model.signatures["serving_default"]
        if missing := set(OUTPUTS) - set(signature.structured_outputs):
            raise KeyError(*missing)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise EvaluationError(
            f"{archive}: its SavedModel cannot be loaded ({reason}); export the model again"
        ) from error

    def detect(image: NDArray[np.uint8]) -> tuple[NDArray[Any], ...]:
        assert model is not None  # a signature does not keep its model alive
        found = signature(input_tensor=tf.constant(image[np.newaxis]))
        return tuple(found[name].numpy()[0] for name in OUTPUTS)

    return detect


def _measurement(detect: Detect, class_names: Mapping[int, str], test_set: TestSet, verb: str) -> Measurement:
    progress, ids = Progress(verb), list(class_names)
    found = []
    for number, example in enumerate(read_examples(test_set.folder), start=1):
        found.append(_detections(detect, example.encoded, ids, example.source_id))
        progress(number, test_set.truth.images)
    boxes, scores, classes = zip(*found, strict=True)
    detections = Detections.from_images(boxes, scores, classes)
    return Measurement(RUNTIME, detections, len(found), test_set.digest, Timings(), UNTIMED)


def _detections(
    detect: Detect, encoded: bytes, ids: list[int], name: str
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Boxes [M, 4], scores [M] and classes [M] of an image, best first; an unknown class is left out, as served."""
    try:
        image = decode(encoded, name)
    except DataError as error:
        print(error, flush=True)
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32)
    try:
        boxes, scores, classes, count = detect(image)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise EvaluationError(
            f'the SavedModel cannot answer test image "{name}" ({reason}); export it again'
        ) from error
    best_first = np.argsort(-scores[: int(count)], kind="stable")
    kept = best_first[np.isin(classes[best_first].astype(np.int32), ids)]
    return boxes[kept], scores[kept], classes[kept].astype(np.int32)


def decode(encoded: bytes, name: str) -> NDArray[np.uint8]:
    """An encoded JPEG or PNG as the server decodes it: uint8 [height, width, 3], RGB.

    Raises:
        DataError: It is damaged, or neither of the two.
    """
    try:
        if encoded.startswith(b"\xff\xd8\xff"):
            colours = simplejpeg.decode_jpeg_header(encoded)[2]
            if colours not in ("CMYK", "YCCK"):
                return np.asarray(simplejpeg.decode_jpeg(encoded, "RGB", fastdct=False, fastupsample=False))
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except (ValueError, cv2.error) as error:
        raise DataError(f'test image "{name}": cannot be decoded ({error})') from error
    if image is None:
        raise DataError(f'test image "{name}": cannot be decoded as JPEG or PNG')
    return np.asarray(image, np.uint8)
