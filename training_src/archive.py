# SPDX-License-Identifier: Apache-2.0
"""Files out of a gzip-compressed tar archive that may have been made to do harm."""

import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from training_src.errors import BadInputError

MAX_BYTES = 8 * 2**30
MAX_MEMBERS = 10_000


class ArchiveError(BadInputError):
    """An archive is missing, damaged, or not what it should be."""


def extract(
    archive: Path,
    target: Path,
    wanted: Callable[[PurePosixPath], bool] = lambda _: True,
    max_bytes: int = MAX_BYTES,
    max_members: int = MAX_MEMBERS,
) -> list[Path]:
    """Write plain files of an archive under a directory.

    Args:
        archive: A gzip-compressed tar file.
        target: Made where it is missing; nothing is ever written outside it.
        wanted: Which of its files are written.
        max_bytes: Greatest sum of all files' sizes.
        max_members: Greatest number of files and folders.

    Returns:
        The files that were written.

    Raises:
        ArchiveError: No such archive, damaged, a link or device, a path that leads out, too many members or bytes.
    """
    written = []
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in _plain_members(tar, archive, max_bytes, max_members):
                # Python 3.11 before 3.11.4 has no extraction filters, so files are copied with this process's rights.
                content = tar.extractfile(member)
                if content is None or not wanted(PurePosixPath(member.name)):
                    continue
                path = target / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with content, path.open("wb") as file:
                    shutil.copyfileobj(content, file)
                written.append(path)
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError) as error:
        raise ArchiveError(f"{archive}: cannot be read as a .tar.gz ({error}); fetch it again") from error
    return written


def _plain_members(tar: tarfile.TarFile, archive: Path, max_bytes: int, max_members: int) -> Iterator[tarfile.TarInfo]:
    total = 0
    for number, member in enumerate(tar, start=1):
        total += member.size
        path = PurePosixPath(member.name)
        if not (member.isfile() or member.isdir()):
            raise ArchiveError(f"{archive}: {member.name!r} is a link or a device, where only files and folders may be")
        if path.is_absolute() or ".." in path.parts:
            raise ArchiveError(f"{archive}: {member.name!r} leads out of the archive's folder")
        if number > max_members or total > max_bytes:
            raise ArchiveError(f"{archive}: more than {max_members} members or {max_bytes} bytes, so this is no model")
        yield member
