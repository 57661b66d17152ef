# SPDX-License-Identifier: Apache-2.0
"""Buckets are emptied for good on the laptop's cloud: access logs come late there, and a function's time is short."""

from __future__ import annotations

import io
import json
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from infra.foundation.cleaner.index import serve
from localcloud import cloud as local_cloud

CLEANER = Path(__file__).resolve().parents[3] / "infra" / "foundation" / "cleaner"
ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("laptop") / ".mapgate"
    yield local_cloud.up(home).endpoint_url
    local_cloud.down(home)


@pytest.fixture
def client(url: str) -> Any:
    def make(service: str) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=url, region_name="us-east-1", **keys)  # type: ignore[call-overload]

    return make


@pytest.fixture
def buckets(client: Any) -> tuple[str, str]:
    """A data bucket and the one that takes its access logs, as the foundation makes them."""
    s3, mark = client("s3"), uuid4().hex[:8]
    data, logs = f"data-{mark}", f"logs-{mark}"
    for name in (data, logs):
        s3.create_bucket(Bucket=name)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{logs}/data/*",
        "Condition": {
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{data}"},
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
        },
    }
    s3.put_bucket_policy(Bucket=logs, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    status = {"LoggingEnabled": {"TargetBucket": logs, "TargetPrefix": "data/"}}
    s3.put_bucket_logging(Bucket=data, BucketLoggingStatus=status)
    return data, logs


def pass_hours(url: str) -> None:
    """Let hours pass for the cloud's clock, and the cloud do what is due."""
    urllib.request.urlopen(f"{url}/mapgate/clock", b'{"advance_seconds": 7200}', timeout=10).close()
    time.sleep(1.2)


def logged(s3: Any, bucket: str) -> list[str]:
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return [line for key in keys for line in s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode().splitlines()]


def test_access_logs_come_hours_later(url: str, client: Any, buckets: tuple[str, str]) -> None:
    data, logs = buckets
    s3 = client("s3")
    s3.put_object(Bucket=data, Key="datasets/a", Body=b"")
    assert logged(s3, logs) == []
    pass_hours(url)
    assert any(f"{data} " in line and f"PUT /{data}/datasets/a" in line for line in logged(s3, logs))


def test_log_bucket_stays_empty_although_logs_come_after_the_emptying(
    url: str, client: Any, buckets: tuple[str, str]
) -> None:
    data, logs = buckets
    s3 = client("s3")
    s3.put_object(Bucket=data, Key="datasets/a", Body=b"")
    pass_hours(url)
    s3.put_object(Bucket=data, Key="datasets/b", Body=b"")
    s3.meta.events.register("after-call.s3.ListMultipartUploads", lambda **_: pass_hours(url))
    request = {"RequestType": "Delete", "ResourceProperties": {"BucketName": logs, "EmptyOnDelete": "true"}}
    assert serve(s3, request, lambda: True)
    s3.delete_bucket(Bucket=logs)


def test_what_takes_longer_than_an_invocation_goes_on_in_the_next(
    client: Any, buckets: tuple[str, str], responses: Any
) -> None:
    data, _ = buckets
    s3, functions = client("s3"), client("lambda")
    for number in range(3):
        s3.put_object(Bucket=data, Key=f"k/{number}", Body=b"")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.write(CLEANER / "index.py", "index.py")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = client("iam").create_role(RoleName="cleaner", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": ["s3:*", "lambda:InvokeFunction", "logs:*"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    client("iam").put_role_policy(RoleName="cleaner", PolicyName="inline", PolicyDocument=document)
    functions.create_function(
        FunctionName="cleaner",
        Role=role,
        Runtime="python3.12",
        Handler="index.handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=60,  # from the first page on there is too little left for another one
    )
    event = {
        "RequestType": "Delete",
        "ResponseURL": responses.url,
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Contents",
        "PhysicalResourceId": "given",
        "ResourceProperties": {"BucketName": data, "EmptyOnDelete": "true"},
    }
    functions.invoke(FunctionName="cleaner", Payload=json.dumps(event))
    assert responses.received == []
    for _ in range(100):
        if responses.received:
            break
        time.sleep(0.1)
    assert [answer["Status"] for answer in responses.received] == ["SUCCESS"]
    s3.delete_bucket(Bucket=data)
