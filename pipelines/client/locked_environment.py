# SPDX-License-Identifier: Apache-2.0
"""An environment of links that can import what a lock file names, and nothing else.

A laptop has one environment for everything. A server that ran in it could take here what its image lacks, such as
TensorFlow, and fail only in an account.
"""

import re
import shutil
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

from pipelines.errors import WorkFailedError

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(.*)$", re.MULTILINE)


def make_environment(folder: Path, lock: Path) -> Path:
    """Make a virtual environment whose packages are links to those that are installed here.

    Args:
        folder: Of the environment; what is there goes.
        lock: As `uv pip compile` writes it: `name==version`, with a marker where not every platform needs it.

    Returns:
        Its interpreter.

    Raises:
        WorkFailedError: What the lock names for every platform is not installed here.
    """
    shutil.rmtree(folder, ignore_errors=True)
    builder = venv.EnvBuilder(symlinks=True)
    builder.create(folder)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    for name, rest in _PINNED.findall(lock.read_text()):
        try:
            _link(metadata.distribution(name), packages)
        except metadata.PackageNotFoundError:
            if ";" not in rest:
                raise WorkFailedError(
                    f"{lock.name} names {name}, which is not installed here: run `make setup`"
                ) from None
    return folder / "bin" / "python"


def _link(distribution: metadata.Distribution, packages: Path) -> None:
    """Link each top-level module, package and folder of a distribution; programs and `.pth` files are none."""
    for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
        link = packages / top
        if not top.endswith(".pth") and not link.exists():
            link.symlink_to(Path(str(distribution.locate_file(top))).resolve())
