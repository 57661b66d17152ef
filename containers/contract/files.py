# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or absent: what uploads, resumes and readers may rely on when a job dies while it writes."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


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


def json_object(path: Path) -> Mapping[str, Any]:
    """The JSON object in a file that may come from anywhere; an empty one where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def digest_of(files: Iterable[Path]) -> str:
    """SHA-256 over the SHA-256 of each file, in their order: what was measured is named so, and known again by it."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
