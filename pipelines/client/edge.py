# SPDX-License-Identifier: Apache-2.0
"""A version's files for edge devices: `edge.tar.gz`, among what its training wrote beside the model.

SageMaker packs `/opt/ml/output/data` into `output.tar.gz` beside `model.tar.gz`:
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-output.html
Whoever can write there could have made either archive to do harm, so both are read like a stranger's.
"""

import json
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from botocore.exceptions import ClientError

from pipelines.client.connection import Connection, refusals_told
from pipelines.client.registry import Version
from pipelines.errors import BadInputError, WorkFailedError
from pipelines.tar_headers import BoundedMember

MODEL, OUTPUT, ARCHIVE, PARITY = "model.tar.gz", "output.tar.gz", "edge.tar.gz", "parity.json"
FOLDER = "edge"
MAX_BYTES = 2**30
MAX_MEMBERS = 1000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
WAY_OUT = (
    "a training writes them where it is asked to, for SSD detectors of a fixed size: `mapgate run DATA "
    '--training-settings "quantize=true"`, or `graph_rewriter { quantization { } }` in its pipeline.config; of a '
    "checkpoint `mapgate model export --to tflite` makes them"
)


class EdgeArchiveError(WorkFailedError):
    """What lies beside a model is not what a training of ours packs."""


@dataclass(frozen=True)
class EdgeFiles:
    """What was fetched.

    Attributes:
        uri: The archive in S3 that held it.
        folder: Where the files are now.
        sizes: Of each file, in bytes.
        parity: How each `.tflite` compares with float32, as the training measured it; empty where nothing tells.
    """

    uri: str
    folder: Path
    sizes: dict[str, int]
    parity: dict[str, Any]


def fetch(connection: Connection, version: Version, folder: Path) -> EdgeFiles:
    """Download a version's files into a folder, which is there whole or not at all.

    Args:
        version: Of the registry.
        folder: New or empty.

    Raises:
        BadInputError: The folder holds something, the version has no such files, or AWS refused.
        EdgeArchiveError: An archive is damaged, or holds what none of ours does.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BadInputError(f"{folder}: something is there already; give another folder")
    if not version.model_uri.endswith(f"/{MODEL}"):
        raise BadInputError(f"version {version.number} was not trained by the pipeline: {WAY_OUT}")
    uri = version.model_uri.removesuffix(MODEL) + OUTPUT
    beside = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(prefix="mapgate-edge-") as work:
            output, archive = Path(work) / OUTPUT, Path(work) / ARCHIVE
            if not _downloaded(connection, uri, output) or not _taken_out(output, archive, uri):
                raise BadInputError(f"version {version.number} has no files for edge devices at {uri}: {WAY_OUT}")
            beside.mkdir(parents=True)
            _unpack(archive, beside, uri)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    return EdgeFiles(uri, folder, sizes, _parity(folder / PARITY))


def _downloaded(connection: Connection, uri: str, target: Path) -> bool:
    """Whether there is such an object, which then lies at `target`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with refusals_told(uri):
        try:
            connection.client("s3").download_file(bucket, key, str(target))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return False
            raise
    return True


def _taken_out(output: Path, target: Path, uri: str) -> bool:
    """Whether the job's outputs hold the archive, which then lies at `target`."""
    with _opened(output, uri) as tar:
        for member in _members(tar, uri):
            if PurePosixPath(member.name) == PurePosixPath(ARCHIVE) and member.isfile():
                _write(tar, member, target)
                return True
    return False


def _unpack(archive: Path, target: Path, uri: str) -> None:
    """Plain files of `edge/` alone, each once."""
    with _opened(archive, uri) as tar:
        for member in _members(tar, uri):
            parts = PurePosixPath(member.name).parts
            if member.isdir() and parts == (FOLDER,):
                continue
            if not (member.isfile() and len(parts) == 2 and parts[0] == FOLDER and NAME.fullmatch(parts[1])):
                raise EdgeArchiveError(f"{uri}: {ARCHIVE} holds {member.name!r}, which no training of ours packs")
            if (target / parts[1]).exists():
                raise EdgeArchiveError(f"{uri}: {ARCHIVE} holds {member.name!r} twice")
            _write(tar, member, target / parts[1])
        while cast(Any, tar.fileobj).read(2**20):
            pass  # only gzip's last bytes say whether all before them came unharmed
    if not any(target.iterdir()):
        raise EdgeArchiveError(f"{uri}: {ARCHIVE} is empty")


@contextmanager
def _opened(archive: Path, uri: str) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, "r:gz", tarinfo=BoundedMember) as tar:
            yield tar
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError) as error:
        raise EdgeArchiveError(f"{uri}: cannot be read as a .tar.gz ({error}); run the training again") from error


def _members(tar: tarfile.TarFile, uri: str) -> Iterator[tarfile.TarInfo]:
    number = 0
    while (member := tar.next()) is not None:
        number += 1
        if number > MAX_MEMBERS or not 0 <= member.size <= MAX_BYTES - member.offset_data:
            raise EdgeArchiveError(f"{uri}: more than {MAX_MEMBERS} files or {MAX_BYTES} bytes: nothing was unpacked")
        yield member
        cast(Any, tar).members.clear()  # else each would be kept with its headers


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None  # a plain file has content
    with target.open("xb") as file:
        shutil.copyfileobj(source, file)
    if target.stat().st_size != member.size:
        raise tarfile.ReadError(f"{member.name!r} ends too early")


def _parity(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(name): each for name, each in told.items() if isinstance(each, dict)} if isinstance(told, dict) else {}
