# SPDX-License-Identifier: Apache-2.0
"""Each refusal of AWS, asked for: it fails if the refusal is removed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.pushing import CONFIGURATION, MANIFEST
from localcloud.refusals.refusal import RECORDINGS, REFUSALS

# AWS's documentation, and where people report what it answered them.
SOURCES = ("https://docs.aws.amazon.com/", "https://github.com/aws/", RECORDINGS)
KEY = "arn:aws:kms:us-east-1:123456789012:key/62e5dc4a-5603-4f97-9c7b-17fb87734ad8"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/i:1"


def refused(code: str, sentence: str, action: Any, **parameters: Any) -> None:
    with pytest.raises(ClientError, match=sentence) as caught:
        action(**parameters)
    assert caught.value.response["Error"]["Code"] == code


def training_job(cloud: Any, **more: Any) -> dict[str, Any]:
    given = {
        "TrainingJobName": "never-starts",
        "RoleArn": cloud.role,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://b/o"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    return {**given, **more}


def variant(kind: str) -> dict[str, Any]:
    return {"VariantName": "v", "ModelName": "refused", "InstanceType": kind, "InitialInstanceCount": 1}


def test_every_refusal_has_the_address_of_its_documentation() -> None:
    assert all(refusal.address.startswith(SOURCES) for refusal in REFUSALS)


def test_values_outside_the_service_model(cloud: Any) -> None:
    sagemaker = cloud.client("sagemaker")
    resources = {"InstanceType": "ml.banana.huge", "InstanceCount": 1, "VolumeSizeInGB": 1}
    job = training_job(cloud, ResourceConfig=resources)
    code, sentence = "ValidationException", "at 'resourceConfig.instanceType' failed to satisfy constraint"
    refused(code, sentence, sagemaker.create_training_job, **job)


def test_a_volume_key_with_local_nvme_storage(cloud: Any) -> None:
    resources = {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1, "VolumeKmsKeyId": KEY}
    sagemaker = cloud.client("sagemaker")
    job = training_job(cloud, ResourceConfig=resources)
    refused("ValidationException", "VolumeKmsKeyId is not supported", sagemaker.create_training_job, **job)
    refused(
        "ValidationException",
        "VolumeKmsKeyId is not supported",
        sagemaker.create_processing_job,
        ProcessingJobName="never-starts",
        RoleArn=cloud.role,
        AppSpecification={"ImageUri": IMAGE},
        ProcessingResources={"ClusterConfig": resources},
    )


def test_a_volume_beyond_the_local_storage(cloud: Any) -> None:
    resources = {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 251}
    refused(
        "ValidationException",
        "VolumeSizeInGB 251 exceeds the 250 GB of local storage of the instance type ml.g5.xlarge.",
        cloud.client("sagemaker").create_processing_job,
        ProcessingJobName="never-starts",
        RoleArn=cloud.role,
        AppSpecification={"ImageUri": IMAGE},
        ProcessingResources={"ClusterConfig": resources},
    )


def test_spot_training_that_does_not_wait_long_enough(cloud: Any) -> None:
    create = cloud.client("sagemaker").create_training_job
    conditions = ({"MaxRuntimeInSeconds": 60}, {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 30})
    for condition in conditions:
        job = training_job(cloud, EnableManagedSpotTraining=True, StoppingCondition=condition)
        refused("ValidationException", "MaxWaitTimeInSeconds", create, **job)


def test_an_endpoint_key_with_local_nvme_storage_and_a_configuration_in_use(cloud: Any) -> None:
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_model(ModelName="refused", ExecutionRoleArn=cloud.role, PrimaryContainer={"Image": IMAGE})
    create = sagemaker.create_endpoint_config
    given = {"EndpointConfigName": "refused", "ProductionVariants": [variant("ml.g5.xlarge")]}
    refused("ValidationException", "KmsKeyId is not supported", create, **given, KmsKeyId=KEY)
    create(EndpointConfigName="in-use", ProductionVariants=[variant("ml.m5.large")])
    sagemaker.create_endpoint(EndpointName="user", EndpointConfigName="in-use")
    delete = sagemaker.delete_endpoint_config
    refused("ValidationException", "endpoint user uses it", delete, EndpointConfigName="in-use")


def test_a_model_from_a_package_that_is_not_approved_and_tags_on_versions(cloud: Any) -> None:
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="unapproved")
    specification = {
        "Containers": [{"Image": IMAGE}],
        "SupportedContentTypes": ["image/jpeg"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    given = {"ModelPackageGroupName": "unapproved", "InferenceSpecification": specification}
    tags = [{"Key": "a", "Value": "b"}]
    refused("ValidationException", "versioned model package", sagemaker.create_model_package, **given, Tags=tags)
    arn = sagemaker.create_model_package(**given)["ModelPackageArn"]
    model = {"ModelName": "early", "ExecutionRoleArn": cloud.role, "PrimaryContainer": {"ModelPackageName": arn}}
    refused("ValidationException", "is not Approved", sagemaker.create_model, **model)
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    sagemaker.create_model(**model)


def test_too_much_on_a_model_package(cloud: Any) -> None:
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="too-much")
    arn = sagemaker.create_model_package(
        ModelPackageGroupName="too-much", CustomerMetadataProperties={f"k{n}": "v" for n in range(50)}
    )["ModelPackageArn"]
    update = sagemaker.update_model_package
    code = "ValidationException"
    refused(code, "at most 50", update, ModelPackageArn=arn, CustomerMetadataProperties={"one more": "v"})
    refused(code, "equal to 1024", update, ModelPackageArn=arn, ApprovalDescription="x" * 1025)
    refused(code, "equal to 256", update, ModelPackageArn=arn, CustomerMetadataProperties={"k1": "x" * 257})
    refused(code, "expression pattern", update, ModelPackageArn=arn, CustomerMetadataProperties={"k1": "a,b"})


def test_names_that_are_taken(cloud: Any) -> None:
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="taken")
    create = sagemaker.create_model_package_group
    refused("ValidationException", "already exists", create, ModelPackageGroupName="taken")


def test_a_function_environment_that_lambda_does_not_take(cloud: Any) -> None:
    code = "InvalidParameterValueException"
    big, own = {"Variables": {"BIG": "x" * 4096}}, {"Variables": {"AWS_REGION": "here"}}
    refused(code, "exceeded the 4KB limit", cloud.create_function, name="big", source="", Environment=big)
    refused(code, "reserved keys", cloud.create_function, name="own", source="", Environment=own)


def _policy(characters: int, kind: str = "identity") -> str:
    """A policy of so many characters, blanks between them aside."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": "sts:AssumeRole", "Sid": ""}
    statement |= {"Principal": {"Service": "lambda.amazonaws.com"}} if kind == "trust" else {"Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    missing = characters - len(json.dumps(policy, separators=(",", ":")))
    statement["Sid"] = "x" * missing
    return json.dumps(policy, indent=4)


def test_policies_that_are_longer_than_iam_keeps(cloud: Any) -> None:
    iam, code = cloud.client("iam"), "LimitExceeded"
    managed = "Cannot exceed quota for PolicySize: 6144"
    refused(code, managed, iam.create_policy, PolicyName="long", PolicyDocument=_policy(6145))
    arn = iam.create_policy(PolicyName="long", PolicyDocument=_policy(6144))["Policy"]["Arn"]
    refused(code, managed, iam.create_policy_version, PolicyArn=arn, PolicyDocument=_policy(6145))
    trust = "Cannot exceed quota for ACLSizePerRole: 2048"
    create, longer = iam.create_role, _policy(2049, "trust")
    refused(code, trust, create, RoleName="long-policies", AssumeRolePolicyDocument=longer)
    create(RoleName="long-policies", AssumeRolePolicyDocument=_policy(2048, "trust"))
    refused(code, trust, iam.update_assume_role_policy, RoleName="long-policies", PolicyDocument=longer)


def test_a_role_s_policies_that_are_too_long_or_too_many_together(cloud: Any) -> None:
    iam, name = cloud.client("iam"), "many-policies"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(300, "trust"))
    iam.put_role_policy(RoleName=name, PolicyName="one", PolicyDocument=_policy(9000))
    sentence = f"Maximum policy size of 10240 bytes exceeded for role {name}"
    put = iam.put_role_policy
    refused("LimitExceeded", sentence, put, RoleName=name, PolicyName="two", PolicyDocument=_policy(1241))
    put(RoleName=name, PolicyName="one", PolicyDocument=_policy(10_240))  # in place of the former
    arns = [iam.create_policy(PolicyName=f"many-{n}", PolicyDocument=_policy(200))["Policy"]["Arn"] for n in range(11)]
    for arn in arns[:10]:
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    attach, many = iam.attach_role_policy, "Cannot exceed quota for PoliciesPerRole: 10"
    refused("LimitExceeded", many, attach, RoleName=name, PolicyArn=arns[10])
    attach(RoleName=name, PolicyArn=arns[9])  # is attached already


