# SPDX-License-Identifier: Apache-2.0
"""From one version to the next by the commands that a data scientist types; the tests build on each other.

The zoo's layout is that of its archives (`checkpoint/ckpt-0`, `pipeline.config` and no label map, as
https://github.com/tensorflow/models/blob/master/research/object_detection/g3doc/tf2_detection_zoo.md links them);
the ids are those of COCO.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from containers.contract.archive import extract
from infra.settings import ENVIRONMENTS
from pipelines.client import executions
from pipelines.client.deployment import Deployment
from pipelines.demo import cdk, production
from pipelines.demo.scenes import draw_scenes
from training_src.models.checkpoints import checkpoint

if TYPE_CHECKING:
    from tests.conftest import OpenImages
    from tests.end_to_end.conftest import User

pytestmark = [pytest.mark.verify, pytest.mark.timeout(1800)]

Record = Callable[[str, str], None]
TRAIN, VALIDATION, TEST = 160, 24, 24
POLICY = """
schema_version: 2
metrics: {mAP_50: 0.2}
every_class: {AP50: 0.05}
support: {images: 20, boxes_per_class: 5}
champion: {greatest_fall: {mAP: 0.5}}
serving: {least_matched: 0.9, greatest_difference: {mAP: 0.05}}
"""
# Of the first version's mAP_50, two steps on: drawn heads reach a fifth of it in twenty.
NEAR = 0.75
OF_COCO = {"vehicle": "car", "pedestrian": "person", "cyclist": "bicycle"}
COCO_IDS = {"person": 1, "bicycle": 2, "car": 3}
COCO_COUNT = 90


@dataclass(frozen=True)
class Training:
    """What a user sees of an execution's training.

    Attributes:
        code: The exit code of `mapgate run`.
        told: What it printed.
        log: The training's.
        archive: The bytes of its model.tar.gz.
    """

    code: int
    told: str
    log: str
    archive: bytes

    @property
    def validations(self) -> dict[int, float]:
        """mAP_50 of the validation split by step."""
        found = re.findall(r"^validation step=(\d+) mAP=[\d.]+ mAP_50=([\d.]+)", self.log, re.MULTILINE)
        return {int(step): float(value) for step, value in found}

    @property
    def exported(self) -> float:
        """mAP_50 of the validation split, of the weights that were exported."""
        (found,) = re.findall(r"^evaluation mAP=[\d.]+ mAP_50=([\d.]+)", self.log, re.MULTILINE)
        return float(found)

    @property
    def table(self) -> dict[str, str]:
        """What was taken of the checkpoint, by the table's words."""
        rows = re.findall(r"^(restored|as drawn|not used|classes kept|classes drawn) +(.*)$", self.log, re.MULTILINE)
        return dict(rows)

    @property
    def model(self) -> dict[str, Any]:
        """Its model.json."""
        with tarfile.open(fileobj=io.BytesIO(self.archive)) as archive:
            stream = archive.extractfile("model.json")
            assert stream is not None
            read: dict[str, Any] = json.load(stream)
        return read

    def seen(self, split: str) -> set[str]:
        """The groups of images that it and its ancestors have seen."""
        return set(self.model["seen"]["groups"][split])


