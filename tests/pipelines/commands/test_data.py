# SPDX-License-Identifier: Apache-2.0
"""`mapgate data` as a person types it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.demo.scenes import draw_scenes

Mapgate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes, one of them with a box that leaves its image."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_scenes(folder, train=8, validation=4, test=4, size=(160, 120))
    file = folder / "Annotations/train_00002.xml"
    text = file.read_text()
    at = text.index("<xmax>", text.index("<object>"))
    file.write_text(text[:at] + "<xmax>170" + text[text.index("</xmax>", at) :])
    return folder


def test_faults_end_with_2_and_fixes_go_to_a_new_folder(
    mapgate: Mapgate, typed: Mapgate, dataset: Path, tmp_path: Path
) -> None:
    faulty = mapgate("data", "check", dataset, "--report", tmp_path / "report.html")
    fixed = typed("data", "check", dataset, "--fix", "--decode-check", "header", "--output", tmp_path / "sound")
    again = typed("data", "check", tmp_path / "sound", "--json")

    assert faulty.returncode == 2
    assert "Annotations/train_00002.xml: JPEGImages/train_00002.jpg: object 0" in faulty.stderr
    assert "train_00002" in (tmp_path / "report.html").read_text()
    assert fixed.returncode == 0, fixed.stderr
    assert "1 box clipped to the image" in fixed.stdout
    assert again.returncode == 0, again.stdout
    assert json.loads(again.stdout)["splits"]["train"]["images"] == 8


def test_policy_decides(typed: Mapgate, dataset: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("checks: {outside: warning}")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("checks: {outsides: warning}")

    mild = typed("data", "check", dataset, "--policy", policy)
    refused = typed("data", "check", dataset, "--policy", wrong)

    assert mild.returncode == 0
    assert "warning: Annotations/train_00002.xml" in mild.stdout
    assert refused.returncode == 2
    assert 'there is no check "outsides"' in refused.stderr


def test_output_that_holds_something_is_refused(typed: Mapgate, dataset: Path) -> None:
    done = typed("data", "check", dataset, "--output", dataset)

    assert done.returncode == 2
    assert "is not empty; name a new folder" in done.stderr
