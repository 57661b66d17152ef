# SPDX-License-Identifier: Apache-2.0
"""The pre-trained detector as a server takes it: exported once on this machine, and anew when the sources change."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from containers.tags import image_tag
from pipelines.errors import WorkFailedError

CHECKOUT = Path(__file__).resolve().parents[2]


class ExportError(WorkFailedError):
    """A checkpoint could not be exported."""


def served(name: str, models: Path, checkpoint: Callable[[], Path], told: Callable[[str], object]) -> Path:
    """The folder of a detector that a server can take, exported unless it is there.

    Args:
        name: Of the detector.
        models: Where exported models are kept on this machine.
        checkpoint: Gives the folder of its checkpoint; called only where it is to be exported.
        told: Called with what is being done.

    Raises:
        ExportError: The export failed.
    """
    # What exports, and what is pinned to be exported, are sources of the training image.
    folder = models / name / image_tag(CHECKOUT, "training")
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (models / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another command may be at it: what it exports is there then
        if folder.is_dir():
            return folder
        source = checkpoint()
        told(f"exporting {name}, this once")
        for older in folder.parent.iterdir():
            shutil.rmtree(older)
        _export(source, folder)
    return folder


def _export(checkpoint: Path, output: Path) -> None:
    words = ["export", "--checkpoint", checkpoint, "--output", output, "--artifact"]
    command = [sys.executable, "-m", "training_src", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        *_, last = ["no reason given", *done.stderr.strip().splitlines()]
        raise ExportError(f"{checkpoint}: could not be exported: {last}")
