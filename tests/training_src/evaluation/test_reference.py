# SPDX-License-Identifier: Apache-2.0
"""The SavedModel's own answers are what a server with TensorFlow would answer, picture by picture."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from containers.contract.tfrecord import write_record
from inference_src.images import decode_image
from inference_src.runtimes import load_detector
from tests.conftest import MadeOnce
from tests.picture_files import with_orientation
from training_src.data.records.example import DetectionExample, encode
from training_src.evaluation import reference
from training_src.evaluation.artifact import read_artifact
from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.reference import Asked, answer, answer_champion
from training_src.evaluation.test_set import TestSet, read_test_set

CLASSES = [{"id": 1, "name": "red"}, {"id": 2, "name": "green"}]
SCRIPT = """
import sys
import tensorflow as tf

@tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8, "input_tensor")])
def detect(input_tensor):
    scores = tf.reduce_mean(tf.cast(input_tensor, tf.float32), [1, 2]) / 255
    boxes = tf.stack([scores * 0.1, scores * 0.2, scores * 0.5, scores * 0.7], -1)
    count = tf.constant([3.0]) + scores[:, 0] * 0
    classes = tf.constant([[1.0, 2.0, 7.0]]) + scores * 0
    return {"detection_boxes": boxes, "detection_scores": scores, "detection_classes": classes, "num_detections": count}

