# SPDX-License-Identifier: Apache-2.0
"""Both images, built from this checkout, do the pipeline's work under the contract that SageMaker gives them.

Read-only root, no capabilities, folders that are root's alone, no network but the server's port: prepare, train,
measure and evaluate follow one another, each on what the one before has left, and the model is served.
"""

import http.client
import json
import re
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from packaging.specifiers import SpecifierSet

from containers.tags import IMAGE_NAMES, ImageName

if TYPE_CHECKING:
    from tests.containers.conftest import Engine

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "training_src/models/configs/ssd_mobilenet_v2_fpnlite_160x160.config"
LOCKS = [f"{name}/requirements.{kind}.txt" for name in IMAGE_NAMES for kind in ("cpu", "gpu")]
POLICY = ROOT / "infra/training/defaults/gate_policy.yaml"
SOURCE = "s3://bucket/tf2-object-detection/source/sourcedir.tar.gz"
NOTEBOOK = {
    "model_dir": '"/opt/training"',
    "pipeline_config_path": '"pipeline.config"',
    "num_train_steps": '"2"',
    "sample_1_of_n_eval_examples": '"1"',
    "sagemaker_program": '"run_training.sh"',
    "sagemaker_region": '"us-east-1"',
    "sagemaker_submit_directory": json.dumps(SOURCE),
}

