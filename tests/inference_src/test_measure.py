# SPDX-License-Identifier: Apache-2.0
"""MeasureServing as the platform runs it: a job directory, a process, and what it leaves behind."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from containers.contract.cores import cores
from containers.contract.job import ProcessingJob, run
from inference_src.clients import LATENCY_SAMPLES
from inference_src.errors import TooLittleTimeError
from inference_src.measure import _measure_job
from inference_src.time_limit import TimeLimit
from pipelines.client.locked_environment import make_environment

ROOT = Path(__file__).parents[2]
INPUTS = ("model", "champion", "best", "test", "metadata")


@dataclass
class Job:
    """A processing job's directory, and the interpreter of the image that runs it."""

    root: Path
    python: str = sys.executable

    def input(self, name: str) -> Path:
        return self.root / "processing/input" / name

    def run(self, **environment: str) -> tuple[int, str]:
        """Run the step; give exit code and ExitMessage."""
        variables = {"PATH": os.environ["PATH"], "MAPGATE_ML_ROOT": str(self.root)} | environment
        command = [self.python, "-m", "inference_src", "measure"]
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
        message = self.root / "output/message"
        print(done.stdout, done.stderr)
        return done.returncode, message.read_text() if message.exists() else ""

    def measured(self, role: str, runtime: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        folder = self.root / "processing/output/measurements" / role / runtime
        with np.load(folder / "detections.npz", allow_pickle=False) as arrays:
            return dict(arrays), json.loads((folder / "timings.json").read_text())


@pytest.fixture
def job(tmp_path: Path, model_dir: Path, levels: list[list[int]], write_shard: Callable[..., None]) -> Job:
    """A job whose test set is two shards of plainly coloured images, and which has no other model."""
    job = Job(tmp_path / "ml")
    places = {name: f"/opt/ml/processing/input/{name}" for name in INPUTS}
    config = {
        "ProcessingJobName": "measure",
        "ProcessingInputs": [
            {"InputName": name, "S3Input": {"LocalPath": place, "S3Uri": "s3://b/k"}} for name, place in places.items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {"OutputName": "measurements", "S3Output": {"LocalPath": "/opt/ml/processing/output/measurements"}}
            ]
        },
    }
    (job.root / "config").mkdir(parents=True)
    (job.root / "config/processingjobconfig.json").write_text(json.dumps(config))
    for name in INPUTS:
        job.input(name).mkdir(parents=True)
    pack(model_dir, job.input("model"))
    for name in ("champion", "best"):
        (job.input(name) / "none").write_text("none\n")
    (job.input("metadata") / "label_map.pbtxt").write_text("")
    images = [
        (f"image-{number}", bytes(simplejpeg.encode_jpeg(np.full((20, 30, 3), level, np.uint8), quality=100)))
        for number, level in enumerate(levels)
    ]
    write_shard(job.input("test") / "test-00001-of-00002.tfrecord", images[3:])
    write_shard(job.input("test") / "test-00000-of-00002.tfrecord", images[:3])
    return job


@pytest.fixture
def levels() -> list[list[int]]:
    """The colour of each test image."""
    return [[200, 100, 50], [10, 20, 30], [0, 0, 0], [255, 128, 64], [90, 90, 91]]


def pack(model: Path, folder: Path) -> None:
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(model, ".")


