# SPDX-License-Identifier: Apache-2.0
"""Custom::BucketContents: put a bucket's own objects, and empty it when its stack goes.

Properties: `BucketName`, `Objects` (text by key), `Keep` (prefix under which an object stays when it is in `Objects` no
longer) and `EmptyOnDelete` ("true" or "false").
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html

A bucket is emptied for good: its policy first denies writes, because S3 delivers access logs hours later. What takes
longer than one invocation may, goes on in another one; CloudFormation waits an hour for the answer.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_REASON_CHARACTERS = 1024
_MARGIN_MILLISECONDS = 60_000
"""Of an invocation's time, left for the last page of deletions and the answer."""
_DENIAL = "NothingIsWrittenWhileTheBucketIsEmptied"


def handler(event: dict[str, Any], context: Any) -> None:
    """Serve a custom-resource request, and answer it whatever happens, unless another invocation goes on with it.

    Args:
        event: The request.
        context: Lambda's, which knows how much time is left.
    """
    reason, done = "", True
    try:
        done = serve(_s3(), event, lambda: context.get_remaining_time_in_millis() > _MARGIN_MILLISECONDS)
        if not done:
            _go_on_later(event, context.invoked_function_arn)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    outcome = reason or ("done" if done else "goes on in another invocation")
    print(json.dumps({"request": event["RequestType"], "bucket": _bucket(event), "reason": outcome}), flush=True)
    if done or reason:
        _respond(event, reason)


def serve(s3: S3Client, request: dict[str, Any], has_time: Callable[[], bool]) -> bool:
    """Do what a request asks for; False when time ran out before all was done.

    Raises:
        botocore.exceptions.ClientError: The bucket refuses.
    """
    wanted = request["ResourceProperties"]
    if request["RequestType"] == "Delete":
        if str(wanted.get("EmptyOnDelete", "false")).lower() == "true":
            return empty(s3, wanted["BucketName"], has_time)
        return True
    for key, content in (wanted.get("Objects") or {}).items():
        s3.put_object(Bucket=wanted["BucketName"], Key=key, Body=str(content).encode(), ContentType="text/plain")
    before = request.get("OldResourceProperties") or {}
    if before.get("BucketName") == wanted["BucketName"]:
        for key in set(before.get("Objects") or {}) - set(wanted.get("Objects") or {}):
            if not (wanted.get("Keep") and key.startswith(wanted["Keep"])):
                s3.delete_object(Bucket=wanted["BucketName"], Key=key)
    return True


def empty(s3: S3Client, bucket: str, has_time: Callable[[], bool]) -> bool:
    """Delete every object, every version and every unfinished upload of a bucket; one that is gone is empty.

    Returns:
        Whether the bucket is empty. At least one page of it is deleted, however little time there is.
    """
    try:
        _deny_writes(s3, bucket)
        while doomed := _first_versions(s3, bucket):
            _delete(s3, bucket, doomed)
            if not has_time():
                return False
        for uploads in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in uploads.get("Uploads", []):
                s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except ClientError as error:
        if _code(error) != "NoSuchBucket":
            raise
    return True


def _deny_writes(s3: S3Client, bucket: str) -> None:
    try:
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    except ClientError as error:
        if _code(error) != "NoSuchBucketPolicy":
            raise
        policy = {"Version": "2012-10-17", "Statement": []}
    if any(statement.get("Sid") == _DENIAL for statement in policy["Statement"]):
        return
    denial = {"Sid": _DENIAL, "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject"}
    policy["Statement"].append({**denial, "Resource": f"arn:aws:s3:::{bucket}/*"})
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def _first_versions(s3: S3Client, bucket: str) -> list[ObjectIdentifierTypeDef]:
    """List from the start each time: a marker would name an object that has been deleted since."""
    page = s3.list_object_versions(Bucket=bucket)
    found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    return [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]


def _delete(s3: S3Client, bucket: str, doomed: list[ObjectIdentifierTypeDef]) -> None:
    # DeleteObjects answers 200 even where it refused.
    refused = s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True}).get("Errors", [])
    if refused:
        first = refused[0]
        raise RuntimeError(
            f"{len(refused)} objects of {bucket} cannot be deleted, such as {first.get('Key')}: {first.get('Message')}"
        )


def _go_on_later(event: dict[str, Any], function_arn: str) -> None:
    """Hand the request to another invocation of this function.

    Lambda stops a function that calls itself some sixteen times, hours after CloudFormation has given up.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
    """
    boto3.client("lambda").invoke(FunctionName=function_arn, InvocationType="Event", Payload=json.dumps(event))


def _respond(request: dict[str, Any], reason: str) -> None:
    # The physical id is the bucket: another bucket is another resource, and CloudFormation deletes the one before.
    physical_id = f"{_bucket(request)}/contents"
    if request["RequestType"] == "Delete":
        physical_id = request.get("PhysicalResourceId") or physical_id
    body = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason[:_REASON_CHARACTERS] or "done",
        "PhysicalResourceId": physical_id,
        "StackId": request["StackId"],
        "RequestId": request["RequestId"],
        "LogicalResourceId": request["LogicalResourceId"],
        "Data": {"BucketName": _bucket(request)},
    }
    answer = urllib.request.Request(
        request["ResponseURL"], data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(answer, timeout=30):
        pass


def _bucket(request: dict[str, Any]) -> str:
    return str(request.get("ResourceProperties", {}).get("BucketName", ""))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@cache
def _s3() -> S3Client:
    return boto3.client("s3")
