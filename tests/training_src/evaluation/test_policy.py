# SPDX-License-Identifier: Apache-2.0
"""Policies are read strictly: a typing error must not open the gate."""

from pathlib import Path

import pytest

from training_src.evaluation.errors import PolicyError
from training_src.evaluation.policy import read_policy

DEFAULT = Path(__file__).parents[3] / "infra/training/defaults/gate_policy.yaml"


def test_reads_the_default_policy() -> None:
    policy = read_policy(DEFAULT)
    assert policy.metrics == {"mAP_50": 0.5}
    assert policy.champion is not None


def test_accepts_no_comparison_when_it_is_said(tmp_path: Path) -> None:
    kept = DEFAULT.read_text().split("champion:\n")
    path = tmp_path / "policy.yaml"
    path.write_text(kept[0] + "champion: null\n" + "\n".join(kept[1].splitlines()[2:]))
    assert read_policy(path).champion is None


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("mAP_50: 0.5", "mAP_5O: 0.5", "metrics.mAP_5O: Input should be 'mAP'"),
        ("mAP_50: 0.5", "mAP_50: 50", "metrics.mAP_50: Input should be less than or equal to 1"),
        ("mAP_50: 0.5", "mAP_50: 0", "metrics.mAP_50: Input should be greater than 0"),
        ("mAP_50: 0.5", "mAP_50: .nan", "metrics.mAP_50: Input should be"),
        ("mAP_50: 0.5", "mAP_50: 0.5\n  mAP_50: 0.1", '"mAP_50" is there twice'),
        ("  mAP_50: 0.5", "  {}", "metrics: Dictionary should have at least 1 item"),
        ("champion:\n  greatest_regression:\n    mAP: 0.02", "", "champion: Field required"),
        ("serving:\n", "served:\n", "serving: Field required"),
        ("boxes_per_class: 20", "boxes_per_class: 0", "support.boxes_per_class: Input should be greater than"),
        ("classes: {}", "classes: [", "not a YAML file"),
    ],
)
def test_refuses_what_no_policy_says(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    content = DEFAULT.read_text()
    assert old in content
    path = tmp_path / "policy.yaml"
    path.write_text(content.replace(old, new))
    with pytest.raises(PolicyError) as caught:
        read_policy(path)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)


def test_refuses_an_empty_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    with pytest.raises(PolicyError, match="cannot be read"):
        read_policy(path)
    path.write_text("")
    with pytest.raises(PolicyError, match="the whole file"):
        read_policy(path)
