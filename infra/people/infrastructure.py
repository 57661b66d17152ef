# SPDX-License-Identifier: Apache-2.0
"""The people's stack: managed policies for who trains detectors, and one for who approves them.

A managed policy holds 6,144 characters, which what a data scientist may do needs more than one for: one to work with
and to be kept from the rest by, and one to read with. Who has the first alone can do less, never more.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html

Which actions know which resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
"""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.delivery.infrastructure import DeliveryStack
from infra.foundation.infrastructure import FoundationStack
from infra.permissions import EVERY_OBJECT, EVERY_VERSION, NO_RESOURCE, OWN_JOBS, allow, deny, sagemaker_arns
from infra.registry.infrastructure import RegistryStack
from infra.settings import Settings
from infra.ssm_parameters import publish
from infra.training.infrastructure import TrainingStack

UPLOADS = ("datasets", "inputs")
"""Where `mapgate run` puts a person's images, and configurations, label maps, checkpoints and policies."""
REPORTS = ("evidence", "executions")
ARTIFACTS = ("models", "released")
READ = (*UPLOADS, *REPORTS, *ARTIFACTS, "defaults", "tensorboard")
MADE = ("checkpoints", "defaults", "executions", "models", "tensorboard")
"""What the pipeline and the deployment write, and nobody else; the bucket guards what was released and signed."""
OF_OTHERS = (
    # Deciding is an approver's, and so is who may: a group's policy lets other accounts do so.
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_PutModelPackageGroupPolicy.html
    "sagemaker:PutModelPackageGroupPolicy",
    "sagemaker:UpdateModelPackage",
    # Another definition, and an answer in a step's place, would judge otherwise.
    "sagemaker:DeletePipeline",
    "sagemaker:SendPipeline*",
    "sagemaker:UpdatePipeline",
    # Versions, and what serves: models, configurations and endpoints are the deployer's, and what is recorded of them.
    "sagemaker:CreateEndpoint*",
    "sagemaker:CreateModel*",
    "sagemaker:DeleteEndpoint*",
    "sagemaker:DeleteModel*",
    "sagemaker:UpdateEndpoint*",
    # Nor does anybody ask the functions in their stead.
    "lambda:Add*",
    "lambda:Invoke*",
    "lambda:Update*",
    "dynamodb:BatchWrite*",
    "dynamodb:Delete*",
    "dynamodb:PartiQL*",
    "dynamodb:Put*",
    "dynamodb:Update*",
    # Such as an administrator's waiver.
    "ssm:Delete*",
    "ssm:Put*",
    "s3:DeleteObject*",
    # Nor does anybody else in their stead: what has a policy of its own lets other accounts in by it, and keys, too.
    "ecr:SetRepositoryPolicy",
    "kms:Disable*",
    "kms:Put*",
    "kms:Schedule*",
    "s3:DeleteBucket*",
    "s3:PutBucket*",
    "sns:AddPermission",
    "sns:Set*",
    "sqs:AddPermission",
    "sqs:Set*",
    # Jobs, pipelines and functions of their own would write as the environment's roles what is judged.
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    "iam:PassRole",
    # What judges, trains and serves is what an image holds.
    "ecr:BatchDelete*",
    "ecr:Put*",
    # What rolls an update back; what the deployer is asked, and what people are told.
    "cloudwatch:DeleteAlarms",
    "cloudwatch:PutMetricAlarm",
    "cloudwatch:SetAlarmState",
    "sns:Publish",
    "sqs:SendMessage",
)
"""What no data scientist does, whatever other policies let them."""
APPROVALS = ["Approved", "PendingManualApproval", "Rejected"]


