# SPDX-License-Identifier: Apache-2.0
"""SageMaker's models and endpoint configurations: what was asked for is what is described."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from localcloud.context import CloudContext
from localcloud.dispatch import Call, invalid, original_action, replace_action, state_lock


@dataclass(frozen=True)
class _Kind:
    """A sort of record.

    Attributes:
        name: As actions are called by it.
        words: As messages call it.
        resource: As ARNs call it.
        store: Where moto's backend keeps the records.
    """

    name: str
    words: str
    resource: str
    store: str

    def records(self, call: Call) -> dict[str, Any]:
        return cast(dict[str, Any], getattr(call.backend("sagemaker"), self.store))


_KINDS = (
    _Kind("Model", "model", "model", "_models"),
    _Kind("EndpointConfig", "endpoint configuration", "endpoint-config", "endpoint_configs"),
)


def install(_: CloudContext) -> None:
    """Answer the actions of which moto forgets a part."""
    for kind in _KINDS:
        replace_action("sagemaker", f"Create{kind.name}", partial(_create, kind))
        replace_action("sagemaker", f"Describe{kind.name}", partial(_describe, kind))


def _create(kind: _Kind, call: Call) -> dict[str, Any]:
    name = call.parameters[f"{kind.name}Name"]
    with state_lock:
        records = kind.records(call)
        if name in records:
            arn = call.arn(f"{kind.resource}/{name}")
            raise invalid(f'Cannot create already existing {kind.words} "{arn}".')
        answer = original_action("sagemaker", f"Create{kind.name}", call)
        records[name].beyond_moto = dict(call.parameters)
    return answer


def _describe(kind: _Kind, call: Call) -> dict[str, Any]:
    with state_lock:
        answer = original_action("sagemaker", f"Describe{kind.name}", call)
        record = kind.records(call)[call.parameters[f"{kind.name}Name"]]
    return _completed(record, answer)


def _completed(record: Any, answer: dict[str, Any]) -> dict[str, Any]:
    """moto's answer, and what it forgot or invented put right by the request."""
    asked = getattr(record, "beyond_moto", {})
    known = {key: value for key, value in answer.items() if value not in (None, {}, [], "")}
    return {**known, **{key: value for key, value in asked.items() if key != "Tags"}}
