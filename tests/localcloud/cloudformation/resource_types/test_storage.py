# SPDX-License-Identifier: Apache-2.0
"""What a template says of a bucket is what S3 says of it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def test_a_bucket_is_set_up_as_its_template_says_and_reset_when_it_no_longer_does(cloud: Any, stack: Any) -> None:
    rules = [
        {"Id": "old", "Status": "Enabled", "ExpirationInDays": "9", "Prefix": "a/"},
        {
            "Status": "Enabled",
            "Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 3}],
            "NoncurrentVersionTransitions": [{"StorageClass": "GLACIER", "TransitionInDays": 4}],
        },
    ]
    default = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}
    properties = {
        "BucketName": "set-up",
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [default]},
        "LifecycleConfiguration": {"Rules": rules},
        "VersioningConfiguration": {"Status": "Enabled"},
        "Tags": [{"Key": "k", "Value": "v"}],
    }
    stack.bring({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}})
    s3 = cloud.client("s3")
    first, second = s3.get_bucket_lifecycle_configuration(Bucket="set-up")["Rules"]
    assert (first["ID"], first["Expiration"], first["Filter"]) == ("old", {"Days": 9}, {"Prefix": "a/"})
    assert second["Transitions"] == [{"Days": 3, "StorageClass": "GLACIER"}]
    assert second["NoncurrentVersionTransitions"] == [{"NoncurrentDays": 4, "StorageClass": "GLACIER"}]
    encryption = s3.get_bucket_encryption(Bucket="set-up")["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert s3.get_bucket_versioning(Bucket="set-up")["Status"] == "Enabled"
    assert s3.get_bucket_tagging(Bucket="set-up")["TagSet"] == [{"Key": "k", "Value": "v"}]
    del properties["LifecycleConfiguration"]
    stack.bring({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}})
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="set-up")
    stack.delete()
