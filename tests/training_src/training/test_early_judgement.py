# SPDX-License-Identifier: Apache-2.0
"""What a job is refused for is said before TensorFlow is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from training_src.models.config.pipeline import CONFIGS

# The process ends as it would; what it imported stands behind its own words.
PROGRAM = """
import sys
from training_src.__main__ import main
code = main(sys.argv[1:])
print("tensorflow" in sys.modules or "keras" in sys.modules)
sys.exit(code)
"""
CHANNELS: dict[str, tuple[dict[str, dict[str, str]], str, dict[str, str]]] = {
    "the pipeline's": ({"train": {}, "validation": {}, "metadata": {}, "config": {}}, "config", {}),
    "the API's": ({"train": {}}, "train", {"pipeline_config_path": "/opt/ml/input/data/train/pipeline.config"}),
}


def _run(words: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MAPGATE_ML_ROOT": str(root)}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False, env=environment
    )


def _job(root: Path, kind: str, config: str) -> None:
    channels, place, hyperparameters = CHANNELS[kind]
    for name in channels:
        (root / "input" / "data" / name).mkdir(parents=True)
        (root / "input" / "data" / name / "some.record").write_bytes(b"")
    (root / "input" / "data" / place / "pipeline.config").write_text(config)
    if "metadata" in channels:
        label_map = "".join(f'item {{ id: {each} name: "class {each}" }}\n' for each in (1, 2, 3))
        (root / "input" / "data" / "metadata" / "label_map.pbtxt").write_text(label_map)
    (root / "input" / "config").mkdir()
    (root / "input" / "config" / "inputdataconfig.json").write_text(json.dumps(channels))
    (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters))


@pytest.fixture
def config() -> str:
    return (CONFIGS / "ssd_mobilenet_v2_fpnlite_320x320.config").read_text()


@pytest.mark.parametrize("kind", CHANNELS)
def test_a_training_with_a_wrong_config_ends_without_tensorflow(kind: str, config: str, tmp_path: Path) -> None:
    _job(tmp_path, kind, config.replace("ssd_mobilenet_v2_fpn_keras", "ssd_mobilenet_v9"))

    done = _run(["train"], tmp_path)

    assert (done.returncode, done.stdout) == (2, "False\n")
    assert "'ssd_mobilenet_v9' is not supported" in (tmp_path / "output" / "failure").read_text()


def test_a_wrong_config_of_an_estimators_source_dir_ends_without_tensorflow(config: str, tmp_path: Path) -> None:
    place = "/opt/ml/input/data/code/sourcedir.tar.gz"
    wrong = config.replace("ssd_mobilenet_v2_fpn_keras", "ssd_mobilenet_v9")
    _job(tmp_path, "the API's", wrong)
    settings = tmp_path / "input" / "config"
    (settings / "inputdataconfig.json").write_text(json.dumps({"train": {}, "code": {}}))
    told = {"pipeline_config_path": "pipeline.config", "sagemaker_submit_directory": place}
    (settings / "hyperparameters.json").write_text(json.dumps(told))
    code = tmp_path / "input" / "data" / "code"
    code.mkdir()
    with tarfile.open(code / "sourcedir.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "input" / "data" / "train" / "pipeline.config", arcname="pipeline.config")
    (tmp_path / "input" / "data" / "train" / "pipeline.config").unlink()

    done = _run(["train"], tmp_path)

    assert (done.returncode, done.stdout) == (2, "False\n")
    assert "'ssd_mobilenet_v9' is not supported" in done.stderr


@pytest.mark.parametrize(
    ("kind", "hyperparameters", "sentence"),
    [
        ("the pipeline's", {"architecture": "ssd_mobilenet_v9"}, "architecture 'ssd_mobilenet_v9' is not known"),
        ("the API's", {"architecture": "yolo"}, "architecture 'yolo' is not known"),
        ("the API's", {"optimizer": "adagrad", "learning_rate": "0.1"}, 'optimizer is "adagrad", which there is not'),
        ("the API's", {"optimizer": "Adadelta"}, 'optimizer is "adadelta", which there is not'),
        ("the API's", {"num_step": "1"}, '"num_step" is not known'),
    ],
)
def test_a_hyperparameter_that_cannot_be_honoured_ends_without_tensorflow(
    kind: str, hyperparameters: dict[str, str], sentence: str, config: str, tmp_path: Path
) -> None:
    _job(tmp_path, kind, config)
    folder = tmp_path / "input" / "data" / CHANNELS[kind][1]
    (folder / "pipeline.config").unlink()
    if folder.name == "config":
        (folder / "some.record").rename(folder / "none")
    (tmp_path / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters))

    done = _run(["train"], tmp_path)

    assert (done.returncode, done.stdout) == (2, "False\n"), done.stderr
    assert sentence in (tmp_path / "output" / "failure").read_text()


def test_a_training_with_too_few_classes_ends_without_tensorflow(config: str, tmp_path: Path) -> None:
    _job(tmp_path, "the pipeline's", config.replace("num_classes: 90", "num_classes: 2"))

    done = _run(["train"], tmp_path)

    assert (done.returncode, done.stdout) == (2, "False\n")
    assert "num_classes is 2, but the label map's greatest id is 3" in done.stderr


@pytest.mark.parametrize("artifact", [[], ["--artifact"]])
def test_an_export_with_a_wrong_config_ends_without_tensorflow(
    artifact: list[str], config: str, tmp_path: Path
) -> None:
    file = tmp_path / "pipeline.config"
    file.write_text(config.replace("ssd_mobilenet_v2_fpn_keras", "ssd_mobilenet_v9"))
    words = ["export", "--pipeline-config", str(file), "--checkpoint", "c", "--output", str(tmp_path / "o"), *artifact]

    done = _run(words, tmp_path)

    assert (done.returncode, done.stdout) == (2, "False\n")
    assert "'ssd_mobilenet_v9' is not supported" in done.stderr


@pytest.mark.parametrize("form", [["--artifact"], ["--to", "tflite"]])
def test_an_export_without_a_label_map_ends_without_tensorflow(form: list[str], config: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.config"
    file.write_text(config)
    words = ["export", "--pipeline-config", str(file), "--checkpoint", "c", "--output", str(tmp_path / "o"), *form]

    done = _run(words, tmp_path)

    assert (done.returncode, done.stdout) == (2, "False\n")
    assert "c: there is no label_map.pbtxt beside it; give --label-map" in done.stderr


def test_the_input_types_of_the_command_are_the_exporters() -> None:
    from training_src.commands.export import INPUT_TYPES
    from training_src.export import saved_model

    assert set(INPUT_TYPES) == set(saved_model.INPUT_TYPES)
