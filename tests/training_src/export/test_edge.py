# SPDX-License-Identifier: Apache-2.0
"""What a training leaves for edge devices, and its example in an environment of nothing that it does not name."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from packaging.requirements import Requirement

from containers.contract.archive import extract
from tests.training_src.export.conftest import Street
from training_src.export import litert_parity
from training_src.export.edge import EXAMPLE_TEXT, PIXELS, write_edge, write_edge_archive
from training_src.export.litert_parity import LitertParity


def _alone(folder: Path, *names: str) -> Path:
    """A folder of what installing these brings, out of what is installed here."""
    folder.mkdir()
    asked, seen = list(names), set[str]()
    while asked:
        name = asked.pop()
        if name in seen:
            continue
        seen.add(name)
        found = metadata.distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            (folder / top).symlink_to(Path(str(found.locate_file(top))))
        needs = [Requirement(each) for each in found.requires or ()]
        asked += [each.name for each in needs if each.marker is None or each.marker.evaluate({"extra": ""})]
    return folder


def test_the_edge_archive_holds_files_figures_and_an_example_that_runs(
    street: Street,
    street_frames: dict[str, NDArray[np.uint8]],
    tmp_path: Path,
) -> None:
    write_edge_archive(
        tmp_path,
        lambda folder: write_edge(
            folder, street.detector, street.labels, "open-images", street.photographs, street.photographs
        ),
    )

    assert [file.name for file in tmp_path.iterdir()] == ["edge.tar.gz"]
    extract(tmp_path / "edge.tar.gz", tmp_path / "fetched")
    edge = tmp_path / "fetched" / "edge"
    assert {file.name for file in edge.iterdir()} == {
        "example.py",
        "labels.txt",
        "model_float16.tflite",
        "model_int8.tflite",
        "parity.json",
    }
    figures = json.loads((edge / "parity.json").read_text())
    assert [figures[f"model_{form}.tflite"]["passed"] for form in ("float16", "int8")] == [True, True]
    cv2.imwrite(str(tmp_path / "picture.jpg"), next(iter(street_frames.values()))[..., ::-1])
    environment = {"PYTHONPATH": str(_alone(tmp_path / "site", "ai-edge-litert", "pillow"))}
    # -S: what is installed here is not there.
    words = [sys.executable, "-S", "example.py", str(tmp_path / "picture.jpg")]
    missing = [sys.executable, "-S", "-c", "import tensorflow"]
    assert subprocess.run(missing, env=environment, capture_output=True, check=False, timeout=60).returncode == 1
    for name in ("model_int8.tflite", "model_float16.tflite"):
        (edge / "example.py").write_text(EXAMPLE_TEXT.format(file=name, pixels=PIXELS[name]))
        done = subprocess.run(
            words, cwd=edge, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) > 5
        assert "Car" in done.stdout or "Person" in done.stdout


def test_the_example_has_about_ten_statements() -> None:
    text = EXAMPLE_TEXT.format(file="model_int8.tflite", pixels=PIXELS["model_int8.tflite"])
    tree = ast.parse(text)
    imports = [each for each in tree.body if isinstance(each, (ast.Import, ast.ImportFrom))]
    assert {name for each in imports for name in _roots(each)} == {"sys", "numpy", "ai_edge_litert", "PIL"}
    assert len(tree.body) - len(imports) <= 11


def _roots(statement: ast.Import | ast.ImportFrom) -> list[str]:
    names = (
        [statement.module or ""] if isinstance(statement, ast.ImportFrom) else [each.name for each in statement.names]
    )
    return [name.split(".")[0] for name in names]


def test_where_int8_fails_the_example_runs_float16(
    street: Street,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compare = litert_parity.compare

    def judged(content: bytes, *others: Any) -> LitertParity:
        found = compare(content, *others)
        (taken,) = Interpreter(model_content=content).get_input_details()
        return replace(found, failures=("it is int8",)) if taken["dtype"] is np.uint8 else found

    monkeypatch.setattr(litert_parity, "compare", judged)
    write_edge(tmp_path / "edge", street.detector, street.labels, "open-images", street.photographs, street.photographs)
    assert [file.name for file in (tmp_path / "edge").glob("*.tflite")] == ["model_float16.tflite"]
    assert 'Interpreter("model_float16.tflite")' in (tmp_path / "edge" / "example.py").read_text()


def test_what_fails_is_left_out_and_said(
    street: Street,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("training_src.export.litert_parity.GREATEST_FALL", -1.0)
    write_edge(tmp_path / "edge", street.detector, street.labels, "open-images", street.photographs, street.photographs)
    assert {file.name for file in (tmp_path / "edge").iterdir()} == {"labels.txt", "parity.json"}
    assert "model_int8.tflite is left out: mAP falls" in capsys.readouterr().out
