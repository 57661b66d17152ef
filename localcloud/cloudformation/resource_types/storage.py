# SPDX-License-Identifier: Apache-2.0
"""S3, ECR and DynamoDB."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from localcloud.cloudformation.resource_types.registry import (
    Made,
    Properties,
    ReplacementNeeded,
    ResourceType,
    Target,
    ignoring_absence,
    picked,
    refuse_beyond,
    resource_type,
    tag_map,
    without,
)

_BUCKET_SETTINGS = {
    "BucketEncryption": ("PutBucketEncryption", "ServerSideEncryptionConfiguration"),
    "PublicAccessBlockConfiguration": ("PutPublicAccessBlock", "PublicAccessBlockConfiguration"),
    "VersioningConfiguration": ("PutBucketVersioning", "VersioningConfiguration"),
    "LifecycleConfiguration": ("PutBucketLifecycleConfiguration", "LifecycleConfiguration"),
    "OwnershipControls": ("PutBucketOwnershipControls", "OwnershipControls"),
    "CorsConfiguration": ("PutBucketCors", "CORSConfiguration"),
    "LoggingConfiguration": ("PutBucketLogging", "BucketLoggingStatus"),
    "NotificationConfiguration": ("PutBucketNotificationConfiguration", "NotificationConfiguration"),
}
_BUCKET_RESETS = {
    "BucketEncryption": "DeleteBucketEncryption",
    "PublicAccessBlockConfiguration": "DeletePublicAccessBlock",
    "LifecycleConfiguration": "DeleteBucketLifecycle",
    "CorsConfiguration": "DeleteBucketCors",
    "OwnershipControls": "DeleteBucketOwnershipControls",
}


@resource_type("AWS::S3::Bucket", name="BucketName")
class Bucket(ResourceType):
    """A bucket with its settings; S3 does not delete one that holds objects."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 63, lower=True)
        parameters: dict[str, Any] = {"Bucket": name}
        if it.region != "us-east-1":
            parameters["CreateBucketConfiguration"] = {"LocationConstraint": it.region}
        it.call("s3", "CreateBucket", parameters)
        it.claim(name)
        return self.update(it.named(name))

    def update(self, it: Target) -> Made:
        refuse_beyond(it, "AccessControl", "BucketName", "Tags", *_BUCKET_SETTINGS)
        name, properties, before = it.physical_id, it.properties, it.before
        for setting, (operation, parameter) in _BUCKET_SETTINGS.items():
            if setting in properties and properties[setting] != before.get(setting):
                form = _BUCKET_FORMS.get(setting)
                value = form(properties[setting]) if form else properties[setting]
                it.call("s3", operation, {"Bucket": name, parameter: value})
            elif setting in before and setting not in properties and setting in _BUCKET_RESETS:
                it.call("s3", _BUCKET_RESETS[setting], {"Bucket": name})
        if tag_map(properties):
            tags = [{"Key": key, "Value": value} for key, value in tag_map(properties).items()]
            it.client("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
        attributes = {
            "Arn": f"arn:aws:s3:::{name}",
            "DomainName": f"{name}.s3.amazonaws.com",
            "DualStackDomainName": f"{name}.s3.dualstack.{it.region}.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{it.region}.amazonaws.com",
            "WebsiteURL": f"http://{name}.s3-website-{it.region}.amazonaws.com",
        }
        return Made(name, attributes)

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("s3").delete_bucket, Bucket=it.physical_id)


def _encryption(value: dict[str, Any]) -> dict[str, Any]:
    rules = [
        {("ApplyServerSideEncryptionByDefault" if k == "ServerSideEncryptionByDefault" else k): v for k, v in r.items()}
        for r in value["ServerSideEncryptionConfiguration"]
    ]
    return {"Rules": rules}


