# SPDX-License-Identifier: Apache-2.0
"""What lies beside the report: curves, labels in doubt, and the images of these."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from containers.contract.tfrecord import write_record
from training_src.data.images import decode_picture
from training_src.data.records.example import DetectionExample, encode
from training_src.evaluation import enclosures as module
from training_src.evaluation.boxes import Detections
from training_src.evaluation.coco import evaluate
from training_src.evaluation.diagnosis import diagnose
from training_src.evaluation.enclosures import Explained, enclosures
from training_src.evaluation.pictures import DOUBTS, pictures
from training_src.evaluation.test_set import TestSet, read_test_set

MADE = datetime(2026, 11, 30, tzinfo=UTC)
LABELS = {1: "cat", 2: "dog"}
LEFT, RIGHT = [0.1, 0.1, 0.6, 0.4], [0.3, 0.6, 0.8, 0.95]
IMAGES, UNLABELLED = 12, 4


@pytest.fixture
def explained(tmp_path: Path) -> tuple[Explained, TestSet]:
    """Twelve images with a cat at the left, whose last four have a cat at the right, too, that nobody labelled."""
    for image in range(IMAGES):
        picture = np.full((100, 200, 3), 40, np.uint8)
        picture[30:80, 120:190] = 220
        encoded = cv2.imencode(".png" if image % 2 else ".jpg", picture)[1].tobytes()
        none, name = np.zeros(1, np.int64), f"{image}.img"
        form = "png" if image % 2 else "jpeg"
        example = DetectionExample(
            name, name, encoded, form, 200, 100, np.array([LEFT], np.float32), np.array([1]), ("cat",), none, none, none
        )
        with (tmp_path / f"test-{image:05d}.tfrecord").open("wb") as stream:
            write_record(stream, encode(example))
    test_set = read_test_set(tmp_path)
    boxes = [[LEFT, RIGHT] if image >= IMAGES - UNLABELLED else [LEFT] for image in range(IMAGES)]
    scores = [[0.5 + image / 100, 0.9 + image / 200][: len(one)] for image, one in enumerate(boxes)]
    found = Detections.from_images(boxes, scores, [[1] * len(one) for one in boxes])
    metrics = evaluate(test_set.truth, found, LABELS)
    return Explained(diagnose(test_set.truth, found, LABELS, 0.3), metrics, found, LABELS), test_set


def written(one: Explained, test_set: TestSet, destination: str = "s3://bucket/evaluation/") -> dict[str, bytes]:
    return dict(enclosures(one, test_set, destination, MADE))


def lines(files: dict[str, bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files["label_errors.manifest"].splitlines()]


def test_the_manifest_names_images_that_lie_beside_it(explained: tuple[Explained, TestSet]) -> None:
    files = written(*explained)
    names = [line["source-ref"].removeprefix("s3://bucket/evaluation/") for line in lines(files)]
    # The surest first: the last image has the highest score.
    assert names == [f"label_errors/{image:05d}.{'png' if image % 2 else 'jpg'}" for image in (11, 10, 9, 8)]
    for name in names:
        assert decode_picture(files[name], name).shape == (100, 200, 3)
    assert set(files) == {"curves.json", "label_errors.manifest", *names}
    assert [line["label-errors"]["source-id"] for line in lines(files)] == ["11.img", "10.img", "9.img", "8.img"]
    added = lines(files)[0]["bounding-box"]["annotations"][1]
    assert added == {"class_id": 0, "left": 120, "top": 30, "width": 70, "height": 50}


def test_only_so_many_images_are_copied_and_none_that_was_refused(
    explained: tuple[Explained, TestSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, test_set = explained
    monkeypatch.setattr(module, "MOST_IMAGES", 2)
    files = written(Explained(one.diagnosis, one.metrics, one.detections, LABELS, refused={"11.img"}), test_set)
    assert [line["label-errors"]["source-id"] for line in lines(files)] == ["10.img", "9.img"]


def test_without_an_address_there_are_curves_alone(explained: tuple[Explained, TestSet]) -> None:
    files = written(*explained, destination="")
    assert list(files) == ["curves.json"]
    curves = json.loads(files["curves.json"])
    assert curves["label_errors"] == UNLABELLED
    assert curves["classes"]["cat"]["errors"]["background"] == UNLABELLED
    assert curves["classes"]["dog"]["recall"] == [None] * 101


def test_a_label_in_doubt_is_shown_with_its_surroundings(explained: tuple[Explained, TestSet]) -> None:
    one, test_set = explained
    seen = pictures(test_set, one.detections, LABELS, 0.3, one.diagnosis.doubts, refused={"11.img"})
    assert [picture.name for picture in seen.doubts] == ["10.img", "9.img", "8.img"]
    assert {picture.caption for picture in seen.doubts} == {"No box, but it looks like cat"}
    assert len(seen.doubts) <= DOUBTS
    there, found = (decode_picture(jpeg, "x").astype(int) for jpeg in (seen.doubts[0].there, seen.doubts[0].found))
    assert there.shape == found.shape
    assert max(there.shape) == 260
    # The bright object is in both, and the detection's frame around it in one of them alone.
    bright = [(one.min(axis=2) > 180).mean() for one in (there, found)]
    assert min(bright) > 0.15
    coloured = [int((np.ptp(one[:, 120:], axis=2) > 60).sum()) for one in (there, found)]
    assert coloured[0] < 50 < 500 < coloured[1]