pytestmark = pytest.mark.timeout(2400)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images a split, a red or a blue rectangle on each, in the layout of SageMaker's built-in algorithm."""
    folder = tmp_path_factory.mktemp("dataset")
    random = np.random.default_rng(17)
    for split in ("train", "validation", "test"):
        images, annotations = [], []
        (folder / split / "images").mkdir(parents=True)
        for number in range(8):
            image = random.integers(90, 130, (120, 160, 3), np.uint8)
            xmin, ymin = (int(value) for value in random.integers(5, 60, 2))
            image[ymin : ymin + 50, xmin : xmin + 60] = [(20, 20, 220), (220, 20, 20)][number % 2]
            name = f"{split}_{number}.jpg"
            cv2.imwrite(str(folder / split / "images" / name), image)
            images.append({"id": number, "file_name": name, "width": 160, "height": 120})
            box = [xmin, ymin, xmin + 60, ymin + 50]
            annotations.append({"image_id": number, "bbox": box, "category_id": number % 2})
        content = {"images": images, "annotations": annotations}
        (folder / split / "annotations.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's pipeline.config with two classes and a small batch."""
    folder = tmp_path_factory.mktemp("config")
    (folder / "pipeline.config").write_text(CONFIG.read_text())
    return folder


@pytest.fixture(scope="session")
def prepared(engine: "Engine", dataset: Path, config: Path, processing_job: Callable[..., Path]) -> Path:
    """The outputs of `prepare`."""
    inputs = {"dataset": dataset, "label_map": None, "config": config}
    ml = processing_job(inputs, ["train", "validation", "test", "metadata"])
    code, said = engine.run("training", "prepare", ml=ml)
    assert code == 0, said
    return ml / "processing/output"


@pytest.fixture(scope="session")
def trained(engine: "Engine", prepared: Path, config: Path, training_job: Callable[..., Path]) -> Path:
    """The /opt/ml of `train` after two steps."""
    channels = {name: prepared / name for name in ("train", "validation", "metadata")}
    hyperparameters = {"architecture": "ssd_mobilenet_v2_fpnlite_160x160", "num_train_steps": "2", "seed": "17"}
    ml = training_job(channels | {"config": config, "checkpoint": None}, **hyperparameters)
    code, said = engine.run("training", "train", ml=ml)
    assert code == 0, said
    return ml


@pytest.fixture(scope="session")
def model(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.tar.gz, packed as SageMaker packs it."""
    folder = tmp_path_factory.mktemp("artifact")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(trained / "model", ".")
    return folder


@pytest.fixture(scope="session")
def measured(engine: "Engine", prepared: Path, model: Path, processing_job: Callable[..., Path]) -> Path:
    """The output of `measure`."""
    others = {"champion": None, "best": None}
    inputs = {"model": model, **others, "test": prepared / "test", "metadata": prepared / "metadata"}
    ml = processing_job(inputs, ["measurements"])
    code, said = engine.run("inference", "measure", ml=ml)
    assert code == 0, said
    return ml / "processing/output/measurements"


def test_prepare_writes_shards_of_every_split(prepared: Path) -> None:
    for split in ("train", "validation", "test"):
        assert list((prepared / split).glob(f"{split}-*.tfrecord"))
    assert (prepared / "metadata/label_map.pbtxt").exists()


def test_train_leaves_a_model_for_both_runtimes(trained: Path) -> None:
    description = json.loads((trained / "model/model.json").read_text())
    for runtime in description["runtimes"].values():
        assert (trained / "model" / runtime["path"]).exists()
    assert not (trained / "output/failure").exists()


def test_a_failed_training_says_why_where_the_platform_looks(
    engine: "Engine", config: Path, training_job: Callable[..., Path]
) -> None:
    ml = training_job({"config": config}, num_train_steps="2")
    code, _ = engine.run("training", "train", ml=ml)
    assert code == 2
    assert (ml / "output/failure").read_text()


def test_an_isolated_estimator_is_told_to_use_a_channel(
    engine: "Engine", dataset: Path, training_job: Callable[..., Path]
) -> None:
    """As published notebooks send it, with a source_dir that nobody here can fetch."""
    ml = training_job({"train": dataset / "train", "val": dataset / "validation"}, **NOTEBOOK)
    code, said = engine.run("training", "train", ml=ml)
    assert code == 2, said
    failure = (ml / "output/failure").read_text()
    assert failure.startswith(f"The source_dir {SOURCE} cannot be fetched, as in a job with network isolation")
    assert "put its pipeline.config into a channel called config" in failure
    assert "WARNING" not in said, "TensorFlow was not imported for it"


def test_an_isolated_estimator_trains_with_its_config_in_a_channel(
    engine: "Engine", dataset: Path, config: Path, training_job: Callable[..., Path]
) -> None:
    """Its channels hold images, and lie on another disk than what the job writes for itself."""
    channels = {"train": dataset / "train", "val": dataset / "validation", "config": config}
    ml = training_job(channels, **NOTEBOOK)
    code, said = engine.run("training", "train", ml=ml)
    assert code == 0, said
    assert "data          8 images to train on, 8 to validate on" in said
    assert f"sagemaker_submit_directory is without effect: The source_dir {SOURCE} cannot be fetched" in said
    assert "/opt/training cannot be written, so TensorBoard's events are not there" in said
    assert (ml / "model/model.json").exists()


def test_measure_lets_the_server_answer_every_test_image(measured: Path) -> None:
    report = json.loads((measured / "measurements.json").read_text())
    assert report["challenger"]["runtimes"] == ["openvino"]
    assert report["champion"] is None
    for runtime in report["challenger"]["runtimes"]:
        with np.load(measured / "challenger" / runtime / "detections.npz") as arrays:
            assert arrays["images"] == 8


def test_evaluate_judges_what_was_measured(
    engine: "Engine", measured: Path, prepared: Path, model: Path, processing_job: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "gate_policy.yaml").write_text(POLICY.read_text())
    inputs = {"measurements": measured, "model": model, "champion": model, "floor_policy": tmp_path}
    inputs |= {"test": prepared / "test", "metadata": prepared / "metadata"}
    ml = processing_job(inputs, ["evaluation"], MAPGATE_MAP_THRESHOLD="0.0")
    # As for a version that an older image serves by TensorFlow.
    options = ("-e", "MAPGATE_MAP_THRESHOLD=0.0", "-e", "MAPGATE_CHAMPION_RUNTIME=tensorflow")
    code, said = engine.run("training", "evaluate", ml=ml, options=options)
    assert code == 0, said
    evaluation = json.loads((ml / "processing/output/evaluation/evaluation.json").read_text())
    assert evaluation["gate"]["passed"] is False
    assert evaluation["gate"]["sentence"]
    serving = evaluation["serving"]
    assert (serving["runtime"], [*serving["runtimes"]]) == ("openvino", ["tensorflow", "openvino"])
    assert serving["parity"]["matched"] >= 0.999
    assert (evaluation["champion"]["runtime"], evaluation["champion"]["reason"]) == ("tensorflow", None)


def test_serve_answers_and_drains(engine: "Engine", trained: Path, dataset: Path) -> None:
    port = _free_port()
    mounts = ("-v", f"{trained / 'model'}:/opt/ml/model:ro", "-p", f"127.0.0.1:{port}:8080")
    container = engine.start("inference", "serve", options=mounts)
    _wait_for_ping(engine, container, port)
    image = next((dataset / "test/images").iterdir()).read_bytes()
    status, answer = _ask(port, "POST", "/invocations", image, "application/x-image")
    assert status == 200
    assert set(answer) == {"normalized_boxes", "classes", "scores", "labels"}
    status, answer = _ask(port, "POST", "/invocations", b"no image", "application/x-image")
    assert status == 415
    engine.ask("stop", "--time", "30", container)
    assert engine.ask("inspect", "--format", "{{.State.ExitCode}}", container) == "0"


def test_serve_says_that_it_has_no_tensorflow(engine: "Engine", trained: Path) -> None:
    options = ("-v", f"{trained / 'model'}:/opt/ml/model:ro", "-e", "MAPGATE_RUNTIME=tensorflow")
    container = engine.start("inference", "serve", options=options)
    assert engine.ask("wait", container) == "1"
    said = subprocess.run([engine.docker, "logs", container], capture_output=True, text=True, check=True).stderr
    assert "MAPGATE_RUNTIME=tensorflow: this image runs openvino and openvino-int8: serve the model with" in said


def test_the_inference_image_is_small(engine: "Engine") -> None:
    """Its own layers; below them lies a Python, of 125 to 225 MB, and all of it is to be less than 450."""
    history = engine.ask("history", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", engine.images["inference"])
    layers = [line.split(maxsplit=1) for line in history.splitlines()]
    own = next(number for number, (_, made_by) in enumerate(layers) if "org.opencontainers.image.title" in made_by)
    assert sum(int(size) for size, _ in layers[:own]) < 225e6


@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_an_image_holds_no_build_tools_caches_or_foreign_source(engine: "Engine", name: ImageName) -> None:
    script = (
        "import importlib.util as find, os, pathlib; "
        "print(sorted(path.name for path in pathlib.Path('/opt/program').iterdir())); "
        "print(os.getuid(), [name for name in ('boto3', 'sagemaker', 'moto', 'aws_cdk') if find.find_spec(name)]); "
        "print(os.path.exists('/root/.cache/pip'))"
    )
    said = engine.ask("run", "--rm", *("--entrypoint", "python"), engine.images[name], "-c", script)
    held = ["containers", *(["pretrained"] if name == "training" else []), f"{name}_src"]
    assert said.splitlines() == [str(held), "0 []", "False"]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_installs_on_linux(lock: str) -> None:
    """Every pinned distribution is there for the image's platform, with one of the recorded hashes."""
    uv = ROOT / ".venv/bin/uv"
    if not uv.exists():
        pytest.skip("uv is not in .venv")
    command = [str(uv), "pip", "install", "--dry-run", "--require-hashes", "--target", "/nonexistent", "--quiet"]
    platform = ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:"]
    path = ROOT / "containers" / lock
    resolved = subprocess.run([*command, *platform, "-r", str(path)], capture_output=True, text=True, timeout=300)
    assert resolved.returncode == 0, resolved.stderr


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_for_the_images_python(lock: str) -> None:
    """The image's pip refuses a distribution for older Pythons, which uv takes."""
    pins = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "containers" / lock).read_text(), re.MULTILINE)
    held = {one.metadata["Name"].lower().replace("_", "-").replace(".", "-"): one for one in distributions()}
    told = {name: held[name].metadata["Requires-Python"] for name, _ in pins if name in held}
    assert len(told) > 10
    assert not {name for name, needs in told.items() if needs and not SpecifierSet(needs).contains("3.11.2")}


