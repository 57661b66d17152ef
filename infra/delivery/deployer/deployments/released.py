# SPDX-License-Identifier: Apache-2.0
"""Released artifacts: what passed, copied once to where only the deployer writes, under its own digest.

Endpoints read their artifact whenever an instance starts. They read this copy, which nobody can replace.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from . import errors
from .errors import ConflictError, RefusedError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1 << 20
LARGEST_COPY_BYTES = 5 * 1024**3
"""What one CopyObject copies at most. https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""
PART_BYTES = 1024**3


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object of S3, read to its end.

    Attributes:
        version_id: Of the object's version that was read; None in a bucket without versions.
        size: In bytes.
    """

    bucket: str
    key: str
    sha256: str
    etag: str
    version_id: str | None
    size: int


def released_uri(bucket: str, sha256: str) -> str:
    """Return where the artifact of this digest is served from."""
    return f"s3://{bucket}/{_key(sha256)}"


def release(s3: S3Client, bucket: str, *, source: tuple[str, str], sha256: str, version: int) -> str:
    """Return the URI of an artifact's released copy, which is made when it is not there, and hashed in either case.

    Args:
        s3: Client.
        bucket: The environment's.
        source: Bucket and key of the artifact as it was judged.
        sha256: Its digest then.
        version: For messages.

    Raises:
        RefusedError: The artifact is gone or another one, or what was released under its digest is.
        ConflictError: Another event copies it, or somebody replaces it, at this moment.
    """
    copy = read_to_end(s3, bucket, _key(sha256))
    if copy is None:
        uri = f"s3://{source[0]}/{source[1]}"
        found = read_to_end(s3, *source)
        if found is None:
            raise RefusedError(
                f"v{version}: its artifact {uri} is gone; run the pipeline again and approve the new version"
            )
        if found.sha256 != sha256:
            raise RefusedError(
                f"v{version}: {uri} is not the artifact that was evaluated (its sha256 begins with "
                f"{found.sha256[:12]}, the evaluated one's with {sha256[:12]}); run the pipeline again"
            )
        _copy(s3, found, bucket, _key(sha256))
        copy = read_to_end(s3, bucket, _key(sha256))
    if copy is None or copy.sha256 != sha256:
        what = f"holds {copy.sha256[:12]}..." if copy else "is gone"
        raise RefusedError(
            f"v{version}: {released_uri(bucket, sha256)} {what}, although its name says what it must hold; an "
            "administrator finds out who wrote there, deletes it, and the version is approved again"
        )
    return released_uri(bucket, sha256)


def read_to_end(s3: S3Client, bucket: str, key: str) -> StoredObject | None:
    """Read an object and hash it; None when it is not there."""
    digest, size = hashlib.sha256(), 0
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if errors.is_absent(error):
            return None
        raise
    for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return StoredObject(
        bucket=bucket,
        key=key,
        sha256=digest.hexdigest(),
        etag=answer["ETag"],
        version_id=answer.get("VersionId"),
        size=size,
    )


def _copy(s3: S3Client, found: StoredObject, bucket: str, key: str) -> None:
    """Copy the very version that was read, to a key that is free.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    source: Any = {"Bucket": found.bucket, "Key": found.key}
    if found.version_id:
        source["VersionId"] = found.version_id
    try:
        if found.size > LARGEST_COPY_BYTES:
            _copy_in_parts(s3, source, found, bucket, key)
        else:
            # Tags of the source are nobody's business, and would need a permission of their own.
            s3.copy_object(
                Bucket=bucket,
                Key=key,
                CopySource=source,
                CopySourceIfMatch=found.etag,
                IfNoneMatch="*",
                TaggingDirective="REPLACE",
            )
    except ClientError as error:
        if errors.code(error) not in errors.TAKEN | errors.RACING:
            raise
        raise ConflictError(f"s3://{bucket}/{key} is being written by another event") from error


def _copy_in_parts(s3: S3Client, source: Any, found: StoredObject, bucket: str, key: str) -> None:
    """Copy what is too large for one call; an upload that is never completed goes with the bucket's life cycle."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    parts: list[Any] = []
    for number, first in enumerate(range(0, found.size, PART_BYTES), start=1):
        last = min(first + PART_BYTES, found.size) - 1
        answer = s3.upload_part_copy(
            Bucket=bucket,
            Key=key,
            UploadId=upload,
            PartNumber=number,
            CopySource=source,
            CopySourceIfMatch=found.etag,
            CopySourceRange=f"bytes={first}-{last}",
        )
        parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
    )


def _key(sha256: str) -> str:
    return f"released/{sha256}/model.tar.gz"
