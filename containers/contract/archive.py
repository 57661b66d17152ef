# SPDX-License-Identifier: Apache-2.0
"""Files out of a gzip-compressed tar archive that may have been made to do harm.

An endpoint gets its model extracted by SageMaker; MeasureServing and a training that starts from a checkpoint get the
archive itself.
"""

import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Self

from containers.contract.errors import ArchiveError

MAX_BYTES = 8 * 2**30
MAX_MEMBERS = 10_000
MAX_HEADER_BYTES = 2**16
"""Of a long name or a pax header, which stands before the member that it belongs to."""


def extract(
    archive: Path,
    target: Path,
    wanted: Callable[[PurePosixPath], bool] = lambda _: True,
    max_bytes: int = MAX_BYTES,
    max_members: int = MAX_MEMBERS,
) -> None:
    """Write the plain files and folders of an archive into a directory that does not exist yet.

    Args:
        archive: A gzip-compressed tar file.
        target: The directory to make; nothing is ever written outside it.
        wanted: Which members are written.
        max_bytes: Greatest size of the whole archive, decompressed, with its headers and what is not wanted.
        max_members: Greatest number of files and folders.

    Raises:
        ArchiveError: No such archive, damaged, a link, a device or a sparse file, a path that leads out, too many
            members or bytes.
    """
    try:
        with tarfile.open(archive, "r:gz", tarinfo=_Member) as tar:
            target.mkdir(parents=True)
            for number, member in enumerate(tar, start=1):
                if number > max_members or not 0 <= member.size <= max_bytes - member.offset_data:
                    raise ArchiveError(
                        f"{archive}: more than {max_members} members or {max_bytes} bytes, so this is no model"
                    )
                if wanted(_plain_path(member, archive)):
                    _write(tar, member, target / member.name)
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, OverflowError, RecursionError) as error:
        raise ArchiveError(f"{archive}: cannot be read as a .tar.gz ({error}); fetch it again") from error


def _plain_path(member: tarfile.TarInfo, archive: Path) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if member.issparse() or not (member.isfile() or member.isdir()):
        raise ArchiveError(f"{archive}: {member.name!r} is a link or a device, where only files and folders may be")
    if path.is_absolute() or ".." in path.parts:
        raise ArchiveError(f"{archive}: {member.name!r} leads out of the archive's folder")
    return path


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write one member with this process's own permissions; Python 3.11 before 3.11.4 has no extraction filters."""
    content = tar.extractfile(member)
    if content is None:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, path.open("wb") as file:
        shutil.copyfileobj(content, file)


class _Member(tarfile.TarInfo):
    """A member of which nothing is read but its own 512 bytes before they have been looked at."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header; tarfile would take a name, a pax header or a map of holes of any size into memory."""
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or (member.type in _NAMES and member.size > MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a header announces {member.size} bytes")
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError(f"{member.name!r} is a sparse file")
        return member

    def _proc_gnusparse_10(self, member: tarfile.TarInfo, *_: object) -> None:
        """Note what a pax header says, and leave the map of holes unread: `issparse` is reason enough to refuse."""
        member.sparse = b""


_NAMES = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
