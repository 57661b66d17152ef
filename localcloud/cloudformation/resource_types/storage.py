# SPDX-License-Identifier: Apache-2.0
"""S3, ECR and DynamoDB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcloud.cloudformation.resource_types.registry import Properties, PutType, ResourceType, Target, resource_type


@resource_type(
    "AWS::S3::Bucket",
    name="BucketName",
    gives={
        "Arn": "arn:aws:s3:::{id}",
        "DomainName": "{id}.s3.amazonaws.com",
        "DualStackDomainName": "{id}.s3.dualstack.{region}.amazonaws.com",
        "RegionalDomainName": "{id}.s3.{region}.amazonaws.com",
        "WebsiteURL": "http://{id}.s3-website-{region}.amazonaws.com",
    },
    deletes=("s3", "DeleteBucket", "Bucket"),
)
class Bucket(ResourceType):
    """A bucket with its settings; S3 does not delete one that holds objects."""

    def create(self, it: Target) -> str:
        name = self.name_of(it, 63, lower=True)
        parameters: dict[str, Any] = {"Bucket": name}
        if it.stack.region != "us-east-1":
            parameters["CreateBucketConfiguration"] = {"LocationConstraint": it.stack.region}
        it.call("s3", "CreateBucket", parameters)
        it.claim(name)
        return self.update(it.named(name))

    def update(self, it: Target) -> str:
        it.refuse_beyond("AccessControl", "BucketName", "Tags", *_BUCKET_SETTINGS)
        name = {"Bucket": it.physical_id}
        for setting, (operation, parameter, form) in _BUCKET_SETTINGS.items():
            if setting in it.properties and it.changed(setting):
                it.call("s3", operation, {**name, parameter: form(it.properties[setting])})
            elif setting in it.before and setting not in it.properties and setting in _BUCKET_RESETS:
                it.call("s3", _BUCKET_RESETS[setting], name)
        if it.tags:
            it.call("s3", "PutBucketTagging", {**name, "Tagging": {"TagSet": it.tags}})
        return it.physical_id


def _as_it_is(value: Properties) -> Properties:
    return value


def _encryption(value: Properties) -> Properties:
    rules = [
        {("ApplyServerSideEncryptionByDefault" if k == "ServerSideEncryptionByDefault" else k): v for k, v in r.items()}
        for r in value["ServerSideEncryptionConfiguration"]
    ]
    return {"Rules": rules}


def _lifecycle(value: Properties) -> Properties:
    return {"Rules": [_lifecycle_rule(rule) for rule in value["Rules"]]}


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    taken = ("Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")
    made = {name: rule[name] for name in taken if name in rule}
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


def _logging(value: Properties) -> Properties:
    if "DestinationBucketName" not in value:
        return {}
    enabled = {"TargetBucket": value["DestinationBucketName"], "TargetPrefix": value.get("LogFilePrefix", "")}
    return {"LoggingEnabled": enabled}


_BUCKET_SETTINGS: dict[str, tuple[str, str, Callable[[Properties], Properties]]] = {
    "BucketEncryption": ("PutBucketEncryption", "ServerSideEncryptionConfiguration", _encryption),
    "PublicAccessBlockConfiguration": ("PutPublicAccessBlock", "PublicAccessBlockConfiguration", _as_it_is),
    "VersioningConfiguration": ("PutBucketVersioning", "VersioningConfiguration", _as_it_is),
    "LifecycleConfiguration": ("PutBucketLifecycleConfiguration", "LifecycleConfiguration", _lifecycle),
    "OwnershipControls": ("PutBucketOwnershipControls", "OwnershipControls", _as_it_is),
    "LoggingConfiguration": ("PutBucketLogging", "BucketLoggingStatus", _logging),
}
_BUCKET_RESETS = {
    "BucketEncryption": "DeleteBucketEncryption",
    "PublicAccessBlockConfiguration": "DeletePublicAccessBlock",
    "LifecycleConfiguration": "DeleteBucketLifecycle",
    "OwnershipControls": "DeleteBucketOwnershipControls",
}


@resource_type("AWS::S3::BucketPolicy", name="Bucket", deletes=("s3", "DeleteBucketPolicy", "Bucket"))
class BucketPolicy(PutType):
    """A bucket's policy; it is called like the bucket."""

    def put(self, it: Target) -> None:
        it.call("s3", "PutBucketPolicy", {**it.picked("Bucket"), "Policy": it.properties["PolicyDocument"]})


