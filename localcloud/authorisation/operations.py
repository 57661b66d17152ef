# SPDX-License-Identifier: Apache-2.0
"""Which permissions each operation needs, for the operations that sessions of roles use; S3's are in `s3_requests`.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
An operation that is not in the table is refused to a role's session.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from localcloud.authorisation.deployed import key_arn
from localcloud.authorisation.needs import Need, grant_key, pass_role, pull_image, tags_of, use_key
from localcloud.dispatch import Call

Needs = Callable[[str, Call], list[Need]]
"""From an operation's name and a call of it to what the call needs."""

SAGEMAKER = "sagemaker.amazonaws.com"
NAMESPACES = {"sagemaker-runtime": "sagemaker", "service-quotas": "servicequotas"}
"""What actions of a service begin with, where that is not the service's name."""

_operations: dict[tuple[str, str], Needs] = {}


def needs_of(service: str, action: str, call: Call) -> list[Need] | None:
    """What a call needs; None for an operation that is not known here."""
    needs = _operations.get((service, action))
    return needs(action, call) if needs else None


def know(service: str, actions: str, needs: Needs) -> None:
    """Let `needs` say what actions of a service need, whose names are given by blanks."""
    for action in actions.split():
        _operations[service, action] = needs


def _operation(service: str, actions: str) -> Callable[[Needs], Needs]:
    def register(needs: Needs) -> Needs:
        know(service, actions, needs)
        return needs

    return register


def _simple(service: str, resource: str, actions: str) -> None:
    """Operations that need the permission of their own name on one resource.

    Args:
        service: boto3's name.
        resource: What follows the account in its ARN, with the request's members in braces; `*` for none.
        actions: By blanks.
    """
    namespace = NAMESPACES.get(service, service)

    def needs(action: str, call: Call) -> list[Need]:
        return [Need(f"{namespace}:{action}", _arn(namespace, resource, call), tags_of(call.parameters.get("Tags")))]

    know(service, actions, needs)


def _arn(service: str, resource: str, call: Call) -> str:
    """An ARN by members of the request, of which one may be the ARN itself."""
    if resource == "*":
        return "*"
    members = [name for _, name, _, _ in string.Formatter().parse(resource) if name]
    values = {name: str(call.parameters.get(name, "*")) for name in members}
    whole = next((value for value in values.values() if value.startswith("arn:")), "")
    return whole or f"arn:aws:{service}:{call.region}:{call.account}:{resource.format(**values)}"


# SageMaker: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
_simple("sagemaker", "processing-job/{ProcessingJobName}", "DescribeProcessingJob StopProcessingJob")
_simple("sagemaker", "training-job/{TrainingJobName}", "DescribeTrainingJob StopTrainingJob")
_simple("sagemaker", "transform-job/{TransformJobName}", "DescribeTransformJob StopTransformJob")
_simple("sagemaker", "model/{ModelName}", "DescribeModel DeleteModel")
_simple("sagemaker", "endpoint-config/{EndpointConfigName}", "DescribeEndpointConfig DeleteEndpointConfig")
_simple("sagemaker", "endpoint/{EndpointName}", "DescribeEndpoint DeleteEndpoint UpdateEndpointWeightsAndCapacities")
_simple("sagemaker-runtime", "endpoint/{EndpointName}", "InvokeEndpoint")
_simple("sagemaker", "{ResourceArn}", "AddTags ListTags DeleteTags")
_simple("sagemaker", "model-package/{ModelPackageName}", "DescribeModelPackage DeleteModelPackage")
_simple(
    "sagemaker",
    "model-package-group/{ModelPackageGroupName}",
    "CreateModelPackageGroup DeleteModelPackageGroup DescribeModelPackageGroup",
)
_simple(
    "sagemaker",
    "pipeline/{PipelineName}",
    "DeletePipeline DescribePipeline ListPipelineExecutions StartPipelineExecution",
)
_simple(
    "sagemaker",
    "{PipelineExecutionArn}",
    "DescribePipelineDefinitionForExecution DescribePipelineExecution ListPipelineExecutionSteps "
    "ListPipelineParametersForExecution RetryPipelineExecution StopPipelineExecution",
)
_simple(
    "sagemaker",
    "*",
    "ListEndpointConfigs ListEndpoints ListModelPackageGroups ListModelPackages ListModels ListPipelines "
    "ListProcessingJobs ListTrainingJobs ListTransformJobs",
)