def test_a_queue_that_shows_messages_again_before_the_function_ends(cloud: Any) -> None:
    _, arn = cloud.create_queue("impatient", VisibilityTimeout="10")
    cloud.create_function("slow", "", Timeout=60)
    create = cloud.client("lambda").create_event_source_mapping
    code = "InvalidParameterValueException"
    refused(code, "is less than Function timeout", create, EventSourceArn=arn, FunctionName="slow")


def test_a_tag_that_would_move_in_an_immutable_repository(cloud: Any) -> None:
    ecr = cloud.client("ecr")
    ecr.create_repository(repositoryName="immutable", imageTagMutability="IMMUTABLE")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
    ecr.put_image(repositoryName="immutable", imageTag="t", imageManifest=json.dumps(manifest))
    other = json.dumps({**manifest, "annotations": {"a": "b"}})
    put = ecr.put_image
    code = "ImageTagAlreadyExistsException"
    refused(code, "repository is immutable", put, repositoryName="immutable", imageTag="t", imageManifest=other)
    with pytest.raises(ClientError, match="RepositoryNotEmpty"):
        ecr.delete_repository(repositoryName="immutable")


def test_a_manifest_whose_layers_nobody_uploaded(cloud: Any) -> None:
    ecr = cloud.client("ecr")
    ecr.create_repository(repositoryName="hollow")
    config = {"mediaType": CONFIGURATION, "size": 2, "digest": f"sha256:{'0' * 64}"}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []})
    code, sentence = "LayersNotFoundException", f"sha256:{'0' * 64} could not be found"
    refused(code, sentence, ecr.put_image, repositoryName="hollow", imageTag="t", imageManifest=manifest)