@resource_type(
    "AWS::ECR::Repository",
    name="RepositoryName",
    gives={
        "Arn": "arn:aws:ecr:{region}:{account}:repository/{id}",
        "RepositoryUri": "{account}.dkr.ecr.{region}.amazonaws.com/{id}",
    },
)
class Repository(ResourceType):
    """An image repository; with EmptyOnDelete its images go with it."""

    def create(self, it: Target) -> str:
        name = self.name_of(it, 256, lower=True)
        plain = it.without("LifecyclePolicy", "RepositoryPolicyText", "EmptyOnDelete")
        it.call("ecr", "CreateRepository", {**plain, "RepositoryName": name})
        it.claim(name)
        return self._settle(it.named(name))

    def update(self, it: Target) -> str:
        name = {"repositoryName": it.physical_id}
        if it.changed("ImageTagMutability"):
            mutability = it.properties.get("ImageTagMutability", "MUTABLE")
            it.call("ecr", "PutImageTagMutability", {**name, "imageTagMutability": mutability})
        if it.changed("ImageScanningConfiguration"):
            scanning = it.properties.get("ImageScanningConfiguration", {"ScanOnPush": False})
            it.call("ecr", "PutImageScanningConfiguration", {**name, "imageScanningConfiguration": scanning})
        return self._settle(it)

    def delete(self, it: Target) -> None:
        force = it.is_true("EmptyOnDelete")
        it.drop("ecr", "DeleteRepository", {"repositoryName": it.physical_id, "force": force})

    def _settle(self, it: Target) -> str:
        name = {"repositoryName": it.physical_id}
        if "RepositoryPolicyText" in it.properties:
            it.call("ecr", "SetRepositoryPolicy", {**name, "policyText": it.properties["RepositoryPolicyText"]})
        if "LifecyclePolicy" in it.properties:
            it.call("ecr", "PutLifecyclePolicy", {**name, **it.properties["LifecyclePolicy"]})
        return it.physical_id


@resource_type(
    "AWS::DynamoDB::Table",
    name="TableName",
    gives={"Arn": "arn:aws:dynamodb:{region}:{account}:table/{id}"},
    deletes=("dynamodb", "DeleteTable", "TableName"),
)
class Table(ResourceType):
    """A table, without indexes and streams."""

    def create(self, it: Target) -> str:
        name = self.name_of(it, 255)
        plain = it.picked(*_CHANGED_IN_PLACE, "KeySchema", "Tags")
        it.refuse_beyond(*plain, "TableName", "PointInTimeRecoverySpecification", "SSESpecification")
        if it.properties.get("SSESpecification"):
            encryption = dict(it.properties["SSESpecification"])
            plain["SSESpecification"] = {"Enabled": encryption.pop("SSEEnabled"), **encryption}
        it.call("dynamodb", "CreateTable", {**plain, "TableName": name})
        it.claim(name)
        return self._back_up(it.named(name))

    def update(self, it: Target) -> str:
        changed = it.picked(*filter(it.changed, _CHANGED_IN_PLACE))
        if changed:
            it.call("dynamodb", "UpdateTable", {**changed, "TableName": it.physical_id})
        return self._back_up(it)

    def _back_up(self, it: Target) -> str:
        backups = it.picked("PointInTimeRecoverySpecification")
        if backups and it.changed("PointInTimeRecoverySpecification"):
            it.call("dynamodb", "UpdateContinuousBackups", {**backups, "TableName": it.physical_id})
        return it.physical_id


_CHANGED_IN_PLACE = ("AttributeDefinitions", "BillingMode", "ProvisionedThroughput", "DeletionProtectionEnabled")
