# SPDX-License-Identifier: Apache-2.0
"""Holds a bound definition against SageMaker's own rules, offline.

The service model that botocore ships says what each `Create*` call takes and each `Describe*` call answers; the
pipeline's own grammar (parameters, references, conditions, policies) stands beside it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.definitions.graph import walk
from pipelines.check.arguments import argument_faults
from pipelines.check.document import document_faults
from pipelines.check.fault import Fault
from pipelines.check.graph import graph_faults
from pipelines.check.references import References
from pipelines.check.refusals import refusals
from pipelines.check.schema import form_faults

__all__ = ["Fault", "check"]


def check(definition: Mapping[str, Any]) -> list[Fault]:
    """Return every fault of a definition, in the order of its steps; none means that SageMaker takes it.

    Args:
        definition: As JSON, bound to an environment or with its stand-ins.
    """
    return list(_faults(definition))


def _faults(definition: Mapping[str, Any]) -> Iterator[Fault]:
    for stage in (form_faults, document_faults):
        found = list(stage(definition))
        yield from found
        if any(fault.fatal for fault in found):
            return
    references = References(definition)
    yield from graph_faults(definition)
    for step in walk(definition["Steps"]):
        yield from argument_faults(step, references)
        yield from refusals(step, definition)
