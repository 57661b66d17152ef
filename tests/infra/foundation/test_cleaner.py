# SPDX-License-Identifier: Apache-2.0
"""The custom resource that fills and empties buckets."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest


def request(kind: str, url: str, bucket: str, **more: Any) -> dict[str, Any]:
    return {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/foundation/1",
        "RequestId": "request",
        "LogicalResourceId": "Contents",
        "ResourceProperties": {"ServiceToken": "arn", "BucketName": bucket, **more.pop("properties", {})},
        **more,
    }


@pytest.fixture
def bucket(cloud: Any) -> str:
    name = f"mapgate-{uuid4().hex[:12]}"
    cloud.client("s3").create_bucket(Bucket=name)
    cloud.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def keys(cloud: Any, bucket: str) -> set[str]:
    return {found["Key"] for found in cloud.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])}


def test_create_puts_the_objects(cloud: Any, invoke: Any, responses: Any, bucket: str) -> None:
    objects = {"defaults/none/none": "none\n", "defaults/gate-policy/gate_policy.yaml": "rules: []\n"}
    invoke("foundation/cleaner", request("Create", responses.url, bucket, properties={"Objects": objects}))
    body = cloud.client("s3").get_object(Bucket=bucket, Key="defaults/none/none")["Body"].read()
    assert body == b"none\n"
    assert keys(cloud, bucket) == set(objects)
    assert responses.received[0]["Status"] == "SUCCESS"


def test_update_removes_only_what_is_no_longer_listed(cloud: Any, invoke: Any, responses: Any, bucket: str) -> None:
    cloud.client("s3").put_object(Bucket=bucket, Key="datasets/mine", Body=b"1")
    old = {"BucketName": bucket, "Objects": {"a": "1", "b": "2"}}
    invoke("foundation/cleaner", request("Create", responses.url, bucket, properties=old))
    new = request("Update", responses.url, bucket, properties={"Objects": {"b": "3"}}, OldResourceProperties=old)
    invoke("foundation/cleaner", new)
    assert keys(cloud, bucket) == {"b", "datasets/mine"}
    first, second = responses.received
    assert first["PhysicalResourceId"] == second["PhysicalResourceId"]


def test_update_leaves_what_is_to_be_kept(cloud: Any, invoke: Any, responses: Any, bucket: str) -> None:
    old = {"BucketName": bucket, "Keep": "policies/", "Objects": {"policies/1/p.yaml": "1", "policy": "1"}}
    invoke("foundation/cleaner", request("Create", responses.url, bucket, properties=old))
    new = {"Keep": "policies/", "Objects": {"policies/2/p.yaml": "2"}}
    invoke("foundation/cleaner", request("Update", responses.url, bucket, properties=new, OldResourceProperties=old))
    assert keys(cloud, bucket) == {"policies/1/p.yaml", "policies/2/p.yaml"}


@pytest.mark.parametrize(("empty_on_delete", "left"), [("true", 0), ("false", 3)])
def test_delete_empties_every_version_only_when_told(
    cloud: Any, invoke: Any, responses: Any, bucket: str, empty_on_delete: str, left: int
) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    s3.delete_object(Bucket=bucket, Key="k")
    event = request("Delete", responses.url, bucket, properties={"EmptyOnDelete": empty_on_delete})
    invoke("foundation/cleaner", {**event, "PhysicalResourceId": "given"})
    listed = s3.list_object_versions(Bucket=bucket)
    assert len(listed.get("Versions", [])) + len(listed.get("DeleteMarkers", [])) == left
    assert responses.received == [{**responses.received[0], "Status": "SUCCESS", "PhysicalResourceId": "given"}]


def test_delete_empties_more_than_one_page_of_versions(cloud: Any, invoke: Any, responses: Any, bucket: str) -> None:
    s3 = cloud.client("s3")
    for number in range(100):
        s3.put_object(Bucket=bucket, Key=f"k/{number}", Body=b"")
    assert s3.list_object_versions(Bucket=bucket)["IsTruncated"]
    invoke("foundation/cleaner", request("Delete", responses.url, bucket, properties={"EmptyOnDelete": "true"}))
    assert s3.list_object_versions(Bucket=bucket).get("Versions", []) == []
    assert responses.received[0]["Status"] == "SUCCESS"


def test_delete_of_a_bucket_that_is_gone_succeeds(invoke: Any, responses: Any) -> None:
    event = request("Delete", responses.url, "mapgate-gone", properties={"EmptyOnDelete": "true"})
    invoke("foundation/cleaner", event)
    assert responses.received[0]["Status"] == "SUCCESS"


def test_failure_is_answered_with_its_reason(invoke: Any, responses: Any) -> None:
    event = request("Create", responses.url, "mapgate-gone", properties={"Objects": {"a": "1"}})
    invoke("foundation/cleaner", event)
    assert responses.received[0]["Status"] == "FAILED"
    assert "NoSuchBucket" in responses.received[0]["Reason"]
