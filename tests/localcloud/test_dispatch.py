# SPDX-License-Identifier: Apache-2.0
"""The seam between moto and the modules that answer in its place."""

from __future__ import annotations

import pytest
from moto import mock_aws

from localcloud.dispatch import Call, backend, original_action, replace_action


def test_a_misspelt_action_cannot_be_replaced() -> None:
    with pytest.raises(Exception, match="StartPipelineExecutoin"):
        replace_action("sagemaker", "StartPipelineExecutoin", lambda _: {})


@mock_aws
def test_an_original_action_can_be_called_by_a_handler() -> None:
    call = Call("123456789012", "us-east-1", {"ModelPackageGroupName": "g"})
    assert original_action("sagemaker", "CreateModelPackageGroup", call)["ModelPackageGroupArn"].endswith("/g")
    assert "g" in backend("sagemaker", "123456789012", "us-east-1").model_package_groups


def test_answers_have_no_status_and_content_type_of_their_own() -> None:
    from moto.core.serialize import get_serializer_class
    from moto.core.utils import get_service_model

    model = get_service_model("lambda").operation_model("Invoke")
    serializer = get_serializer_class("lambda", "rest-json")(operation_model=model)
    assert serializer.serialize({"StatusCode": 202})["status_code"] == 200, (
        "moto does it itself now: delete it from _serialized"
    )
