# SPDX-License-Identifier: Apache-2.0
"""What a function that signs carries can be imported from its asset alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from infra.evidence_asset import evidence_asset

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import index
assert index.parts.SECOND == 2
from containers.evidence import envelope, signing, statements
for module in (index, envelope, signing, statements):
    assert module.__file__.startswith(sys.argv[1]), module.__file__
"""


def test_a_function_finds_its_own_modules_and_the_evidence(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "index.py").write_text("import parts\n")
    (tmp_path / "parts" / "__init__.py").write_text("SECOND = 2\n")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "index.pyc").write_text("")
    with evidence_asset(tmp_path) as folder:
        ran = subprocess.run(
            [sys.executable, "-I", "-S", "-c", RUN, str(folder)], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        assert not list(folder.rglob("index.pyc"))
    assert not folder.exists()
