# SPDX-License-Identifier: Apache-2.0
"""What AWS refuses and an emulation would naively accept, each with the address where AWS says so.

Refusals that need no more than the request and what exists are here; the few that are part of an action's own logic
stand with that action (a group that still holds versions in `registry.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from botocore.model import OperationNotFoundError
from moto.core.utils import get_service_model

from localcloud import registry
from localcloud.context import CloudContext
from localcloud.definitions.instances import clusters, has_local_nvme
from localcloud.dispatch import Call, ServiceError, add_check, backend
from localcloud.endpoints import actions as endpoints
from localcloud.functions import actions as functions
from localcloud.service_limits import validation_errors

MAX_FUNCTION_ENVIRONMENT = 4_096
MAX_RULE_TARGETS = 5
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


@dataclass(frozen=True)
class Refusal:
    """One thing that is refused.

    Attributes:
        service: boto3's name of the service.
        actions: Those that it concerns; empty for all.
        address: Where AWS says so.
        check: Raises `ServiceError`.
    """

    service: str
    actions: frozenset[str]
    address: str
    check: Callable[[Call], None]


def install(_: CloudContext) -> None:
    """Put every refusal in front of the actions that it concerns, whoever answers them."""
    add_check("sagemaker", _check_limits)
    for refusal in REFUSALS:
        add_check(refusal.service, _guard(refusal))


def _guard(refusal: Refusal) -> Callable[[str, Call], None]:
    def check(action: str, call: Call) -> None:
        if action in refusal.actions:
            refusal.check(call)

    return check


def _check_limits(action: str, call: Call) -> None:
    """Required members, enums, patterns, lengths and sizes of the service model, which boto3 mostly leaves to AWS.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/CommonErrors.html
    """
    try:
        shape = get_service_model("sagemaker").operation_model(action).input_shape
    except OperationNotFoundError:
        return
    sentence = validation_errors(call.parameters, shape) if shape else ""
    if sentence:
        raise ServiceError("ValidationException", sentence)


def _refuse_volume_key(call: Call) -> None:
    for _, cluster in clusters(call.parameters):
        if cluster.get("VolumeKmsKeyId") and has_local_nvme(cluster.get("InstanceType", "")):
            raise ServiceError(
                "ValidationException",
                f"VolumeKmsKeyId is not supported for the instance type {cluster['InstanceType']}, because its local "
                "storage is encrypted by the instance itself.",
            )


def _refuse_endpoint_key(call: Call) -> None:
    if not call.parameters.get("KmsKeyId"):
        return
    for variant in call.parameters.get("ProductionVariants", []):
        if has_local_nvme(variant.get("InstanceType") or ""):
            raise ServiceError(
                "ValidationException",
                f"KmsKeyId is not supported for the instance type {variant['InstanceType']} of variant "
                f"{variant['VariantName']}, because its local storage is encrypted by the instance itself.",
            )


def _refuse_unapproved_package(call: Call) -> None:
    containers = [call.parameters.get("PrimaryContainer"), *(call.parameters.get("Containers") or [])]
    for container in containers:
        name = (container or {}).get("ModelPackageName")
        if name and registry.approval_status(call.account, call.region, name) != "Approved":
            message = f"Cannot create a model from the model package {name}: its ModelApprovalStatus is not Approved."
            raise ServiceError("ValidationException", message)


def _refuse_tags_on_versions(call: Call) -> None:
    if call.parameters.get("ModelPackageGroupName") and call.parameters.get("Tags"):
        message = "Tags cannot be given to a versioned model package: it has those of its model package group."
        raise ServiceError("ValidationException", message)


def _refuse_config_in_use(call: Call) -> None:
    name = call.parameters["EndpointConfigName"]
    for endpoint in endpoints.users_of(call.account, call.region, name):
        message = f"Cannot delete endpoint configuration {name}: endpoint {endpoint} uses it."
        raise ServiceError("ValidationException", message)


def _refuse_impatient_spot(call: Call) -> None:
    condition = call.parameters.get("StoppingCondition") or {}
    running, waiting = condition.get("MaxRuntimeInSeconds", 86_400), condition.get("MaxWaitTimeInSeconds")
    spot = call.parameters.get("EnableManagedSpotTraining", False)
    if spot and waiting is None:
        message = "MaxWaitTimeInSeconds must be given when EnableManagedSpotTraining is true."
    elif not spot and waiting is not None:
        message = "MaxWaitTimeInSeconds can only be given when EnableManagedSpotTraining is true."
    elif waiting is not None and waiting < running:
        message = "Invalid MaxWaitTimeInSeconds. It must be greater than or equal to MaxRuntimeInSeconds."
    else:
        return
    raise ServiceError("ValidationException", message)


def _refuse_environment(call: Call) -> None:
    variables = (call.parameters.get("Environment") or {}).get("Variables") or {}
    reserved = sorted(RESERVED_VARIABLES & set(variables))
    opening = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided"
    )
    if reserved:
        message = (
            f"{opening} contains reserved keys that are currently not supported for modification. Reserved keys used "
            f"in this request: {', '.join(reserved)}"
        )
        raise ServiceError("InvalidParameterValueException", message)
    text = json.dumps(variables, separators=(",", ":"))
    if len(text.encode()) > MAX_FUNCTION_ENVIRONMENT:
        message = f"{opening} exceeded the 4KB limit. String measured: {text[:200]}"
        raise ServiceError("InvalidParameterValueException", message)


def _refuse_short_visibility(call: Call) -> None:
    arn = call.parameters.get("EventSourceArn", "")
    if ":sqs:" not in arn:
        return
    queue = backend("sqs", call.account, call.region).queues.get(arn.rsplit(":", 1)[1])
    if queue is None:
        message = f"Error occurred while ReceiveMessage. SQS Error Code: QueueDoesNotExist. {arn}"
        raise ServiceError("InvalidParameterValueException", message)
    seconds = functions.timeout(call.account, call.region, call.parameters["FunctionName"])
    if int(queue.visibility_timeout) < seconds:
        visible = f"Queue visibility timeout: {queue.visibility_timeout} seconds"
        message = f"{visible} is less than Function timeout: {seconds} seconds"
        raise ServiceError("InvalidParameterValueException", message)


def _refuse_moving_tag(call: Call) -> None:
    repository = backend("ecr", call.account, call.region).repositories.get(call.parameters["repositoryName"])
    tag = call.parameters.get("imageTag")
    if repository is None or repository.image_tag_mutability != "IMMUTABLE":
        return
    for image in repository.images:
        if tag in image.image_tags and image.image_manifest != call.parameters["imageManifest"]:
            message = (
                f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be overwritten "
                "because the repository is immutable."
            )
            raise ServiceError("ImageTagAlreadyExistsException", message)


def _refuse_many_targets(call: Call) -> None:
    bus = backend("events", call.account, call.region).event_buses.get(call.parameters.get("EventBusName", "default"))
    rule = bus.rules.get(call.parameters["Rule"]) if bus else None
    ids = {target["Id"] for target in [*(rule.targets if rule else []), *call.parameters["Targets"]]}
    if len(ids) > MAX_RULE_TARGETS:
        message = f"The requested resource exceeds the maximum number allowed: {MAX_RULE_TARGETS} targets of a rule."
        raise ServiceError("LimitExceededException", message)


def _refusals() -> Iterator[tuple[str, str, Callable[[Call], None], str]]:
    reference = "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_"
    jobs = "CreateTrainingJob CreateProcessingJob CreateTransformJob"
    yield "sagemaker", jobs, _refuse_volume_key, f"{reference}ResourceConfig.html"
    yield "sagemaker", "CreateEndpointConfig", _refuse_endpoint_key, f"{reference}CreateEndpointConfig.html"
    yield "sagemaker", "DeleteEndpointConfig", _refuse_config_in_use, f"{reference}DeleteEndpointConfig.html"
    yield "sagemaker", "CreateModelPackage", _refuse_tags_on_versions, f"{reference}CreateModelPackage.html"
    yield (
        "sagemaker",
        "CreateModel",
        _refuse_unapproved_package,
        "https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-approve.html",
    )
    yield (
        "sagemaker",
        "CreateTrainingJob",
        _refuse_impatient_spot,
        "https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training.html",
    )
    yield (
        "lambda",
        "CreateFunction UpdateFunctionConfiguration",
        _refuse_environment,
        "https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html",
    )
    yield (
        "lambda",
        "CreateEventSourceMapping",
        _refuse_short_visibility,
        "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html",
    )
    yield (
        "ecr",
        "PutImage",
        _refuse_moving_tag,
        "https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html",
    )
    yield (
        "events",
        "PutTargets",
        _refuse_many_targets,
        "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html",
    )


REFUSALS: tuple[Refusal, ...] = tuple(
    Refusal(service, frozenset(actions.split()), address, check) for service, actions, check, address in _refusals()
)
