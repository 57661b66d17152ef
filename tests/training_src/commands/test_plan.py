# SPDX-License-Identifier: Apache-2.0
"""`plan` finds before anything is uploaded what a paid job would find."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.demo.scenes import draw_scenes
from training_src.__main__ import main
from training_src.models.config.pipeline import CONFIGS

POLICY = (Path(__file__).parents[3] / "infra/training/defaults/gate_policy.yaml").read_text()
Told = Callable[..., tuple[int, list[str]]]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    draw_scenes(folder, train=3, validation=1, test=2, size=(160, 120))
    return folder


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})

    def run(*words: object) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = main(["plan", *map(str, words)])
        return code, capsys.readouterr().err.splitlines()

    return run


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "gate_policy.yaml"
    file.write_text(POLICY.replace("images: 50", "images: 2").replace("class: 20", "class: 1"))
    return file


def test_nothing_is_wrong_with_a_sound_plan(told: Told, scenes: Path, policy: Path) -> None:
    words = ("--architecture", "ssd_mobilenet_v2_fpnlite_160x160", "--training-settings", "seed=3")
    assert told(scenes, "--gate-policy", policy, *words) == (0, [])


def test_an_executions_own_policy_takes_nothing_from_the_environments(
    told: Told, scenes: Path, policy: Path, tmp_path: Path
) -> None:
    floor = tmp_path / "floor.yaml"
    floor.write_text(policy.read_text().replace("  images: 2", "  images: 7"))
    asked = "The test set has 2 images; 7 are required."
    assert told(scenes, "--floor-policy", floor) == (2, [asked])
    code, sentences = told(scenes, "--floor-policy", floor, "--gate-policy", policy)
    assert (code, sentences[-1]) == (2, asked)
    assert len(sentences) == 2 and "support.images" in sentences[0], "what is overruled is told"
    assert told(scenes, "--floor-policy", policy, "--gate-policy", floor) == (2, [asked])
    assert told(scenes, "--floor-policy", floor, "--gate-policy", floor) == (2, [asked])


def test_everything_is_told_at_once(told: Told, scenes: Path, policy: Path) -> None:
    policy.write_text(
        policy.read_text().replace("images: 2", "images: 3").replace("exempt_classes: []", "exempt_classes: [tram]")
    )
    code, sentences = told(
        scenes,
        "--gate-policy",
        policy,
        "--architecture",
        "yolo",
        "--training-settings",
        "sead=3",
        "--map-threshold",
        "2",
    )
    assert code == 2
    assert [sentence.split("; ")[0] for sentence in sentences] == [
        'TrainingSettings holds "sead=3"',
        "MapThreshold is 2",
        'Architecture "yolo" is not known',
        "The test set has 2 images",
        'The policy names a class "tram" that the label map does not have.',
    ]


def test_a_config_of_too_few_classes_and_a_wrong_policy_are_told(told: Told, scenes: Path, policy: Path) -> None:
    config = policy.with_name("pipeline.config")
    config.write_text(
        (CONFIGS / "ssd_mobilenet_v2_fpnlite_160x160.config").read_text().replace("num_classes: 90", "num_classes: 1")
    )
    policy.write_text("metrics: {}")
    code, sentences = told(scenes, "--config", config, "--gate-policy", policy)
    assert code == 2
    assert sentences[0].startswith(f"{policy}: schema_version: is missing")
    assert "num_classes" in sentences[1]


def test_a_folder_that_is_no_data_set_is_told_beside_the_rest(told: Told, tmp_path: Path) -> None:
    code, sentences = told(tmp_path / "nowhere", "--training-settings", "seed=x")
    assert code == 2
    assert sentences[0] == 'The hyperparameter seed is "x"; give a whole number of 0 or more.'
    assert "nowhere" in sentences[1]


def test_data_that_lie_elsewhere_leave_the_label_map_to_be_judged(told: Told, tmp_path: Path, policy: Path) -> None:
    policy.write_text(policy.read_text().replace("exempt_classes: []", "exempt_classes: [tram]"))
    labels = tmp_path / "label_map.pbtxt"
    labels.write_text('item { id: 1 name: "car" }')
    words = ("--gate-policy", policy, "--label-map", labels)
    assert told(*words) == (2, ['The policy names a class "tram" that the label map does not have.'])
