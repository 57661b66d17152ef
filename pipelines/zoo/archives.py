# SPDX-License-Identifier: Apache-2.0
"""Archives of the TensorFlow 2 detection zoo: fetched once, checked, and held to the checksum of the first time.

The zoo publishes no checksums, so what came first is what is trusted: its SHA-256 goes to a record in the format of
`sha256sum`, which a team can keep with its code.
"""

import fcntl
import hashlib
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from pipelines.errors import BadInputError, WorkFailedError
from pipelines.tar_headers import BoundedMember
from pipelines.zoo.downloads import Progress, download

# The bucket behind download.tensorflow.org, whose own name has no certificate.
SERVER = "https://storage.googleapis.com/download.tensorflow.org/models/object_detection/tf2"

CHECKPOINT = PurePosixPath("checkpoint/ckpt-0")
MAX_BYTES = 8 * 2**30
MAX_MEMBERS = 10_000
SHA256 = re.compile(r"[0-9a-f]{64}")


class ArchiveError(WorkFailedError):
    """What came is not the archive that was asked for."""


@dataclass(frozen=True)
class Archive:
    """An archive on this machine.

    Attributes:
        sha256: Of its bytes.
        downloaded: Whether it came just now.
        recorded: Whether its checksum was written to the record just now.
    """

    path: Path
    sha256: str
    downloaded: bool
    recorded: bool


def fetch(
    place: str,
    folder: Path,
    record: Path,
    *,
    checksum: str | None = None,
    server: str = SERVER,
    progress: Progress | None = None,
) -> Archive:
    """Bring an archive to this machine, unless it is there.

    Args:
        place: Date and file name on the server: `20200711/efficientdet_d1_coco17_tpu-32.tar.gz`.
        folder: Where archives are kept.
        record: File of checksums.
        checksum: The SHA-256 that it must have.

    Raises:
        ArchiveError: What came has another checksum, or is no archive of the zoo.
        BadInputError: The record says another checksum than was given, or the server has no such file.
        DownloadError: It did not come.
    """
    name = PurePosixPath(place).name
    recorded = _recorded(record, name)
    expected = _expected(name, checksum, recorded, record)
    path = folder / name
    if downloaded := not (path.is_file() and expected in (None, _sha256(path))):
        download(f"{server.rstrip('/')}/{place}", path, progress=progress)
    digest = _sha256(path)
    try:
        if expected not in (None, digest):
            said = f"{record} has kept {expected} since the first time" if recorded else f"--checksum says {expected}"
            raise ArchiveError(f"{name}: its SHA-256 is {digest}, but {said}: ask who changed it before you use it")
        check(path)
    except ArchiveError:
        # What is not trusted does not stay where the next call would find it.
        path.unlink()
        raise
    if not recorded:
        _keep(record, name, digest)
    return Archive(path, digest, downloaded, not recorded)


def check(archive: Path) -> None:
    """Read an archive to its end.

    Raises:
        ArchiveError: It is damaged, holds no checkpoint, or what no archive of the zoo holds: links, devices, paths
            that lead out, too much.
    """
    found = set()
    number = 0
    try:
        with tarfile.open(archive, "r:gz", tarinfo=BoundedMember) as tar:
            while (member := tar.next()) is not None:
                number += 1
                if number > MAX_MEMBERS or not 0 <= member.size <= MAX_BYTES - member.offset_data:
                    raise ArchiveError(
                        f"{archive.name}: more than {MAX_MEMBERS} members or {MAX_BYTES} bytes, so this is no model"
                    )
                path = PurePosixPath(member.name)
                if not (member.isfile() or member.isdir()) or path.is_absolute() or ".." in path.parts:
                    raise ArchiveError(f"{archive.name}: {member.name!r} is a link, a device, or leads out of it")
                found.add(PurePosixPath(*path.parts[-2:]))
                cast(Any, tar).members.clear()  # else each would be kept with its headers
            _read_to_the_end(tar)
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError) as error:
        raise ArchiveError(f"{archive.name}: cannot be read as a .tar.gz ({error}); fetch it again") from error
    for wanted in (f"{CHECKPOINT}.index", f"{CHECKPOINT}.data-00000-of-00001"):
        if PurePosixPath(wanted) not in found:
            raise ArchiveError(f"{archive.name}: there is no {wanted} in it, so this is no archive of the zoo")


def _read_to_the_end(tar: tarfile.TarFile) -> None:
    # Only gzip's last bytes say whether all before them came unharmed.
    assert tar.fileobj is not None
    while tar.fileobj.read(2**20):
        pass


def _expected(name: str, checksum: str | None, recorded: str | None, record: Path) -> str | None:
    if checksum is None:
        return recorded
    checksum = checksum.strip().lower()
    if not SHA256.fullmatch(checksum):
        raise BadInputError(f"--checksum {checksum}: a SHA-256 has 64 hexadecimal digits")
    if recorded not in (None, checksum):
        raise BadInputError(
            f"{name}: --checksum says {checksum}, but {record} has kept {recorded} since the first time; "
            "remove its line there if the new one is right"
        )
    return checksum


def _recorded(record: Path, name: str) -> str | None:
    """The checksum that a record keeps for a file.

    Raises:
        BadInputError: It cannot be read.
    """
    try:
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{record}: cannot be read as a list of checksums ({error})") from error
    for number, line in enumerate(lines, start=1):
        digest, _, file = line.partition(" ")
        if file.lstrip(" *") != name:
            continue
        if not SHA256.fullmatch(digest):
            raise BadInputError(f"{record}, line {number}: {digest!r} is no SHA-256; put it right, or remove the line")
        return digest
    return None


def _keep(record: Path, name: str, digest: str) -> None:
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with record.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # another fetch may end at this moment
            file.seek(0)
            before = file.read()
            file.write((b"" if before.endswith(b"\n") or not before else b"\n") + f"{digest}  {name}\n".encode())
    except OSError as error:
        raise BadInputError(f"{record}: the checksum cannot be kept there ({error.strerror})") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
