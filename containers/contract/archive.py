# SPDX-License-Identifier: Apache-2.0
"""Files out of a gzip-compressed tar archive that may have been made to do harm.

An endpoint gets its model extracted by SageMaker; MeasureServing and a training that starts from a checkpoint get the
archive itself. What is served must be what was measured, so an archive that two readers could read differently is
refused like one that leads out of its folder.

The filters of `tarfile` (PEP 706) came with Python 3.11.4, bound neither bytes nor members, and let links pass.
"""

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self, cast

from containers.contract.errors import ArchiveError

MAX_BYTES = 8 * 2**30
MAX_MEMBERS = 10_000
MAX_MEMBER_HEADER_BYTES = 2**17
"""Of all that stands in front of one member's content: long names, pax headers and its own 512 bytes."""
MAX_HEADER_BYTES = 2**24
"""Of all headers together; `tarfile.add` itself writes up to 1,536 bytes a member."""
GLOBAL_FIELDS = frozenset({"comment"})
"""What a header for all later members may say, as `git archive` does; a global size or path has no one meaning."""


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
        ArchiveError: No such archive, damaged, a link, a device or a sparse file, a path that leads out or that not
            every reader takes alike, a path that stands in it twice, too many members, bytes or headers.
    """
    try:
        with gzip.open(archive) as stream:
            _extract(_Tape(stream, max_bytes), archive, target, wanted, max_members)
    except _TooMuchError as error:
        raise ArchiveError(
            f"{archive}: more than {max_members} members, {max_bytes} bytes or {MAX_HEADER_BYTES} bytes of headers, "
            "so this is no model"
        ) from error
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, RecursionError) as error:
        raise ArchiveError(f"{archive}: cannot be read as a .tar.gz ({error}); fetch it again") from error


def _extract(
    tape: "_Tape", archive: Path, target: Path, wanted: Callable[[PurePosixPath], bool], max_members: int
) -> None:
    tape.headers_from(0)
    with tarfile.open(fileobj=cast(BinaryIO, tape), mode="r:", tarinfo=_Member) as tar:
        target.mkdir(parents=True)
        number = 0
        while (member := tar.next()) is not None:
            number += 1
            tape.content_from(member.offset_data, member.size)
            if number > max_members:
                raise _TooMuchError
            if tar.pax_headers.keys() - GLOBAL_FIELDS:
                raise tarfile.ReadError("a header says something of all its files")
            path = _plain_path(member, archive)
            if wanted(path):
                _write(tar, member, archive, target / path)
            cast(Any, tar).members.clear()  # else each would be kept with its headers
            tape.headers_from(tar.offset)
    if not tape.ends_in_zeros():
        raise tarfile.ReadError("there is more behind its end")


def _plain_path(member: tarfile.TarInfo, archive: Path) -> PurePosixPath:
    name, path = member.name, PurePosixPath(member.name)
    if member.issparse() or not (member.isfile() or member.isdir()):
        raise ArchiveError(f"{archive}: {name!r} is a link or a device, where only files and folders may be")
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise ArchiveError(f"{archive}: {name!r} leads out of the archive's folder")
    if not name.isprintable() or (member.isfile() and not path.parts):
        raise ArchiveError(f"{archive}: {name!r} is no name that a file can have everywhere; pack the folder anew")
    return path


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, archive: Path, path: Path) -> None:
    """Write one member with this process's own permissions."""
    content = tar.extractfile(member)
    try:
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with content, path.open("xb") as file:
            shutil.copyfileobj(content, file)
    except gzip.BadGzipFile:
        raise
    except (FileExistsError, NotADirectoryError) as error:
        raise ArchiveError(f"{archive}: {member.name!r} stands in it twice; pack the folder anew") from error
    except OSError as error:
        raise ArchiveError(f"{archive}: {member.name!r} cannot be written here ({error.strerror})") from error


class _TooMuchError(Exception):
    """More is asked of an archive than a model has."""


class _Tape:
    """The decompressed bytes, read once from their beginning, and never further than they may be.

    `tarfile` takes a name, a pax header or a map of holes of any size into memory, and skips what is not wanted by
    reading it: what is bounded is therefore what is read, whatever a header announces.
    """

    def __init__(self, stream: gzip.GzipFile, max_bytes: int) -> None:
        self._stream, self._position = stream, 0
        self._max_bytes, self._may_read_to, self._start = max_bytes, 0, 0
        self._headers_left = MAX_HEADER_BYTES

    def headers_from(self, start: int) -> None:
        """Let the headers of one member be read, which begin at `start`."""
        self._start = start
        self._may_read_to = min(self._max_bytes, start + min(self._headers_left, MAX_MEMBER_HEADER_BYTES))

    def content_from(self, start: int, size: int) -> None:
        """Let the content of a member be read, and count the headers in front of it."""
        self._headers_left -= start - self._start
        if not 0 <= size <= self._max_bytes - start:
            raise _TooMuchError
        self._may_read_to = self._max_bytes

    def ends_in_zeros(self) -> bool:
        """Read all that is left, so that its checksum is looked at, and tell whether it is padding."""
        self._may_read_to = self._max_bytes
        while chunk := self.read(2**16):
            if chunk.strip(b"\0"):
                return False
        return True

    def read(self, size: int) -> bytes:
        left = self._may_read_to - self._position
        if size < 0:
            raise _TooMuchError
        data = self._stream.read(min(size, left + 1))
        if len(data) > left:
            raise _TooMuchError
        self._position += len(data)
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        """Go forward; `tarfile` never goes back in an archive whose members are read in order."""
        while (ahead := position - self._position) > 0 and self.read(min(ahead, 2**16)):
            pass
        if ahead < 0:
            raise tarfile.StreamError("an archive is read forward only")
        return self._position


class _Member(tarfile.TarInfo):
    """A member whose header is what it should be; `tarfile` itself takes a broken one for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read the 512 bytes of a header."""
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if any(buf):  # zeros, or nothing at all, end an archive
                raise tarfile.ReadError(f"a damaged header: {error}") from error
            raise
        if member.size < 0:
            raise tarfile.ReadError(f"a header announces {member.size} bytes")
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError(f"{member.name!r} is a sparse file")
        return member

    def _proc_gnusparse_10(self, member: tarfile.TarInfo, *_: object) -> None:
        """Note what a pax header says, and leave the map of holes unread: `issparse` is reason enough to refuse."""
        member.sparse = b""