def _lifecycle(value: dict[str, Any]) -> dict[str, Any]:
    return {"Rules": [_lifecycle_rule(rule) for rule in value["Rules"]]}


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    made = picked(rule, "Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")
    if "Id" in rule:
        made["ID"] = rule["Id"]
    tags = rule.get("TagFilters") or []
    prefix = rule.get("Prefix", "")
    made["Filter"] = {"And": {"Prefix": prefix, "Tags": tags}} if tags else {"Prefix": prefix}
    expiration = {
        "Days": rule.get("ExpirationInDays"),
        "Date": rule.get("ExpirationDate"),
        "ExpiredObjectDeleteMarker": rule.get("ExpiredObjectDeleteMarker"),
    }
    if any(v is not None for v in expiration.values()):
        made["Expiration"] = {k: v for k, v in expiration.items() if v is not None}
    if "NoncurrentVersionExpirationInDays" in rule:
        made["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule["NoncurrentVersionExpirationInDays"]}
    transitions = rule.get("Transitions", [rule["Transition"]] if "Transition" in rule else [])
    if transitions:
        made["Transitions"] = [
            {"Days": step["TransitionInDays"], "StorageClass": step["StorageClass"]} for step in transitions
        ]
    if "NoncurrentVersionTransitions" in rule:
        made["NoncurrentVersionTransitions"] = [
            {"NoncurrentDays": step["TransitionInDays"], "StorageClass": step["StorageClass"]}
            for step in rule["NoncurrentVersionTransitions"]
        ]
    return made


def _cors(value: dict[str, Any]) -> dict[str, Any]:
    names = {"Id": "ID", "MaxAge": "MaxAgeSeconds", "ExposedHeaders": "ExposeHeaders"}
    return {"CORSRules": [{names.get(k, k): v for k, v in rule.items()} for rule in value["CorsRules"]]}


def _logging(value: dict[str, Any]) -> dict[str, Any]:
    if "DestinationBucketName" not in value:
        return {}
    enabled = {"TargetBucket": value["DestinationBucketName"], "TargetPrefix": value.get("LogFilePrefix", "")}
    return {"LoggingEnabled": enabled}


def _notification(value: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    kinds = (
        ("TopicConfigurations", "Topic", "TopicArn"),
        ("QueueConfigurations", "Queue", "QueueArn"),
        ("LambdaConfigurations", "Function", "LambdaFunctionArn"),
    )
    for kind, source, arn in kinds:
        for entry in value.get(kind, []):
            one = {arn: entry[source], "Events": [entry["Event"]]}
            if "Filter" in entry:
                one["Filter"] = {"Key": {"FilterRules": entry["Filter"]["S3Key"]["Rules"]}}
            target = "LambdaFunctionConfigurations" if kind == "LambdaConfigurations" else kind
            made.setdefault(target, []).append(one)
    if "EventBridgeConfiguration" in value:
        made["EventBridgeConfiguration"] = {}
    return made


_BUCKET_FORMS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "BucketEncryption": _encryption,
    "LifecycleConfiguration": _lifecycle,
    "CorsConfiguration": _cors,
    "LoggingConfiguration": _logging,
    "NotificationConfiguration": _notification,
}


@resource_type("AWS::S3::BucketPolicy")
class BucketPolicy(ResourceType):
    """A bucket's policy."""

    def create(self, it: Target) -> Made:
        document = json.dumps(it.properties["PolicyDocument"])
        it.client("s3").put_bucket_policy(Bucket=it.properties["Bucket"], Policy=document)
        return Made(it.properties["Bucket"])

    def update(self, it: Target) -> Made:
        return self.create(it)

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("s3").delete_bucket_policy, Bucket=it.physical_id)


