# SPDX-License-Identifier: Apache-2.0
"""The detector of Open Images, which no server of the zoo has: where it lies on this machine."""

from pathlib import Path

from pipelines.errors import BadInputError

NAME = "ssd_mobilenet_v2_300x300_open_images"


def fetched(zoo: Path) -> Path:
    """The folder of its checkpoint, laid out as the zoo's, fetched unless it is there.

    Args:
        zoo: Where checkpoints are kept on this machine.

    Raises:
        BadInputError: It is not there.
    """
    folder = zoo / NAME
    if not (folder / "checkpoint" / "ckpt-0.index").is_file():
        raise BadInputError(f"{folder}: the checkpoint is not there; run `mapgate zoo fetch {NAME}`")
    return folder
