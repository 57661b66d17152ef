# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_src.data.splits import Member, assign, given_split

groups = st.lists(st.text(max_size=6), max_size=60)


@given(groups, groups)
def test_split_never_moves_when_data_are_added(first: list[str], added: list[str]) -> None:
    before = assign([Member(None, group) for group in first]).splits
    after = assign([Member(None, group) for group in first + added]).splits

    assert after[: len(first)] == before


@given(groups, groups, st.sampled_from(["validation", "test"]))
def test_validation_taken_from_train_never_moves(first: list[str], added: list[str], other: str) -> None:
    fixed = [Member(other, "x"), Member("train", "y")]
    before = assign([*fixed, *(Member("train", group) for group in first)]).splits
    after = assign([*fixed, *(Member("train", group) for group in first + added)]).splits

    assert after[: len(before)] == before


@given(groups)
def test_groups_stay_together(names: list[str]) -> None:
    splits = assign([Member(None, name) for name in names]).splits

    assert len(dict(zip(names, splits, strict=True)).items()) == len(set(zip(names, splits, strict=True)))


def test_hash_gives_eighty_ten_ten() -> None:
    splits = assign([Member(None, f"image {number}") for number in range(5000)]).splits

    assert splits.count("train") / 5000 == pytest.approx(0.8, abs=0.02)
    assert splits.count("validation") / 5000 == pytest.approx(0.1, abs=0.02)
    assert splits.count("test") / 5000 == pytest.approx(0.1, abs=0.02)


def test_three_given_splits_are_respected() -> None:
    members = [Member(split, str(number)) for number, split in enumerate(["test", "train", "validation", "train"])]

    assert assign(members).splits == ("test", "train", "validation", "train")


@pytest.mark.parametrize("other", ["validation", "eval"])
def test_given_validation_becomes_test_and_a_tenth_of_train_validates(other: str) -> None:
    members = [Member(other, f"v{number}") for number in range(50)]
    members += [Member("train", f"t{number}") for number in range(1000)]

    assignment = assign(members)

    assert set(assignment.splits[:50]) == {"test"}
    assert set(assignment.splits[50:]) == {"train", "validation"}
    assert assignment.splits.count("validation") == pytest.approx(100, abs=30)
    assert any("becomes the test" in notice for notice in assignment.notices)


def test_train_and_test_lend_validation_from_train_only() -> None:
    members = [Member("test", f"v{number}") for number in range(50)]
    members += [Member("train", f"t{number}") for number in range(1000)]

    splits = assign(members).splits

    assert set(splits[:50]) == {"test"}
    assert splits.count("validation") == pytest.approx(100, abs=30)


def test_eval_beside_validation_is_the_test() -> None:
    assert assign([Member(s, s) for s in ("train", "validation", "eval")]).splits == ("train", "validation", "test")


def test_a_single_given_split_says_nothing() -> None:
    names = [f"image {number}" for number in range(200)]

    assert assign([Member("test", name) for name in names]).splits == assign([Member(None, n) for n in names]).splits


def test_splits_without_one_to_train_on_are_refused() -> None:
    with pytest.raises(ValueError, match="none to train on"):
        assign([Member("validation", "a"), Member("test", "b")])


def test_images_outside_the_given_splits_are_left_out_and_leaks_are_told() -> None:
    members = [Member("train", "a"), Member("test", "a"), Member("validation", "b"), Member(None, "c")]

    assignment = assign(members)

    assert assignment.splits == ("train", "test", "validation", None)
    assert any(notice.startswith("1 groups") for notice in assignment.notices)
    assert any(notice.startswith("1 images") for notice in assignment.notices)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Valid", "validation"),
        ("val", "validation"),
        ("eval", "eval"),
        ("pets_train.record-00000-of-00010", "train"),
        ("test.record", "test"),
        ("trainer.record", None),
        ("train_val", None),
        ("images", None),
    ],
)
def test_names_that_speak_of_a_split(name: str, split: str | None) -> None:
    assert given_split(name) == split
