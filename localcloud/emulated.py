# SPDX-License-Identifier: Apache-2.0
"""What is emulated: services, their actions, and what these actions take. All else is refused by its name.

moto answers more: actions that start nothing, parameters that it takes and forgets, services that nobody here has
looked at. Its success says nothing then, so nobody gets it. Whatever only reads (`READS`) may be asked of a service in
`ACTIONS`: it tells what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from botocore.model import ListShape, Shape, StructureShape

READS = ("BatchCheck", "BatchGet", "Describe", "Filter", "Get", "Head", "List", "Lookup", "Query", "Scan")

UNHEARD = frozenset(
    {
        "CrossAccountFilterOption",
        "IncludedData",
        "PipelineVersionAlias",
        "PipelineVersionId",
        "TrainingPlanArnEquals",
        "WarmPoolStatusEquals",
    }
)
"""Parameters of SageMaker's reads that choose among what nobody can have made here: they would be passed over."""

DESCRIBED_ONLY = frozenset(
    {
        # A laptop has no network of its own, nor instances, volumes and GPU drivers.
        "EnableInterContainerTrafficEncryption",
        "EnableNetworkIsolation",
        "InferenceAmiVersion",
        "ModelDataDownloadTimeoutInSeconds",
        "NetworkConfig",
        "ProfilerConfig",
        "VolumeKmsKeyId",
        "VolumeSizeInGB",
        "VpcConfig",
        # Objects are kept as they are, whoever's key they name.
        "KMSKeyArn",
        "SSESpecification",
        "encryptionConfiguration",
        "kmsKeyId",
        # Nothing grows old here, is scanned, paid for, traced or logged twice.
        "BillingMode",
        "LifecycleConfiguration",
        "MaximumExecutionTimeoutInSeconds",
        "PointInTimeRecoverySpecification",
        "ProvisionedThroughput",
        "TracingConfig",
        "imageScanningConfiguration",
        "lifecyclePolicyText",
        "logGroupClass",
        "retentionInDays",
        # What a transfer says of its own bytes.
        "ChecksumAlgorithm",
        "ChecksumCRC32",
        "ChecksumCRC32C",
        "ChecksumCRC64NVME",
        "ChecksumSHA1",
        "ChecksumSHA256",
        "ChecksumType",
        "ContentLength",
        "ContentMD5",
        # The caller's own mark on a request.
        "ClientRequestToken",
        "ClientToken",
        "ExpectedBucketOwner",
    }
)
"""Parameters that are taken and described again, but have no effect on one machine."""

_HEADERS = "CacheControl ContentDisposition ContentEncoding ContentLanguage ContentType Expires Metadata Tagging"
_ENCRYPTION = "BucketKeyEnabled SSEKMSKeyId ServerSideEncryption StorageClass"
_CONTAINER = (
    "{0}.ContainerHostname {0}.Environment {0}.Image {0}.Mode {0}.ModelDataUrl {0}.ModelPackageName "
    "{0}.ModelDataSource.S3DataSource.CompressionType {0}.ModelDataSource.S3DataSource.S3DataType "
    "{0}.ModelDataSource.S3DataSource.S3Uri"
)
_DEPLOYMENT = (
    "DeploymentConfig.AutoRollbackConfiguration DeploymentConfig.BlueGreenUpdatePolicy.TerminationWaitInSeconds "
    "DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration "
    "DeploymentConfig.RollingUpdatePolicy.MaximumBatchSize DeploymentConfig.RollingUpdatePolicy.WaitIntervalInSeconds"
)
_FUNCTION = (
    "DeadLetterConfig Description Environment EphemeralStorage FunctionName Handler Layers LoggingConfig MemorySize "
    "Role Runtime Timeout"
)
_CODE = "S3Bucket S3Key S3ObjectVersion ZipFile"
_MAPPING = "BatchSize Enabled FunctionName FunctionResponseTypes MaximumBatchingWindowInSeconds"
_PACKAGE = (
    "CustomerMetadataProperties InferenceSpecification ModelApprovalStatus ModelCard ModelLifeCycle "
    "ModelPackageRegistrationType SourceUri"
)
_PIPELINE = (
    "ParallelismConfiguration PipelineDefinition PipelineDefinitionS3Location PipelineDescription PipelineDisplayName "
    "PipelineName RoleArn"
)
_STACK = "Capabilities Parameters RoleARN StackName Tags TemplateBody TemplateURL"
_WRITE = (
    "ConditionExpression ExpressionAttributeNames ExpressionAttributeValues ReturnValues "
    "ReturnValuesOnConditionCheckFailure TableName"
)