@_operation("sagemaker", "CreateTrainingJob")
def _create_training_job(action: str, call: Call) -> list[Need]:
    cluster = call.parameters.get("ResourceConfig", {})
    return _create_job(action, call, f"training-job/{call.parameters['TrainingJobName']}", cluster)


@_operation("sagemaker", "CreateProcessingJob")
def _create_processing_job(action: str, call: Call) -> list[Need]:
    cluster = call.parameters.get("ProcessingResources", {}).get("ClusterConfig", {})
    return _create_job(action, call, f"processing-job/{call.parameters['ProcessingJobName']}", cluster)


def _create_job(action: str, call: Call, resource: str, cluster: Mapping[str, Any]) -> list[Need]:
    """What https://docs.aws.amazon.com/sagemaker/latest/dg/api-permissions-reference.html says of jobs."""
    return [
        *_made(action, call, resource),
        pass_role(call.parameters["RoleArn"], SAGEMAKER),
        *grant_key(cluster.get("VolumeKmsKeyId"), call.account, call.region, or_by=call.parameters["RoleArn"]),
    ]


@_operation("sagemaker", "CreateTransformJob")
def _create_transform_job(action: str, call: Call) -> list[Need]:
    """A transform job's role is its model's, which whoever made that handed over."""
    made = _made(action, call, f"transform-job/{call.parameters['TransformJobName']}")
    key = call.parameters.get("TransformResources", {}).get("VolumeKmsKeyId")
    return [*made, *grant_key(key, call.account, call.region)]


@_operation("sagemaker", "CreateModel")
def _create_model(action: str, call: Call) -> list[Need]:
    role = call.parameters.get("ExecutionRoleArn")
    made = _made(action, call, f"model/{call.parameters['ModelName']}")
    return [*made, pass_role(role, SAGEMAKER)] if role else made


@_operation("sagemaker", "CreateEndpointConfig")
def _create_endpoint_config(action: str, call: Call) -> list[Need]:
    made = _made(action, call, f"endpoint-config/{call.parameters['EndpointConfigName']}")
    return [*made, *grant_key(call.parameters.get("KmsKeyId"), call.account, call.region)]


@_operation("sagemaker", "CreateEndpoint")
def _create_endpoint(action: str, call: Call) -> list[Need]:
    configuration = call.arn(f"endpoint-config/{call.parameters['EndpointConfigName']}")
    made = _made(action, call, f"endpoint/{call.parameters['EndpointName']}")
    return [*made, Need(f"sagemaker:{action}", configuration, tags_of(call.parameters.get("Tags")))]


@_operation("sagemaker", "UpdateEndpoint")
def _update_endpoint(action: str, call: Call) -> list[Need]:
    named = (f"endpoint/{call.parameters['EndpointName']}", f"endpoint-config/{call.parameters['EndpointConfigName']}")
    return [Need(f"sagemaker:{action}", call.arn(each)) for each in named]


@_operation("sagemaker", "CreateModelPackage")
def _create_model_package(action: str, call: Call) -> list[Need]:
    group = call.parameters.get("ModelPackageGroupName", "*").rsplit("/", 1)[-1]
    context = {**tags_of(call.parameters.get("Tags")), **_approval(call.parameters)}
    named = (f"model-package-group/{group}", f"model-package/{group}/*")
    return [*(Need(f"sagemaker:{action}", call.arn(each), context) for each in named), *_images(call.parameters)]


@_operation("sagemaker", "UpdateModelPackage")
def _update_model_package(action: str, call: Call) -> list[Need]:
    properties = call.parameters.get("CustomerMetadataProperties") or {}
    told = {f"sagemaker:CustomerMetadataProperties/{name}": value for name, value in properties.items()}
    context = {**told, **_approval(call.parameters)}
    return [Need(f"sagemaker:{action}", call.parameters["ModelPackageArn"], context), *_images(call.parameters)]


