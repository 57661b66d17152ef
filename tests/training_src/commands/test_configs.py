# SPDX-License-Identifier: Apache-2.0
"""`configs` as it is called: a count for people, JSON lines for scripts, and no TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from training_src.__main__ import main
from training_src.models.config.pipeline import CONFIGS

NAMES = ("ssd_mobilenet_v2_fpnlite_160x160", "faster_rcnn_resnet50_v1_640x640")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two configs that load, and one of a network that there is not, at several depths."""
    (tmp_path / "samples" / "deep").mkdir(parents=True)
    for name, place in zip(NAMES, ("a.config", "samples/b.config"), strict=True):
        (tmp_path / place).write_text((CONFIGS / f"{name}.config").read_text())
    other = (CONFIGS / f"{NAMES[0]}.config").read_text().replace("ssd_mobilenet_v2_fpn_keras", "ssd_inception_v2")
    (tmp_path / "samples" / "deep" / "c.config").write_text(other)
    (tmp_path / "notes.txt").write_text("not a config")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "a-checkpoint.config").write_text("as Jupyter keeps it")
    return tmp_path


def test_what_loads_is_counted_and_the_rest_explained_without_tensorflow(folder: Path) -> None:
    code = (
        "import sys; from training_src.__main__ import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 'tensorflow' in sys.modules)"
    )
    words = [sys.executable, "-c", code, "configs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "samples/deep/c.config: model.ssd.feature_extractor.type: 'ssd_inception_v2' is not supported; "
        "Inception V2 is not built here; use another architecture",
        "2 of 3 configs load",
    ]


def test_scripts_get_a_line_for_each_that_was_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = folder / "asked.jsonl"
    asked.write_text(
        '{"path": "samples/deep/c.config", "loads": true}\n{"path": "a.config"}\n{"path": "gone.config"}\n'
    )
    assert main(["configs", str(folder), "--paths", str(asked), "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["path"], each["loads"]) for each in told] == [
        ("samples/deep/c.config", False),
        ("a.config", True),
        ("gone.config", False),
    ]
    assert told[1]["sentence"] == "" and "cannot be read" in told[2]["sentence"]


def test_a_detector_that_cannot_be_built_does_not_load(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "a.config"
    file.write_text(file.read_text().replace("height: 160 width: 160", "height: 32 width: 32"))
    (folder / "samples" / "b.config").unlink()
    assert main(["configs", str(folder), "--build"]) == 0
    told = capsys.readouterr().out
    assert "a.config: model.ssd.image_resizer: 32x32" in told and told.endswith("0 of 2 configs load\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["empty"], "no *.config file is in it"),
        ([".", "--paths", "notes.txt"], 'notes.txt, line 1: this is no JSON object with a "path"'),
    ],
)
def test_what_cannot_be_counted_is_a_sentence(
    words: list[str], sentence: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder)
    assert main(["configs", *words]) == 2
    assert sentence in capsys.readouterr().err