ACTIONS: dict[str, dict[str, str]] = {
    "application-autoscaling": {
        "DeregisterScalableTarget": "ResourceId ScalableDimension ServiceNamespace",
        "RegisterScalableTarget": "MaxCapacity MinCapacity ResourceId RoleARN ScalableDimension ServiceNamespace",
    },
    "cloudformation": {
        "CreateChangeSet": f"{_STACK} ChangeSetName ChangeSetType Description OnStackFailure UsePreviousTemplate "
        "DeploymentConfig ImportExistingResources IncludeNestedStacks ResourcesToImport",
        "CreateStack": f"{_STACK} DisableRollback EnableTerminationProtection OnFailure",
        "DeleteChangeSet": "ChangeSetName StackName",
        "DeleteStack": "DeploymentConfig RoleARN StackName",
        "ExecuteChangeSet": "ChangeSetName DisableRollback StackName",
        "UpdateStack": f"{_STACK} DisableRollback UsePreviousTemplate",
        "UpdateTerminationProtection": "EnableTerminationProtection StackName",
    },
    "cloudtrail": {},
    "cloudwatch": {
        "DeleteAlarms": "AlarmNames",
        "DeleteDashboards": "DashboardNames",
        "PutDashboard": "DashboardBody DashboardName Tags",
        "PutMetricAlarm": "ActionsEnabled AlarmActions AlarmDescription AlarmName ComparisonOperator DatapointsToAlarm "
        "Dimensions EvaluateLowSampleCountPercentile EvaluationPeriods ExtendedStatistic InsufficientDataActions "
        "MetricName Metrics Namespace OKActions Period Statistic Tags Threshold TreatMissingData Unit",
        "PutMetricData": "MetricData Namespace",
        "SetAlarmState": "AlarmName StateReason StateReasonData StateValue",
    },
    "dynamodb": {
        "CreateTable": "AttributeDefinitions DeletionProtectionEnabled KeySchema TableName Tags",
        "DeleteTable": "TableName",
        "PutItem": f"{_WRITE} Item",
        "UpdateContinuousBackups": "TableName",
        "UpdateTable": "AttributeDefinitions DeletionProtectionEnabled TableName",
    },
    "ecr": {
        "BatchDeleteImage": "imageIds registryId repositoryName",
        "CompleteLayerUpload": "layerDigests registryId repositoryName uploadId",
        "CreateRepository": "imageTagMutability repositoryName tags",
        "DeleteRepository": "force registryId repositoryName",
        "InitiateLayerUpload": "registryId repositoryName",
        "PutImage": "imageDigest imageManifest imageManifestMediaType imageTag registryId repositoryName",
        "PutImageScanningConfiguration": "registryId repositoryName",
        "PutImageTagMutability": "imageTagMutability registryId repositoryName",
        "PutLifecyclePolicy": "registryId repositoryName",
        "SetRepositoryPolicy": "policyText registryId repositoryName",
        "UploadLayerPart": "layerPartBlob partFirstByte partLastByte registryId repositoryName uploadId",
    },
    "events": {
        "CreateEventBus": "Name Tags",
        "DeleteRule": "EventBusName Name",
        "DisableRule": "EventBusName Name",
        "EnableRule": "EventBusName Name",
        "PutEvents": "Entries.Detail Entries.DetailType Entries.EventBusName Entries.Resources Entries.Source "
        "Entries.Time Entries.TraceHeader",
        "PutRule": "Description EventBusName EventPattern Name RoleArn ScheduleExpression State Tags",
        "PutTargets": "EventBusName Rule Targets.Arn Targets.DeadLetterConfig Targets.Id Targets.Input "
        "Targets.InputPath Targets.InputTransformer Targets.RetryPolicy Targets.RoleArn "
        "Targets.SageMakerPipelineParameters Targets.SqsParameters",
        "RemoveTargets": "EventBusName Ids Rule",
        "TestEventPattern": "Event EventPattern",
    },
    "iam": {
        "AttachRolePolicy": "PolicyArn RoleName",
        "CreatePolicy": "Description Path PolicyDocument PolicyName Tags",
        "CreatePolicyVersion": "PolicyArn PolicyDocument SetAsDefault",
        "CreateRole": "AssumeRolePolicyDocument Description MaxSessionDuration Path PermissionsBoundary RoleName Tags",
        "DeletePolicy": "PolicyArn",
        "DeletePolicyVersion": "PolicyArn VersionId",
        "DeleteRole": "RoleName",
        "DeleteRolePolicy": "PolicyName RoleName",
        "DetachRolePolicy": "PolicyArn RoleName",
        "PutRolePolicy": "PolicyDocument PolicyName RoleName",
        "UpdateAssumeRolePolicy": "PolicyDocument RoleName",
        "UpdateRole": "Description MaxSessionDuration RoleName",
    },
    "kms": {
        "CreateAlias": "AliasName TargetKeyId",
        "CreateKey": "Description KeySpec KeyUsage Policy Tags",
        "Decrypt": "CiphertextBlob EncryptionContext KeyId",
        "DeleteAlias": "AliasName",
        "DisableKey": "KeyId",
        "DisableKeyRotation": "KeyId",
        "EnableKey": "KeyId",
        "EnableKeyRotation": "KeyId",
        "Encrypt": "EncryptionContext KeyId Plaintext",
        "GenerateRandom": "NumberOfBytes",
        "PutKeyPolicy": "KeyId Policy PolicyName",
        "ScheduleKeyDeletion": "KeyId PendingWindowInDays",
        "Sign": "KeyId Message MessageType SigningAlgorithm",
        "UpdateAlias": "AliasName TargetKeyId",
        "UpdateKeyDescription": "Description KeyId",
        "Verify": "KeyId Message MessageType Signature SigningAlgorithm",
    },
    "lambda": {
        "AddPermission": "Action FunctionName Principal SourceAccount SourceArn StatementId",
        "CreateEventSourceMapping": f"{_MAPPING} EventSourceArn",
        "CreateFunction": f"{_FUNCTION} Architectures {' '.join(f'Code.{each}' for each in _CODE.split())} Tags",
        "DeleteEventSourceMapping": "UUID",
        "DeleteFunction": "FunctionName",
        "DeleteFunctionConcurrency": "FunctionName",
        "DeleteFunctionEventInvokeConfig": "FunctionName",
        "Invoke": "FunctionName InvocationType LogType Payload Qualifier",
        "PublishLayerVersion": "CompatibleArchitectures CompatibleRuntimes Content Description LayerName LicenseInfo",
        "PutFunctionConcurrency": "FunctionName ReservedConcurrentExecutions",
        "PutFunctionEventInvokeConfig": "DestinationConfig FunctionName MaximumRetryAttempts",
        "RemovePermission": "FunctionName StatementId",
        "UpdateEventSourceMapping": f"{_MAPPING} UUID",
        "UpdateFunctionCode": f"{_CODE} Architectures FunctionName",
        "UpdateFunctionConfiguration": _FUNCTION,
    },
    "logs": {
        "CreateLogGroup": "logGroupName tags",
        "CreateLogStream": "logGroupName logStreamName",
        "DeleteLogGroup": "logGroupName",
        "DeleteRetentionPolicy": "logGroupName",
        "PutLogEvents": "logEvents logGroupName logStreamName sequenceToken",
        "PutRetentionPolicy": "logGroupName",
    },
    "s3": {
        "AbortMultipartUpload": "Bucket Key UploadId",
        "CompleteMultipartUpload": "Bucket IfNoneMatch Key MpuObjectSize MultipartUpload UploadId",
        "CopyObject": f"{_HEADERS} {_ENCRYPTION} Bucket CopySource CopySourceIfMatch CopySourceIfNoneMatch IfMatch "
        "IfNoneMatch Key MetadataDirective TaggingDirective",
        "CreateBucket": "Bucket CreateBucketConfiguration ObjectOwnership",
        "CreateMultipartUpload": f"{_HEADERS} {_ENCRYPTION} Bucket Key",
        "DeleteBucket": "Bucket",
        "DeleteBucketEncryption": "Bucket",
        "DeleteBucketLifecycle": "Bucket",
        "DeleteBucketOwnershipControls": "Bucket",
        "DeleteBucketPolicy": "Bucket",
        "DeleteObject": "Bucket Key VersionId",
        "DeleteObjects": "Bucket Delete",
        "DeletePublicAccessBlock": "Bucket",
        "PutBucketEncryption": "Bucket ServerSideEncryptionConfiguration",
        "PutBucketLifecycleConfiguration": "Bucket",
        "PutBucketLogging": "Bucket BucketLoggingStatus",
        "PutBucketOwnershipControls": "Bucket OwnershipControls",
        "PutBucketPolicy": "Bucket Policy",
        "PutBucketTagging": "Bucket Tagging",
        "PutBucketVersioning": "Bucket VersioningConfiguration.Status",
        "PutObject": f"{_HEADERS} {_ENCRYPTION} Body Bucket IfMatch IfNoneMatch Key",
        "PutPublicAccessBlock": "Bucket PublicAccessBlockConfiguration",
        "UploadPart": "Body Bucket Key PartNumber UploadId",
        "UploadPartCopy": "Bucket CopySource CopySourceIfMatch CopySourceRange Key PartNumber UploadId",
    },
    "sagemaker": {
        "AddTags": "ResourceArn Tags",
        "CreateEndpoint": f"{_DEPLOYMENT} EndpointConfigName EndpointName Tags",
        "CreateEndpointConfig": "DataCaptureConfig EndpointConfigName KmsKeyId ProductionVariants.InitialInstanceCount "
        "ProductionVariants.ContainerStartupHealthCheckTimeoutInSeconds ProductionVariants.InitialVariantWeight "
        "ProductionVariants.InstanceType ProductionVariants.ModelName ProductionVariants.ServerlessConfig "
        "ProductionVariants.VariantName Tags",
        "CreateModel": f"{_CONTAINER.format('PrimaryContainer')} {_CONTAINER.format('Containers')} ExecutionRoleArn "
        "ModelName Tags",
        "CreateModelPackage": f"{_PACKAGE} AdditionalInferenceSpecifications Domain DriftCheckBaselines "
        "MetadataProperties ModelMetrics ModelPackageDescription ModelPackageGroupName ModelPackageName "
        "SamplePayloadUrl SkipModelValidation Tags Task",
        "CreateModelPackageGroup": "ModelPackageGroupDescription ModelPackageGroupName Tags",
        "CreatePipeline": f"{_PIPELINE} Tags",
        "CreateProcessingJob": "AppSpecification Environment ProcessingInputs.InputName ProcessingInputs.S3Input "
        "ProcessingJobName ProcessingOutputConfig.KmsKeyId ProcessingOutputConfig.Outputs.OutputName "
        "ProcessingOutputConfig.Outputs.S3Output ProcessingResources.ClusterConfig.InstanceCount "
        "ProcessingResources.ClusterConfig.InstanceType RoleArn StoppingCondition Tags",
        "CreateTrainingJob": "AlgorithmSpecification.ContainerArguments AlgorithmSpecification.ContainerEntrypoint "
        "AlgorithmSpecification.MetricDefinitions AlgorithmSpecification.TrainingImage "
        "AlgorithmSpecification.TrainingInputMode CheckpointConfig DebugHookConfig EnableManagedSpotTraining "
        "Environment HyperParameters InputDataConfig.ChannelName InputDataConfig.CompressionType "
        "InputDataConfig.ContentType InputDataConfig.DataSource.S3DataSource.S3DataDistributionType "
        "InputDataConfig.InputMode "
        "InputDataConfig.DataSource.S3DataSource.S3DataType InputDataConfig.DataSource.S3DataSource.S3Uri "
        "OutputDataConfig ResourceConfig.InstanceCount ResourceConfig.InstanceType RoleArn "
        "StoppingCondition.MaxRuntimeInSeconds StoppingCondition.MaxWaitTimeInSeconds Tags TensorBoardOutputConfig "
        "TrainingJobName",
        "CreateTransformJob": "BatchStrategy Environment MaxConcurrentTransforms MaxPayloadInMB ModelClientConfig "
        "ModelName Tags TransformInput.CompressionType TransformInput.ContentType TransformInput.DataSource "
        "TransformInput.SplitType TransformJobName TransformOutput TransformResources.InstanceCount "
        "TransformResources.InstanceType",
        "DeleteEndpoint": "EndpointName",
        "DeleteEndpointConfig": "EndpointConfigName",
        "DeleteModel": "ModelName",
        "DeleteModelPackage": "ModelPackageName",
        "DeleteModelPackageGroup": "ModelPackageGroupName",
        "DeletePipeline": "PipelineName",
        "DeleteTags": "ResourceArn TagKeys",
        "PutModelPackageGroupPolicy": "ModelPackageGroupName ResourcePolicy",
        "RetryPipelineExecution": "PipelineExecutionArn",
        "SendPipelineExecutionStepFailure": "CallbackToken FailureReason",
        "SendPipelineExecutionStepSuccess": "CallbackToken OutputParameters",
        "StartPipelineExecution": "ParallelismConfiguration PipelineExecutionDescription PipelineExecutionDisplayName "
        "PipelineName PipelineParameters RoleArn SelectiveExecutionConfig",
        "StopPipelineExecution": "PipelineExecutionArn",
        "StopProcessingJob": "ProcessingJobName",
        "StopTrainingJob": "TrainingJobName",
        "StopTransformJob": "TransformJobName",
        "UpdateEndpoint": f"{_DEPLOYMENT} EndpointConfigName EndpointName ExcludeRetainedVariantProperties "
        "RetainAllVariantProperties RetainDeploymentConfig",
        "UpdateEndpointWeightsAndCapacities": "DesiredWeightsAndCapacities.DesiredInstanceCount EndpointName "
        "DesiredWeightsAndCapacities.DesiredWeight DesiredWeightsAndCapacities.VariantName",
        "UpdateModelPackage": f"{_PACKAGE} AdditionalInferenceSpecificationsToAdd ApprovalDescription "
        "CustomerMetadataPropertiesToRemove ModelPackageArn",
        "UpdatePipeline": _PIPELINE,
    },
    "sagemaker-runtime": {
        "InvokeEndpoint": "Accept Body ContentType CustomAttributes EndpointName InferenceId TargetVariant",
    },
    "service-quotas": {
        "RequestServiceQuotaIncrease": "DesiredValue QuotaCode ServiceCode",
    },
    "sns": {
        "CreateTopic": "Attributes Name Tags",
        "DeleteTopic": "TopicArn",
        "Publish": "Message MessageAttributes Subject TopicArn",
        "SetTopicAttributes": "AttributeName AttributeValue TopicArn",
        "Subscribe": "Attributes Endpoint Protocol ReturnSubscriptionArn TopicArn",
        "Unsubscribe": "SubscriptionArn",
    },
    "sqs": {
        "ChangeMessageVisibility": "QueueUrl ReceiptHandle VisibilityTimeout",
        "CreateQueue": "Attributes QueueName tags",
        "DeleteMessage": "QueueUrl ReceiptHandle",
        "DeleteMessageBatch": "Entries QueueUrl",
        "DeleteQueue": "QueueUrl",
        "ReceiveMessage": "AttributeNames MaxNumberOfMessages MessageAttributeNames MessageSystemAttributeNames "
        "QueueUrl VisibilityTimeout WaitTimeSeconds",
        "SendMessage": "DelaySeconds MessageAttributes MessageBody MessageDeduplicationId MessageGroupId QueueUrl",
        "SetQueueAttributes": "Attributes QueueUrl",
    },
    "ssm": {
        "DeleteParameter": "Name",
        "PutParameter": "AllowedPattern DataType Description KeyId Name Overwrite Tags Tier Type Value",
    },
    "sts": {
        "AssumeRole": "DurationSeconds Policy RoleArn RoleSessionName",
    },
}
"""Of each service the actions that are emulated, and of each action the parameters.

A path names a member of the request and all below it. Actions that only read need not stand here.
"""