def _approval(given: Mapping[str, Any]) -> dict[str, str]:
    """The key by which policies tell a registration or an edit from a decision."""
    status = given.get("ModelApprovalStatus")
    return {"sagemaker:ModelApprovalStatus": status} if status else {}


def _images(given: Mapping[str, Any]) -> Iterator[Need]:
    """The registry looks at the image of a version as who registers or changes it."""
    for container in (given.get("InferenceSpecification") or {}).get("Containers", ()):
        if ".dkr.ecr." in container.get("Image", ""):
            _, *pulled = pull_image(container["Image"])
            yield from [*pulled, Need("ecr:DescribeImages", pulled[0].resource)]


def _made(action: str, call: Call, resource: str) -> list[Need]:
    """To make a resource, and to tag it where the request does."""
    context = tags_of(call.parameters.get("Tags"))
    needs = [Need(f"sagemaker:{action}", call.arn(resource), context)]
    return [*needs, Need("sagemaker:AddTags", call.arn(resource), context)] if context else needs


@_operation("sagemaker", "CreatePipeline UpdatePipeline")
def _put_pipeline(action: str, call: Call) -> list[Need]:
    role = call.parameters.get("RoleArn")
    needs = [Need(f"sagemaker:{action}", _arn("sagemaker", "pipeline/{PipelineName}", call))]
    return [*needs, pass_role(role, SAGEMAKER)] if role else needs


# Lambda: https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
_simple("lambda", "function:{FunctionName}", "GetFunction GetFunctionConfiguration")


@_operation("lambda", "Invoke")
def _invoke(_: str, call: Call) -> list[Need]:
    return [Need("lambda:InvokeFunction", _arn("lambda", "function:{FunctionName}", call))]


def _queue(action: str, call: Call, permission: str = "", keys: tuple[str, ...] = ()) -> list[Need]:
    """With a customer's key the sender encrypts and the receiver decrypts.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    """
    name = (call.parameters.get("QueueUrl") or call.parameters["QueueName"]).rsplit("/", 1)[-1]
    queue = call.backend("sqs").queues.get(name)
    key = queue.kms_master_key_id if queue else None
    return [
        Need(f"sqs:{permission or action}", f"arn:aws:sqs:{call.region}:{call.account}:{name}"),
        *use_key(key, call.account, call.region, "sqs", *keys),
    ]


know(
    "sqs",
    "SendMessage SendMessageBatch",
    partial(_queue, permission="SendMessage", keys=("GenerateDataKey", "Decrypt")),
)
know("sqs", "ReceiveMessage", partial(_queue, keys=("Decrypt",)))
know("sqs", "DeleteMessage DeleteMessageBatch", partial(_queue, permission="DeleteMessage"))
know(
    "sqs", "ChangeMessageVisibility ChangeMessageVisibilityBatch", partial(_queue, permission="ChangeMessageVisibility")
)
know("sqs", "GetQueueAttributes GetQueueUrl", _queue)


@_operation("sns", "Publish")
def _publish(_: str, call: Call) -> list[Need]:
    """With a customer's key as https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html says."""
    arn = call.parameters.get("TopicArn") or call.parameters.get("TargetArn") or "*"
    topic = call.backend("sns").topics.get(arn)
    key = topic.kms_master_key_id if topic else None
    return [Need("sns:Publish", arn), *use_key(key, call.account, call.region, "sns", "GenerateDataKey", "Decrypt")]


@_operation("dynamodb", "DeleteItem DescribeTable GetItem PutItem Query Scan UpdateItem")
def _table(action: str, call: Call) -> list[Need]:
    """Whoever reads or writes a table under a customer's key decrypts its table key.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
    """
    name, index = call.parameters["TableName"].rsplit("/", 1)[-1], call.parameters.get("IndexName")
    table = call.backend("dynamodb").tables.get(name)
    sse = getattr(table, "sse_specification", None) or {}
    key = sse.get("KMSMasterKeyId") if action != "DescribeTable" else None
    arn = f"arn:aws:dynamodb:{call.region}:{call.account}:table/{name}"
    return [
        Need(f"dynamodb:{action}", f"{arn}/index/{index}" if index else arn),
        *use_key(key, call.account, call.region, "dynamodb", "Decrypt"),
    ]


