# SPDX-License-Identifier: Apache-2.0
"""The training's stack: the committed definition bound to this environment, its roles and functions."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.delivery.infrastructure import DeliveryStack
from infra.foundation.infrastructure import ROOT, FoundationStack
from infra.lambda_function import Function
from infra.permissions import EVERY_OBJECT, EVERY_VERSION, OWN_JOBS, allow, allow_signing, deny, sagemaker_arns
from infra.registry.infrastructure import RegistryStack
from infra.settings import Settings
from infra.ssm_parameters import publish
from infra.training.binding import Resources, bind
from infra.training.check_plan_asset import check_plan_asset
from infra.training.publish_dossier_asset import publish_dossier_asset
from infra.training.roles import (
    GIVEN,
    JobRoles,
    PipelineRole,
    allow_data_buckets,
    allow_image_digest,
    allow_registration,
)

DEFINITION = ROOT / "pipelines" / "definition.json"
HERE = Path(__file__).parent


class TrainingStack(cdk.Stack):
    """The pipeline and what it runs with.

    Attributes:
        pipeline_name: Which people start.
        pipeline_arn: As SageMaker's events name it.
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
        **options: Any,
    ) -> None:
        super().__init__(scope, construct_id, description="mapgate: the pipeline, its roles and functions", **options)
        self._settings = settings
        self.pipeline_name = settings.prefix
        # Events give the name in lower case; the prefix has no other.
        (self.pipeline_arn,) = sagemaker_arns(self, f"pipeline/{self.pipeline_name}")
        self.check_plan = self._check_plan(foundation, delivery)
        self.find_champion = self._find_champion(foundation, delivery)
        jobs = JobRoles(self, "Jobs", settings=settings, foundation=foundation)
        self.publish_dossier = self._publish_dossier(foundation, registry, delivery, jobs)
        role = PipelineRole(
            self,
            "Pipeline",
            settings=settings,
            foundation=foundation,
            registry=registry,
            delivery=delivery,
            jobs=jobs,
            functions=[self.check_plan.function, self.find_champion.function, self.publish_dossier.function],
        ).role
        body = bound_body(
            settings,
            Resources(
                data_bucket=foundation.bucket.bucket_name,
                training_image=foundation.image_uri("training"),
                inference_image=foundation.image_uri("inference"),
                floor_policy=settings.floor_policy.sha256,
                processing_role=jobs.processing.role_arn,
                training_role=jobs.training.role_arn,
                check_plan=self.check_plan.function.function_arn,
                find_champion=self.find_champion.function.function_arn,
                publish_dossier=self.publish_dossier.function.function_arn,
                callback_queue=delivery.deployer.callback_queue.queue_url,
                model_package_group=registry.group_name,
                endpoint=delivery.endpoint_name,
                key=foundation.key.key_arn,
            ),
        )
        pipeline = sagemaker.CfnPipeline(
            self,
            "Definition",
            pipeline_name=self.pipeline_name,
            pipeline_display_name=self.pipeline_name,
            pipeline_description="Labelled images to a gated detector in the model registry",
            pipeline_definition={"PipelineDefinitionBody": body},
            role_arn=role.role_arn,
        )
        pipeline.node.add_dependency(role)
        publish(self, settings, {"pipeline-name": self.pipeline_name, "pipeline-role-arn": role.role_arn})

    def _check_plan(self, foundation: FoundationStack, delivery: DeliveryStack) -> Function:
        with check_plan_asset() as code:
            function = self._function(
                "check-plan",
                "Judges what needs no model before a model is paid for",
                foundation,
                {"TABLE": delivery.deployer.table.table_name, "WAIVER": self._waiver},
                timeout=cdk.Duration.minutes(1),
                code=code,
            )
        self._allow_champion(function, delivery)
        # A gate policy may lie wherever a job could read it.
        allow(function.role, "s3:GetObject", on=foundation.data_arns(*GIVEN, "datasets"), because=EVERY_OBJECT)
        allow(function.role, "s3:ListBucket", on=foundation.data_arns())
        allow_data_buckets(function.role, self._settings)
        allow_image_digest(function.role, foundation, "training")
        return function

    def _find_champion(self, foundation: FoundationStack, delivery: DeliveryStack) -> Function:
        function = self._function(
            "find-champion",
            "Which versions served, by the records of deployments, and which image measures",
            foundation,
            {
                "TABLE": delivery.deployer.table.table_name,
                "BUCKET": foundation.bucket.bucket_name,
                "WAIVER": self._waiver,
            },
            timeout=cdk.Duration.seconds(30),
        )
        self._allow_champion(function, delivery)
        allow(function.role, "dynamodb:Query", on=[delivery.deployer.table.table_arn])
        # Whether an artifact is still there; without ListBucket S3 would not say that it is not.
        allow(function.role, "s3:GetObject", on=foundation.data_arns("models", "released"), because=EVERY_OBJECT)
        allow(function.role, "s3:ListBucket", on=foundation.data_arns())
        allow_image_digest(function.role, foundation, "inference")
        return function

    @property
    def _waiver(self) -> str:
        """Name of the SSM parameter by which an administrator lets a champion go whose artifact is gone."""
        return f"/{self._settings.prefix}/champion-waiver"

    def _allow_champion(self, function: Function, delivery: DeliveryStack) -> None:
        allow(function.role, "dynamodb:GetItem", on=[delivery.deployer.table.table_arn])
        waiver = self.format_arn(service="ssm", resource="parameter", resource_name=self._waiver.removeprefix("/"))
        allow(function.role, "ssm:GetParameterHistory", on=[waiver])

    def _publish_dossier(
        self, foundation: FoundationStack, registry: RegistryStack, delivery: DeliveryStack, jobs: JobRoles
    ) -> Function:
        test_set = self._settings.floor_policy.test_set
        environment = {
            "TABLE": delivery.deployer.table.table_name,
            "ENDPOINT_NAME": delivery.endpoint_name,
            "BUCKET": foundation.bucket.bucket_name,
            "SIGNING_KEY_ARN": foundation.signing_key.key_arn,
            "FLOOR_POLICY_URI": foundation.floor_policy_uri,
            "FLOOR_POLICY_SHA256": self._settings.floor_policy.sha256,
            "FLOOR_TEST_SET": test_set.sha256 if test_set else "",
            "FLOOR_TEST_SET_URI": test_set.uri if test_set else "",
            "PROCESSING_ROLE_ARN": jobs.processing.role_arn,
            "TRAINING_ROLE_ARN": jobs.training.role_arn,
            "INFERENCE_IMAGE": foundation.image_uri("inference"),
            "TRAINING_IMAGE": foundation.image_uri("training"),
        }
        with publish_dossier_asset() as code:
            function = self._function(
                "publish-dossier",
                "Records and signs the verdict on a registered version, and writes its figures and links onto it",
                foundation,
                environment,
                # It reads the whole artifact. A Lambda step waits ten minutes at most, and was seen to miss the answer
                # of a function that took seven: https://github.com/aws/sagemaker-python-sdk/issues/3236.
                timeout=cdk.Duration.minutes(5),
                code=code,
                memory_megabytes=1024,
                writes=True,
            )
        self._allow_dossier(function.role, foundation, registry)
        self._allow_verdict(function.role, foundation, delivery)
        return function

    def _allow_dossier(self, role: iam.Role, foundation: FoundationStack, registry: RegistryStack) -> None:
        """Let the dossier be written onto versions; it is for whoever decides, and decides nothing."""
        versions = sagemaker_arns(self, f"model-package/{registry.group_name}/*")
        allow(
            role,
            "sagemaker:DescribeModelPackage",
            "sagemaker:UpdateModelPackage",
            on=versions,
            because=EVERY_VERSION,
        )
        deny(
            role,
            "sagemaker:UpdateModelPackage",
            on=versions,
            when={"Null": {"sagemaker:ModelApprovalStatus": "false"}},
        )
        allow_registration(role, foundation)

    def _allow_verdict(self, role: iam.Role, foundation: FoundationStack, delivery: DeliveryStack) -> None:
        """Let what was judged be read and hashed, and the verdict on it be recorded and signed."""
        read = foundation.data_arns("executions", "models", "defaults", "evidence")
        allow(role, "s3:GetObject", on=read, because=EVERY_OBJECT)
        allow(role, "s3:ListBucket", on=foundation.data_arns())
        allow(role, "s3:PutObject", on=foundation.data_arns("evidence"), because=EVERY_OBJECT)
        allow(role, "dynamodb:GetItem", "dynamodb:PutItem", on=[delivery.deployer.table.table_arn])
        allow_signing(role, foundation.signing_key)
        allow_image_digest(role, foundation, "training")
        allow(
            role,
            "sagemaker:DescribePipelineExecution",
            "sagemaker:ListPipelineParametersForExecution",
            on=[f"{self.pipeline_arn}/execution/*"],
            because="The pipeline's own executions.",
        )
        # When the jobs that wrote what is judged ended, and what they were given.
        for kind in ("Processing", "Training"):
            jobs = sagemaker_arns(self, f"{kind.lower()}-job/pipelines-*")
            allow(role, f"sagemaker:Describe{kind}Job", on=jobs, because=OWN_JOBS)

    def _function(
        self,
        name: str,
        description: str,
        foundation: FoundationStack,
        environment: dict[str, str],
        *,
        timeout: cdk.Duration,
        code: Path | None = None,
        memory_megabytes: int = 256,
        writes: bool = False,
    ) -> Function:
        return Function(
            self,
            "".join(word.capitalize() for word in name.split("-")),
            name=name,
            description=description,
            code=code or HERE / name.replace("-", "_"),
            settings=self._settings,
            key=foundation.key,
            environment={"PREFIX": self._settings.prefix, **environment},
            timeout=timeout,
            memory_megabytes=memory_megabytes,
            writes=writes,
        )


def bound_body(settings: Settings, resources: Resources) -> str:
    """Return the definition's text, with CloudFormation's variables where an environment's names stand.

    Fn::Sub with named variables keeps `cdk diff` readable: the definition stays one text, the names stand beside it.

    Args:
        settings: Of the environment.
        resources: What each variable means; may hold CDK tokens.
    """
    committed = json.loads(DEFINITION.read_text().replace("${", "${!"))
    variables = {name: name.title().replace("_", "") for name in asdict(resources)}
    bound = bind(committed, settings, Resources(**{name: f"${{{variable}}}" for name, variable in variables.items()}))
    values = {variables[name]: value for name, value in asdict(resources).items()}
    return cdk.Fn.sub(json.dumps(bound, separators=(",", ":")), values)