def what_is_not_emulated(service: str, action: str, parameters: Mapping[str, Any], shape: Shape | None) -> str:
    """The sentence on the first thing of a request that nothing here would do; empty where all of it is emulated.

    Args:
        service: boto3's name.
        action: The API's name.
        parameters: The request, as boto3 is given it.
        shape: Of the request; None where the action takes nothing.
    """
    if service not in ACTIONS:
        return f"{service} is not emulated by this cloud."
    if action not in ACTIONS[service]:
        unheard = sorted(UNHEARD & parameters.keys()) if service == "sagemaker" else []
        beyond = f"{unheard[0]} of {action}" if unheard else ""
        what = beyond if action.startswith(READS) else f"{action} of {service}"
        return f"{what} is not emulated by this cloud." if what else ""
    first = next(_beyond(parameters, shape, _paths(service, action)), "") if shape else ""
    return f"{first} of {action} is not emulated by this cloud." if first else ""


@cache
def _paths(service: str, action: str) -> frozenset[str]:
    return frozenset(ACTIONS[service][action].split())


def _beyond(value: Any, shape: Shape, known: frozenset[str], path: str = "") -> Iterator[str]:
    """The paths of members that have a value and are not known."""
    if isinstance(shape, ListShape):
        for item in value:
            yield from _beyond(item, shape.member, known, path)
    if not isinstance(shape, StructureShape):
        return
    for name, item in value.items():
        here = f"{path}.{name}" if path else name
        if name in DESCRIBED_ONLY or here in known or item in (None, "", [], {}):
            continue
        if any(each.startswith(f"{here}.") for each in known):
            yield from _beyond(item, shape.members[name], known, here)
        else:
            yield here
