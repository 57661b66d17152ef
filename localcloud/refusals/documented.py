# SPDX-License-Identifier: Apache-2.0
"""What AWS's documentation, or a report of what AWS answered, says that it refuses.

Refusals that need no more than the request and what exists are here; the few that are part of an action's own logic
stand with that action (a group that still holds versions in `registry/actions.py`).
"""

from __future__ import annotations

import json

from localcloud.authorisation.enforcement import service_may_assume
from localcloud.definitions.instance_types import clusters, has_local_nvme
from localcloud.dispatch import Call
from localcloud.endpoints import actions as endpoints
from localcloud.functions import actions as functions
from localcloud.images import media_type
from localcloud.layers import missing_layers
from localcloud.pushing import MANIFEST
from localcloud.refusals.refusal import documented, parameter
from localcloud.registry import actions as registry

MAX_FUNCTION_ENVIRONMENT = 4_096
MAX_PAYLOAD = 100
"""MB of a request of a transform job, and of all that an instance is sent at once."""
MAX_RULE_TARGETS = 5
MAX_STANDARD_PARAMETER, MAX_PARAMETER = 4_096, 8_192
RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)


@documented(
    "sagemaker",
    "CreateTrainingJob CreateProcessingJob CreateTransformJob",
    "sagemaker/latest/APIReference/API_ResourceConfig",
)
def _volume_key(call: Call) -> str:
    for _, cluster in clusters(call.parameters):
        if cluster.get("VolumeKmsKeyId") and has_local_nvme(cluster.get("InstanceType", "")):
            return (
                f"VolumeKmsKeyId is not supported for the instance type {cluster['InstanceType']}, because its local "
                "storage is encrypted by the instance itself."
            )
    return ""


@documented("sagemaker", "CreateTransformJob", "sagemaker/latest/APIReference/API_CreateTransformJob")
def _large_payloads(call: Call) -> str:
    concurrent, megabytes = (call.parameters.get(name) or 0 for name in ("MaxConcurrentTransforms", "MaxPayloadInMB"))
    if megabytes > MAX_PAYLOAD:
        return f"MaxPayloadInMB cannot be greater than {MAX_PAYLOAD}."
    if concurrent * megabytes > MAX_PAYLOAD:
        return f"The value of MaxConcurrentTransforms * MaxPayloadInMB must not exceed {MAX_PAYLOAD} MB."
    return ""


@documented("sagemaker", "CreateProcessingJob", "sagemaker/latest/APIReference/API_ProcessingClusterConfig")
def _volume_beyond_storage(call: Call) -> str:
    """AWS's own refusal has an empty message: https://github.com/aws/sagemaker-python-sdk/issues/4939."""
    for _, cluster in clusters(call.parameters):
        name, wanted = cluster.get("InstanceType", ""), cluster.get("VolumeSizeInGB", 0)
        storage = _local_gigabytes(name) if has_local_nvme(name) else 0
        if 0 < storage < wanted:
            return f"VolumeSizeInGB {wanted} exceeds the {storage} GB of local storage of the instance type {name}."
    return ""


