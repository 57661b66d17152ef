# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or absent: what uploads, resumes and readers may rely on when a job dies while it writes."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> None:
    """Write beside, flush to the disk, rename: whoever reads sees the old file or the new one, never a part.

    Args:
        path: The file to write or to replace; its folder is made where it is missing.
        content: All of it; text becomes UTF-8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".partial")
    try:
        with beside.open("wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
