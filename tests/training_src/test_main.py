# SPDX-License-Identifier: Apache-2.0
"""`python -m training_src`: an entry point by its name."""

from __future__ import annotations

import subprocess
import sys


def test_unknown_command_is_bad_input() -> None:
    done = subprocess.run([sys.executable, "-m", "training_src", "dance"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "train, prepare, join, evaluate, architectures, check" in done.stderr
