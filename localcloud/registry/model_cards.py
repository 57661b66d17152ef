# SPDX-License-Identifier: Apache-2.0
"""The model card of a model package: refused where its content breaks the schema that AWS documents.

"Model package model card schema":
https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-details.html#model-card-schema

Where that schema can be read in two ways, the stricter one counts here: its patterns are of whole names, and its limits
of lists hold wherever in the list's description they stand. AWS documents no wording of the refusal; this one is ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from localcloud.dispatch import invalid

Schema = dict[str, Any]


def check(given: Mapping[str, Any] | None, present: Mapping[str, Any] | None = None) -> None:
    """Refuse a model card that breaks the schema, or the new content of an archived one.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ModelPackageModelCard.html

    Args:
        given: `ModelCard` of the request.
        present: `ModelCard` of the version so far.

    Raises:
        ServiceError: What is wrong.
    """
    if not given or "ModelCardContent" not in given:
        return
    if (present or {}).get("ModelCardStatus") == "Archived":
        raise invalid("Model Card is in Archived state")
    if fault := fault_of(given["ModelCardContent"]):
        raise invalid(f"Model card content does not follow the model package model card schema: {fault}")


def fault_of(content: str) -> str | None:
    """What is wrong with a card's content; None where nothing is."""
    try:
        card = json.loads(content)
    except ValueError as error:
        return f"it is no JSON ({error})"
    found = best_match(_validator().iter_errors(card))
    return f"{found.json_path}: {found.message[:500]}" if found else None


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(_CARD)


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


def _text(most: int) -> Schema:
    return {"type": "string", "maxLength": most}


def _name(most: int) -> Schema:
    return {"type": "string", "pattern": rf"^.{{1,{most}}}$"}


def _list(items: Schema, *, least: int = 0, most: int | None = None) -> Schema:
    return {"type": "array", "items": items, "minItems": least} | ({"maxItems": most} if most else {})


def _metric(kinds: tuple[str, ...], value: Schema, *, x: Schema, y: Schema) -> Schema:
    return _object(
        ("name", "type", "value"),
        name=_name(255),
        notes=_text(1024),
        type={"type": "string", "enum": list(kinds)},
        value=value,
        x_axis_name=x,
        y_axis_name=y,
    )


_AXIS = _text(63)
_TICKS = _list(_AXIS)
_NUMBER = {"type": "number"}
_ADDRESSES = _list(_text(1024), most=15)
_MEASURED = _object(("name", "value"), name=_name(255), notes=_text(1024), value=_NUMBER)
_SET = _object(("name", "value"), name=_name(255), value=_name(255))

_METRICS = [
    _metric(("number", "string", "boolean"), {"anyOf": [_NUMBER, _text(63), {"type": "boolean"}]}, x=_AXIS, y=_AXIS),
    _metric(("linear_graph",), _list(_list(_NUMBER, least=2, most=2), least=1), x=_AXIS, y=_AXIS),
    _metric(("bar_chart",), _list(_NUMBER, least=1), x=_TICKS, y=_AXIS),
    _metric(("matrix",), _list(_list(_NUMBER, least=1, most=20), least=1, most=20), x=_TICKS, y=_TICKS),
]

_GROUP = {
    "type": "object",
    "required": ["name", "metric_data"],
    "properties": {"name": _name(63), "metric_data": _list({"anyOf": _METRICS})},
}

_TRAINING_JOB = _object(
    training_arn=_text(1024),
    training_datasets=_ADDRESSES,
    training_environment=_object(container_image=_ADDRESSES),
    training_metrics=_list(_MEASURED, most=50),
    user_provided_training_metrics=_list(_MEASURED, most=50),
    hyper_parameters=_list(_SET, most=100),
    user_provided_hyper_parameters=_list(_SET, most=100),
)

_OBJECTIVE = _object(
    function=_object(
        function={"type": "string", "enum": ["Maximize", "Minimize"]}, facet=_text(63), condition=_text(63)
    ),
    notes=_text(1024),
)

_EVALUATION = _object(
    ("name",),
    name=_name(63),
    evaluation_observation=_text(2096),
    evaluation_job_arn=_text(256),
    datasets=_list(_text(1024), most=10),
    metadata={"type": "object", "additionalProperties": _text(1024)},
    metric_groups=_list(_GROUP),
)

_CARD = _object(
    model_overview=_object(model_creator=_text(1024), model_artifact=_ADDRESSES),
    intended_uses=_object(
        purpose_of_model=_text(2048),
        intended_uses=_text(2048),
        factors_affecting_model_efficiency=_text(2048),
        risk_rating={"type": "string", "enum": ["High", "Medium", "Low", "Unknown"]},
        explanations_for_risk_rating=_text(2048),
    ),
    business_details=_object(
        business_problem=_text(2048), business_stakeholders=_text(2048), line_of_business=_text(2048)
    ),
    training_details=_object(
        objective_function=_OBJECTIVE, training_observations=_text(1024), training_job_details=_TRAINING_JOB
    ),
    evaluation_details=_list(_EVALUATION),
    additional_information=_object(
        ethical_considerations=_text(2048),
        caveats_and_recommendations=_text(2048),
        custom_details={"type": "object", "additionalProperties": _text(1024)},
    ),
)
