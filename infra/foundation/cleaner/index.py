# SPDX-License-Identifier: Apache-2.0
"""Custom::BucketContents: put a bucket's own objects, and empty it when its stack goes.

Properties: `BucketName`, `Objects` (text by key) and `EmptyOnDelete` ("true" or "false").
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html
"""

from __future__ import annotations

import json
import urllib.request
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_REASON_CHARACTERS = 1024


def handler(event: dict[str, Any], context: object) -> None:  # noqa: ARG001
    """Serve a custom-resource request and answer it whatever happens: CloudFormation would wait an hour."""
    reason = ""
    try:
        serve(_s3(), event)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    print(
        json.dumps({"request": event["RequestType"], "bucket": _bucket(event), "reason": reason or "done"}), flush=True
    )
    _respond(event, reason)


def serve(s3: S3Client, request: dict[str, Any]) -> None:
    """Do what a request asks for.

    Raises:
        botocore.exceptions.ClientError: The bucket refuses.
    """
    wanted = request["ResourceProperties"]
    if request["RequestType"] == "Delete":
        if str(wanted.get("EmptyOnDelete", "false")).lower() == "true":
            empty(s3, wanted["BucketName"])
        return
    for key, content in (wanted.get("Objects") or {}).items():
        s3.put_object(Bucket=wanted["BucketName"], Key=key, Body=str(content).encode(), ContentType="text/plain")
    before = request.get("OldResourceProperties") or {}
    if before.get("BucketName") == wanted["BucketName"]:
        for key in set(before.get("Objects") or {}) - set(wanted.get("Objects") or {}):
            s3.delete_object(Bucket=wanted["BucketName"], Key=key)


def empty(s3: S3Client, bucket: str) -> None:
    """Delete every object, every version and every unfinished upload of a bucket; one that is gone is empty."""
    try:
        while doomed := _first_versions(s3, bucket):
            _delete(s3, bucket, doomed)
        for uploads in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in uploads.get("Uploads", []):
                s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NoSuchBucket":
            raise


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


@cache
def _s3() -> S3Client:
    return boto3.client("s3")
