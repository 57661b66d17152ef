# SPDX-License-Identifier: Apache-2.0
"""Policies are read strictly: a typing error must not open the gate."""

from pathlib import Path

import pytest

from training_src.evaluation.errors import PolicyError
from training_src.evaluation.policy import NamedTestSet, RecallRule, read_policy

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
    path.write_text(kept[0] + "champion: null\n" + "\n".join(kept[1].splitlines()[3:]))
    assert read_policy(path).champion is None


def test_a_policy_of_an_earlier_release_is_told_how_its_keys_are_written_now(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("schema_version: 1\nchampion: {greatest_regression: {mAP: 0.02}}\n")
    with pytest.raises(PolicyError, match=r"policy\.yaml: schema_version: 1 is of an earlier release"):
        read_policy(path)


def test_reads_what_is_optional(tmp_path: Path) -> None:
    content = DEFAULT.read_text().replace("slices: {}", 'slices: {"camera=front": {mAP_50: 0.4}}')
    content = content.replace("recall: {}", "recall: {car: {precision: 0.9, recall: 0.6}}")
    content = content.replace("least_matched: 0.98", "least_matched: 0.98\n  latency_p99_milliseconds: 80.5")
    path = tmp_path / "policy.yaml"
    path.write_text(f"{content}\ntest_set: {{uri: s3://bucket/test/, sha256: {'0a' * 32}}}\n")
    policy = read_policy(path)
    assert policy.slices == {"camera=front": {"mAP_50": 0.4}}
    assert policy.recall == {"car": RecallRule(precision=0.9, recall=0.6)}
    assert (policy.serving.latency_p99_milliseconds, policy.serving.resident_megabytes) == (80.5, None)
    assert policy.test_set == NamedTestSet("s3://bucket/test/", "0a" * 32)
    assert (policy.support.interval_width, policy.least_images_left) == ({"mAP": 0.15}, 50)


def test_classes_are_named_in_the_spelling_of_label_maps(tmp_path: Path) -> None:
    """As whoever writes the policy types them: decomposed, with a blank too many."""
    decomposed = "cafe\u0301  bar"
    content = DEFAULT.read_text().replace("recall: {}", f"recall: {{{decomposed}: {{precision: 0.9, recall: 0.6}}}}")
    content = content.replace("exempt_classes: []", f'exempt_classes: ["{decomposed}"]')
    content = content.replace("\nclasses: {}", f"\nclasses: {{{decomposed}: {{AP: 0.2}}}}")
    path = tmp_path / "policy.yaml"
    path.write_text(content)
    policy, spelled = read_policy(path), "caf\u00e9 bar"
    assert (list(policy.classes), policy.exempt_classes, list(policy.recall)) == ([spelled], (spelled,), [spelled])


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "recall: {}",
            'recall: {"caf\u00e9": {precision: 0.9, recall: 0.6}, "cafe\u0301": {precision: 0.1, recall: 0.1}}',
            "recall.caf\u00e9: is there twice, in two spellings",
        ),
        ("mAP_50: 0.5", "mAP_5O: 0.5", "metrics.mAP_5O: is not known; the known are mAP, mAP_50"),
        ("mAP_50: 0.5", "mAP_50: 50", "metrics.mAP_50: 50 is no number above 0, up to 1"),
        ("mAP_50: 0.5", "mAP_50: 0", "metrics.mAP_50: 0 is no number above 0, up to 1"),
        ("mAP_50: 0.5", "mAP_50: .nan", "metrics.mAP_50: nan is no number above 0, up to 1"),
        ("mAP_50: 0.5", "mAP_50: yes", "metrics.mAP_50: True is no number above 0, up to 1"),
        ("mAP_50: 0.5", "mAP_50: high", "metrics.mAP_50: 'high' is no number above 0, up to 1"),
        ("mAP_50: 0.5", "mAP_50: 0.5\n  mAP_50: 0.1", '"mAP_50" is there twice'),
        ("  mAP_50: 0.5", "  {}", "metrics: is empty; give at least one of mAP"),
        ("  mAP_50: 0.5", "  0.5", "metrics: 0.5 stands where names with values are needed"),
        ("    mAP: 0.025", "    mAP: -0.02", "champion.greatest_fall.mAP: -0.02 is no number from 0 to 1"),
        ("    mAP: 0.025", "    {}", "champion.greatest_fall: is empty; give at least one of mAP"),
        ("least_common_classes: 0.5", "least_common_classes: 0", "champion.least_common_classes: 0 is no number above"),
        (
            "champion:\n  greatest_fall:\n    mAP: 0.025\n  least_common_classes: 0.5",
            "",
            "champion: is missing",
        ),
        ("serving:\n", "served:\n", "served: is not known; the known are schema_version, metrics"),
        ("    mAP: 0.005", "    mAP_50: 0.005", "serving.greatest_difference.mAP_50: is not known; the known are mAP;"),
        ("boxes_per_class: 20", "boxes_per_class: 0", "support.boxes_per_class: 0 is no whole number of 1 or more"),
        ("boxes_per_class: 20", "boxes_per_class: 2.5", "support.boxes_per_class: 2.5 is no whole number of 1 or more"),
        ("schema_version: 2", "schema_version: 3", "schema_version: 3 is not known; give 2"),
        ("schema_version: 2", "schema_version: true", "schema_version: True is not known; give 2"),
        (
            "schema_version: 2",
            "schema_version: 1",
            "Write schema_version: 2, and champion: {greatest_fall: {mAP: 0.025}} for champion: {greatest_regression:",
        ),
        ("slices: {}", "slices: {front: {mAP: 0.1}}", "slices.front: is no slice; write its column and its value"),
        ("slices: {}", "slices: {a=b: {}}", "slices.a=b: is empty; give at least one of mAP"),
        ("recall: {}", "recall: {car: {recall: 0.5}}", "recall.car.precision: is missing"),
        ("recall: {}", "recall: {car: {recall: 2, precision: 1}}", "recall.car.recall: 2 is no number above 0, up to"),
        ("    mAP: 0.15", "    mAP: 15", "support.interval_width.mAP: 15 is no number above 0, up to 1"),
        ("least_matched: 0.98", "least_matched: 0.98\n  artifact_megabytes: 0", "serving.artifact_megabytes: 0 is no"),
        ("least_images: 50", "least_images: many", "exclusion.least_images: 'many' is no whole number of 1 or more"),
        (
            "classes: {}",
            "classes: {}\ntest_set: {uri: s3://bucket/here, sha256: aa}",
            "test_set.uri: 's3://bucket/here' is no folder in S3; give s3://, bucket and a prefix with a slash",
        ),
        (
            "classes: {}",
            "classes: {}\ntest_set: {uri: s3://bucket/here/, sha256: aa}",
            "test_set.sha256: 'aa' is no digest of a test set; an evaluation.json of it has it under dataset.test_set",
        ),
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