@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_the_gpu_lock_brings_cuda_and_the_cpu_lock_does_not(name: ImageName) -> None:
    locks = {kind: (ROOT / f"containers/{name}/requirements.{kind}.txt").read_text() for kind in ("cpu", "gpu")}
    for wheel in ("nvidia-cudnn-cu12==", "nvidia-cuda-runtime-cu12==", "nvidia-cuda-nvcc-cu12=="):
        assert wheel in locks["gpu"]
    assert "nvidia" not in locks["cpu"]
    assert "\ntensorflow==2.21.0" in locks["gpu"]
    assert ("\ntensorflow-cpu==2.21.0" in locks["cpu"]) == (name == "training")


def test_no_server_on_cpus_has_tensorflow() -> None:
    lock = (ROOT / "containers/inference/requirements.cpu.txt").read_text()
    assert not {"tensorflow", "keras"} & {*re.findall(r"^([a-z0-9]+)\S*==", lock, re.MULTILINE)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_ping(engine: "Engine", container: str, port: int) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert engine.ask("inspect", "--format", "{{.State.Running}}", container) == "true", engine.ask(
            "logs", container
        )
        try:
            if _ask(port, "GET", "/ping")[0] == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.2)
    raise AssertionError("the server was not ready in three minutes")


def _ask(port: int, method: str, path: str, body: bytes | None = None, content_type: str = "") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {"Content-Type": content_type} if content_type else {})
    response = connection.getresponse()
    return response.status, json.loads(response.read())
