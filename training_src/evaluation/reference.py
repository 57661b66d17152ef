# SPDX-License-Identifier: Apache-2.0
"""The SavedModel's own detections of the test set, with which those of every runtime that serves are compared.

The image that serves on CPUs has no TensorFlow, so no server can give them. Pictures are decoded as the server decodes
them, one after the other, so memory holds one picture and what was found so far.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from containers.contract.archive import extract
from containers.contract.errors import MapgateError
from training_src.data.images import BrokenImageError, decode_upright
from training_src.data.records.example import read_examples
from training_src.evaluation.artifact import Artifact, read_artifact
from training_src.evaluation.boxes import Detections
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.measurements import ChampionMeasurements, Measurement, Timings
from training_src.evaluation.test_set import TestSet
from training_src.progress import Progress

RUNTIME = "tensorflow"
"""The runtime that runs the SavedModel itself, as `model.json` names it."""
UNTIMED = "EvaluateDetector ran its SavedModel, not the server on the endpoint's instance type"
TRIED_IMAGES, TRIED_SECONDS = 10, 30.0
"""After which a rate is known."""
RESERVE = 0.1
"""Share of the job's time that is left for what runs before and after."""
OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")

Found = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]
Detect = Callable[[NDArray[np.uint8]], tuple[NDArray[Any], ...]]
_NOTHING: Found = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))


@dataclass(frozen=True)
class Asked:
    """What a SavedModel is asked.

    Attributes:
        test_set: Its images.
        work: Folder for the unpacked SavedModel, which is gone afterwards.
        refused: Source ids of images that the server refused: they have no detections here either, nor have those that
            cannot be decoded.
        seconds: After which the platform stops the job; None where it does not say.
    """

    test_set: TestSet
    work: Path
    refused: Container[str] = ()
    seconds: float | None = None


def answer(archive: Path, artifact: Artifact, asked: Asked, verb: str) -> Measurement:
    """Let the SavedModel of an archive answer the test set.

    Args:
        archive: The model.tar.gz.
        artifact: What it says of itself.
        asked: The images.
        verb: What progress calls an answered image.

    Raises:
        ArchiveError: The archive is damaged, or was made to do harm.
        EvaluationError: It has no SavedModel that TensorFlow can load and run, or the job's time will not do for it.
    """
    place = _place(archive, artifact)
    folder = Path(tempfile.mkdtemp(prefix="saved-model-", dir=asked.work))
    try:
        extract(archive, folder / "model", lambda name: name.is_relative_to(place))
        detect = _load(folder / "model" / place, archive)
        return _measurement(detect, list(artifact.class_names), asked, verb)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def answer_champion(
    measured: ChampionMeasurements | None,
    recorded: str | None,
    folder: Path | None,
    asked: Asked,
    verb: str = "champion_answered",
) -> ChampionMeasurements | None:
    """The champion's measurements, with the SavedModel's answers where its version serves by them and no server gave.

    Args:
        measured: What MeasureServing measured of it.
        recorded: The runtime that its version records, where that is known.
        folder: Holds its model.tar.gz; None where there is none.
        asked: The images.
        verb: What progress calls an answered image.
    """
    if recorded != RUNTIME or folder is None or (measured is not None and RUNTIME in measured.runtimes):
        return measured
    archive = folder / "model.tar.gz"
    try:
        artifact = read_artifact(archive)
        found = answer(archive, artifact, asked, verb)
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


def _measurement(detect: Detect, ids: list[int], asked: Asked, verb: str) -> Measurement:
    progress, images = Progress(verb), asked.test_set.truth.images
    found, begun = [], 0.0
    for number, example in enumerate(read_examples(asked.test_set.folder), start=1):
        skipped = example.source_id in asked.refused
        found.append(_NOTHING if skipped else _detections(detect, example.encoded, ids, example.source_id))
        progress(number, images)
        begun = begun or time.monotonic()  # after the first, for which TensorFlow makes its plans
        _check_time(number - 1, images, time.monotonic() - begun, asked.seconds)
    boxes, scores, classes = zip(*found, strict=True)
    detections = Detections.from_images(boxes, scores, classes)
    return Measurement(RUNTIME, detections, images, asked.test_set.digest, Timings(), UNTIMED)


def _check_time(done: int, images: int, taken: float, seconds: float | None) -> None:
    """Stop where the platform would, hours before it does.

    Args:
        done: Images after the first.
        images: Of the test set.
        taken: Seconds for those that are done.
        seconds: The job's; None where they are not known.

    Raises:
        EvaluationError: The time will not do.
    """
    if seconds is None or done < TRIED_IMAGES or taken < TRIED_SECONDS:
        return
    if taken / done * images <= seconds * (1 - RESERVE):
        return
    raise EvaluationError(
        f"the SavedModel answers {done / taken:.3g} images a second, too few for {images} test images in the "
        f"{seconds / 3600:.3g} hours after which the job is stopped: raise processing.evaluate_maximum_hours in the "
        "environment's settings, choose a faster processing.evaluate_instance_type, or prepare fewer test images"
    )


def _detections(detect: Detect, encoded: bytes, ids: list[int], name: str) -> Found:
    """Boxes [M, 4], scores [M] and classes [M] of an image, best first; an unknown class is left out, as served."""
    try:
        image = decode_upright(encoded)
    except BrokenImageError as error:
        print(f'test image "{name}" {error}; it counts as one without detections', flush=True)
        return _NOTHING
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
