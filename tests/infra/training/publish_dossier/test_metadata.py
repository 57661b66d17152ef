# SPDX-License-Identifier: Apache-2.0
"""Entries of metadata are legal values, and addresses are whole."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.training.publish_dossier.dossier.errors import DossierError
from infra.training.publish_dossier.dossier.metadata import address, readable


@given(st.text(max_size=600))
def test_any_sentence_becomes_a_legal_value(text: str) -> None:
    value = readable(text)
    assert 1 <= len(value) <= 256
    assert all(unicodedata.category(sign)[0] in "LNZ" or sign in "_.:/=+-@" for sign in value)
    assert readable(value) == value


def test_what_can_be_said_in_words_is() -> None:
    text = "mAP 0.41 >= 0.30 (3 classes); nothing lost, 5% better"
    assert readable(text) == "mAP 0.41 at least 0.30 - 3 classes . nothing lost - 5 percent better"


def test_address_that_is_no_legal_value_is_refused_rather_than_cut() -> None:
    with pytest.raises(DossierError, match="report_uri"):
        address("report_uri", f"s3://data/{'x' * 300}")
