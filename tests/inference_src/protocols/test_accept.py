# SPDX-License-Identifier: Apache-2.0
"""The Accept header as AWS's clients, browsers and libraries write it."""

import pytest

from inference_src.errors import RequestError
from inference_src.protocols.accept import LINES, NPY, Wanted, read_accept


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
        ("text/html, image/gif, *; q=.2, */*; q=.2", Wanted()),  # what Java's HttpURLConnection sends
        ("*", Wanted()),
        ("application/*;q=0.1", Wanted()),
        ("*/*;q=0, application/json", Wanted()),
        ("*/*;q=0, application/*;q=0.5", Wanted()),
        ("application/json;q=0, application/json;q=0.1", Wanted()),
        ("application/json;q=much", Wanted()),
        ('text/html;level="1,;2", application/json;verbose', Wanted(verbose=True)),
        ("application/json;n_predictions=2;q=0.5, application/json;n_predictions=3", Wanted(n_predictions=3)),
        ("application/json;verbose, */*;n_predictions=1", Wanted(verbose=True)),
        ("application/jsonlines", Wanted(media_type=LINES)),
        ("application/x-npy", Wanted(media_type=NPY)),
        ("application/x-npy;q=0.5, application/json", Wanted()),
        ("application/x-npy, application/json;q=0.5", Wanted(media_type=NPY)),
        ("application/x-npy, application/json", Wanted()),
        ("application/x-npy, */*;q=0.9", Wanted(media_type=NPY)),
        ("application/json;q=0, application/jsonlines", Wanted(media_type=LINES)),
    ],
)
def test_the_form_is_the_client_s_and_json_if_it_may_be(header: str | None, wanted: Wanted) -> None:
    assert read_accept(header) == wanted


@pytest.mark.parametrize(
    "header",
    [
        "text/csv",
        "application/json;q=0",
        "image/png, text/html",
        "application/json;q=0, */*",
        "*/*, application/json;q=0.0",
        "application/*;q=0, */*",
        "*/*;q=0",
        "application/x-npy;q=0",
        "application/json;verbose;q=0.000",
        "text/*",
        ",",
        ";",
        '"',
    ],
)
def test_other_forms_are_406(header: str) -> None:
    with pytest.raises(RequestError, match="application/json, application/jsonlines or application/x-npy") as refused:
        read_accept(header)
    assert refused.value.status == 406


@pytest.mark.parametrize("number", ["0", "-1", "five", "", "1e3", "99999999999", "²"])
def test_a_number_of_predictions_that_is_none_is_400(number: str) -> None:
    with pytest.raises(RequestError, match="above 0") as refused:
        read_accept(f"application/json;n_predictions={number}")
    assert refused.value.status == 400