# https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
@_operation(
    "kms",
    "CreateGrant Decrypt DescribeKey Encrypt GenerateDataKey GetKeyPolicy GetPublicKey ListGrants Sign Verify",
)
def _key(action: str, call: Call) -> list[Need]:
    arn = key_arn(call.parameters.get("KeyId", ""), call.account, call.region)
    named = arn or f"arn:aws:kms:{call.region}:{call.account}:key/*"
    granted = {"kms:GrantIsForAWSResource": "false"} if action == "CreateGrant" else {}
    return [Need(f"kms:{action}", named, {"kms:CallerAccount": call.account, **granted})]


# Policies name a group with ":*" at its end for all of these actions:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
_simple(
    "logs", "log-group:{logGroupName}:log-stream:", "CreateLogGroup CreateLogStream DescribeLogStreams FilterLogEvents"
)
_simple("logs", "log-group::log-stream:", "DescribeLogGroups")
_simple("logs", "log-group:{logGroupName}:log-stream:{logStreamName}", "GetLogEvents PutLogEvents")
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
_simple("cloudwatch", "*", "GetMetricData GetMetricStatistics ListMetrics")


@_operation("cloudwatch", "PutMetricData")
def _put_metric_data(_: str, call: Call) -> list[Need]:
    return [Need("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": call.parameters["Namespace"]})]


@_operation("cloudwatch", "DeleteAlarms DescribeAlarmHistory DescribeAlarms PutMetricAlarm SetAlarmState")
def _alarms(action: str, call: Call) -> list[Need]:
    names = call.parameters.get("AlarmNames") or [call.parameters.get("AlarmName", "*")]
    start = f"arn:aws:cloudwatch:{call.region}:{call.account}:alarm:"
    return [Need(f"cloudwatch:{action}", f"{start}{name}") for name in names]


# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
@_operation("ssm", "GetParameter GetParameterHistory GetParameters GetParametersByPath")
def _parameters(action: str, call: Call) -> list[Need]:
    given = call.parameters
    names = given.get("Names") or [given.get("Name") or given["Path"]]
    return [
        Need(f"ssm:{action}", f"arn:aws:ssm:{call.region}:{call.account}:parameter/{name.strip('/')}") for name in names
    ]


# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
_simple(
    "ecr",
    "repository/{repositoryName}",
    "BatchCheckLayerAvailability BatchGetImage CompleteLayerUpload DescribeImages GetDownloadUrlForLayer "
    "GetRepositoryPolicy InitiateLayerUpload ListImages PutImage UploadLayerPart",
)
_simple("ecr", "*", "GetAuthorizationToken")
_simple("service-quotas", "*", "GetServiceQuota ListAWSDefaultServiceQuotas ListServiceQuotas")


@_operation("ecr", "DescribeRepositories")
def _repositories(action: str, call: Call) -> list[Need]:
    names = call.parameters.get("repositoryNames") or ["*"]
    start = f"arn:aws:ecr:{call.region}:{call.account}:repository/"
    return [Need(f"ecr:{action}", f"{start}{name}") for name in names]


# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html
@_operation(
    "cloudformation",
    "CreateChangeSet CreateStack DeleteChangeSet DeleteStack DescribeChangeSet DescribeStackEvents "
    "DescribeStackResources DescribeStacks ExecuteChangeSet GetTemplate ListChangeSets ListStackResources UpdateStack "
    "UpdateTerminationProtection",
)
def _stack(action: str, call: Call) -> list[Need]:
    role = call.parameters.get("RoleARN")
    passed = [pass_role(role, "cloudformation.amazonaws.com")] if role else []
    return [Need(f"cloudformation:{action}", _arn("cloudformation", "stack/{StackName}/*", call)), *passed]


_simple("cloudformation", "*", "GetTemplateSummary ListExports ListStacks")