@pytest.mark.parametrize("kind", ["manifest", "index"])
def test_a_model_of_an_image_with_a_manifest_of_ocis(cloud: Any, kind: str) -> None:
    ecr, media_type = cloud.client("ecr"), f"application/vnd.oci.image.{kind}.v1+json"
    ecr.create_repository(repositoryName=f"oci-{kind}")
    manifest = json.dumps({"schemaVersion": 2, "mediaType": media_type, "layers": []})
    ecr.put_image(repositoryName=f"oci-{kind}", imageTag="t", imageManifest=manifest)
    image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/oci-{kind}:t"
    sentence = f"Unsupported manifest media type {re.escape(media_type)} for image {image}"
    for asked in ({"PrimaryContainer": {"Image": image}}, {"Containers": [{"Image": IMAGE}, {"Image": image}]}):
        create = cloud.client("sagemaker").create_model
        refused("ValidationException", sentence, create, ModelName="oci", ExecutionRoleArn=cloud.role, **asked)


def test_a_sixth_target_of_a_rule(cloud: Any) -> None:
    events = cloud.client("events", retries=0)
    events.put_rule(Name="crowded", EventPattern='{"source": ["x"]}')
    targets = [{"Id": str(n), "Arn": "arn:aws:sqs:us-east-1:123456789012:q"} for n in range(6)]
    events.put_targets(Rule="crowded", Targets=targets[:5])
    code = "LimitExceededException"
    refused(code, "maximum number allowed", events.put_targets, Rule="crowded", Targets=targets[5:])


@pytest.mark.parametrize(("tier", "most"), [("Standard", 4096), ("Advanced", 8192)])
def test_parameters_that_are_too_long(cloud: Any, tier: str, most: int) -> None:
    put = cloud.client("ssm").put_parameter
    asked = {"Name": f"/long/{tier}", "Type": "String", "Tier": tier}
    refused(
        "ValidationException", f"maximum parameter value of {most} characters", put, **asked, Value="x" * (most + 1)
    )
    assert put(**asked, Value="x" * most)["Version"] == 1


def test_a_bucket_that_holds_objects(cloud: Any) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="full-bucket")
    s3.put_object(Bucket="full-bucket", Key="k", Body=b"")
    refused("BucketNotEmpty", "not empty", s3.delete_bucket, Bucket="full-bucket")


def test_messages_that_are_too_long(cloud: Any) -> None:
    url, _ = cloud.create_queue("short-messages")
    topic = cloud.client("sns").create_topic(Name="short-messages")["TopicArn"]
    with pytest.raises(ClientError, match=r"must be shorter than|longer than"):
        cloud.client("sqs").send_message(QueueUrl=url, MessageBody="x" * (1024**2 + 1))
    with pytest.raises(ClientError, match="Message too long"):
        cloud.client("sns").publish(TopicArn=topic, Message="x" * 262_145)