class PeopleStack(cdk.Stack):
    """The policies that whoever administers people attaches to their roles or permission sets.

    Attributes:
        data_scientist: Starts, stops and watches executions and uploads data; cannot decide, whatever else allows it.
        data_scientist_reading: Reads what came of it; for the same people.
        approver: Reads a version's dossier and decides on it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        foundation: FoundationStack,
        registry: RegistryStack,
        delivery: DeliveryStack,
        training: TrainingStack,
        **options: Any,
    ) -> None:
        super().__init__(scope, construct_id, description="mapgate: policies for people", **options)
        self._settings = settings
        self._foundation = foundation
        self._endpoint_name = delivery.endpoint_name
        self._records = delivery.deployer.table
        self._versions = sagemaker_arns(self, f"model-package/{registry.group_name}/*")
        self._group = sagemaker_arns(self, f"model-package-group/{registry.group_name}")
        self.data_scientist = self._data_scientist(training)
        self.data_scientist_reading = self._data_scientist_reading()
        self.approver = self._approver()
        publish(
            self,
            settings,
            {
                "data-scientist-policy-arn": self.data_scientist.managed_policy_arn,
                "data-scientist-reading-policy-arn": self.data_scientist_reading.managed_policy_arn,
                "approver-policy-arn": self.approver.managed_policy_arn,
            },
        )

    def _data_scientist(self, training: TrainingStack) -> iam.ManagedPolicy:
        policy = self._policy("DataScientist", "Starts and watches executions on own data; cannot approve a version")
        self._allow_names(policy)
        self._allow_executions(policy, training)
        foundation = self._foundation
        repositories = [repository.repository_arn for repository in foundation.repositories.values()]
        allow(policy, "ecr:BatchGetImage", on=repositories)
        allow(
            policy,
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
            on=foundation.data_arns(*UPLOADS),
            because=EVERY_OBJECT,
        )
        allow(policy, "s3:GetBucketLocation", "s3:ListBucket", on=foundation.data_arns())
        self._allow_key(policy, "kms:Decrypt", "kms:GenerateDataKey")
        self._keep_apart(policy)
        return policy

    def _data_scientist_reading(self) -> iam.ManagedPolicy:
        policy = self._policy("DataScientistReading", "Reads what came of executions, for data scientists")
        self._allow_registry(policy)
        self._allow_evidence(policy)
        self._allow_logs(policy)
        allow(policy, "s3:GetObject", on=self._foundation.data_arns(*READ), because=EVERY_OBJECT)
        return policy

    def _approver(self) -> iam.ManagedPolicy:
        policy = self._policy("Approver", "Reads a version's dossier and approves or rejects it")
        self._allow_names(policy)
        self._allow_registry(policy)
        self._allow_evidence(policy)
        # Without a status in the request the condition does not hold: nothing else of a version can be changed alone.
        allow(
            policy,
            "sagemaker:UpdateModelPackage",
            on=self._versions,
            when={"StringEquals": {"sagemaker:ModelApprovalStatus": APPROVALS}},
            because=EVERY_VERSION,
        )
        allow(policy, "s3:GetObject", on=self._foundation.data_arns(*REPORTS), because=EVERY_OBJECT)
        allow(
            policy,
            "s3:ListBucket",
            on=self._foundation.data_arns(),
            # Whether an artifact is there decides with what a version would be compared now.
            when={"StringLike": {"s3:prefix": [f"{prefix}/*" for prefix in (*REPORTS, *ARTIFACTS)]}},
        )
        self._allow_key(policy, "kms:Decrypt")
        return policy

    def _policy(self, kind: str, description: str) -> iam.ManagedPolicy:
        """An empty policy, named by the words of its kind."""
        name = "-".join(word.lower() for word in _words(kind))
        return iam.ManagedPolicy(
            self, kind, managed_policy_name=f"{self._settings.prefix}-{name}", description=description
        )

    def _allow_names(self, policy: iam.ManagedPolicy) -> None:
        folder = self.format_arn(service="ssm", resource="parameter", resource_name=self._settings.prefix)
        allow(
            policy,
            "ssm:GetParameter",
            "ssm:GetParameters",
            "ssm:GetParametersByPath",
            on=[folder, f"{folder}/*"],
            because="What the deployment publishes for its users.",
        )

    def _allow_registry(self, policy: iam.ManagedPolicy) -> None:
        """Let versions be read, and which of them production serves: what both kinds of people decide and start by."""
        allow(
            policy,
            "sagemaker:DescribeModelPackage",
            "sagemaker:DescribeModelPackageGroup",
            "sagemaker:ListTags",
            on=[*self._versions, *self._group],
            because=EVERY_VERSION,
        )
        # Studio's pages, and `mapgate models`; they name what there is in the account and tell no more of it.
        allow(
            policy,
            "sagemaker:ListModelPackageGroups",
            "sagemaker:ListModelPackages",
            "sagemaker:ListPipelines",
            "sagemaker:Search",
            on=["*"],
            because=NO_RESOURCE,
        )
        # Whose version production serves: for an approval, and as what a training starts from.
        allow(policy, "sagemaker:DescribeEndpoint", on=sagemaker_arns(self, f"endpoint/{self._endpoint_name}"))

    def _allow_executions(self, policy: iam.ManagedPolicy, training: TrainingStack) -> None:
        allow(
            policy,
            "sagemaker:DescribePipeline",
            "sagemaker:ListPipelineExecutions",
            "sagemaker:StartPipelineExecution",
            on=[training.pipeline_arn],
        )
        allow(
            policy,
            "sagemaker:DescribePipelineDefinitionForExecution",
            "sagemaker:DescribePipelineExecution",
            "sagemaker:ListPipelineExecutionSteps",
            "sagemaker:ListPipelineParametersForExecution",
            "sagemaker:RetryPipelineExecution",
            "sagemaker:StopPipelineExecution",
            on=[f"{training.pipeline_arn}/execution/*"],
            because="Executions of the environment's own pipeline.",
        )
        # What an execution needs is held against the account's quotas before it starts.
        allow(
            policy,
            "servicequotas:ListAWSDefaultServiceQuotas",
            "servicequotas:ListServiceQuotas",
            on=["*"],
            because=NO_RESOURCE,
        )
        for kind in ("Processing", "Training"):
            jobs = sagemaker_arns(self, f"{kind.lower()}-job/pipelines-*")
            allow(policy, f"sagemaker:Describe{kind}Job", on=jobs, because=OWN_JOBS)

    def _allow_logs(self, policy: iam.ManagedPolicy) -> None:
        groups = [
            self.format_arn(
                service="logs",
                resource="log-group",
                resource_name=f"/aws/sagemaker/{kind}Jobs",
                arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
            )
            for kind in ("Processing", "Training")
        ]
        allow(
            policy,
            "logs:DescribeLogStreams",
            on=[f"{group}*" for group in groups],
            because="CloudWatch Logs writes a group's ARN with and without its end.",
        )
        allow(
            policy,
            "logs:GetLogEvents",
            on=[f"{group}:log-stream:pipelines-*" for group in groups],
            because=OWN_JOBS,
        )

    def _allow_evidence(self, policy: iam.ManagedPolicy) -> None:
        """Let what was decided be read, and be verified: nobody has to believe it."""
        allow(policy, "dynamodb:GetItem", "dynamodb:Query", on=[self._records.table_arn])
        allow(policy, "kms:GetPublicKey", "kms:Verify", on=[self._foundation.signing_key.key_arn])

    def _allow_key(self, policy: iam.ManagedPolicy, *actions: str) -> None:
        """Let the key be used for objects and records, and for nothing else that it encrypts."""
        services = [f"{service}.{self.region}.amazonaws.com" for service in ("dynamodb", "s3")]
        allow(policy, *actions, on=[self._foundation.key.key_arn], when={"StringEquals": {"kms:ViaService": services}})

    def _keep_apart(self, policy: iam.ManagedPolicy) -> None:
        """Keep who trains from deciding, and from what the pipeline wrote, whatever else they are allowed.

        AWS's own policies for Studio allow every action of SageMaker on every resource. No condition tells an execution
        of chosen steps or of an older definition apart; what such a one leaves out, the verdict's record asks for.
        """
        prefix = self._settings.prefix
        # Shorter than the bucket's whole name, and of the same prefix in any case.
        bucket = self.format_arn(service="s3", region="", account="", resource=f"{prefix}-data-*")
        # In one statement, which is shorter: an action concerns the resources of its service only.
        deny(
            policy,
            *OF_OTHERS,
            on=[
                # Endpoint, pipeline and group; versions and executions; candidates, configurations and models.
                *(self._own("sagemaker", f"*/{prefix}{rest}") for rest in ("", "/*", "-*")),
                *(self._own("dynamodb", f"table/{prefix}-*"), self._own("ecr", f"repository/{prefix}-*")),
                *(self._own("lambda", f"function:{prefix}-*"), self._own("cloudwatch", f"alarm:{prefix}-*")),
                *(self._own("sns", f"{prefix}-*"), self._own("sqs", f"{prefix}-*")),
                self._own("ssm", f"parameter/{prefix}/*"),
                self._own("iam", f"role/{prefix}-*"),
                bucket,  # and its objects: an asterisk stands for slashes, too
                *(key.key_arn for key in (self._foundation.key, self._foundation.signing_key)),
            ],
        )
        deny(policy, "s3:PutObject", on=[f"{bucket}/{made}/*" for made in MADE])

    def _own(self, service: str, resource: str) -> str:
        """The ARN of what has the environment's name, in whatever region, which is shorter."""
        region = "" if service == "iam" else "*"
        return self.format_arn(
            service=service, region=region, account="*", resource=resource, arn_format=cdk.ArnFormat.NO_RESOURCE_NAME
        )


def _words(name: str) -> list[str]:
    """`DataScientist` by its words."""
    starts = [index for index, letter in enumerate(name) if letter.isupper()]
    return [name[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
