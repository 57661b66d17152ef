# SPDX-License-Identifier: Apache-2.0
"""`import_litert`: a folder that a training starts from, or a sentence and nothing."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import MadeOnce
from tests.training_src.models.checkpoints.litert_file import folded_values, random_litert
from training_src.__main__ import main
from training_src.data.label_map import LabelMap, read_label_map
from training_src.models.architectures import build_detector
from training_src.models.checkpoints.checkpoint import find, read, restore
from training_src.models.config.pipeline import load, load_bundled

ARCHITECTURE = "ssd_mobilenet_v2_320x320"
LABELS = "???\nCar\nStationary bicycle\n"


@pytest.fixture(scope="session")
def model(made_once: MadeOnce) -> Path:
    """A LiteRT file with random weights for two classes."""

    def make(folder: Path) -> None:
        random_litert(folder / "model.tflite", ARCHITECTURE, 2)

    return made_once("litert", make) / "model.tflite"


@pytest.fixture
def given(model: Path, tmp_path: Path) -> list[str]:
    """The words of a command that converts it."""
    (tmp_path / "labels.txt").write_text(LABELS)
    words = ["--model", model, "--labels", tmp_path / "labels.txt", "--architecture", ARCHITECTURE]
    return [str(word) for word in (*words, "--output", tmp_path / "out")]


def test_a_detector_is_restored_from_what_is_written(given: list[str], tmp_path: Path) -> None:
    assert main(["import_litert", *given]) == 0

    assert read_label_map(tmp_path / "out/label_map.pbtxt") == LabelMap({1: "Car", 2: "Stationary bicycle"})
    description = load(tmp_path / "out/pipeline.config", 2)
    assert description.text() == load_bundled(ARCHITECTURE, 2).text()
    variables = build_detector(description.config.model).variables()
    restored = restore(variables, tmp_path / "out", "full")
    assert (len(restored.restored), restored.left, restored.unused) == (324, {}, [])
    expected = folded_values({key: tuple(variable.shape) for key, variable in variables.items()})
    stored = read(find(tmp_path / "out"))
    for key, value in expected.items():
        np.testing.assert_array_equal(stored[key], value, err_msg=key)


def test_the_same_file_gives_the_same_bytes(given: list[str], tmp_path: Path) -> None:
    assert main(["import_litert", *given]) == main(["import_litert", *given[:-1], str(tmp_path / "again")]) == 0

    files = [path.relative_to(tmp_path / "out") for path in sorted((tmp_path / "out").rglob("*")) if path.is_file()]
    assert [str(file) for file in files] == [
        "checkpoint/ckpt-0.data-00000-of-00001",
        "checkpoint/ckpt-0.index",
        "label_map.pbtxt",
        "pipeline.config",
    ]
    for file in files:
        digests = [hashlib.sha256((tmp_path / name / file).read_bytes()).hexdigest() for name in ("out", "again")]
        assert digests[0] == digests[1], file


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ("???\n", "each class needs a line with a name of its own"),
        ("???\nCar\nCar\n", "each class needs a line with a name of its own"),
        ("", "no list of labels"),
        ("???\nCar\n", "has shape .*, the detector needs .*class count"),
    ],
)
def test_labels_that_do_not_fit_are_a_sentence_and_nothing_is_written(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], labels: str, told: str
) -> None:
    (tmp_path / "labels.txt").write_text(labels)
    assert main(["import_litert", *given]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert re.search(told, sentence)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.txt"]


@pytest.mark.parametrize("architecture", ["faster_rcnn_resnet50_v1_640x640", "ssd_mobilenet_v2_fpnlite_320x320"])
def test_other_architectures_are_refused(
    given: list[str], capsys: pytest.CaptureFixture[str], architecture: str
) -> None:
    given[given.index(ARCHITECTURE)] = architecture
    assert main(["import_litert", *given]) == 2
    assert "only for SSD MobileNet V2" in capsys.readouterr().err


def test_a_folder_that_holds_something_is_left_alone(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    assert main(["import_litert", *given]) == 2
    assert "something is there already" in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.txt"]
