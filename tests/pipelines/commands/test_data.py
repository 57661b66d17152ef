# SPDX-License-Identifier: Apache-2.0
"""`mapgate data` as a person types it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.commands.data import DEFAULT_GATE_POLICY
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


@pytest.fixture
def lenient(tmp_path: Path) -> Path:
    """A gate policy for which few images are enough."""
    policy = tmp_path / "gate_policy.yaml"
    policy.write_text(
        DEFAULT_GATE_POLICY.read_text().replace("images: 50", "images: 4").replace("class: 20", "class: 1")
    )
    return policy


def test_faults_end_with_2_and_fixes_go_to_a_new_folder(
    mapgate: Mapgate, typed: Mapgate, dataset: Path, lenient: Path, tmp_path: Path
) -> None:
    faulty = mapgate("data", "check", dataset, "--report", tmp_path / "report.html")
    options = ("--gate-policy", lenient, "--decode-check", "header")
    fixed = typed("data", "check", dataset, "--fix", *options, "--output", tmp_path / "sound")
    again = typed("data", "check", tmp_path / "sound", *options, "--json")

    assert faulty.returncode == 2
    assert "Annotations/train_00002.xml: JPEGImages/train_00002.jpg: object 0" in faulty.stderr
    assert "train_00002" in (tmp_path / "report.html").read_text()
    assert fixed.returncode == 0, fixed.stderr
    assert "1 box clipped to the image" in fixed.stdout
    assert again.returncode == 0, again.stdout
    assert json.loads(again.stdout)["splits"]["train"]["images"] == 8


def test_says_what_the_gate_will_ask_of_the_test_split(typed: Mapgate, dataset: Path) -> None:
    told = typed("data", "check", dataset, "--fix", "--decode-check", "header")
    listed = typed("data", "check", dataset, "--fix", "--decode-check", "header", "--json")

    assert told.returncode == listed.returncode == 2
    assert "train: 8 images" in told.stdout
    assert "The test set has 4 images; 50 are required." in told.stderr.splitlines()
    assert "The test set has 4 images; 50 are required." in json.loads(listed.stdout)["plan"]


def test_policy_decides(typed: Mapgate, dataset: Path, lenient: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("checks: {outside: warning}")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("checks: {outsides: warning}")

    mild = typed("data", "check", dataset, "--policy", policy, "--gate-policy", lenient)
    refused = typed("data", "check", dataset, "--policy", wrong)

    assert mild.returncode == 0
    assert "warning: Annotations/train_00002.xml" in mild.stdout
    assert refused.returncode == 2
    assert 'there is no check "outsides"' in refused.stderr


def test_output_that_holds_something_is_refused(typed: Mapgate, dataset: Path) -> None:
    done = typed("data", "check", dataset, "--output", dataset)

    assert done.returncode == 2
    assert "is not empty; name a new folder" in done.stderr
