# SPDX-License-Identifier: Apache-2.0
"""`mapgate local` as a person types it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

Mapgate = Callable[..., subprocess.CompletedProcess[str]]


def test_the_cloud_that_is_down_is_told_by_the_exit_code(mapgate: Mapgate) -> None:
    result = mapgate("local", "status", "--json")

    assert (result.returncode, json.loads(result.stdout)["running"]) == (1, False)
