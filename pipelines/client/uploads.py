# SPDX-License-Identifier: Apache-2.0
"""Files and folders on their way to S3, each under a prefix that is named by its content.

Step caching looks at the URI of an input and never at the objects behind it, so a prefix must mean the same bytes for
ever.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.client.connection import Connection
from pipelines.errors import BadInputError

Progress = Callable[[int, int], None]
"""Called with the bytes that are there, and the bytes in all."""


def upload(connection: Connection, source: Path, bucket: str, *, under: str, progress: Progress | None = None) -> str:
    """Upload a file or a folder and return its URI; what is there already is not sent again.

    Args:
        source: A file, a folder, of which hidden files are left out, or a checkpoint's path without `.index`.
        under: The first part of the key, such as `datasets`.

    Returns:
        `s3://<bucket>/<under>/<first 16 digits of the content's SHA-256>/`

    Raises:
        BadInputError: `source` does not exist or holds no file.
    """
    files = list(files_of(source))
    prefix = f"{under}/{content_sha256(source)[:16]}/"
    there = _sizes_under(connection, bucket, prefix)
    keys = {file: prefix + (file.relative_to(source).as_posix() if source.is_dir() else file.name) for file in files}
    total = sum(file.stat().st_size for file in files)
    missing = [file for file in files if there.get(keys[file]) != file.stat().st_size]
    done = total - sum(file.stat().st_size for file in missing)
    s3 = connection.client("s3")
    with ThreadPoolExecutor(max_workers=8) as pool:
        sent = pool.map(lambda file: (s3.upload_file(str(file), bucket, keys[file]), file.stat().st_size)[1], missing)
        for size in sent:
            done += size
            if progress:
                progress(done, total)
    return f"s3://{bucket}/{prefix}"


def content_sha256(source: Path) -> str:
    """SHA-256 over the relative names and the bytes of every file, whatever their order and dates."""
    digest = hashlib.sha256()
    for file in files_of(source):
        name = file.relative_to(source).as_posix() if source.is_dir() else file.name
        digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def files_of(source: Path) -> Iterator[Path]:
    """Every file of a folder by name, hidden ones left out; or the file itself; or those of a checkpoint by its prefix.

    Raises:
        BadInputError: There is no such path, or no file in it.
    """
    if source.is_file():
        yield source
        return
    if not source.exists() and source.with_name(f"{source.name}.index").is_file():
        yield from sorted([*source.parent.glob(f"{source.name}.data-*"), source.with_name(f"{source.name}.index")])
        return
    if not source.is_dir():
        raise BadInputError(f"{source}: no such file or folder")
    files = [
        path
        for path in sorted(source.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(source).parts)
    ]
    if not files:
        raise BadInputError(f"{source}: the folder holds no file")
    yield from files


def _sizes_under(connection: Connection, bucket: str, prefix: str) -> dict[str, int]:
    pages = connection.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}