def test_each_runtime_s_answers_and_speed_are_written_down(job: Job, levels: list[list[int]]) -> None:
    assert job.run() == (0, "")
    report = json.loads((job.root / "processing/output/measurements/measurements.json").read_text())
    assert report["schema_version"] == 1
    assert report["challenger"]["runtimes"] == ["tensorflow", "openvino"]
    assert report["champion"] is None
    assert report["best"] is None
    archive = job.input("model") / "model.tar.gz"
    assert report["challenger"]["artifact_megabytes"] == pytest.approx(archive.stat().st_size / 2**20, abs=0.01)
    assert report["refused"] == []
    tables = []
    for runtime in ("tensorflow", "openvino"):
        arrays, timings = job.measured("challenger", runtime)
        assert arrays["images"] == 5
        assert arrays["source_ids"].tolist() == [f"image-{number}" for number in range(5)]
        assert {name: array.dtype.str for name, array in arrays.items() if name != "source_ids"} == {
            "image_index": "<i4",
            "boxes": "<f4",
            "scores": "<f4",
            "classes": "<i4",
            "images": "<i8",
        }
        for number, level in enumerate(levels):
            rows = arrays["image_index"] == number
            by_id = dict(zip(arrays["classes"][rows].tolist(), arrays["scores"][rows].tolist(), strict=True))
            assert by_id == pytest.approx(dict(zip((1, 2, 4), np.array(level) / 255, strict=True)), abs=0.01)
        first = (arrays["image_index"] == 0) & (arrays["classes"] == 2)
        assert arrays["boxes"][first][0] == pytest.approx([0.1, 0.1, 0.6, 0.1 + 100 / 255], abs=0.01)
        assert timings["images"] == 5
        assert timings["precision"] == "f32"
        assert timings["images_per_second"] > 0
        assert 0 < timings["latency_milliseconds"]["p50"] <= timings["latency_milliseconds"]["p99"]
        assert timings["latency_samples"] == LATENCY_SAMPLES
        assert timings["side_by_side"] == cores()
        assert timings["told_to_wait"] == 0
        assert timings["load_seconds"] > 0
        assert timings["resident_megabytes"] > 20
        tables.append(arrays)
    np.testing.assert_allclose(tables[0]["scores"], tables[1]["scores"], atol=1e-6)
    assert not list(job.root.glob("measure-*"))


def test_a_champion_is_measured_with_its_own_runtime(
    job: Job, model_dir: Path, tmp_path: Path, describe_model: Callable[..., None]
) -> None:
    only = shutil.copytree(model_dir, tmp_path / "only")
    describe_model(only, runtimes={"openvino": {"path": "runtimes/openvino/model.xml", "precisions": ["f32"]}})
    pack(only, job.input("model"))
    (job.input("champion") / "none").unlink()
    pack(model_dir, job.input("champion"))
    assert job.run(MAPGATE_CHAMPION_RUNTIME="openvino") == (0, "")
    report = json.loads((job.root / "processing/output/measurements/measurements.json").read_text())
    assert report["champion"]["runtimes"] == ["openvino"]
    challenger, _ = job.measured("challenger", "openvino")
    champion, _ = job.measured("champion", "openvino")
    np.testing.assert_array_equal(challenger["scores"], champion["scores"])


def test_the_best_version_that_served_is_measured_as_the_champion_is_and_last(
    job: Job, model_dir: Path, tmp_path: Path, describe_model: Callable[..., None]
) -> None:
    quick = shutil.copytree(model_dir, tmp_path / "quick")
    describe_model(quick, runtimes={"openvino": {"path": "runtimes/openvino/model.xml", "precisions": ["f32"]}})
    pack(quick, job.input("model"))
    for name in ("champion", "best"):
        (job.input(name) / "none").unlink()
        pack(model_dir, job.input(name))
    assert job.run(MAPGATE_CHAMPION_RUNTIME="openvino", MAPGATE_BEST_RUNTIME="tensorflow") == (0, "")
    report = json.loads((job.root / "processing/output/measurements/measurements.json").read_text())
    assert report["champion"]["runtimes"] == ["openvino"]
    assert report["best"].keys() == report["champion"].keys() == report["challenger"].keys() | {"runtime"}
    assert (report["best"]["runtime"], report["best"]["runtimes"]) == ("tensorflow", ["tensorflow"])
    assert report["best"]["artifact_megabytes"] == report["champion"]["artifact_megabytes"] > 0
    best, timings = job.measured("best", "tensorflow")
    assert best["images"] == timings["images"] == 5
    written = [
        (job.root / "processing/output/measurements" / place / "timings.json").stat().st_mtime_ns
        for place in ("challenger/openvino", "champion/openvino", "best/tensorflow")
    ]
    assert written == sorted(written)


