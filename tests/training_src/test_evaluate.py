# SPDX-License-Identifier: Apache-2.0
"""EvaluateDetector as the platform runs it: a process, a job directory, and the files that it leaves."""

import hashlib
import html
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import xxhash
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from containers.contract.tfrecord import write_record
from tests.conftest import MadeOnce
from training_src import evaluate
from training_src.data.label_map import LabelMap, write_label_map
from training_src.data.records.example import DetectionExample, encode, read_examples
from training_src.evaluation.schema import Evaluation

REPOSITORY = Path(__file__).parents[2]
LABELS = {1: "vehicle", 2: "pedestrian", 4: "cyclist"}
IMAGES = 60
SHA256 = "d" * 64
GROUPS = {"train": ["a" * 12], "validation": ["b" * 12], "test": []}
"""Of the data set, by short hashes: none of them is of a test image."""
INPUTS = ("measurements", "test", "metadata", "model", "champion", "best", "floor_policy", "gate_policy")
GREY_A_NUMBER = 4
"""An image's number is the grey of its upper left corner over this, so that a model can tell which it is asked for."""
DETECTIONS = 8
SCRIPT = """
import sys
import tensorflow as tf

class Looked(tf.Module):
    def __init__(self, detections):
        self.detections = tf.saved_model.Asset(detections)

    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8, "input_tensor")])
    def detect(self, input_tensor):
        grey = tf.reduce_mean(tf.cast(input_tensor[0, :8, :8], tf.float32))
        number = tf.cast(tf.round(grey / GREY), tf.int32)
        table = tf.reshape(tf.io.decode_raw(tf.io.read_file(self.detections), tf.float32), [-1, SIZE, 6])
        found = tf.gather(table, [number])
        return {
            "detection_boxes": found[..., :4],
            "detection_scores": found[..., 4],
            "detection_classes": found[..., 5],
            "num_detections": tf.reduce_sum(tf.cast(found[..., 5] > 0, tf.float32), 1),
        }

open(sys.argv[2], "wb").write(b"")
module = Looked(sys.argv[2])
tf.saved_model.save(module, sys.argv[1], signatures={"serving_default": module.detect})
"""


