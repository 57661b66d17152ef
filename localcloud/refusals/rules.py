# SPDX-License-Identifier: Apache-2.0
"""What EventBridge refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from localcloud.dispatch import Call
from localcloud.refusals.refusal import recorded

_MAX_ENTRIES_SIZE = 262_144
_OWN_PLACEHOLDERS = ("aws.events.", "aws.")


@recorded("events", "PutEvents", "ValidationException", "events/test_events.py")
def _large_entries(call: Call) -> str:
    texts = (
        entry.get(name) or "" for entry in call.parameters["Entries"] for name in ("Detail", "DetailType", "Source")
    )
    size = sum(len(text.encode()) for text in texts)
    return "Total size of the entries in the request is over the limit." if size > _MAX_ENTRIES_SIZE else ""


@recorded("events", "PutTargets", "ValidationException", "events/test_events_inputs.py")
def _odd_input(call: Call) -> str:
    for target in call.parameters["Targets"]:
        if sum(bool(target.get(name)) for name in ("Input", "InputPath", "InputTransformer")) > 1:
            return f"Only one of Input, InputPath, or InputTransformer must be provided for target {target['Id']}."
        transformer = target.get("InputTransformer") or {}
        for name in _unknown_placeholders(
            transformer.get("InputTemplate") or "", transformer.get("InputPathsMap") or {}
        ):
            return f"InputTemplate for target {target['Id']} contains invalid placeholder {name}."
    return ""


def _unknown_placeholders(template: str, paths: dict[str, str]) -> Iterator[str]:
    for name in re.findall(r"<([\w.-]+)>", template):
        if name not in paths and not name.startswith(_OWN_PLACEHOLDERS):
            yield name