@dataclass
class Story:
    """A user, and the trainings so far by the names that the tests give them."""

    user: User
    folder: Path
    trainings: dict[str, Training]

    def train(self, name: str, data: Path, steps: int, *words: str) -> Training:
        """`mapgate run`, followed to its end, and what a user then looks at; a validation after each second step."""
        settings = "validation_interval=2 xla=off"
        asked = ["--training-steps", str(steps), "--training-settings", settings]
        ran = self.user.mapgate("--local", "run", str(data), *words, *asked, seconds=900)
        logged = self.user.mapgate("--local", "executions", "logs", "TrainDetector")
        assert logged.returncode == 0, ran.stdout + ran.stderr + logged.stderr
        training = Training(ran.returncode, ran.stdout + ran.stderr, logged.stdout, self._newest_archive())
        self.trainings[name] = training
        return training

    def _newest_archive(self) -> bytes:
        connection = self.user.connection
        newest, *_ = executions.recent(connection, Deployment.find(connection).pipeline_name)
        step = executions.describe(connection, newest["PipelineExecutionArn"]).step("TrainDetector")
        assert step is not None and step.job is not None
        job = connection.client("sagemaker").describe_training_job(TrainingJobName=step.job[1])
        bucket, _, key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
        return bytes(connection.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


@pytest.fixture(scope="module")
def story(newcomer: User, open_images: OpenImages, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A cloud to which the app is deployed, and images that hold the pre-trained detector."""
    shutil.copytree(open_images.folder, newcomer.home / "zoo" / open_images.folder.name)
    assert newcomer.mapgate("local", "up").returncode == 0
    folder = tmp_path_factory.mktemp("story")
    # No execution can ask for less than the environment's policy, and of so short a training nobody can ask much.
    environments = folder / "environments"
    environments.mkdir()
    (environments / "gate.yaml").write_text(POLICY)
    (environments / "dev.yaml").write_text(f"{(ENVIRONMENTS / 'dev.yaml').read_text()}gate_policy: gate.yaml\n")
    cdk.deploy(newcomer.connection, folder / "cdk.log", lambda _: None, environments=environments)
    pushed = newcomer.mapgate("--local", "images", "push")
    assert pushed.returncode == 0, pushed.stderr
    return Story(newcomer, folder, {})


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn streets, twice as many to train on as a version takes; test images show another town."""
    folder = tmp_path_factory.mktemp("drawn") / "scenes"
    draw_scenes(folder, train=2 * TRAIN, validation=VALIDATION, test=TEST)
    return folder


def test_a_first_version_starts_from_the_weights_that_the_image_holds(
    story: Story, scenes: Path, tmp_path: Path, record: Record
) -> None:
    first = story.train("first", _part(scenes, tmp_path / "first", 0), 60)

    assert first.code == 0, first.told
    assert "from the training image's own weights" in first.told
    assert first.model["initial_checkpoint"]["kind"] == "pretrained"
    assert first.table["classes kept"].startswith("0")
    assert (len(first.seen("train")), len(first.seen("validation"))) == (TRAIN, VALIDATION)
    assert _versions(story.user) == [1]
    record("going on: mAP_50 of a first version after 60 steps of 8", f"{first.exported:.3f}")


def test_a_second_version_begins_where_the_first_ended(
    story: Story, scenes: Path, tmp_path: Path, record: Record
) -> None:
    first = story.trainings["first"]

    second = story.train("second", _part(scenes, tmp_path / "second", 1), 40, "--initial-checkpoint", "1")

    assert second.code == 0, second.told
    assert "start     version 1 of mapgate-dev" in second.told
    assert second.table == {
        "restored": second.table["restored"],
        "not used": "0 tensors of the checkpoint",
        "classes kept": "3 vehicle, pedestrian, cyclist",
        "classes drawn": "0",
    }
    assert second.table["restored"].endswith("variables of box_predictor, feature_extractor")
    assert second.validations[2] >= NEAR * first.exported > first.validations[20]
    _assert_goes_on_from(second, first)
    assert len(second.seen("train")) == 2 * TRAIN
    assert second.seen("validation") == first.seen("validation"), "the very same images"
    assert second.model["seen"]["unknown"] == first.model["seen"]["unknown"] != []
    record("going on: mAP_50 of a second version's first validation, 2 steps on", f"{second.validations[2]:.3f}")
    record("going on: mAP_50 of a second version after 40 further steps", f"{second.exported:.3f}")


def test_a_third_version_keeps_the_champions_classes_and_learns_one_more(
    story: Story, scenes: Path, tmp_path: Path, record: Record
) -> None:
    second = story.trainings["second"]
    assert story.user.mapgate("--local", "models", "approve", "2").returncode == 0
    _wait_until_serving(story.user, 2)
    data = _part(scenes, tmp_path / "signs", 1)
    _put_up_signs(data)

    third = story.train("third", data, 40, "--initial-checkpoint", "champion")

    assert third.code == 0, third.told
    assert "start     the champion, version 2 of mapgate-dev" in third.told
    assert "classes       1 vehicle, 2 pedestrian, 3 sign, 4 cyclist" in third.log
    assert third.table["classes kept"] == "3 vehicle, pedestrian, cyclist"
    assert third.table["classes drawn"] == "1 sign"
    assert "as drawn" not in third.table
    _assert_goes_on_from(third, second)
    assert _versions(story.user) == [3, 2, 1]
    record("going on: mAP_50 of a third version with a class more, after 40 further steps", f"{third.exported:.3f}")


def test_classes_of_a_checkpoint_in_the_zoos_layout_are_found_by_name(
    story: Story, scenes: Path, tmp_path: Path, record: Record
) -> None:
    first = story.trainings["first"]
    zoo = tmp_path / "ssd_mobilenet_v2_fpnlite_160x160_coco17_tpu-8"
    _write_as_the_zoo(first, zoo)
    data = _part(scenes, tmp_path / "streets", 0)
    _rename_as_coco(data)

    of_coco = story.train("of COCO", data, 20, "--initial-checkpoint", str(zoo))

    assert of_coco.code == 1, "it has none of the champion's classes, so that nothing could be compared"
    assert "Of 3 classes of the champion the challenger has 0, 0.5 of them are required" in of_coco.told
    assert f"start     {zoo}, which is uploaded" in of_coco.told
    assert "classes       1 bicycle, 2 car, 3 person" in of_coco.log, "other ids than COCO's"
    assert of_coco.table["classes kept"] == "3 bicycle, car, person"
    assert of_coco.table["classes drawn"] == "0"
    assert "as drawn" not in of_coco.table
    assert of_coco.validations[2] >= NEAR * first.exported, "the columns of these very classes"
    assert "the zoo's" not in of_coco.log, "it has no schedule of this architecture"
    assert of_coco.model["initial_checkpoint"]["kind"] == "checkpoint"
    assert len(of_coco.seen("train")) == TRAIN
    assert len(of_coco.model["seen"]["unknown"]) == 1
    record(
        "going on: mAP_50 of the first validation from COCO's classes on, 2 steps on", f"{of_coco.validations[2]:.3f}"
    )


def test_who_says_scratch_starts_from_nothing(story: Story, scenes: Path, tmp_path: Path, record: Record) -> None:
    first = story.trainings["first"]

    drawn = story.train("drawn", _part(scenes, tmp_path / "first", 0), 20, "--initial-checkpoint", "scratch")

    assert drawn.code == 1, "so few steps pass no gate"
    assert "start     from scratch" in drawn.told and "QualityGateFailed" in drawn.told
    assert drawn.table == {}
    assert drawn.model["initial_checkpoint"] is None
    assert drawn.model["seen"]["unknown"] == []
    assert drawn.seen("train") == first.seen("train")
    assert drawn.exported < first.validations[20]
    record("going on: mAP_50 from scratch after 20 steps", f"{drawn.exported:.3f}")


def _assert_goes_on_from(training: Training, before: Training) -> None:
    """Of whom model.json tells, and whose images are told with its own."""
    told, model = training.model["initial_checkpoint"], before.model
    assert told["kind"] == "model"
    assert told["archive_sha256"] == hashlib.sha256(before.archive).hexdigest()
    assert told["model"]["fingerprint"] == model["training"]["fingerprint"]
    assert told["model"]["dataset"] == model["dataset"]
    for split in ("train", "validation"):
        assert before.seen(split) <= training.seen(split)


def _versions(user: User) -> list[int]:
    return [version["version"] for version in user.told("--local", "models", "list")]


def _part(scenes: Path, folder: Path, number: int) -> Path:
    """The first or the second half of the images to train on, with the same ones for validation and test."""
    shutil.copytree(scenes, folder)
    listed = folder / "ImageSets" / "Main" / "train.txt"
    stems = listed.read_text().split()
    kept = stems[number * TRAIN : (number + 1) * TRAIN]
    listed.write_text("".join(f"{stem}\n" for stem in kept))
    for stem in set(stems) - set(kept):
        (folder / "JPEGImages" / f"{stem}.jpg").unlink()
        (folder / "Annotations" / f"{stem}.xml").unlink()
    return folder


def _put_up_signs(folder: Path) -> None:
    """Paint a round sign into each image, and label it: a class more, with the id that was free."""
    rng = np.random.default_rng(5)
    for file in sorted((folder / "JPEGImages").iterdir()):
        image = np.asarray(cv2.imread(str(file)))
        radius = int(rng.integers(14, 26))
        across = int(rng.integers(radius + 2, image.shape[1] - radius - 2))
        down = int(rng.integers(radius + 2, image.shape[0] // 3))
        cv2.circle(image, (across, down), radius, (255, 255, 255), -1)
        cv2.circle(image, (across, down), radius - 3, (0, 0, 230), 5)
        cv2.imwrite(str(file), image)
        edges = {"xmin": across - radius, "ymin": down - radius, "xmax": across + radius, "ymax": down + radius}
        box = "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges.items())
        annotation = folder / "Annotations" / f"{file.stem}.xml"
        sign = f"<object><name>sign</name><bndbox>{box}</bndbox></object></annotation>"
        annotation.write_text(annotation.read_text().replace("</annotation>", sign))
    with (folder / "label_map.pbtxt").open("a") as labels:
        labels.write("item {\n  id: 3\n  name: 'sign'\n}\n")


def _rename_as_coco(folder: Path) -> None:
    """Give the classes COCO's names, and leave it to their order which ids they have."""
    for annotation in (folder / "Annotations").iterdir():
        text = annotation.read_text()
        for own, name in OF_COCO.items():
            text = text.replace(f"<name>{own}</name>", f"<name>{name}</name>")
        annotation.write_text(text)
    (folder / "label_map.pbtxt").unlink()


def _write_as_the_zoo(first: Training, folder: Path) -> None:
    """A version as a detector of COCO's 90 classes: its columns at COCO's ids, the others' all zero."""
    packed = folder.with_name("model.tar.gz")
    packed.write_bytes(first.archive)
    extract(packed, folder.with_name("unpacked"))
    own = {label["name"]: label["id"] for label in first.model["classes"]}
    columns = {0: 0, **{COCO_IDS[OF_COCO[name]]: number for name, number in own.items()}}
    stored = checkpoint.read(str(folder.with_name("unpacked") / "1" / "variables" / "variables"))
    (folder / "checkpoint").mkdir(parents=True)
    checkpoint.write(
        str(folder / "checkpoint" / "ckpt-0"),
        {
            key: _of_coco(tensor, columns, max(own.values())) if _has_classes(key) else tensor
            for key, tensor in stored.items()
            if key.startswith("model/")
        },
    )
    config = (folder.with_name("unpacked") / "pipeline.config").read_text()
    widened, count = re.subn(r"num_classes: \d+", f"num_classes: {COCO_COUNT}", config)
    assert count == 1
    (folder / "pipeline.config").write_text(widened)


def _has_classes(key: str) -> bool:
    return "/_class_predictor_layers/" in key and "/depthwise_kernel/" not in key


def _of_coco(tensor: NDArray[np.generic], columns: Mapping[int, int], greatest: int) -> NDArray[np.generic]:
    """`(..., anchors * (greatest + 1))` with the background's column first, as `(..., anchors * 91)`."""
    narrow = tensor.reshape(*tensor.shape[:-1], -1, greatest + 1)
    wide = np.zeros((*narrow.shape[:-1], COCO_COUNT + 1), tensor.dtype)
    wide[..., list(columns)] = narrow[..., list(columns.values())]
    return wide.reshape(*tensor.shape[:-1], -1)


def _wait_until_serving(user: User, version: int) -> None:
    sagemaker = user.connection.client("sagemaker")
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        time.sleep(0.5)
        names = [one["EndpointName"] for one in sagemaker.list_endpoints()["Endpoints"]]
        if "mapgate-dev" not in names:
            continue
        told = sagemaker.describe_endpoint(EndpointName="mapgate-dev")
        in_service = told["EndpointStatus"] == "InService"
        if in_service and production.version_of(told["EndpointConfigName"]) == version:
            return
    pytest.fail(f"version {version} is not served")