@dataclass
class JobDirectory:
    """A processing job's directory as SageMaker lays it out, whose parts a test may change before it runs."""

    root: Path
    source_ids: list[str]
    truths: list[tuple[NDArray[np.float32], NDArray[np.int64]]]
    saved_model: Path
    environment: dict[str, str] = field(default_factory=dict)

    def input(self, name: str) -> Path:
        return self.root / "processing/input" / name

    def output(self, name: str) -> Path:
        return self.root / "processing/output/evaluation" / name

    def measure(self, who: str, runtime: str, speed: float, seed: int = 0, **damage: Any) -> None:
        """What a server answered, as `found` has it, with these source ids."""
        index, boxes, scores, classes = self.found(seed, **damage)
        folder = self.input("measurements") / who / runtime
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(
            folder / "detections.npz",
            image_index=index,
            boxes=boxes,
            scores=scores,
            classes=classes,
            images=np.int64(len(self.truths)),
            source_ids=np.array(damage.get("source_ids", self.source_ids)),
        )
        timings = {
            "images": IMAGES, "images_per_second": speed, "load_seconds": 0.4, "resident_megabytes": 210.0,
            "latency_milliseconds": {"p50": 900 / speed, "p90": 1000 / speed, "p99": 1200 / speed}, "precision": "f32",
        }  # fmt: skip
        (folder / "timings.json").write_text(json.dumps(timings))

    def found(self, seed: int = 0, **damage: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Detections near the truth: `missed` share, `shift` of boxes, `noise` of scores, other `ids` of classes."""
        random = np.random.default_rng(seed)
        index, boxes, scores, classes = [], [], [], []
        for image, (truth, labels) in enumerate(self.truths):
            kept = random.random(len(truth)) >= damage.get("missed", 0.1)
            near = truth[kept] + random.normal(0, damage.get("shift", 0.004), (int(kept.sum()), 4))
            index += [image] * (int(kept.sum()) + 1)
            boxes += [*np.clip(near, 0, 1), np.array([0.4, 0.4, 0.5, 0.5])]
            scores += [*random.uniform(0.5, 0.95, kept.sum()), random.uniform(0.11, 0.3)]
            ids = damage.get("ids", {})
            classes += [*(ids.get(int(label), label) for label in labels[kept]), ids.get(1, 1)]
        return (
            np.array(index, np.int32),
            np.array(boxes, np.float32),
            np.array(scores, np.float32) - np.float32(damage.get("noise", 0)),
            np.array(classes, np.int32),
        )

    def archive(self, who: str = "model", seed: int = 0, *, steps: int = 1000, **said: Any) -> None:
        """Pack a model whose SavedModel finds what `found` has."""
        index, boxes, scores, classes = self.found(seed, **said.pop("damage", {}))
        table = np.zeros((IMAGES, DETECTIONS, 6), np.float32)
        for image in range(IMAGES):
            rows = np.flatnonzero(index == image)
            table[image, : len(rows)] = np.column_stack([boxes[rows], scores[rows], classes[rows]])
        _write_model(self.input(who) / "model.tar.gz", self.saved_model, table.tobytes(), steps, **said)

    def index(
        self,
        champion: dict[str, Any] | None = None,
        runtimes: Iterable[str] = ("openvino", "openvino-int8"),
        **more: object,
    ) -> None:
        """What MeasureServing says that it measured: the archive and the shards as they are now."""
        model = _digest([self.input("model") / "model.tar.gz"])
        content = {
            "schema_version": 1,
            "test": {"sha256": _digest(sorted(self.input("test").glob("*.tfrecord")))},
            "challenger": {"runtimes": list(runtimes), "model_sha256": model},
            "champion": champion,
            **more,
        }
        (self.input("measurements") / "measurements.json").write_text(json.dumps(content))

    def run(self) -> int:
        """The entry point's exit code, without the second that a process takes to start."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.environment, "MAPGATE_ML_ROOT": str(self.root)}.items():
                patch.setenv(name, value)
            return evaluate.main()

    def run_as_process(self) -> subprocess.CompletedProcess[str]:
        """Run the entry point with nothing but what the platform gives it."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.root), "MAPGATE_ML_ROOT": str(self.root)}
        command = [sys.executable, "-m", "training_src", "evaluate"]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment | self.environment, capture_output=True, text=True, check=False
        )
        print(done.stdout, done.stderr)
        return done

    def evaluation(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.output("evaluation.json").read_text())
        Evaluation.model_validate(content)
        return content

    def sentence(self) -> str:
        return (self.root / "output/message").read_text()


@dataclass(frozen=True)
class Finished:
    """A job that ran, and what it printed."""

    job: JobDirectory
    printed: str


@pytest.fixture(scope="session")
def saved_model(made_once: MadeOnce) -> Path:
    """A SavedModel that looks its detections up in a file of its assets."""

    def make(folder: Path) -> None:
        script = SCRIPT.replace("GREY", str(GREY_A_NUMBER)).replace("SIZE", str(DETECTIONS))
        command = [sys.executable, "-c", script, str(folder / "model"), str(folder / "detections")]
        subprocess.run(command, check=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"})

    return made_once("looked-up-saved-model", make) / "model"


@pytest.fixture
def job(tmp_path: Path, saved_model: Path) -> JobDirectory:
    """A job whose detector is good, and whose f32 form is the faster of two that are equal to its SavedModel."""
    return _make_job(tmp_path, saved_model)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, saved_model: Path) -> Finished:
    """The same job after its run, for tests that only look."""
    made = _make_job(tmp_path_factory.mktemp("finished"), saved_model)
    done = made.run_as_process()
    assert done.returncode == 0
    return Finished(made, done.stdout)


def _make_job(tmp_path: Path, saved_model: Path) -> JobDirectory:
    random = np.random.default_rng(3)
    made = JobDirectory(tmp_path, [f"street_{at:03}.jpg" for at in range(IMAGES)], [], saved_model)
    for name in INPUTS:
        made.input(name).mkdir(parents=True)
    for name in ("champion", "best", "gate_policy"):
        (made.input(name) / "none").write_text("none")
    examples = [_example(made, name, random) for name in made.source_ids]
    for shard in range(2):
        with (made.input("test") / f"test-0000{shard}-of-00002.tfrecord").open("wb") as stream:
            for example in examples[shard * 30 : shard * 30 + 30]:
                write_record(stream, encode(example))
    write_label_map(LabelMap(LABELS), made.input("metadata") / "label_map.pbtxt")
    facts = {"schema_version": 1, "sha256": SHA256, "format": "tfrecord", "images": 300, "groups": GROUPS}
    (made.input("metadata") / "dataset.json").write_text(json.dumps(facts))
    made.archive()
    policy = (REPOSITORY / "infra/training/defaults/gate_policy.yaml").read_text()
    (made.input("floor_policy") / "gate_policy.yaml").write_text(policy)
    made.measure("challenger", "openvino", 38.0, noise=1e-6)
    made.measure("challenger", "openvino-int8", 11.0)
    made.index()
    _write_config(made)
    return made


def test_a_good_detector_passes_in_its_fastest_equal_runtime(finished: Finished) -> None:
    content = finished.job.evaluation()
    assert content["gate"]["passed"] is True
    assert content["gate"]["mAP"] == content["metrics"]["mAP"]["value"] > 0.5
    assert 0 < content["metrics"]["mAP"]["standard_deviation"] < 0.1
    assert content["dataset"]["sha256"] == SHA256
    assert (content["serving"]["runtime"], content["serving"]["precision"]) == ("openvino", "f32")
    assert content["serving"]["parity"]["matched"] == 1.0
    assert (content["champion"], content["best"]) == (None, None)
    assert sorted(path.name for path in finished.job.output("").iterdir()) == [
        "curves.json", "detections.json", "evaluation.json", "label_errors.manifest", "report.html", "sample.jpg",
        "samples",
    ]  # fmt: skip


def test_says_how_sure_it_is_by_which_policy_and_what_serving_costs(finished: Finished) -> None:
    content = finished.job.evaluation()
    for estimate in (content["metrics"]["mAP"], content["per_class"]["cyclist"]["AP50"]):
        assert estimate["lower"] < estimate["value"] < estimate["upper"]
    policy = finished.job.input("floor_policy") / "gate_policy.yaml"
    assert content["policy"]["floor"] == {
        "uri": "s3://bucket/floor_policy", "sha256": hashlib.sha256(policy.read_bytes()).hexdigest(),
    }  # fmt: skip
    assert (content["policy"]["run"], content["dataset"]["chosen_by"]) == (None, "execution")
    assert content["resources"]["resident_megabytes"] == 210.0
    assert content["resources"]["latency_milliseconds"]["p99"] == pytest.approx(1200 / 38.0)


def test_leaves_test_images_from_all_over_the_test_set(finished: Finished) -> None:
    samples = sorted(finished.job.output("samples").iterdir())
    assert len(samples) == 24
    assert (samples[0].stem, samples[-1].stem) == ("00000", "00059")
    assert all(cv2.imread(str(sample)) is not None for sample in samples)


def test_prints_the_coco_table_and_every_rule(finished: Finished) -> None:
    printed = finished.printed
    assert "ssd_mobilenet_v2_fpnlite_640x640 on 60 test images" in printed
    assert "Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0." in printed
    rules = [rule["rule"] for rule in finished.job.evaluation()["gate"]["rules"]]
    assert re.findall(r"^(?:pass|FAIL)  (\S+)", printed, re.MULTILINE) == rules
    assert {"mAP", "mAP_50", "AP50[cyclist]", "support[vehicle]", "serving.matched", "test_set"} <= set(rules)
    assert "GATE PASSED: All " in printed


def test_the_numbers_are_those_of_pycocotools(finished: Finished) -> None:
    metrics = finished.job.evaluation()["metrics"]
    expected = _oracle(finished.job, json.loads(finished.job.output("detections.json").read_text()))
    found = [-1.0 if one["value"] is None else one["value"] for one in metrics.values()]
    assert found == pytest.approx(expected, abs=1e-3)  # detections.json is rounded
    assert all(one["reason"] for one in metrics.values() if one["value"] is None)


def test_the_model_that_was_judged_is_named_by_content_and_place(finished: Finished) -> None:
    model = finished.job.evaluation()["model"]
    archive = finished.job.input("model") / "model.tar.gz"
    assert model["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert model["uri"] == "s3://bucket/model/model.tar.gz"


def test_the_report_is_one_page_that_loads_nothing(finished: Finished) -> None:
    page = finished.job.output("report.html").read_text()
    assert "The gate is passed" in page
    assert page.count("data:image/jpeg;base64,") >= 6
    assert not re.search(r"""(src|href)=["'](?!data:|#)|<script|@import|url\(""", page)
    assert "street_" in page


def test_the_sample_is_a_test_image(finished: Finished) -> None:
    image = cv2.imdecode(np.frombuffer(finished.job.output("sample.jpg").read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None and image.shape == (240, 320, 3)


def test_a_weak_detector_fails_the_gate_but_not_the_step(job: JobDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    for runtime in ("openvino", "openvino-int8"):
        job.measure("challenger", runtime, 10.0, missed=0.7)
    assert job.run() == 0
    gate = job.evaluation()["gate"]
    assert gate["passed"] is False
    assert gate["sentence"].startswith("mAP_50 of the test set is 0.")
    assert "GATE FAILED: mAP_50 of the test set is 0." in capsys.readouterr().out
    assert "The gate is not passed" in job.output("report.html").read_text()
    assert (job.root / "output/message").read_text() == gate["sentence"]


def test_a_detector_that_finds_nothing_fails_with_finite_numbers(job: JobDirectory) -> None:
    for runtime in ("openvino", "openvino-int8"):
        job.measure("challenger", runtime, 10.0)
        _rewrite(job, runtime, image_index=np.zeros(0, np.int32), boxes=np.zeros((0, 4), np.float32),
                 scores=np.zeros(0, np.float32), classes=np.zeros(0, np.int32))  # fmt: skip
    assert job.run() == 0
    gate = job.evaluation()["gate"]
    assert (gate["passed"], gate["mAP"]) == (False, 0.0)
    assert json.loads(job.output("detections.json").read_text()) == []


def test_an_image_that_the_server_refused_is_named_and_shown_to_nobody(
    job: JobDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    _spoil(job, "street_000.jpg")
    sentence = "test image 'street_000.jpg' was answered with 400: this is <no> picture"
    job.index(refused=[{"source_id": "street_000.jpg", "sentence": sentence}])
    for runtime in ("openvino", "openvino-int8"):
        _without_detections(job, runtime, image=0)
    assert job.run() == 0
    assert job.evaluation()["serving"]["parity"]["matched"] == 1.0
    dataset = job.evaluation()["dataset"]
    assert dataset["refused"] == {"street_000.jpg": sentence}
    assert dataset["images"] == IMAGES
    page = job.output("report.html").read_text()
    assert "1 of 60 test images was refused" in page
    assert "this is &lt;no&gt; picture" in page
    assert sentence in capsys.readouterr().out
    for file in [job.output("sample.jpg"), *job.output("samples").iterdir()]:
        assert cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR) is not None


def test_the_threshold_tightens_the_policy(job: JobDirectory) -> None:
    job.environment["MAPGATE_MAP_THRESHOLD"] = "0.99"
    assert job.run() == 0
    gate = job.evaluation()["gate"]
    assert gate["passed"] is False
    assert re.fullmatch(
        r"mAP of the test set is 0\.\d{4}, at least 0\.\d{4} by its interval; 0\.99 is required\. .*", gate["sentence"]
    )


def test_a_runtime_with_other_detections_does_not_serve(job: JobDirectory) -> None:
    job.measure("challenger", "openvino", 38.0, seed=1)
    assert job.run() == 0
    serving = job.evaluation()["serving"]
    assert serving["runtime"] == "openvino-int8"
    assert serving["runtimes"]["openvino"]["parity"]["equal"] is False
    assert job.evaluation()["gate"]["passed"] is True


def test_where_no_runtime_gives_the_savedmodel_s_detections_nothing_serves_and_one_sentence_says_so(
    job: JobDirectory,
) -> None:
    job.archive(seed=1)
    job.index()
    assert job.run() == 0
    content = job.evaluation()
    assert content["gate"]["passed"] is False
    assert content["gate"]["sentence"].startswith(
        "No runtime of the endpoint's image gives the SavedModel's detections: the share of detections in which"
    )
    assert content["serving"]["runtime"] == "openvino"
    assert ">serves<" not in job.output("report.html").read_text()


def test_a_model_with_no_form_but_its_savedmodel_is_scored_and_does_not_pass(job: JobDirectory) -> None:
    job.index(runtimes=[])
    assert job.run() == 0
    content = job.evaluation()
    assert content["gate"]["passed"] is False
    assert content["gate"]["sentence"].startswith("Nothing can serve this model: it has no form that the image")
    assert content["metrics"]["mAP"]["value"] > 0.5
    assert "<dt>Answered by</dt><dd>its SavedModel" in job.output("report.html").read_text()


def test_the_savedmodel_s_own_answers_stand_beside_the_measured_ones_without_a_speed(finished: Finished) -> None:
    runtimes = finished.job.evaluation()["serving"]["runtimes"]
    assert list(runtimes) == ["tensorflow", "openvino", "openvino-int8"]
    told = runtimes["tensorflow"]
    assert (told["images_per_second"], told["latency_milliseconds"], told["parity"]) == (None, {}, None)
    assert told["untimed"] == "EvaluateDetector ran its SavedModel, not the server on the endpoint's instance type"
    assert told["mAP"] == runtimes["openvino-int8"]["mAP"]
    assert runtimes["openvino"]["untimed"] is None
    assert told["untimed"] in html.unescape(finished.job.output("report.html").read_text())
    assert "answered=60/60 images_per_second=" in finished.printed


def test_tensorflow_on_the_server_is_compared_like_any_other_runtime(job: JobDirectory) -> None:
    job.measure("challenger", "tensorflow", 300.0, noise=1e-6)
    job.index(runtimes=["tensorflow", "openvino"])
    assert job.run() == 0
    content = job.evaluation()
    assert (content["serving"]["runtime"], content["serving"]["parity"]["matched"]) == ("tensorflow", 1.0)
    assert content["serving"]["runtimes"]["tensorflow"]["images_per_second"] == 300.0
    assert content["gate"]["passed"] is True


def test_a_better_champion_stays(job: JobDirectory) -> None:
    job.measure("champion", "openvino", 38.0, missed=0.0, shift=0.001)
    job.index({"runtimes": ["openvino"], "runtime": "openvino"})
    assert job.run() == 0
    content = job.evaluation()
    assert content["gate"]["passed"] is False
    assert "the champion's" in content["gate"]["sentence"]
    change = content["champion"]["change"]["mAP"]
    assert change["value"] < -0.02
    assert change["lower"] <= change["value"] <= change["upper"]
    assert change["probability_better"] == 0.0
    assert set(content["champion"]["per_class_change"]) == set(LABELS.values())


def test_the_champion_is_measured_in_its_own_runtime(job: JobDirectory) -> None:
    job.measure("champion", "openvino", 38.0, missed=0.0, shift=0.001)
    job.measure("champion", "openvino-int8", 9.0, missed=0.6)
    job.index({"runtimes": ["openvino", "openvino-int8"]})
    job.environment["MAPGATE_CHAMPION_RUNTIME"] = "openvino-int8"
    assert job.run() == 0
    content = job.evaluation()
    assert content["champion"]["runtime"] == "openvino-int8"
    assert content["champion"]["images_per_second"]["value"] == 9.0
    assert content["gate"]["passed"] is True


@pytest.mark.parametrize(("damage", "passes"), [({"missed": 0.6}, True), ({"missed": 0.0, "shift": 0.001}, False)])
def test_a_champion_that_serves_by_tensorflow_is_answered_by_its_savedmodel(
    job: JobDirectory, damage: dict[str, float], passes: bool
) -> None:
    classes = [{"id": 3, "name": "vehicle"}, {"id": 1, "name": "pedestrian"}, {"id": 2, "name": "cyclist"}]
    job.archive("champion", damage={"ids": {1: 3, 2: 1, 4: 2}, **damage}, classes=classes)
    job.index({"runtime": "tensorflow", "error": "champion: this image has no tensorflow"})
    job.environment["MAPGATE_CHAMPION_RUNTIME"] = "tensorflow"
    assert job.run() == 0
    content = job.evaluation()
    champion = content["champion"]
    assert (champion["runtime"], champion["reason"], content["gate"]["passed"]) == ("tensorflow", None, passes)
    assert champion["images_per_second"]["value"] is None
    assert "EvaluateDetector ran its SavedModel" in champion["images_per_second"]["reason"]
    named = [str(one["name"]) for one in classes]
    assert content["model"]["changes"] == [
        {"what": "data", "name": "classes", "champion": ", ".join(named), "challenger": ", ".join(LABELS.values())}
    ] or named == list(LABELS.values())
    assert champion["images_per_second"]["reason"] in html.unescape(job.output("report.html").read_text())


def test_a_champion_whose_savedmodel_cannot_be_run_could_not_be_measured(job: JobDirectory) -> None:
    (job.input("champion") / "model.tar.gz").write_bytes(b"no archive")
    job.index({"runtime": "tensorflow", "error": "champion: this image has no tensorflow"})
    job.environment["MAPGATE_CHAMPION_RUNTIME"] = "tensorflow"
    assert job.run() == 0
    content = job.evaluation()
    assert content["gate"]["passed"] is False
    assert "cannot be read as a .tar.gz" in content["champion"]["reason"]


@pytest.mark.parametrize(
    ("champion", "runtime", "reason"),
    [
        ({"runtimes": [], "error": "its archive is gone"}, "", "its archive is gone"),
        ({"runtimes": ["openvino"]}, "", "not the detections of a runtime"),
        (None, "openvino", "its detections are missing among the measurements"),
    ],
)
def test_a_champion_that_could_not_be_measured_fails_the_gate(
    job: JobDirectory, champion: dict[str, Any] | None, runtime: str, reason: str
) -> None:
    job.index(champion)
    job.environment["MAPGATE_CHAMPION_RUNTIME"] = runtime
    assert job.run() == 0
    content = job.evaluation()
    assert content["gate"]["passed"] is False
    assert reason in content["champion"]["reason"]
    assert "The champion could not be measured" in content["gate"]["sentence"]


@pytest.mark.parametrize("who", ["champion", "best"])
def test_a_version_that_is_named_and_was_not_measured_fails_the_gate(job: JobDirectory, who: str) -> None:
    job.environment |= {f"MAPGATE_{who.upper()}_ARN": "arn:aws:sagemaker:::model-package/m/2"}
    assert job.run() == 0
    content = job.evaluation()
    assert content["gate"]["passed"] is False
    assert content[who]["reason"] == "its detections are missing among the measurements"


def test_a_score_of_other_images_fails_the_gate(job: JobDirectory) -> None:
    others = [f"other_{at}" for at in range(IMAGES)]
    for runtime in ("openvino", "openvino-int8"):
        job.measure("challenger", runtime, 10.0, source_ids=others)
    assert job.run() == 0
    gate = job.evaluation()["gate"]
    assert gate["passed"] is False
    assert "not computed on the present test set" in gate["sentence"]


def test_a_model_of_another_data_set_fails_the_gate(job: JobDirectory) -> None:
    job.archive(sha256="e" * 64)
    job.index()
    assert job.run() == 0
    assert "train again" in job.evaluation()["gate"]["sentence"]


def test_a_score_of_another_model_fails_the_gate(job: JobDirectory) -> None:
    job.archive(steps=2000)
    assert job.run() == 0
    assert job.evaluation()["gate"]["sentence"].startswith("The measured model is not the one to be registered")


def test_a_score_of_the_same_images_with_other_content_fails_the_gate(job: JobDirectory) -> None:
    shard = job.input("test") / "test-00000-of-00002.tfrecord"
    examples = list(read_examples(job.input("test")))[:30]
    with shard.open("wb") as stream:
        for example in examples:
            write_record(stream, encode(replace(example, filename="changed.jpg")))
    assert job.run() == 0
    assert "not computed on the present test set" in job.evaluation()["gate"]["sentence"]


def test_a_champion_that_an_administrator_lets_go_is_told_wherever_somebody_decides(job: JobDirectory) -> None:
    waiver = "emptied by hand, ticket 4711 - admin 2026-11-30"
    job.environment.update(MAPGATE_CHAMPION_RUNTIME="openvino", MAPGATE_CHAMPION_WAIVER=waiver)
    assert job.run() == 0
    content = job.evaluation()
    assert (content["champion"]["reason"], content["champion"]["waiver"]) == ("its artifact is gone", waiver)
    assert content["gate"]["passed"] is True
    assert waiver in content["gate"]["sentence"]
    assert waiver in job.output("report.html").read_text()


def test_a_champion_with_other_ids_is_compared_by_names(job: JobDirectory) -> None:
    job.measure("champion", "openvino", 38.0, missed=0.5, ids={1: 3, 2: 1, 4: 2})
    classes = [{"id": 3, "name": "vehicle"}, {"id": 1, "name": "pedestrian"}, {"id": 2, "name": "cyclist"}]
    job.index({"runtimes": ["openvino"], "classes": classes})
    assert job.run() == 0
    content = job.evaluation()
    assert content["champion"]["reason"] is None
    assert 0.2 < content["champion"]["metrics"]["mAP"]["value"] < content["metrics"]["mAP"]["value"]


WEAK = """
schema_version: 2
metrics: {mAP_50: 0.01}
every_class: {}
exempt_classes: [vehicle, pedestrian, cyclist]
support: {images: 1, boxes_per_class: 1}
champion: null
serving: {least_matched: 0.01, greatest_difference: {mAP: 1}}
"""


def test_an_executions_weak_policy_changes_nothing_and_every_rule_that_it_would_loosen_is_told(
    job: JobDirectory,
) -> None:
    for runtime in ("openvino", "openvino-int8"):
        job.measure("challenger", runtime, 10.0, missed=0.7)
    assert job.run() == 0
    verdict = job.evaluation()["gate"]
    (job.input("gate_policy") / "none").unlink()
    (job.input("gate_policy") / "weak.yaml").write_text(WEAK)
    assert job.run() == 0
    content = job.evaluation()
    assert (content["gate"]["passed"], content["gate"]["rules"]) == (False, verdict["rules"])
    policy = content["policy"]
    assert policy["run"] == {"uri": "s3://bucket/gate_policy", "sha256": hashlib.sha256(WEAK.encode()).hexdigest()}
    assert "metrics.mAP_50: the execution's 0.01 is below the environment's 0.5, which counts." in policy["overruled"]
    assert "champion: the execution asks for no comparison; the environment's counts." in policy["overruled"]
    assert (
        'Of class "cyclist" nothing is asked where the test set has no box of it (exempt_classes).'
        in (policy["left_out"])
    )


def test_without_the_environments_policy_nothing_is_judged(job: JobDirectory) -> None:
    (job.input("floor_policy") / "gate_policy.yaml").rename(job.input("floor_policy") / "none")
    assert job.run() == 2
    assert 'The job has no input "floor_policy"' in job.sentence()


def test_the_verdict_says_who_chose_the_test_set_and_what_it_can_show(job: JobDirectory) -> None:
    assert job.run() == 0
    content = job.evaluation()
    assert "The execution chose its own test set of 60 images." in content["gate"]["sentence"]
    shown, needed = (content["resolution"][name]["mAP"] for name in ("smallest_difference", "images_needed"))
    assert 0.02 < shown < 0.1
    assert (
        f"shows a fall of {shown:.3f} mAP in 8 of 10 cases; 0.025 would need {needed} such images"
        in (content["gate"]["sentence"])
    )
    assert content["dataset"]["overlap_with_champion"] is None


def test_images_that_a_model_has_learnt_from_are_left_out_and_counted(job: JobDirectory) -> None:
    groups = _groups(job)
    job.archive(seen={"groups": {"train": groups[:2], "validation": []}, "unknown": ["weights from outside"]})
    job.archive("champion", seen={"groups": {"train": groups[1:6], "validation": groups[6:7], "test": groups[:15]}})
    job.measure("champion", "openvino", 38.0, missed=0.3)
    job.index({"runtimes": ["openvino"]})
    assert job.run() == 0
    content = job.evaluation()
    assert content["dataset"]["images"] == 53
    assert content["dataset"]["left_out"] == {"images": 7, "groups": 7, "by": {"ancestors": 2, "champion": 6}}
    assert content["dataset"]["unknown_ancestors"] == ["weights from outside"]
    assert content["dataset"]["overlap_with_champion"] == {"images": 8, "share": pytest.approx(8 / 53)}
    sentence = content["gate"]["sentence"]
    assert "its own test set of 53 images, of which 8 (15%) are in the champion's." in sentence
    assert "7 test images of 7 groups are left out: they were learnt from (ancestors 2, champion 6)." in sentence
    assert "Nobody knows the images that weights from outside learnt from, so none of them is left out." in sentence
    samples = {path.name for path in job.output("samples").iterdir()}
    assert len(samples) == 24
    found = json.loads(job.output("detections.json").read_text())
    assert not {one["source_id"] for one in found} & set(job.source_ids[:7])
    kept = {one["source_id"] for one in found}
    assert {job.source_ids[7], job.source_ids[59]} <= kept


def test_a_test_set_of_which_too_little_is_left_fails(job: JobDirectory) -> None:
    seen = {"groups": {"train": _groups(job)[:20], "validation": []}, "unknown": []}
    job.archive(seen=seen)
    job.index()
    assert job.run() == 0
    gate = job.evaluation()["gate"]
    assert gate["passed"] is False
    assert (
        "Without the 20 test images that a model has learnt from, the test set has 40 images; 50 are required."
        in (gate["sentence"])
    )
    job.archive(seen={"groups": {"train": _groups(job), "validation": []}, "unknown": []})
    job.index()
    assert job.run() == 2
    assert "every test image was learnt from (ancestors); bring test images that no model has seen" in job.sentence()


def test_a_class_that_the_champion_does_not_know_counts_for_nobody(job: JobDirectory) -> None:
    ids = {1: 3, 2: 9, 4: 2}  # what we call a pedestrian it calls nothing that we have
    job.measure("champion", "openvino", 38.0, missed=0.0, shift=0.001, ids=ids)
    classes = [{"id": 3, "name": "vehicle"}, {"id": 9, "name": "person"}, {"id": 2, "name": "cyclist"}]
    job.index({"runtimes": ["openvino"], "classes": classes})
    assert job.run() == 0
    content = job.evaluation()
    champion = content["champion"]
    assert champion["classes"] == {
        "common": ["vehicle", "cyclist"], "new": ["pedestrian"], "missing": ["person"], "renamed": [],
    }  # fmt: skip
    # Over the classes that both have it is better, so a class that it never knew hides no regression.
    assert champion["metrics"]["mAP"]["value"] > 0.9
    assert champion["change"]["mAP"]["value"] < -0.1
    assert set(champion["per_class_change"]) == {"vehicle", "cyclist"}
    assert "The challenger has not the champion's classes person: they are not compared." in content["gate"]["sentence"]
    assert content["gate"]["passed"] is False


def test_too_few_common_classes_fail(job: JobDirectory) -> None:
    job.measure("champion", "openvino", 38.0, missed=0.9)
    classes = [{"id": 1, "name": "vehicle"}, {"id": 2, "name": "person"}, {"id": 4, "name": "bicycle"}]
    job.index({"runtimes": ["openvino"], "classes": classes})
    assert job.run() == 0
    content = job.evaluation()
    assert content["champion"]["classes"]["renamed"] == [["person", "pedestrian"], ["bicycle", "cyclist"]]
    assert "Of 3 classes of the champion the challenger has 1, 0.5 of them are required" in content["gate"]["sentence"]


def test_the_best_version_that_ever_served_is_compared_too(job: JobDirectory) -> None:
    job.measure("champion", "openvino", 38.0, missed=0.3)
    job.measure("best", "openvino", 20.0, missed=0.0, shift=0.001)
    job.index({"runtimes": ["openvino"]}, best={"runtimes": ["openvino"], "runtime": "openvino"})
    job.environment |= {"MAPGATE_BEST_ARN": "arn:aws:sagemaker:::model-package/m/2", "MAPGATE_BEST_RUNTIME": "openvino"}
    assert job.run() == 0
    content = job.evaluation()
    assert content["champion"]["change"]["mAP"]["value"] > 0
    best = content["best"]
    assert (best["arn"], best["runtime"]) == ("arn:aws:sagemaker:::model-package/m/2", "openvino")
    assert best["change"]["mAP"]["value"] < -0.02
    assert content["gate"]["passed"] is False
    assert "the best version that ever served's" in content["gate"]["sentence"]


def test_the_environments_test_set_is_answered_by_class_names_and_known_by_its_digest(job: JobDirectory) -> None:
    _rename(job, {1: (1, "tram"), 2: (2, "pedestrian"), 4: (4, "cyclist")})
    assert job.run() == 0
    lost = job.evaluation()["gate"]
    assert 'The test set asks for class "tram", which the model has not learnt.' in lost["sentence"]
    # The names that the records state are part of the digest; a file beside them, which anybody may swap, is not.
    _rename(job, {1: (2, "vehicle"), 2: (9, "pedestrian"), 4: (1, "cyclist")})
    write_label_map(LabelMap({2: "pedestrian", 9: "vehicle", 1: "cyclist"}), job.input("test") / "label_map.pbtxt")
    assert job.run() == 0
    swapped = job.evaluation()
    assert swapped["gate"]["passed"]
    policy = job.input("floor_policy") / "gate_policy.yaml"
    digest = swapped["dataset"]["test_set"]
    named = f"\ntest_set: {{uri: s3://bucket/test/, sha256: {digest}}}\n"
    policy.write_text(policy.read_text() + named)
    assert job.run() == 0
    content = job.evaluation()
    assert (content["gate"]["passed"], content["dataset"]["chosen_by"]) == (True, "environment")
    assert "chose its own" not in content["gate"]["sentence"]
    policy.write_text(policy.read_text().replace(digest, "f" * 64))
    assert job.run() == 0
    gate = job.evaluation()["gate"]
    assert (gate["passed"], gate["sentence"][:43]) == (False, "The policy names the test set s3://bucket/t")


def _rename(job: JobDirectory, classes: Mapping[int, tuple[int, str]]) -> None:
    """Give the test images' boxes other ids and names, before they are measured."""
    examples = list(read_examples(job.input("test")))
    for shard in range(2):
        with (job.input("test") / f"test-0000{shard}-of-00002.tfrecord").open("wb") as stream:
            for at, example in enumerate(examples[shard * 30 : shard * 30 + 30], shard * 30):
                renamed = [classes[int(label)] for label in job.truths[at][1]]
                labels, names = (
                    np.array([number for number, _ in renamed], np.int64),
                    tuple(name for _, name in renamed),
                )
                write_record(stream, encode(replace(example, labels=labels, names=names)))
    job.index()


def test_slices_recall_and_resources_are_measured_and_asked(job: JobDirectory) -> None:
    policy = job.input("floor_policy") / "gate_policy.yaml"
    asked = policy.read_text().replace("slices: {}", 'slices: {"camera=front": {mAP_50: 0.4}}')
    asked = asked.replace("recall: {}", "recall: {cyclist: {precision: 0.5, recall: 0.3}}")
    asked = asked.replace("least_matched: 0.98", "least_matched: 0.98\n  resident_megabytes: 200")
    policy.write_text(asked)
    assert job.run() == 0
    content = job.evaluation()
    assert {name: one["images"] for name, one in content["slices"].items()} == {"camera=front": 40, "camera=rear": 20}
    front = content["slices"]["camera=front"]["metrics"]["mAP_50"]
    assert front["lower"] < front["value"] < front["upper"]
    rules = {rule["rule"]: rule for rule in content["gate"]["rules"]}
    assert rules["mAP_50[camera=front]"]["actual"] == front["lower"]
    assert rules["recall[cyclist]"]["passed"]
    assert not rules["serving.resident_megabytes"]["passed"]
    assert content["gate"]["sentence"].startswith("The memory of the server is 210 MB; 200 MB is allowed.")
    cyclist = content["per_class"]["cyclist"]
    assert cyclist["missed"]["count"] == round(cyclist["missed"]["share"] * cyclist["support"])
    assert cyclist["recall_at_threshold"]["value"] == pytest.approx(1 - cyclist["missed"]["share"])


def test_wrong_inputs_end_with_two_and_one_sentence(job: JobDirectory) -> None:
    policy = job.input("floor_policy") / "gate_policy.yaml"
    policy.write_text(policy.read_text().replace("mAP_50: 0.5", "mAP_50: high"))
    assert job.run_as_process().returncode == 2
    assert "gate_policy.yaml: metrics.mAP_50: 'high' is no number above 0, up to 1" in job.sentence()
    assert not job.output("evaluation.json").exists()


def test_detections_that_are_no_numbers_end_with_two(job: JobDirectory) -> None:
    _rewrite(job, "openvino", scores=np.full(1, np.nan, np.float32), boxes=np.zeros((1, 4), np.float32),
             image_index=np.zeros(1, np.int32), classes=np.ones(1, np.int32))  # fmt: skip
    assert job.run() == 2
    assert "has the score nan" in job.sentence()


def test_a_threshold_that_is_no_share_ends_with_two(job: JobDirectory) -> None:
    job.environment["MAPGATE_MAP_THRESHOLD"] = "nan"
    assert job.run() == 2
    assert 'MAPGATE_MAP_THRESHOLD: "nan" is no number from 0 to 1' in job.sentence()


def _groups(job: JobDirectory) -> list[str]:
    """How a data set that had these test images among its own would name their groups."""
    return [
        hashlib.sha256(xxhash.xxh3_128_hexdigest(one.encoded).encode()).hexdigest()[:12]
        for one in read_examples(job.input("test"))
    ]


def _digest(paths: list[Path]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()


def _example(made: JobDirectory, name: str, random: np.random.Generator) -> DetectionExample:
    count = int(random.integers(1, 5))
    corner = np.column_stack([random.uniform(0.05, 0.6, count), np.arange(count) * 0.24 + 0.02])
    boxes = np.hstack([corner, corner + random.uniform(0.12, 0.22, (count, 2))]).astype(np.float32)
    labels = random.choice(list(LABELS), count).astype(np.int64)
    made.truths.append((boxes, labels))
    image = np.full((240, 320, 3), (200, 190, 180), np.uint8)
    image[:8, :8] = GREY_A_NUMBER * (len(made.truths) - 1)
    for (ymin, xmin, ymax, xmax), label in zip(boxes, labels, strict=True):
        corners = [(round(float(x) * 319), round(float(y) * 239)) for x, y in ((xmin, ymin), (xmax, ymax))]
        cv2.rectangle(image, corners[0], corners[1], (40 * int(label), 90, 200 - 40 * int(label)), cv2.FILLED)
    encoded = cv2.imencode(".jpg", image)[1].tobytes()
    none = np.zeros(count, np.int64)
    names = tuple(LABELS[int(label)] for label in labels)
    camera = "front" if len(made.truths) <= 40 else "rear"
    return DetectionExample(
        name, name, encoded, "jpeg", 320, 240, boxes, labels, names, none, none, none, attributes={"camera": camera},
    )  # fmt: skip


def _write_model(
    path: Path,
    saved_model: Path,
    table: bytes,
    steps: int,
    *,
    sha256: str = SHA256,
    classes: Any = None,
    seen: Any = None,
) -> None:
    names = [{"id": number, "name": name} for number, name in LABELS.items()]
    description = {
        "schema_version": 1, "architecture": "ssd_mobilenet_v2_fpnlite_640x640", "dataset": {"sha256": sha256},
        "training": {"steps": steps, "seed": 17, "fingerprint": "abc", "best_step": 800},
        "classes": classes or names, "runtimes": {"tensorflow": {"path": "1", "precisions": ["f32"]}},
        "seen": seen or {"groups": GROUPS, "unknown": []},
    }  # fmt: skip
    history = [
        {"step": step, "loss": 3.0 * 0.8 ** (step / 100), "classification_loss": 1.2, "learning_rate": step / 1e5}
        for step in range(0, 1001, 20)
    ]
    history += [{"step": step, "mAP": step / 2000, "mAP_50": step / 1300} for step in range(200, 1001, 200)]
    files = {"model.json": json.dumps(description).encode(), "history.json": json.dumps(history).encode()}
    files |= {f"1/{one.relative_to(saved_model)}": one.read_bytes() for one in saved_model.rglob("*") if one.is_file()}
    files["1/assets/detections"] = table
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _write_config(made: JobDirectory) -> None:
    suffixes = {"model": "/model.tar.gz"}
    config = {
        "ProcessingInputs": [
            {"InputName": name, "S3Input": {
                "S3Uri": f"s3://bucket/{name}{suffixes.get(name, '')}", "LocalPath": f"/opt/ml/processing/input/{name}",
            }} for name in INPUTS
        ],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "evaluation", "S3Output": {
            "S3Uri": "s3://bucket/evaluation", "LocalPath": "/opt/ml/processing/output/evaluation",
        }}]},
        "Environment": {},
    }  # fmt: skip
    (made.root / "config").mkdir()
    (made.root / "config/processingjobconfig.json").write_text(json.dumps(config))


def _spoil(job: JobDirectory, source_id: str) -> None:
    """Have an image of the test set be none that anybody can decode."""
    folder = job.input("test")
    examples = list(read_examples(folder))
    for shard in folder.iterdir():
        shard.unlink()
    with (folder / "test-00000-of-00001.tfrecord").open("wb") as stream:
        for one in examples:
            spoilt = replace(one, encoded=b"\xff\xd8 no picture") if one.source_id == source_id else one
            write_record(stream, encode(spoilt))


def _without_detections(job: JobDirectory, runtime: str, image: int) -> None:
    path = job.input("measurements") / "challenger" / runtime / "detections.npz"
    with np.load(path) as arrays:
        kept = arrays["image_index"] != image
        columns = {name: arrays[name][kept] for name in ("image_index", "boxes", "scores", "classes")}
    _rewrite(job, runtime, **columns)


def _rewrite(job: JobDirectory, runtime: str, **arrays: Any) -> None:
    path = job.input("measurements") / "challenger" / runtime / "detections.npz"
    with np.load(path) as kept:
        content = {name: kept[name] for name in kept.files}
    np.savez(path, **(content | arrays))


def _oracle(job: JobDirectory, results: list[dict[str, Any]]) -> list[float]:
    truth, identifier = [], 0
    for image, (boxes, labels) in enumerate(job.truths):
        for (ymin, xmin, ymax, xmax), label in zip(boxes.astype(float), labels, strict=True):
            identifier += 1
            box = [xmin * 320, ymin * 240, (xmax - xmin) * 320, (ymax - ymin) * 240]
            truth.append({"id": identifier, "image_id": image + 1, "category_id": int(label), "bbox": box,
                          "area": box[2] * box[3], "iscrowd": 0})  # fmt: skip
    dataset = COCO()
    dataset.dataset = {
        "images": [{"id": at + 1, "width": 320, "height": 240} for at in range(len(job.truths))],
        "categories": [{"id": number, "name": name} for number, name in LABELS.items()],
        "annotations": truth,
    }
    dataset.createIndex()
    evaluator = COCOeval(dataset, dataset.loadRes(results), "bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return [float(value) for value in evaluator.stats]