LISTS = "\n".join(f"  - &x{depth} [{', '.join([f'*x{depth - 1}'] * 10)}]" for depth in range(1, 9))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("mAP_50: 0.5", f"mAP_50: 1{'0' * 400}", "metrics.mAP_50: 1000"),
        ("mAP_50: 0.5", f"mAP_50: 1{'0' * 5000}", "not a YAML file"),
        ("boxes_per_class: 20", f"boxes_per_class: 1{'0' * 400}", "support.boxes_per_class: 1000"),
        ("mAP_50: 0.5", "mAP_50: 2026-13-45", "not a YAML file"),
        ("recall: {}", f"recall: {'{a: ' * 3000}1{'}' * 3000}", "it nests too deeply"),
        # A hundred million names on nine lines.
        ("exempt_classes: []", f"exempt_classes:\n  - &x0 [a]\n{LISTS}", "exempt_classes: [['a'], [[...]"),
    ],
)
def test_refuses_with_a_short_sentence_what_was_made_to_break_a_reader(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    text = DEFAULT.read_text()
    assert text.count(old) == 1
    file = tmp_path / "gate_policy.yaml"
    file.write_text(text.replace(old, new))
    with pytest.raises(PolicyError) as told:
        read_policy(file)
    assert sentence in str(told.value)
    assert len(str(told.value)) < 1000
