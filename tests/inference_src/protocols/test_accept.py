# SPDX-License-Identifier: Apache-2.0
"""The Accept header as AWS's clients, browsers and libraries write it."""

import pytest

from inference_src.errors import RequestError
from inference_src.protocols.accept import Wanted, read_accept


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, Wanted()),
        ("", Wanted()),
        ("*/*", Wanted()),
        ("application/json", Wanted()),
        ("application/json;verbose", Wanted(verbose=True)),
        ("application/json;n_predictions=3", Wanted(n_predictions=3)),
        ("application/json;verbose;n_predictions=5", Wanted(verbose=True, n_predictions=5)),
        ("Application/JSON ; n_predictions = 5 ; VERBOSE", Wanted(verbose=True, n_predictions=5)),
        ("text/html, application/json;q=0.9, */*;q=0.8", Wanted()),
        ("application/json;charset=utf-8", Wanted()),
        ("application/json;q=0, */*", Wanted()),
    ],
)
def test_json_is_accepted_with_its_parameters(header: str | None, wanted: Wanted) -> None:
    assert read_accept(header) == wanted


@pytest.mark.parametrize(
    "header", ["text/csv", "application/jsonlines", "application/json;q=0", "image/png, text/html"]
)
def test_other_forms_are_406(header: str) -> None:
    with pytest.raises(RequestError, match="application/json only") as refused:
        read_accept(header)
    assert refused.value.status == 406


@pytest.mark.parametrize("number", ["0", "-1", "five", "", "1e3", "99999999999", "²"])
def test_a_number_of_predictions_that_is_none_is_400(number: str) -> None:
    with pytest.raises(RequestError, match="above 0") as refused:
        read_accept(f"application/json;n_predictions={number}")
    assert refused.value.status == 400