module = tf.Module()
module.detect = detect
tf.saved_model.save(module, sys.argv[1], signatures={"serving_default": detect})
"""


@pytest.fixture(scope="session")
def saved_model(made_once: MadeOnce) -> Path:
    """A SavedModel whose detections tell the mean of each channel, the last of a class that nobody knows."""

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-c", SCRIPT, str(folder / "1")], check=True)

    return made_once("mean-saved-model", make) / "1"


@pytest.fixture
def archive(tmp_path: Path, saved_model: Path) -> Path:
    return pack(tmp_path / "champion", saved_model)


def pack(folder: Path, saved_model: Path | None, **said: object) -> Path:
    folder.mkdir()
    described = {"classes": CLASSES, "runtimes": {"tensorflow": {"path": "1", "precisions": ["f32"]}}} | said
    (folder / "model.json").write_text(json.dumps(described))
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        tar.add(folder / "model.json", "model.json")
        if saved_model:
            tar.add(saved_model, "1")
    return folder / "model.tar.gz"


def pictures() -> dict[str, bytes]:
    """Of many sizes and kinds, among them what needs care: odd chroma, grey, 16 bits, transparency, a turned one."""
    random = np.random.default_rng(5)
    made = {}
    for number, (height, width) in enumerate([(17, 33), (64, 48), (120, 90)]):
        noise = cv2.resize(random.integers(0, 256, (9, 7, 3), np.uint8), (width, height))
        for sampling in ("444", "420"):
            made[f"{number}-{sampling}.jpg"] = simplejpeg.encode_jpeg(noise, quality=88, colorsubsampling=sampling)
        made[f"{number}.png"] = cv2.imencode(".png", noise)[1].tobytes()
        alpha = np.dstack([noise, noise[..., :1]])
        made[f"{number}-alpha.png"] = cv2.imencode(".png", alpha)[1].tobytes()
        made[f"{number}-deep.png"] = cv2.imencode(".png", noise.astype(np.uint16) * 257)[1].tobytes()
        grey = np.ascontiguousarray(noise[..., :1])
        made[f"{number}-grey.jpg"] = simplejpeg.encode_jpeg(grey, colorspace="GRAY")
    return made


def shards(folder: Path, images: dict[str, bytes]) -> TestSet:
    folder.mkdir()
    none: NDArray[np.int64] = np.zeros(0, np.int64)
    with (folder / "test-00000-of-00001.tfrecord").open("wb") as stream:
        for name, encoded in images.items():
            boxes = np.zeros((0, 4), np.float32)
            example = DetectionExample(name, name, encoded, "jpeg", 10, 10, boxes, none, (), none, none, none)
            write_record(stream, encode(example))
    return read_test_set(folder)


def test_the_answers_are_those_of_a_server_with_tensorflow(
    tmp_path: Path, archive: Path, saved_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = pictures()
    images["turned.jpg"] = with_orientation(images["1-420.jpg"], 6)
    images["broken.jpg"] = images["0-444.jpg"][:60]
    images["refused.jpg"] = images["0-444.jpg"]
    test_set = shards(tmp_path / "test", images)
    found = answer(archive, read_artifact(archive), Asked(test_set, tmp_path, {"refused.jpg"}), "answered")

    server = load_detector("tensorflow", saved_model, "f32", 1)
    names = {one["id"] for one in CLASSES}
    detections = found.detections
    for index, (name, encoded) in enumerate(images.items()):
        rows = detections.image_index == index
        ours = zip(detections.scores[rows], detections.boxes[rows].tolist(), detections.classes[rows], strict=True)
        if name in ("broken.jpg", "refused.jpg"):
            assert not rows.any()
            continue
        told = server.detect(decode_image(encoded))
        theirs = zip(told.scores.tolist(), told.boxes.tolist(), told.classes.tolist(), strict=True)
        assert list(ours) == sorted((one for one in theirs if one[2] in names), key=lambda one: -one[0]), name
    assert (found.runtime, found.images) == ("tensorflow", len(images))
    said = capsys.readouterr().out
    assert 'test image "broken.jpg" ' in said
    assert f"answered={len(images)}/{len(images)} images_per_second=" in said
    assert not [*tmp_path.glob("saved-model-*")]


@pytest.mark.parametrize(
    ("said", "packed", "sentence"),
    [
        ({"runtimes": {}}, True, "model.json names no SavedModel"),
        ({}, False, "its SavedModel cannot be loaded"),
        ({"classes": [{"id": "one"}]}, True, "does not name its classes"),
    ],
)
def test_an_archive_without_what_it_needs_is_named(
    tmp_path: Path, saved_model: Path, said: dict[str, object], packed: bool, sentence: str
) -> None:
    archive = pack(tmp_path / "model", saved_model if packed else None, **said)
    test_set = shards(tmp_path / "test", {"a.jpg": pictures()["0-444.jpg"]})
    with pytest.raises(EvaluationError, match=sentence):
        answer(archive, read_artifact(archive), Asked(test_set, tmp_path), "answered")


def test_a_test_set_that_is_too_large_for_the_job_s_time_is_told_soon(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "TRIED_SECONDS", 0.0)
    images = {f"{number}.jpg": pictures()["0-444.jpg"] for number in range(20)}
    asked = Asked(shards(tmp_path / "test", images), tmp_path, seconds=1e-6)
    with pytest.raises(EvaluationError, match=r"too few for 20 test images .* raise processing\.evaluate_max"):
        answer(archive, read_artifact(archive), asked, "answered")
    assert answer(archive, read_artifact(archive), replace(asked, seconds=7200), "answered").images == 20


def test_a_champion_is_answered_where_its_version_serves_by_tensorflow_and_no_server_did(
    tmp_path: Path, archive: Path
) -> None:
    asked = Asked(shards(tmp_path / "test", {"a.jpg": pictures()["0-444.jpg"]}), tmp_path)
    answered = answer_champion(None, "tensorflow", archive.parent, asked)
    assert answered is not None and answered.reason is None
    assert answered.label_map == {1: "red", 2: "green"}
    assert answered.runtimes["tensorflow"].untimed

    measured = replace(answered, runtime="measured")
    assert answer_champion(measured, "tensorflow", archive.parent, asked) is measured
    for recorded, folder in (("openvino", archive.parent), (None, archive.parent), ("tensorflow", None)):
        assert answer_champion(None, recorded, folder, asked) is None
