# SPDX-License-Identifier: Apache-2.0
"""A stand-in of an image can import what the image's lock names, and nothing else that is installed here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipelines.client.locked_environment import make_environment
from pipelines.errors import WorkFailedError

LOCK = """\
annotated-types==0.8.0 \\
    --hash=sha256:13b2beaad985e05e2d6407ee4c4f35590b11f8d693a258a561055cac8f64cab7
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:13b2beaad985e05e2d6407ee4c4f35590b11f8d693a258a561055cac8f64cab7
colorama-of-another-system==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:13b2beaad985e05e2d6407ee4c4f35590b11f8d693a258a561055cac8f64cab7
"""


def imported(python: Path, *names: str) -> list[bool]:
    """Whether an interpreter can import each of these, with nothing but itself to tell it where."""
    commands = [[str(python), "-I", "-c", f"import {name}"] for name in names]
    return [not subprocess.run(command, env={}, capture_output=True).returncode for command in commands]


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").write_text(LOCK)
    return tmp_path / "requirements.txt"


def test_only_what_the_lock_names_can_be_imported(tmp_path: Path, lock: Path) -> None:
    python = make_environment(tmp_path / "environment", lock)
    assert imported(python, "numpy.linalg", "annotated_types") == [True, True]
    assert imported(python, "pydantic", "boto3", "inference_src", "pip") == [False] * 4


def test_an_environment_is_made_anew_with_its_lock(tmp_path: Path, lock: Path) -> None:
    make_environment(tmp_path / "environment", lock)
    lock.write_text(LOCK[: LOCK.index("numpy")])
    assert imported(make_environment(tmp_path / "environment", lock), "annotated_types", "numpy") == [True, False]


def test_what_is_not_installed_here_is_named_with_the_way_out(tmp_path: Path, lock: Path) -> None:
    lock.write_text("no-such-package==1.0 \\\n")
    with pytest.raises(WorkFailedError, match=r"requirements\.txt names no-such-package, .* run `make setup`"):
        make_environment(tmp_path / "environment", lock)
