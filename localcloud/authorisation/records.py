# SPDX-License-Identifier: Apache-2.0
"""Which permissions have been used, and which were missing: a line for each that is new, in `state/permissions.jsonl`.

What a role is granted and no line names is granted in vain; what was denied says so with AWS's sentence.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from localcloud.authorisation.patterns import arn_like, filled
from localcloud.authorisation.verdicts import Request, Verdict

_lock = threading.Lock()
_known: set[tuple[str, str, str, str]] = set()
_file: Path


def install(file: Path) -> None:
    """Go on with what an earlier process of the cloud has noted."""
    global _file
    _file = file
    _known.clear()
    _known.update((line["role"], line["action"], line["resource"], line["denied"]) for line in read(file))


def note(request: Request, verdict: Verdict) -> None:
    """Note what allowed a request: the patterns of the role's own policies that name its resource; or its denial."""
    role, action = request.principal.role_arn, request.action
    if not verdict.allowed:
        _write((role, action, request.resource, verdict.reason))
    for statement in verdict.statements:
        for pattern in statement.resources[1] if statement.resources and statement.principals is None else ():
            if arn_like(filled(pattern, request.context) or "", request.resource):
                _write((role, action, pattern, ""))


def read(file: Path) -> list[dict[str, str]]:
    """Every line: `role`, `action`, `resource` (the policy's pattern, or the ARN that was denied), `denied` (why)."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]


def _write(line: tuple[str, str, str, str]) -> None:
    with _lock:
        if line in _known:
            return
        _known.add(line)
        with _file.open("a") as file:
            file.write(json.dumps(dict(zip(("role", "action", "resource", "denied"), line, strict=True))) + "\n")
