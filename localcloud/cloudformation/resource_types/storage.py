# SPDX-License-Identifier: Apache-2.0
"""S3, ECR and DynamoDB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

    def exists(self, it: Target, name: str) -> bool:
        return it.finds("s3", "HeadBucket", {"Bucket": name})

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
    names = {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}
    return {"Rules": [_renamed(rule, names) for rule in value["ServerSideEncryptionConfiguration"]]}


def _renamed(value: Properties, names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): part for name, part in value.items()}


def _lifecycle(value: Properties) -> Properties:
    return {"Rules": [_lifecycle_rule(rule) for rule in value["Rules"]]}


def _lifecycle_rule(rule: Properties) -> Properties:
    made = dict(rule)
    prefix, tags = made.pop("Prefix", ""), made.pop("TagFilters", [])
    made["Filter"] = {"And": {"Prefix": prefix, "Tags": tags}} if tags else {"Prefix": prefix}
    expiration = {name: made.pop(key) for key, name in _EXPIRATION.items() if key in made}
    if expiration:
        made["Expiration"] = expiration
    for key, days in (("Transitions", "Days"), ("NoncurrentVersionTransitions", "NoncurrentDays")):
        if key in made:
            made[key] = [_renamed(step, {"TransitionInDays": days}) for step in made[key]]
    return made


_EXPIRATION = {
    "ExpirationInDays": "Days",
    "ExpirationDate": "Date",
    "ExpiredObjectDeleteMarker": "ExpiredObjectDeleteMarker",
}


def _logging(value: Properties) -> Properties:
    if "DestinationBucketName" not in value:
        return {}
    names = {"DestinationBucketName": "TargetBucket", "LogFilePrefix": "TargetPrefix"}
    return {"LoggingEnabled": {"TargetPrefix": "", **_renamed(value, names)}}


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

    def exists(self, it: Target, name: str) -> bool:
        return it.finds("s3", "GetBucketPolicy", {"Bucket": name})

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

    def exists(self, it: Target, name: str) -> bool:
        return it.finds("ecr", "DescribeRepositories", {"repositoryNames": [name]})

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

    def exists(self, it: Target, name: str) -> bool:
        return it.finds("dynamodb", "DescribeTable", {"TableName": name})

    def create(self, it: Target) -> str:
        name = self.name_of(it, 255)
        plain = it.picked(*_CHANGED_IN_PLACE, "KeySchema", "Tags")
        it.refuse_beyond(*plain, "TableName", "PointInTimeRecoverySpecification", "SSESpecification")
        if it.properties.get("SSESpecification"):
            plain["SSESpecification"] = _renamed(it.properties["SSESpecification"], {"SSEEnabled": "Enabled"})
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
