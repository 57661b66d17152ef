# SPDX-License-Identifier: Apache-2.0
"""Extraction of a model.tar.gz that may have been made to do harm.

An endpoint gets its model extracted by SageMaker; MeasureServing gets the archive itself.
"""

import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from inference_src.errors import ModelError

MAX_BYTES = 8 * 2**30
MAX_MEMBERS = 10_000


def extract_model(archive: Path, target: Path, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS) -> None:
    """Extract an archive of plain files and folders into a directory that does not exist yet.

    Args:
        archive: A gzip-compressed tar file.
        target: The directory to make; nothing is ever written outside it.
        max_bytes: Greatest sum of the files' sizes.
        max_members: Greatest number of files and folders.

    Raises:
        ModelError: No such archive, damaged, a link or device, a path that leads out, too many members or bytes.
    """
    if not archive.is_file():
        raise ModelError(f"{archive}: there is no model archive here")
    try:
        with tarfile.open(archive, "r:gz") as tar:
            target.mkdir(parents=True)
            for member in _plain_members(tar, archive, max_bytes, max_members):
                _write(tar, member, target / member.name)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ModelError(f"{archive}: cannot be extracted ({error}); upload it again") from error


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write one member with this process's own permissions; Python 3.11 before 3.11.4 has no extraction filters."""
    content = tar.extractfile(member)
    if content is None:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, path.open("wb") as file:
        shutil.copyfileobj(content, file)


def _plain_members(tar: tarfile.TarFile, archive: Path, max_bytes: int, max_members: int) -> Iterator[tarfile.TarInfo]:
    total = 0
    for number, member in enumerate(tar, start=1):
        total += member.size
        path = PurePosixPath(member.name)
        if not (member.isfile() or member.isdir()):
            raise ModelError(f"{archive}: {member.name!r} is a link or a device; a model holds files and folders only")
        if path.is_absolute() or ".." in path.parts:
            raise ModelError(f"{archive}: {member.name!r} leads out of the model")
        if number > max_members or total > max_bytes:
            raise ModelError(f"{archive}: more than {max_members} members or {max_bytes} bytes; this is no model")
        yield member
