# SPDX-License-Identifier: Apache-2.0
"""What botocore knows of the calls behind steps."""

from __future__ import annotations

from typing import Any

from localcloud.definitions.service_model import OPERATIONS, input_shape, output_shape, pattern, shape_named


def test_compiles_every_pattern_of_the_calls_that_steps_make() -> None:
    seen: set[str] = set()

    def visit(shape: Any) -> None:
        if shape.name in seen:
            return
        seen.add(shape.name)
        if "pattern" in shape.metadata:
            pattern(shape.metadata["pattern"])
        below = {"structure": ["members"], "list": ["member"], "map": ["key", "value"]}.get(shape.type_name, [])
        for name in below:
            part = getattr(shape, name)
            for each in part.values() if isinstance(part, dict) else [part]:
                visit(each)

    for step_type in OPERATIONS:
        visit(input_shape(step_type))
    assert len(seen) > 300
    assert pattern(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)").fullmatch("Zürich 7 = a.b:c/d+e-f@g")
    assert not pattern(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)").fullmatch("a, b")


def test_a_step_type_has_the_shapes_of_its_two_calls() -> None:
    for step_type, operation in OPERATIONS.items():
        assert operation.supplied <= set(input_shape(step_type).members)  # type: ignore[attr-defined]
        assert input_shape(step_type).name.startswith(operation.create)
        assert output_shape(step_type).name.startswith(operation.describe)
    assert shape_named("StepName").metadata["max"] == 64
