# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipelines.client.connection import Connection, refusals_told
from pipelines.errors import BadInputError


@pytest.mark.parametrize(
    ("url", "emulated"),
    [
        (None, False),
        ("http://127.0.0.1:4577", True),
        ("http://localhost:4577", True),
        ("http://[::1]:4577", True),
        ("https://vpce-1.sagemaker.eu-west-1.vpce.amazonaws.com", False),
    ],
)
def test_only_a_loopback_address_is_the_laptops_cloud(url: str | None, emulated: bool) -> None:
    assert Connection(endpoint_url=url).is_emulated is emulated


def test_the_laptops_cloud_gets_placeholder_keys_whatever_the_profile() -> None:
    session = Connection(endpoint_url="http://127.0.0.1:4577", profile="nobodys").session

    credentials = session.get_credentials()
    assert credentials is not None and credentials.access_key == "emulated"
    assert session.region_name == "us-east-1"


def test_a_refusal_is_bad_input_in_awss_own_words() -> None:
    answer: Any = {"Error": {"Code": "ValidationException", "Message": "no such step"}}

    with pytest.raises(BadInputError) as caught, refusals_told("arn:x"):
        raise ClientError(answer, "StopPipelineExecution")

    assert str(caught.value) == "arn:x: no such step"
