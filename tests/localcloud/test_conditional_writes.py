# SPDX-License-Identifier: Apache-2.0
"""Objects that are written only if none is there, copied only as they were, and policies that ask for it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

BUCKET = "conditional"
FREE = {"Bucket": BUCKET, "IfNoneMatch": "*"}


@pytest.fixture(scope="module")
def s3(cloud: Any) -> Any:
    made = cloud.client("s3")
    made.create_bucket(Bucket=BUCKET)
    made.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return made


@pytest.fixture
def written_once(s3: Any) -> Iterator[None]:
    """What is below `once/` cannot be written over."""
    conditions = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}
    denial = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Condition": conditions}
    statement = {**denial, "Resource": f"arn:aws:s3:::{BUCKET}/once/*"}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    yield
    s3.delete_bucket_policy(Bucket=BUCKET)


def refused(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    answer: Any = raised.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_key_that_is_taken_is_not_written_again_in_any_way(s3: Any) -> None:
    s3.put_object(Key="a", Body=b"first", **FREE)
    s3.put_object(Bucket=BUCKET, Key="source", Body=b"second")
    source = {"Bucket": BUCKET, "Key": "source"}
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="a")["UploadId"]
    part = s3.upload_part(Bucket=BUCKET, Key="a", UploadId=upload, PartNumber=1, Body=b"third")["ETag"]
    parts = {"Parts": [{"ETag": part, "PartNumber": 1}]}
    taken = ("PreconditionFailed", 412)
    assert refused(s3.put_object, Key="a", Body=b"second", **FREE) == taken
    assert refused(s3.copy_object, Key="a", CopySource=source, **FREE) == taken
    assert refused(s3.complete_multipart_upload, Key="a", UploadId=upload, MultipartUpload=parts, **FREE) == taken
    assert s3.get_object(Bucket=BUCKET, Key="a")["Body"].read() == b"first"
    s3.delete_object(Bucket=BUCKET, Key="a")
    s3.copy_object(Key="a", CopySource=source, **FREE)
    assert s3.get_object(Bucket=BUCKET, Key="a")["Body"].read() == b"second"


def test_only_the_asterisk_can_be_asked_for(s3: Any) -> None:
    asked = {"Bucket": BUCKET, "Key": "b", "IfNoneMatch": '"0123"'}
    assert refused(s3.put_object, Body=b"", **asked)[0] == "NotImplemented"
    assert refused(s3.copy_object, CopySource=f"{BUCKET}/a", **asked)[0] == "NotImplemented"


def test_what_is_copied_is_the_version_and_the_content_that_were_read(s3: Any) -> None:
    first = s3.put_object(Bucket=BUCKET, Key="read", Body=b"read")
    s3.put_object(Bucket=BUCKET, Key="read", Body=b"replaced")
    now = {"Bucket": BUCKET, "Key": "read"}
    then = {**now, "VersionId": first["VersionId"]}
    changed = ("PreconditionFailed", 412)
    assert refused(s3.copy_object, Key="c", CopySource=now, CopySourceIfMatch=first["ETag"], **FREE) == changed
    s3.copy_object(Key="c", CopySource=then, CopySourceIfMatch=first["ETag"], **FREE)
    assert s3.get_object(Bucket=BUCKET, Key="c")["Body"].read() == b"read"
    assert refused(s3.copy_object, Bucket=BUCKET, Key="c", CopySource=now, IfMatch='"0"') == changed
    s3.copy_object(Bucket=BUCKET, Key="c", CopySource=now, IfMatch=first["ETag"])
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="d")["UploadId"]
    part = {"Bucket": BUCKET, "Key": "d", "UploadId": upload, "PartNumber": 1, "CopySourceIfMatch": first["ETag"]}
    assert refused(s3.upload_part_copy, CopySource=now, **part) == changed
    assert s3.upload_part_copy(CopySource=then, **part)["CopyPartResult"]["ETag"]


def test_of_many_who_copy_at_once_one_does(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="source", Body=b"s")
    outcomes: list[str] = []

    def copy() -> None:
        try:
            s3.copy_object(Key="contested", CopySource=f"{BUCKET}/source", **FREE)
            outcomes.append("copied")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=copy) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["PreconditionFailed"] * 7 + ["copied"]


@pytest.mark.usefixtures("written_once")
def test_a_policy_lets_nobody_write_without_the_condition(s3: Any) -> None:
    """The administrator neither, since it denies."""
    source = f"{BUCKET}/source"
    s3.put_object(Bucket=BUCKET, Key="source", Body=b"s")
    denied = ("AccessDenied", 403)
    assert refused(s3.put_object, Bucket=BUCKET, Key="once/a", Body=b"x") == denied
    assert refused(s3.copy_object, Bucket=BUCKET, Key="once/a", CopySource=source) == denied
    assert refused(s3.copy_object, Bucket=BUCKET, Key="once/a", CopySource=source, IfMatch='"0"') == denied
    s3.copy_object(Key="once/a", CopySource=source, **FREE)
    s3.put_object(Key="once/b", Body=b"x", **FREE)
    upload = {"Bucket": BUCKET, "Key": "once/c"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part_copy(PartNumber=1, CopySource=source, **upload)["CopyPartResult"]["ETag"]
    parts = {"Parts": [{"ETag": part, "PartNumber": 1}]}
    assert refused(s3.complete_multipart_upload, MultipartUpload=parts, **upload) == denied
    s3.complete_multipart_upload(MultipartUpload=parts, IfNoneMatch="*", **upload)
    assert s3.get_object(Bucket=BUCKET, Key="once/c")["Body"].read() == b"s"
