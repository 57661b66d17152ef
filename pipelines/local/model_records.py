# SPDX-License-Identifier: Apache-2.0
"""SageMaker's models and endpoint configurations: what was asked for is what is described."""

from __future__ import annotations

from typing import Any

from pipelines.local.context import CloudContext
from pipelines.local.moto_mends import Call, ServiceError, backend, original_action, replace_action, state_lock


def install(_: CloudContext) -> None:
    """Answer the actions of which moto forgets a part."""
    for action, handler in (
        ("CreateModel", _create_model),
        ("DescribeModel", _describe_model),
        ("CreateEndpointConfig", _create_endpoint_config),
        ("DescribeEndpointConfig", _describe_endpoint_config),
    ):
        replace_action("sagemaker", action, handler)


def _create_model(call: Call) -> dict[str, Any]:
    name = call.parameters["ModelName"]
    with state_lock:
        models = backend("sagemaker", call.account, call.region)._models
        if name in models:
            message = f'Cannot create already existing model "{_arn(call, "model", name)}".'
            raise ServiceError("ValidationException", message)
        answer = original_action("sagemaker", "CreateModel", call)
        models[name].beyond_moto = dict(call.parameters)
    return answer


def _describe_model(call: Call) -> dict[str, Any]:
    with state_lock:
        answer = original_action("sagemaker", "DescribeModel", call)
        model = backend("sagemaker", call.account, call.region)._models[call.parameters["ModelName"]]
    return _completed(model, answer)


def _create_endpoint_config(call: Call) -> dict[str, Any]:
    name = call.parameters["EndpointConfigName"]
    with state_lock:
        configs = backend("sagemaker", call.account, call.region).endpoint_configs
        if name in configs:
            message = f'Cannot create already existing endpoint configuration "{_arn(call, "endpoint-config", name)}".'
            raise ServiceError("ValidationException", message)
        answer = original_action("sagemaker", "CreateEndpointConfig", call)
        configs[name].beyond_moto = dict(call.parameters)
    return answer


def _describe_endpoint_config(call: Call) -> dict[str, Any]:
    with state_lock:
        answer = original_action("sagemaker", "DescribeEndpointConfig", call)
        config = backend("sagemaker", call.account, call.region).endpoint_configs[call.parameters["EndpointConfigName"]]
    return _completed(config, answer)


def _completed(record: Any, answer: dict[str, Any]) -> dict[str, Any]:
    """moto's answer, and what it forgot or invented put right by the request."""
    asked = getattr(record, "beyond_moto", {})
    known = {key: value for key, value in answer.items() if value not in (None, {}, [], "")}
    return {**known, **{key: value for key, value in asked.items() if key != "Tags"}}


def _arn(call: Call, kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{call.region}:{call.account}:{kind}/{name}"
