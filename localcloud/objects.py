# SPDX-License-Identifier: Apache-2.0
"""S3 as SageMaker uses it: prefixes downloaded to directories, directories uploaded to prefixes, archives."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError


class ObjectError(Exception):
    """Objects that are not there or cannot be laid out as files; the message is the job's failure reason."""


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`.

    Raises:
        ObjectError: It is none.
    """
    parts = urlsplit(uri, allow_fragments=False)
    if parts.scheme != "s3" or not parts.netloc:
        raise ObjectError(f"{uri!r} is no S3 URI (s3://bucket/key)")
    return parts.netloc, parts.path.removeprefix("/")


def keys_under(s3: Any, uri: str) -> list[str]:
    """Every key that starts with the URI's key, whether or not a folder ends there, as S3Prefix means it.

    Raises:
        ObjectError: The bucket does not exist.
    """
    bucket, prefix = split_uri(uri)
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]
    except s3.exceptions.NoSuchBucket as error:
        raise ObjectError(f"the bucket of {uri} does not exist") from error


def has_objects(s3: Any, uri: str) -> bool:
    """Whether any key starts with the URI's key, for all that the client may see."""
    bucket, prefix = split_uri(uri)
    try:
        return bool(s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents"))
    except ClientError as error:
        if error.response["Error"]["Code"] in ("AccessDenied", "NoSuchBucket"):
            return False
        raise


def relative_path(key: str, prefix: str) -> str:
    """Where the object `key` lies in the directory that `prefix` is downloaded to.

    A folder's objects lie relative to it, with or without the slash at the prefix's end; where the prefix ends in the
    middle of a name, relative to the last slash.
    """
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    if key.startswith(folder):
        return key[len(folder) :]
    return key[prefix.rfind("/") + 1 :]


def download(s3: Any, uri: str, directory: Path, *, share: tuple[int, int] = (0, 1)) -> int:
    """Lay every object under `uri` out as a file in `directory`; returns their number.

    Args:
        s3: A client.
        uri: As `keys_under` means it.
        directory: Is made.
        share: Which part of how many is wanted, where instances get objects by turns, in the order of their keys. The
            number that is returned is that of all the same.

    Raises:
        ObjectError: A key leads out of the directory, or is both a file and a folder.
    """
    bucket, prefix = split_uri(uri)
    directory.mkdir(parents=True, exist_ok=True)
    keys = keys_under(s3, uri)
    for key in keys[share[0] :: share[1]]:
        name = relative_path(key, prefix)
        if ".." in PurePosixPath(name).parts:
            raise ObjectError(f"Failed to download data. The key {key} leads out of its folder.")
        target = directory / name
        try:
            if not name or key.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            fetch(s3, bucket, key, target)
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            raise ObjectError(
                "Failed to download data. Please check your s3 objects and ensure that there is no object that is "
                f"both a folder as well as a file: {key}"
            ) from error
    return len(keys)


def fetch(s3: Any, bucket: str, key: str, target: Path) -> None:
    """Download one object to `target`."""
    body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    with target.open("wb") as file:
        shutil.copyfileobj(body, file, 1 << 20)


def upload_file(s3: Any, path: Path, uri: str, kms_key: str | None = None) -> None:
    """Upload one file to exactly `uri`, encrypted with `kms_key` if one is given."""
    bucket, key = split_uri(uri)
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
    if path.stat().st_size > 64 << 20:
        s3.upload_file(str(path), bucket, key, ExtraArgs=encryption)
        return
    with path.open("rb") as file:
        s3.put_object(Bucket=bucket, Key=key, Body=file, **encryption)


def upload_directory(s3: Any, directory: Path, uri: str, kms_key: str | None = None) -> int:
    """Upload every file below `directory` under `uri`; symbolic links are not followed. Returns their number."""
    files = list(files_below(directory))
    for path in files:
        upload_file(s3, path, f"{uri.rstrip('/')}/{path.relative_to(directory).as_posix()}", kms_key)
    return len(files)


def files_below(directory: Path) -> Iterator[Path]:
    """Regular files below `directory`, sorted, without symbolic links."""
    yield from sorted(path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def pack(directory: Path, archive: Path) -> None:
    """Write what `directory` holds as a gzipped tar, with names relative to it."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(directory.iterdir()):
            tar.add(path, arcname=path.name)


def unpack(archive: Path, directory: Path) -> None:
    """Extract a gzipped tar; members that lead out of `directory`, links and devices are refused.

    Raises:
        ObjectError: It is no such archive, or not safe.
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                _unpack_member(tar, member, directory)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ObjectError(f"Failed to extract model data archive {archive.name}: {error}") from error


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, directory: Path) -> None:
    """Write one file or folder; Python 3.11 before 3.11.4 has no extraction filters."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
        raise tarfile.ExtractError(f"{member.name!r} leads out of the archive, or is a link or a device")
    target = directory / path
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    if content:
        with content, target.open("wb") as file:
            shutil.copyfileobj(content, file)