def _local_gigabytes(instance_type: str) -> int:
    """Of all local disks; 0 where EC2 does not say."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES  # a large file, which few clouds need

    described = INSTANCE_TYPES.get(instance_type.removeprefix("ml."), {})
    return int(described.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0))


@documented("sagemaker", "CreateEndpointConfig", "sagemaker/latest/APIReference/API_CreateEndpointConfig")
def _endpoint_key(call: Call) -> str:
    for variant in call.parameters.get("ProductionVariants", []) if call.parameters.get("KmsKeyId") else []:
        if has_local_nvme(variant.get("InstanceType") or ""):
            return (
                f"KmsKeyId is not supported for the instance type {variant['InstanceType']} of variant "
                f"{variant['VariantName']}, because its local storage is encrypted by the instance itself."
            )
    return ""


@documented("sagemaker", "CreateModel", "sagemaker/latest/dg/model-registry-approve")
def _unapproved_package(call: Call) -> str:
    containers = [call.parameters.get("PrimaryContainer"), *(call.parameters.get("Containers") or [])]
    for container in containers:
        name = (container or {}).get("ModelPackageName")
        if name and registry.approval_status(call, name) != "Approved":
            return f"Cannot create a model from the model package {name}: its ModelApprovalStatus is not Approved."
    return ""


@documented("sagemaker", "CreateModelPackage", "sagemaker/latest/APIReference/API_CreateModelPackage")
def _tags_on_versions(call: Call) -> str:
    if call.parameters.get("ModelPackageGroupName") and call.parameters.get("Tags"):
        return "Tags cannot be given to a versioned model package: it has those of its model package group."
    return ""


@documented("sagemaker", "DeleteEndpointConfig", "sagemaker/latest/APIReference/API_DeleteEndpointConfig")
def _config_in_use(call: Call) -> str:
    name = call.parameters["EndpointConfigName"]
    users = endpoints.users_of(call.account, call.region, name)
    return f"Cannot delete endpoint configuration {name}: endpoint {users[0]} uses it." if users else ""


@documented("sagemaker", "CreateTrainingJob", "sagemaker/latest/dg/model-managed-spot-training")
def _impatient_spot(call: Call) -> str:
    condition = call.parameters.get("StoppingCondition") or {}
    running, waiting = condition.get("MaxRuntimeInSeconds", 86_400), condition.get("MaxWaitTimeInSeconds")
    spot = call.parameters.get("EnableManagedSpotTraining", False)
    if spot and waiting is None:
        return "MaxWaitTimeInSeconds must be given when EnableManagedSpotTraining is true."
    if not spot and waiting is not None:
        return "MaxWaitTimeInSeconds can only be given when EnableManagedSpotTraining is true."
    if waiting is not None and waiting < running:
        return "Invalid MaxWaitTimeInSeconds. It must be greater than or equal to MaxRuntimeInSeconds."
    return ""


@documented(
    "lambda",
    "CreateFunction UpdateFunctionConfiguration",
    "lambda/latest/dg/configuration-envvars",
    "InvalidParameterValueException",
)
def _environment(call: Call) -> str:
    variables = (call.parameters.get("Environment") or {}).get("Variables") or {}
    reserved = sorted(RESERVED_VARIABLES & set(variables))
    opening = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided"
    )
    if reserved:
        return (
            f"{opening} contains reserved keys that are currently not supported for modification. Reserved keys used "
            f"in this request: {', '.join(reserved)}"
        )
    text = json.dumps(variables, separators=(",", ":"))
    if len(text.encode()) > MAX_FUNCTION_ENVIRONMENT:
        return f"{opening} exceeded the 4KB limit. String measured: {text[:200]}"
    return ""


@documented(
    "lambda", "CreateEventSourceMapping", "lambda/latest/dg/services-sqs-configure", "InvalidParameterValueException"
)
def _short_visibility(call: Call) -> str:
    arn = call.parameters.get("EventSourceArn", "")
    if ":sqs:" not in arn:
        return ""
    queue = call.backend("sqs").queues.get(arn.rsplit(":", 1)[1])
    if queue is None:
        return f"Error occurred while ReceiveMessage. SQS Error Code: QueueDoesNotExist. {arn}"
    seconds = functions.timeout(call.account, call.region, call.parameters["FunctionName"])
    if int(queue.visibility_timeout) >= seconds:
        return ""
    visible = f"Queue visibility timeout: {queue.visibility_timeout} seconds"
    return f"{visible} is less than Function timeout: {seconds} seconds"


@documented("ecr", "PutImage", "AmazonECR/latest/userguide/image-tag-mutability", "ImageTagAlreadyExistsException")
def _moving_tag(call: Call) -> str:
    repository = call.backend("ecr").repositories.get(call.parameters["repositoryName"])
    tag = call.parameters.get("imageTag")
    if repository is None or repository.image_tag_mutability != "IMMUTABLE":
        return ""
    for image in repository.images:
        if tag in image.image_tags and image.image_manifest != call.parameters["imageManifest"]:
            return (
                f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be overwritten "
                "because the repository is immutable."
            )
    return ""


@documented("ecr", "PutImage", "AmazonECR/latest/APIReference/API_PutImage", "LayersNotFoundException")
def _missing_layers(call: Call) -> str:
    missing = missing_layers(call)
    repository = call.parameters["repositoryName"]
    where = f"the repository with name '{repository}' in the registry with id '{call.account}'"
    return f"The layers {', '.join(missing)} could not be found in {where}" if missing else ""


@documented("sagemaker", "CreateModel", "https://github.com/aws/amazon-sagemaker-feedback/issues/180")
def _manifest_of_another_kind(call: Call) -> str:
    asked = call.parameters
    for container in [asked.get("PrimaryContainer") or {}, *asked.get("Containers", ())]:
        found = media_type(container.get("Image", ""))
        if found not in (None, MANIFEST):
            return (
                f"Unsupported manifest media type {found} for image {container['Image']}. Ensure that valid manifest "
                "media type is used for specified image."
            )
    return ""


@documented("events", "PutTargets", "eventbridge/latest/userguide/eb-quota", "LimitExceededException")
def _many_targets(call: Call) -> str:
    bus = call.backend("events").event_buses.get(call.parameters.get("EventBusName", "default"))
    rule = bus.rules.get(call.parameters["Rule"]) if bus else None
    ids = {target["Id"] for target in [*(rule.targets if rule else []), *call.parameters["Targets"]]}
    if len(ids) <= MAX_RULE_TARGETS:
        return ""
    return f"The requested resource exceeds the maximum number allowed: {MAX_RULE_TARGETS} targets of a rule."


@documented("ssm", "PutParameter", "systems-manager/latest/userguide/parameter-store-advanced-parameters")
def _long_parameter(call: Call) -> str:
    characters, tier = len(parameter(call, "Value")), parameter(call, "Tier") or "Standard"
    if tier == "Standard" and characters > MAX_STANDARD_PARAMETER:
        return (
            f"Standard tier parameters support a maximum parameter value of {MAX_STANDARD_PARAMETER} characters. To "
            "create a larger parameter value, upgrade the parameter to use the advanced-parameter tier."
        )
    if characters > MAX_PARAMETER:
        return f"Advanced tier parameters support a maximum parameter value of {MAX_PARAMETER} characters."
    return ""


@documented("sagemaker", "CreateTrainingJob CreateProcessingJob", "sagemaker/latest/dg/sagemaker-roles")
def _role_that_does_not_trust(call: Call) -> str:
    role = call.parameters["RoleArn"]
    if service_may_assume("sagemaker.amazonaws.com", role):
        return ""
    return (
        f"Could not assume role {role}. Please ensure that the role exists and allows principal "
        "'sagemaker.amazonaws.com' to assume the role."
    )


@documented("s3", "CompleteMultipartUpload CopyObject PutObject", "AmazonS3/latest/API/API_PutObject", "NotImplemented")
def _write_unless_some_object_is_there(call: Call) -> str:
    asked = call.parameters.get("IfNoneMatch")
    if asked in (None, "*"):
        return ""
    return "A header you provided implies functionality that is not implemented"
