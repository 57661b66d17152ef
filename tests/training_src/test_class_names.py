# SPDX-License-Identifier: Apache-2.0
"""Names of classes are one name in all of Unicode's ways to write them, and what only looks the same is told."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_src.class_names import look_alike, look_alikes, one_spelling

CYRILLIC = "c\u0430r"
COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize("written", [COMPOSED, DECOMPOSED, f" {COMPOSED}", f"{DECOMPOSED} "])
def test_ways_to_write_a_name_are_one_spelling(written: str) -> None:
    assert one_spelling(written) == COMPOSED
    assert not look_alike(written, COMPOSED)


def test_blanks_in_a_name_are_single_ones() -> None:
    assert one_spelling("traffic  light ") == "traffic light"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("car", CYRILLIC),
        ("Car", "car"),
        ("CAR", "\u0421\u0410R"),
        ("file", "\ufb01le"),
        ("\u039f", "O"),
        ("\u041d\u043e\u0441", "\u043d\u043e\u0441"),
        ("traffic light", "Traffic  Light"),
    ],
)
def test_names_that_look_alike_are_told_whichever_is_whose(one: str, other: str) -> None:
    assert look_alike(one, other)
    assert look_alike(other, one)


@pytest.mark.parametrize("other", ["cat", "cars", "truck", "\u043a\u043e\u0442"])
def test_other_names_do_not_look_alike(other: str) -> None:
    assert not look_alike("car", other)


def test_of_one_model_capital_letters_are_classes_of_their_own() -> None:
    assert look_alikes(["a", "A", "b"]) is None
    assert look_alikes(["a", "\u0430", "A"]) == ("a", "\u0430")
    assert look_alikes(["\ufb01le", "person", "file"]) == ("\ufb01le", "file")


@given(st.text(max_size=12))
def test_one_spelling_is_final_and_the_same_for_both_forms(text: str) -> None:
    found = one_spelling(text)
    assert one_spelling(found) == found == one_spelling(unicodedata.normalize("NFD", text))
    assert not look_alike(text, found)
