# SPDX-License-Identifier: Apache-2.0
"""Which runtimes an image has is seen by what is installed in it, and costs no import."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = """
import json, sys
from inference_src.runtimes import available

print(json.dumps([available(), [*sys.modules]]))
"""


def _available(tmp_path: Path, *installed: str) -> tuple[list[str], list[str]]:
    """What is available where these packages are installed, beside all but these two, and what it imported."""
    for name in installed:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')")
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if package.name not in ("tensorflow", "openvino", *installed):
            (tmp_path / package.name).symlink_to(package)
    said = subprocess.run(
        [sys.executable, "-S", "-c", SCRIPT],
        cwd=ROOT,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    runtimes, modules = json.loads(said.stdout)
    return runtimes, modules


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (["openvino"], ["openvino", "openvino-int8"]),
        (["tensorflow"], ["tensorflow"]),
        (["tensorflow", "openvino"], ["openvino", "openvino-int8", "tensorflow"]),
        ([], []),
    ],
)
def test_a_runtime_is_available_where_its_library_is(tmp_path: Path, installed: list[str], expected: list[str]) -> None:
    runtimes, modules = _available(tmp_path, *installed)
    assert runtimes == expected
    assert not {"openvino", "tensorflow"} & {*modules}
