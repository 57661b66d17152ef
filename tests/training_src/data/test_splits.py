# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_src.data.splits import Split, assign, given_split

groups = st.lists(st.text(max_size=6), max_size=60)


Member = tuple[str | None, str]


def splits_of(members: list[Member]) -> list[Split | None]:
    assignment = assign({given for given, _ in members if given})
    return [assignment.split(given, group) for given, group in members]


@given(groups, groups)
def test_split_never_moves_when_data_are_added(first: list[str], added: list[str]) -> None:
    before = splits_of([(None, group) for group in first])
    after = splits_of([(None, group) for group in first + added])

    assert after[: len(first)] == before


@given(groups, groups, st.sampled_from(["validation", "test"]))
def test_validation_taken_from_train_never_moves(first: list[str], added: list[str], other: str) -> None:
    fixed: list[Member] = [(other, "x"), ("train", "y")]
    before = splits_of([*fixed, *(("train", group) for group in first)])
    after = splits_of([*fixed, *(("train", group) for group in first + added)])

    assert after[: len(before)] == before


@given(groups)
def test_groups_stay_together(names: list[str]) -> None:
    splits = splits_of([(None, name) for name in names])

    assert len(dict(zip(names, splits, strict=True)).items()) == len(set(zip(names, splits, strict=True)))


def test_hash_gives_eighty_ten_ten() -> None:
    splits = splits_of([(None, f"image {number}") for number in range(5000)])

    assert splits.count("train") / 5000 == pytest.approx(0.8, abs=0.02)
    assert splits.count("validation") / 5000 == pytest.approx(0.1, abs=0.02)
    assert splits.count("test") / 5000 == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(
    ("group", "split"),
    [
        # The nearest to each border, of the first 20,000: what was tested yesterday must not be trained on tomorrow.
        ("image 6996", "train"),
        ("image 15525", "validation"),
        ("image 11052", "validation"),
        ("image 12270", "test"),
    ],
)
def test_a_key_has_its_split_for_good(group: str, split: Split) -> None:
    assert assign(()).split(None, group) == split
    # As if the data set brought none: a single one says nothing.
    assert assign(["train"]).split("train", group) == split


@pytest.mark.parametrize(("group", "split"), [("image 3667", "validation"), ("image 628", "train")])
def test_a_key_is_lent_to_validation_for_good(group: str, split: Split) -> None:
    assert assign(["train", "test"]).split("train", group) == split
    assert assign(["train", "test"]).split("test", group) == "test"
    assert assign(["train", "validation", "test"]).split("train", group) == "train"


LENT = "No validation split is left: a tenth of the training groups becomes the validation."


@pytest.mark.parametrize(
    ("given", "roles", "notices"),
    [
        ("train validation test", {"train": "train", "validation": "validation", "test": "test"}, ()),
        ("train eval test", {"train": "train", "eval": "validation", "test": "test"}, ()),
        (
            "train validation eval",
            {"train": "train", "validation": "validation", "eval": "test"},
            ("No test split is given: the given eval split becomes the test.",),
        ),
        (
            "train validation eval test",
            {"train": "train", "validation": "validation", "eval": "validation", "test": "test"},
            ("Both a validation and an eval split are given: both validate.",),
        ),
        ("train test", {"train": "train", "test": "test"}, (LENT,)),
        (
            "train validation",
            {"train": "train", "validation": "test"},
            ("No test split is given: the given validation split becomes the test.", LENT),
        ),
        (
            "",
            {},
            ("No splits are given: a hash of each group's key decides (80 % train, 10 % validation, 10 % test).",),
        ),
    ],
)
def test_each_given_split_has_its_role_and_what_was_decided_is_said(
    given: str, roles: dict[str, Split], notices: tuple[str, ...]
) -> None:
    assignment = assign(given.split())

    assert (dict(assignment.roles), assignment.notices) == (roles, notices)


def test_three_given_splits_are_respected() -> None:
    names = ["test", "train", "validation", "train"]

    assert splits_of([(split, str(number)) for number, split in enumerate(names)]) == names


@pytest.mark.parametrize("other", ["validation", "eval"])
def test_given_validation_becomes_test_and_a_tenth_of_train_validates(other: str) -> None:
    members: list[Member] = [(other, f"v{number}") for number in range(50)]
    members += [("train", f"t{number}") for number in range(1000)]

    splits = splits_of(members)

    assert set(splits[:50]) == {"test"}
    assert set(splits[50:]) == {"train", "validation"}
    assert splits.count("validation") == pytest.approx(100, abs=30)
    assert any("becomes the test" in notice for notice in assign({other, "train"}).notices)


def test_train_and_test_lend_validation_from_train_only() -> None:
    members: list[Member] = [("test", f"v{number}") for number in range(50)]
    members += [("train", f"t{number}") for number in range(1000)]

    splits = splits_of(members)

    assert set(splits[:50]) == {"test"}
    assert splits.count("validation") == pytest.approx(100, abs=30)


def test_eval_beside_validation_is_the_test() -> None:
    assert splits_of([(s, s) for s in ("train", "validation", "eval")]) == ["train", "validation", "test"]


def test_a_single_given_split_says_nothing() -> None:
    names = [f"image {number}" for number in range(200)]

    assert splits_of([("test", name) for name in names]) == splits_of([(None, name) for name in names])


def test_splits_without_one_to_train_on_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^splits are given \(test, validation\), but none to train on$"):
        assign({"validation", "test"})


def test_image_outside_the_given_splits_is_left_out() -> None:
    assert splits_of([("train", "a"), ("test", "a"), (None, "c")]) == ["train", "test", None]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("Valid", "validation"),
        ("validation", "validation"),
        ("val", "validation"),
        ("eval", "eval"),
        ("pets_train.record-00000-of-00010", "train"),
        ("test.record", "test"),
        ("testing", "test"),
        ("train/training", "train"),
        ("trainer.record", None),
        ("train_val", "train"),
        ("training_and_validation", "train"),
        ("trainval", "train"),
        ("train_test", None),
        ("images", None),
    ],
)
def test_names_that_speak_of_a_split(name: str, split: str | None) -> None:
    assert given_split(name) == split
