# SPDX-License-Identifier: Apache-2.0
"""That the steps of a definition are a graph: names are given once, something waits for something, and it ends."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.definitions.graph import circle, depends_on, walk
from pipelines.check.fault import Fault


def graph_faults(definition: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield duplicate names, dependencies on nothing, and circles."""
    names: Counter[str] = Counter()
    steps = list(walk(definition["Steps"]))
    every = {step["Name"] for step in steps}
    for step in steps:
        names[step["Name"]] += 1
        if names[step["Name"]] > 1:
            yield Fault(step["Name"], "Name", step["Name"], "is the name of another step")
        for index, needed in enumerate(depends_on(step)):
            if needed not in every:
                yield Fault(step["Name"], f"DependsOn[{index}]", needed, "is no step of this pipeline")
    if found := circle(definition["Steps"]):
        yield Fault(found[0], "DependsOn", " -> ".join(found), "steps must not wait for one another in a circle")
