# SPDX-License-Identifier: Apache-2.0
"""A stack of the test's own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest


@pytest.fixture
def stack(cloud: Any, until: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    """Brings a stack named after the test to a template; returns its description once it rests."""
    name = re.sub("[^A-Za-z0-9]+", "-", request.node.name)[:100].strip("-")
    api = cloud.client("cloudformation")

    class Stack:
        def bring(
            self,
            resources: dict[str, Any],
            outputs: dict[str, Any] | None = None,
            capabilities: Sequence[str] = ("CAPABILITY_NAMED_IAM",),
        ) -> dict[str, Any]:
            body = json.dumps({"Resources": resources, **({"Outputs": outputs} if outputs else {})})
            given = {"StackName": name, "TemplateBody": body, "Capabilities": list(capabilities)}
            exists = any(one["StackName"] == name for one in api.describe_stacks()["Stacks"])
            (api.update_stack if exists else api.create_stack)(**given)
            return self.rested()

        def rested(self) -> dict[str, Any]:
            def look() -> Any:
                described = api.describe_stacks(StackName=name)["Stacks"][0]
                return described if not described["StackStatus"].endswith("IN_PROGRESS") else None

            return dict(until(look, 60))

        def delete(self) -> bool:
            api.delete_stack(StackName=name)
            return bool(until(lambda: all(one["StackName"] != name for one in api.describe_stacks()["Stacks"]), 60))

        def physical(self, logical_id: str) -> str:
            found = api.describe_stack_resources(StackName=name, LogicalResourceId=logical_id)["StackResources"]
            return str(found[0]["PhysicalResourceId"])

        def reasons(self) -> str:
            events = api.describe_stack_events(StackName=name)["StackEvents"]
            return "\n".join(event.get("ResourceStatusReason", "") for event in events)

    return Stack()
