# SPDX-License-Identifier: Apache-2.0
"""`mapgate check` as a person types it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from pipelines.commands.check import COMMITTED

Mapgate = Callable[..., subprocess.CompletedProcess[str]]


def test_the_committed_definition_has_no_fault(mapgate: Mapgate) -> None:
    result = mapgate("check", "--json")

    assert (result.returncode, json.loads(result.stdout)) == (0, [])


def test_a_faulty_definition_is_bad_input_and_each_fault_is_named(typed: Mapgate, tmp_path: Path) -> None:
    definition = json.loads(COMMITTED.read_text())
    definition["Steps"][0]["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceType"] = "ml.banana.huge"
    (tmp_path / "definition.json").write_text(json.dumps(definition))

    result = typed("check", tmp_path / "definition.json")

    assert result.returncode == 2
    assert "PrepareDataset" in result.stdout and "ml.banana.huge" in result.stdout