def test_each_model_that_comes_after_counts_for_the_time(
    quick_job: Job, copied_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that is not given costs nothing, and is counted nowhere."""
    asked: list[tuple[str, int]] = []

    def note(_: TimeLimit, what: str, __: int, ___: float, runs_after: int, ____: float) -> None:
        asked.append((what.split()[0], runs_after))

    def measured() -> list[tuple[str, int]]:
        asked.clear()
        assert run(_measure_job, ProcessingJob) == 0
        return list(dict.fromkeys(asked))

    monkeypatch.setattr(TimeLimit, "check", note)
    monkeypatch.setenv("MAPGATE_ML_ROOT", str(quick_job.root))
    assert measured() == [("challenger", 0)]
    for name in ("champion", "best"):
        (quick_job.input(name) / "none").unlink()
        pack(copied_model, quick_job.input(name))
    assert measured() == [("challenger", 2), ("champion", 1), ("best", 0)]


def test_a_champion_that_cannot_be_served_is_a_fact_for_the_gate(
    job: Job, model_dir: Path, tmp_path: Path, describe_model: Callable[..., None]
) -> None:
    quick = shutil.copytree(model_dir, tmp_path / "quick")
    describe_model(quick, runtimes={"openvino": {"path": "runtimes/openvino/model.xml", "precisions": ["f32"]}})
    pack(quick, job.input("model"))
    (quick / "runtimes/openvino/model.xml").write_text("<net")
    (job.input("champion") / "none").unlink()
    pack(quick, job.input("champion"))
    assert job.run(MAPGATE_CHAMPION_RUNTIME="openvino") == (0, "")
    report = json.loads((job.root / "processing/output/measurements/measurements.json").read_text())
    assert set(report["champion"]) == {"runtime", "error"}
    assert "champion: the server ended with 1" in report["champion"]["error"]
    assert job.measured("challenger", "openvino")[0]["images"] == 5


@pytest.fixture
def quick_job(job: Job, copied_model: Path, describe_model: Callable[..., None]) -> Job:
    """A job whose model has one runtime."""
    describe_model(copied_model, runtimes={"openvino": {"path": "runtimes/openvino/model.xml", "precisions": ["f32"]}})
    pack(copied_model, job.input("model"))
    return job


def test_an_image_without_tensorflow_measures_what_it_has(
    job: Job, model_dir: Path, copied_model: Path, describe_model: Callable[..., None], tmp_path: Path
) -> None:
    job.python = str(make_environment(tmp_path / "environment", ROOT / "containers/inference/requirements.cpu.txt"))
    (job.input("champion") / "none").unlink()
    describe_model(copied_model, runtimes={"tensorflow": {"path": "1", "precisions": ["f32"]}})
    pack(model_dir, job.input("champion"))

    def report(**environment: str) -> dict[str, Any]:
        assert job.run(**environment) == (0, "")
        content: dict[str, Any] = json.loads(
            (job.root / "processing/output/measurements/measurements.json").read_text()
        )
        return content

    told = report(MAPGATE_CHAMPION_RUNTIME="tensorflow")
    assert told["challenger"]["runtimes"] == ["openvino"]
    assert "has no runtime 'tensorflow' here" in told["champion"]["error"]
    # A form that it could run was never written: the gate says what that means.
    pack(copied_model, job.input("model"))
    assert report()["challenger"]["runtimes"] == []


def test_a_test_image_that_the_server_refuses_is_one_without_detections(
    quick_job: Job, write_shard: Callable[..., None]
) -> None:
    write_shard(quick_job.input("test") / "test-00000-of-00003.tfrecord", [("bad", b"\xff\xd8 no picture")])
    assert quick_job.run() == (0, "")
    report = json.loads((quick_job.root / "processing/output/measurements/measurements.json").read_text())
    (refused,) = report["refused"]
    assert refused["source_id"] == "bad"
    assert refused["sentence"].startswith("test image 'bad' was answered with 4")
    arrays, timings = quick_job.measured("challenger", "openvino")
    assert timings["images"] == arrays["images"] == 6
    (place,) = np.flatnonzero(arrays["source_ids"] == "bad")
    assert sorted(set(arrays["image_index"].tolist())) == sorted(set(range(6)) - {place})


def test_a_test_set_of_which_much_is_refused_is_wrong(quick_job: Job, write_shard: Callable[..., None]) -> None:
    bad = [(f"bad-{number}", b"no picture") for number in range(2)]
    write_shard(quick_job.input("test") / "test-00000-of-00003.tfrecord", bad)
    code, message = quick_job.run()
    assert code == 2
    assert "challenger: test image 'bad-1' was answered with 415" in message
    assert "so were 1 before it, which is too much of 7 test images" in message


def test_a_test_set_that_is_too_large_for_the_time_is_told_before_the_platform_stops(
    quick_job: Job, write_shard: Callable[..., None], jpeg: bytes
) -> None:
    many = [(f"further-{number}", jpeg) for number in range(20_000)]  # too many for a second on any machine
    write_shard(quick_job.input("test") / "test-00000-of-00003.tfrecord", many)
    config = quick_job.root / "config/processingjobconfig.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"StoppingCondition": {"MaxRuntimeInSeconds": 1}}))
    code, message = quick_job.run()
    assert code == 2
    assert message.startswith("challenger on openvino f32: at ")
    assert "raise processing.evaluate_maximum_hours" in message
    assert not (quick_job.root / "processing/output/measurements/measurements.json").exists()


@pytest.mark.parametrize("role", ["champion", "best"])
def test_another_model_that_the_time_does_not_suffice_for_stops_the_job(
    quick_job: Job, copied_model: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    def too_slow(_: TimeLimit, what: str, *__: object) -> None:
        if what.startswith(role):
            raise TooLittleTimeError(what)

    (quick_job.input(role) / "none").unlink()
    pack(copied_model, quick_job.input(role))
    monkeypatch.setattr(TimeLimit, "check", too_slow)
    monkeypatch.setenv("MAPGATE_ML_ROOT", str(quick_job.root))
    assert run(_measure_job, ProcessingJob) == 2
    assert (quick_job.root / "output/message").read_text() == f"{role} on openvino f32"


def _no_images(job: Job) -> None:
    for shard in job.input("test").iterdir():
        shard.write_bytes(b"")


def _no_model(job: Job) -> None:
    (job.input("model") / "model.tar.gz").rename(job.input("model") / "other")


def _half_a_model(job: Job) -> None:
    path = job.input("model") / "model.tar.gz"
    path.write_bytes(path.read_bytes()[:1000])


def _no_champion_input(job: Job) -> None:
    (job.input("champion") / "none").unlink()


def _half_a_shard(job: Job) -> None:
    path = job.input("test") / "test-00000-of-00002.tfrecord"
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_no_images, "hold no image"),
        (_no_model, "challenger: "),
        (_half_a_model, "model.tar.gz: cannot be read as a .tar.gz"),
        (_no_champion_input, 'input "champion" is missing or empty'),
        (_half_a_shard, "record 2 is cut off"),
    ],
)
def test_bad_input_is_one_sentence_and_2(
    job: Job,
    model_dir: Path,
    tmp_path: Path,
    describe_model: Callable[..., None],
    damage: Callable[[Job], None],
    said: str,
) -> None:
    quick = shutil.copytree(model_dir, tmp_path / "quick")
    describe_model(quick, runtimes={"openvino": {"path": "runtimes/openvino/model.xml", "precisions": ["f32"]}})
    pack(quick, job.input("model"))
    damage(job)
    code, message = job.run()
    assert code == 2
    assert said in message
    assert "\n" not in message


def test_a_server_that_does_not_start_is_told_in_its_own_words(
    job: Job, copied_model: Path, describe_model: Callable[..., None]
) -> None:
    describe_model(copied_model, runtimes={"openvino": {"path": "runtimes/openvino/model.xml", "precisions": ["f32"]}})
    (copied_model / "runtimes/openvino/model.bin").unlink()
    (copied_model / "runtimes/openvino/model.xml").write_text("<net")
    pack(copied_model, job.input("model"))
    code, message = job.run()
    assert code == 1
    assert message.startswith("challenger: the server ended with 1: ")
    assert "openvino cannot load the model" in message


def test_no_server_outlives_a_job_that_is_stopped(job: Job) -> None:
    variables = {"PATH": os.environ["PATH"], "MAPGATE_ML_ROOT": str(job.root)}
    process = subprocess.Popen([sys.executable, "-m", "inference_src", "measure"], cwd=ROOT, env=variables)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("this platform has no /proc to look for children in")
    while process.poll() is None and not children.read_text():
        time.sleep(0.02)
    server = int(children.read_text())
    process.terminate()
    assert process.wait(timeout=60) == 1
    assert not Path(f"/proc/{server}").exists()
    assert not list(job.root.glob("measure-*"))