@resource_type("AWS::ECR::Repository", name="RepositoryName")
class Repository(ResourceType):
    """An image repository; with EmptyOnDelete its images go with it."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 256, lower=True)
        plain = without(it.properties, "LifecyclePolicy", "RepositoryPolicyText", "EmptyOnDelete")
        arn = it.call("ecr", "CreateRepository", {**plain, "RepositoryName": name})["repository"]["repositoryArn"]
        it.claim(name)
        self._settle(it, name, it.properties)
        return Made(name, {"Arn": arn, "RepositoryUri": _repository_uri(it, name)})

    def update(self, it: Target) -> Made:
        name = {"repositoryName": it.physical_id}
        if it.properties.get("ImageTagMutability") != it.before.get("ImageTagMutability"):
            mutability = it.properties.get("ImageTagMutability", "MUTABLE")
            it.call("ecr", "PutImageTagMutability", {**name, "imageTagMutability": mutability})
        if it.properties.get("ImageScanningConfiguration") != it.before.get("ImageScanningConfiguration"):
            scanning = it.properties.get("ImageScanningConfiguration", {"ScanOnPush": False})
            it.call("ecr", "PutImageScanningConfiguration", {**name, "imageScanningConfiguration": scanning})
        self._settle(it, it.physical_id, it.properties)
        uri = _repository_uri(it, it.physical_id)
        return Made(it.physical_id, {"Arn": it.arn("ecr", f"repository/{it.physical_id}"), "RepositoryUri": uri})

    def delete(self, it: Target) -> None:
        force = str(it.properties.get("EmptyOnDelete", False)).lower() == "true"
        ignoring_absence(it.client("ecr").delete_repository, repositoryName=it.physical_id, force=force)

    def _settle(self, it: Target, name: str, properties: Properties) -> None:
        if "RepositoryPolicyText" in properties:
            text = properties["RepositoryPolicyText"]
            it.call("ecr", "SetRepositoryPolicy", {"repositoryName": name, "policyText": text})
        if "LifecyclePolicy" in properties:
            text = properties["LifecyclePolicy"]["LifecyclePolicyText"]
            it.call("ecr", "PutLifecyclePolicy", {"repositoryName": name, "lifecyclePolicyText": text})


def _repository_uri(it: Target, name: str) -> str:
    return f"{it.account}.dkr.ecr.{it.region}.amazonaws.com/{name}"


@resource_type("AWS::DynamoDB::Table", name="TableName")
class Table(ResourceType):
    """A table."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 255)
        beyond = ("PointInTimeRecoverySpecification", "TimeToLiveSpecification", "KinesisStreamSpecification")
        plain = without(it.properties, *beyond, "SSESpecification", "StreamSpecification")
        plain = {**plain, "TableName": name, **_streams(it.properties), **_server_side_encryption(it.properties)}
        arn = it.call("dynamodb", "CreateTable", plain)["TableDescription"]["TableArn"]
        it.claim(name)
        self._settle(it, name, it.properties, {})
        return self._made(it, name, arn)

    def update(self, it: Target) -> Made:
        changed = {
            key: it.properties[key]
            for key in ("AttributeDefinitions", "BillingMode", "ProvisionedThroughput", "DeletionProtectionEnabled")
            if key in it.properties and it.properties[key] != it.before.get(key)
        }
        if it.properties.get("LocalSecondaryIndexes") != it.before.get("LocalSecondaryIndexes"):
            raise ReplacementNeeded(it.logical_id)
        if it.properties.get("StreamSpecification") != it.before.get("StreamSpecification"):
            changed.update(_streams(it.properties) or {"StreamSpecification": {"StreamEnabled": False}})
        if changed:
            it.call("dynamodb", "UpdateTable", {**changed, "TableName": it.physical_id})
        self._settle(it, it.physical_id, it.properties, it.before)
        arn = it.client("dynamodb").describe_table(TableName=it.physical_id)["Table"]["TableArn"]
        return self._made(it, it.physical_id, arn)

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("dynamodb").delete_table, TableName=it.physical_id)

    def _made(self, it: Target, name: str, arn: str) -> Made:
        table = it.client("dynamodb").describe_table(TableName=name)["Table"]
        return Made(name, {"Arn": arn, "StreamArn": table.get("LatestStreamArn", "")})

    def _settle(self, it: Target, name: str, properties: Properties, before: Properties) -> None:
        for key, operation in (
            ("PointInTimeRecoverySpecification", "UpdateContinuousBackups"),
            ("TimeToLiveSpecification", "UpdateTimeToLive"),
        ):
            if key in properties and properties[key] != before.get(key):
                it.call("dynamodb", operation, {"TableName": name, key: properties[key]})


def _streams(properties: Properties) -> dict[str, Any]:
    specification = properties.get("StreamSpecification")
    return {"StreamSpecification": {"StreamEnabled": True, **specification}} if specification else {}


def _server_side_encryption(properties: Properties) -> dict[str, Any]:
    specification = properties.get("SSESpecification")
    if not specification:
        return {}
    named = {("Enabled" if k == "SSEEnabled" else k): v for k, v in specification.items()}
    return {"SSESpecification": named}
