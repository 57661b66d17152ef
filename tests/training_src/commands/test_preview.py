# SPDX-License-Identifier: Apache-2.0
"""`preview` as it is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipelines.demo.scenes import draw_scenes

REPOSITORY = Path(__file__).resolve().parents[3]


def test_a_sheet_is_drawn_without_tensorflow(tmp_path: Path) -> None:
    draw_scenes(tmp_path / "scenes", train=3, validation=1, test=1, size=(160, 120))
    script = (
        "import sys; from training_src.__main__ import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 'tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", script, "preview", tmp_path / "scenes", "--output", tmp_path / "sheet.jpg"]
    result = subprocess.run(list(map(str, command)), cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{tmp_path}/sheet.jpg: 5 images, each as it is and 5 times augmented\n"
    assert (tmp_path / "sheet.jpg").read_bytes().startswith(b"\xff\xd8")
