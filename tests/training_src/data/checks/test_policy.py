# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from training_src.data.checks.policy import (
    CHECKS,
    DataPolicy,
    policy_from_json,
    policy_to_json,
    read_policy,
    read_policy_of,
)
from training_src.data.dataset import Fault
from training_src.data.formats import FORMAT_NAMES
from training_src.errors import ConfigurationError


def test_policy_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "data_policy.yaml"
    file.write_text(
        "checks:\n  near_leak: error\n  outside: {severity: fix, tolerance: 8}\n  background: off\n"
        "sequence: '(?P<sequence>.+)_\\d+$'\ndecode_check: header\nsplits: [train, validation]\n"
        "orientation_boxes: stored\n"
    )

    policy = read_policy(file)

    assert policy.handling("near_leak") == "error"
    assert (policy.handling("outside"), policy.threshold("outside", "tolerance")) == ("fix", 8)
    assert policy.threshold("outside", "kept_area") == CHECKS["outside"].thresholds["kept_area"]
    assert policy.judge(Fault("a", None, "background", "...")) is None
    assert policy.handling("corners") == CHECKS["corners"].handling
    assert policy.sequence_of("drive_a_0012.jpg") == ("drive_a", False)
    assert policy.sequence_of("drive.7_0012.jpg") == ("drive.7", False)
    assert policy.sequence_of("elsewhere.jpg") == ("", False)
    assert policy.test_needed
    assert policy.decode_check == "header"
    assert policy.splits == frozenset(("train", "validation"))
    assert policy.orientation_boxes == "stored"
    assert policy_from_json(policy_to_json(policy)) == policy


def test_a_data_sets_own_policy_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "data_policy.yaml").write_bytes(b"checks: \xff")
    with pytest.raises(ConfigurationError, match=r"^data_policy\.yaml "):
        read_policy_of(tmp_path)


def test_a_data_sets_own_policy_gives_way_to_the_one_that_is_named(tmp_path: Path) -> None:
    assert read_policy_of(tmp_path) == DataPolicy()
    (tmp_path / "data_policy.yaml").write_text("decode_check: header\n")
    (tmp_path / "other.yaml").write_text("decode_check: full\n")
    assert read_policy_of(tmp_path).decode_check == "header"
    assert read_policy_of(tmp_path, tmp_path / "other.yaml").decode_check == "full"


def test_empty_policy_file_is_the_default(tmp_path: Path) -> None:
    for text in ("", "\n", "# nothing yet\n", "checks:\n"):
        (tmp_path / "p.yaml").write_text(text)

        assert read_policy(tmp_path / "p.yaml") == DataPolicy()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("checks: {near_leek: error}", 'there is no check "near_leek"; there are image, bomb'),
        ("checks: {outside: {tolerence: 3}}", 'outside: "tolerence" is unknown; there are severity, tolerance'),
        ("checks: {outside: {tolerance: -1}}", 'tolerance is "-1"; it should be greater than or equal to 0'),
        ("checks: {outside: {tolerance: true}}", 'outside: tolerance is "true"; it should be a valid number'),
        ("checks: {outside: {tolerance: nan}}", 'outside: tolerance is "nan"; it should be a finite number'),
        ("checks: {outside: loud}", "severity is \"loud\"; it should be 'error', 'warning', 'notice', 'fix' or 'off'"),
        ("checks: {bomb: fix}", "severity is \"fix\"; it should be 'error', 'warning', 'notice' or 'off'"),
        ("checks: [outside]", "checks is \"['outside']\"; it should be a valid dictionary"),
        ("- outside", "holds no mapping"),
        ("thresholds: {}", '"thresholds" is unknown; there are checks'),
        ("sequence: '('", "no regular expression"),
        ("sequence: abc", "needs a group of that name"),
        ("splits: [learn]", "it should be 'eval', 'test', 'train' or 'validation'"),
        ("splits: learn", 'splits is "learn"; it should be a valid frozenset'),
        ("splits: [learn]\ndecode_check: none", "it should be 'full', 'reduced' or 'header'"),
        ("decode_check: none", "it should be 'full', 'reduced' or 'header'"),
        ("checks: {", "is no YAML"),
        ("checks:\n  leak: off\nchecks:\n  outside: fix", 'has the key "checks" twice, in lines 1 and 3; keep one'),
        ("checks:\n  leak: off\n  outside: fix\n  leak: error", 'the key "leak" twice, in lines 2 and 4; keep one'),
        (
            "checks:\n  bomb:\n    megapixels: 1\n    megapixels: 2",
            '"megapixels" twice, in lines 3 and 4; keep one',
        ),
    ],
)
def test_wrong_policy_is_refused_with_what_there_is(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text)

    with pytest.raises(ConfigurationError) as refusal:
        read_policy(file)

    assert str(refusal.value).startswith("policy.yaml")
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("image", "sequence"),
    [
        ("images/drive_frame_0012.jpg", "drive"),
        ("clip-7/frame_0001.png", "clip-7"),
        ("train/images/cam2-frame-12.jpg", "cam2"),
        ("images/frame_0001.jpg", ""),
        ("frame_0001.jpg", ""),
        ("BloodImage_00338.jpg", ""),
        ("picture_frames.jpg", ""),
    ],
)
def test_file_names_tell_sequences_only_where_they_say_frame(image: str, sequence: str) -> None:
    assert DataPolicy().sequence_of(image) == (sequence, True)


def test_fixes_touch_only_what_can_be_fixed() -> None:
    fixed = DataPolicy().with_fixes()

    assert fixed.handling("outside") == fixed.handling("orientation") == fixed.handling("leak") == "fix"
    assert fixed.handling("bomb") == "error"
    assert fixed.handling("near_leak") == "warning"


def test_documentation_lists_every_check_as_it_is() -> None:
    text = (Path(__file__).resolve().parents[4] / "docs" / "data.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    listed = {row[0].strip("`"): row for row in rows if len(row) >= 5 and row[0].strip("`") in CHECKS}

    assert listed.keys() == CHECKS.keys()
    for name, check in CHECKS.items():
        thresholds = ", ".join(f"`{key}` {value:g}" for key, value in check.thresholds.items())
        row = [cell.strip() for cell in listed[name]]
        assert row[1:3] == [check.finds, check.handling]
        assert row[3] == thresholds
        assert row[4]
        assert row[5:] == [check.fix] if check.fix else row[5:] in ([], [""])


def test_documentation_names_every_layout() -> None:
    text = (Path(__file__).resolve().parents[4] / "docs" / "data.md").read_text(encoding="utf-8")

    assert [name for name in FORMAT_NAMES if f"| `{name}` |" not in text] == []
