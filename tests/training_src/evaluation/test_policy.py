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


def test_a_number_that_yaml_takes_for_a_text_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(DEFAULT.read_text().replace("mAP: 0.005", "mAP: 5e-3"))
    assert read_policy(path).serving.greatest_difference == {"mAP": 0.005}


def test_accepts_no_comparison_when_it_is_said(tmp_path: Path) -> None:
    kept = DEFAULT.read_text().split("champion:\n")
    path = tmp_path / "policy.yaml"
    path.write_text(kept[0] + "champion: null\n" + "\n".join(kept[1].splitlines()[2:]))
    assert read_policy(path).champion is None


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("mAP_50: 0.5", "mAP_5O: 0.5", "metrics.mAP_5O: is not known; the known are mAP, mAP_50"),
        ("mAP_50: 0.5", "mAP_50: 50", "metrics.mAP_50: 50 is no number above 0, up to 1"),
        ("mAP_50: 0.5", "mAP_50: 0", "metrics.mAP_50: 0 is no number above 0, up to 1"),
        ("mAP_50: 0.5", "mAP_50: .nan", "metrics.mAP_50: nan is no number above 0, up to 1"),
        ("mAP_50: 0.5", "mAP_50: yes", "metrics.mAP_50: True is no number above 0, up to 1"),
        ("mAP_50: 0.5", "mAP_50: high", "metrics.mAP_50: 'high' is no number above 0, up to 1"),
        ("mAP_50: 0.5", "mAP_50: 0.5\n  mAP_50: 0.1", '"mAP_50" is there twice'),
        ("  mAP_50: 0.5", "  {}", "metrics: is empty; give at least one of mAP"),
        ("  mAP_50: 0.5", "  0.5", "metrics: 0.5 stands where names with values are needed"),
        ("    mAP: 0.02", "    mAP: -0.02", "champion.greatest_regression.mAP: -0.02 is no number from 0 to 1"),
        ("    mAP: 0.02", "    {}", "champion.greatest_regression: is empty; give at least one of mAP"),
        ("champion:\n  greatest_regression:\n    mAP: 0.02", "", "champion: is missing"),
        ("serving:\n", "served:\n", "served: is not known; the known are schema_version, metrics"),
        ("    mAP: 0.005", "    mAP_50: 0.005", "serving.greatest_difference.mAP_50: is not known; the known are mAP;"),
        ("boxes_per_class: 20", "boxes_per_class: 0", "support.boxes_per_class: 0 is no whole number of 1 or more"),
        ("boxes_per_class: 20", "boxes_per_class: 2.5", "support.boxes_per_class: 2.5 is no whole number of 1 or more"),
        ("schema_version: 1", "schema_version: 2", "schema_version: 2 is not known; give 1"),
        (
            "classes: {}",
            "classes: {cyclist: {AP5O: 0.3}}",
            "classes.cyclist.AP5O: is not known; the known are AP,",
        ),
        ("classes: {}", "classes: {4: {AP50: 0.3}}", 'classes: 4 is no name; quote it: "4"'),
        ("exempt_classes: []", "exempt_classes: cyclist", "exempt_classes: 'cyclist' stands where a list of names"),
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
