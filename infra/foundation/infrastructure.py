# SPDX-License-Identifier: Apache-2.0
"""The foundation's stack: a key that encrypts, one that signs, the data bucket with its log, two image repositories."""

from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from containers.tags import IMAGE_NAMES, ImageName, image_tag, repository_name
from infra.floor_policy import FILE, PREFIX, FloorPolicy
from infra.instance_types import has_gpu
from infra.lambda_function import Function
from infra.permissions import allow
from infra.removal import removal_policy
from infra.settings import Settings
from infra.ssm_parameters import publish

ROOT = Path(__file__).resolve().parents[2]
LOG_PREFIX = "data/"
RELEASED = "released"
"""Prefix of the artifacts that passed, each below its digest; endpoints serve from there."""
EVIDENCE = "evidence"
"""Prefix of what was signed about versions, and of their reports."""
SIGNERS = ("publish-dossier", "deployer")
"""The functions that sign evidence, and alone write it."""


class FoundationStack(cdk.Stack):
    """Key, bucket and repositories of an environment.

    Attributes:
        key: Encrypts everything that the environment keeps.
        signing_key: Signs the evidence of versions; PublishDossier and the deployer alone may sign with it.
        bucket: Data, executions, models, checkpoints and defaults.
        repositories: Of the images, by name.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, **options: Any) -> None:
        super().__init__(scope, construct_id, description="mapgate: key, data bucket, image repositories", **options)
        self._settings = settings
        self._removal = removal_policy(settings)
        self.key = self._key()
        self.signing_key = self._signing_key()
        self._access_logs = self._access_log_bucket()
        self.bucket = self._data_bucket()
        self.repositories = {name: self._repository(name) for name in IMAGE_NAMES}
        self._bucket_contents()
        publish(
            self,
            settings,
            {
                "data-bucket": self.bucket.bucket_name,
                "signing-key": self.signing_key.key_arn,
                "gate-policy": self.floor_policy_uri,
                "training-image": self.image_uri("training"),
                "inference-image": self.image_uri("inference"),
            },
        )

    def image_uri(self, name: ImageName) -> str:
        """Return the URI whose tag names the sources as they are now; whether it was pushed is not asked at synth.

        What measures and what serves is one image, for the processors of the endpoint's instance type.
        """
        on_gpus = name == "inference" and has_gpu(self._settings.delivery.instance_type)
        tag = image_tag(ROOT, name, "gpu" if on_gpus else "cpu")
        return self.repositories[name].repository_uri_for_tag(tag)

    @property
    def floor_policy_uri(self) -> str:
        """The folder of the environment's gate policy, with a slash at its end."""
        return f"s3://{self.bucket.bucket_name}/{self._settings.floor_policy.folder}"

    def data_arns(self, *prefixes: str) -> list[str]:
        """Return the ARNs of the objects below each prefix of the data bucket; of the bucket itself without any."""
        return [self._bucket_arn("data", f"{prefix}/*") for prefix in prefixes] or [self._bucket_arn("data")]

    def _bucket_name(self, kind: str) -> str:
        return f"{self._settings.prefix}-{kind}-{self.account}-{self.region}"

    def _bucket_arn(self, kind: str, objects: str | None = None) -> str:
        """Return an ARN made of names, so that a grant reads the same in every stack."""
        return self.format_arn(
            service="s3", region="", account="", resource=self._bucket_name(kind), resource_name=objects
        )

    def _function_role_arns(self, *names: str) -> list[str]:
        """ARNs of functions' roles made of names, since the stacks that have the functions stand on this one."""
        return [
            self.format_arn(
                service="iam", region="", resource="role", resource_name=f"{self._settings.prefix}-{name}-function"
            )
            for name in names
        ]

    def _own_function_arn(self, name: str) -> str:
        function = f"{self._settings.prefix}-{name}"
        colon = cdk.ArnFormat.COLON_RESOURCE_NAME
        return self.format_arn(service="lambda", resource="function", resource_name=function, arn_format=colon)

    def _key(self) -> kms.Key:
        key = kms.Key(
            self,
            "Key",
            alias=self._settings.prefix,
            description=f"Everything that {self._settings.prefix} keeps",
            enable_key_rotation=True,
            removal_policy=self._removal,
        )
        # These services use the key on their own account, not on a caller's: logs, dead letters of event rules, alarms.
        for service in ("events", "cloudwatch", f"logs.{self.region}"):
            key.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                    actions=["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*", "kms:DescribeKey"],
                    resources=["*"],
                    conditions=None
                    if service.startswith("logs")
                    else {"StringEquals": {"aws:SourceAccount": self.account}},
                )
            )
        return key

    def _signing_key(self) -> kms.Key:
        """The key of the evidence; what a policy of IAM says cannot let anybody else sign.

        https://docs.aws.amazon.com/kms/latest/developerguide/symmetric-asymmetric.html
        """
        key = kms.Key(
            self,
            "SigningKey",
            alias=f"{self._settings.prefix}-signing",
            description=f"Signs what became of {self._settings.prefix}'s versions",
            key_spec=kms.KeySpec.ECC_NIST_P256,
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            removal_policy=self._removal,
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["kms:Sign"],
                resources=["*"],
                conditions=self._unless(*SIGNERS),
            )
        )
        return key

    def _access_log_bucket(self) -> s3.Bucket:
        logs = s3.Bucket(
            self,
            "AccessLogs",
            bucket_name=self._bucket_name("access-logs"),
            # Server access logging writes to buckets with S3's own key only.
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            lifecycle_rules=[s3.LifecycleRule(id="expire", expiration=cdk.Duration.days(90))],
            removal_policy=self._removal,
        )
        logs.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("logging.s3.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[logs.arn_for_objects(f"{LOG_PREFIX}*")],
                # By its name: the log must accept the data bucket's entries before that bucket exists.
                conditions={
                    "ArnLike": {"aws:SourceArn": self._bucket_arn("data")},
                    "StringEquals": {"aws:SourceAccount": self.account},
                },
            )
        )
        return logs

    def _data_bucket(self) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "Data",
            bucket_name=self._bucket_name("data"),
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            versioned=True,
            removal_policy=self._removal,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="clean-up",
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
                    noncurrent_version_expiration=cdk.Duration.days(30),
                ),
                # What a later execution makes anew. Models and evaluations of versions in the registry stay.
                s3.LifecycleRule(id="checkpoints", prefix="checkpoints/", expiration=cdk.Duration.days(60)),
            ],
        )
        resource = cast("s3.CfnBucket", bucket.node.default_child)
        resource.logging_configuration = s3.CfnBucket.LoggingConfigurationProperty(
            destination_bucket_name=self._access_logs.bucket_name, log_file_prefix=LOG_PREFIX
        )
        bucket.node.add_dependency(cast("s3.BucketPolicy", self._access_logs.policy))
        self._keep_evidence(bucket)
        return bucket

    def _keep_evidence(self, bucket: s3.Bucket) -> None:
        """Let what serves and what was signed be written by its functions alone, once, and stay.

        A denial binds the account's administrators as well, and no lock holds the bucket when its stack goes: the
        cleaner may delete. https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
        """
        once = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}
        for sid, actions, objects, conditions in (
            ("TheDeployerReleases", ["s3:PutObject"], [f"{RELEASED}/*"], self._unless("deployer")),
            ("SignersWriteEvidence", ["s3:PutObject"], [f"{EVIDENCE}/*"], self._unless(*SIGNERS)),
            # The report of a version is filled anew when it is approved and when it serves; statements stay.
            ("NothingIsWrittenOver", ["s3:PutObject"], [f"{RELEASED}/*", f"{EVIDENCE}/*.json"], once),
            (
                "NothingIsDeleted",
                ["s3:DeleteObject", "s3:DeleteObjectVersion"],
                [f"{RELEASED}/*", f"{EVIDENCE}/*"],
                self._unless("cleaner"),
            ),
        ):
            bucket.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=sid,
                    effect=iam.Effect.DENY,
                    principals=[iam.AnyPrincipal()],
                    actions=actions,
                    resources=[bucket.arn_for_objects(each) for each in objects],
                    conditions=conditions,
                )
            )

    def _unless(self, *functions: str) -> dict[str, dict[str, list[str]]]:
        """The conditions of a denial that does not mean the functions named."""
        return {"ArnNotEquals": {"aws:PrincipalArn": self._function_role_arns(*functions)}}

    def _repository(self, name: ImageName) -> ecr.Repository:
        repository = ecr.Repository(
            self,
            f"{name.capitalize()}Images",
            repository_name=repository_name(self._settings.prefix, name),
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            image_scan_on_push=True,
            encryption=ecr.RepositoryEncryption.KMS,
            encryption_key=self.key,
            removal_policy=self._removal,
            empty_on_delete=self._removal == cdk.RemovalPolicy.DESTROY,
        )
        repository.add_lifecycle_rule(
            description="keep the last 50 images, which a version in the registry may still name", max_image_count=50
        )
        return repository

    def _bucket_contents(self) -> None:
        """Put the default objects, and empty the buckets when the stack goes, where the settings let data go."""
        cleaner = Function(
            self,
            "Cleaner",
            name="cleaner",
            description="Puts default objects into buckets and empties them when their stack goes",
            code=Path(__file__).with_name("cleaner"),
            settings=self._settings,
            key=self.key,
            environment={},
            timeout=cdk.Duration.minutes(15),
            writes=True,
        )
        if self._empties:
            # What emptying takes longer than one invocation may goes on in another.
            allow(cleaner.role, "lambda:InvokeFunction", on=[self._own_function_arn("cleaner")])
        everything = "true" if self._empties else "false"
        contents: tuple[tuple[str, s3.Bucket, str, dict[str, str]], ...] = (
            ("DefaultObjects", self.bucket, "data", default_objects(self._settings.floor_policy)),
            ("AccessLogsContents", self._access_logs, "access-logs", {}),
        )
        for name, bucket, kind, objects in contents:
            if self._empties:
                self._allow_emptying(cleaner.role, kind)
            if objects:
                allow(
                    cleaner.role,
                    "s3:DeleteObject",
                    "s3:PutObject",
                    on=[self._bucket_arn(kind, "*")],
                    because="Default objects may lie under any prefix, and be default objects no longer.",
                )
            resource = cdk.CustomResource(
                self,
                name,
                resource_type="Custom::BucketContents",
                service_token=cleaner.function.function_arn,
                properties={
                    "BucketName": bucket.bucket_name,
                    "Objects": objects,
                    # By which policy a version was judged can be read as long as the version is there.
                    "Keep": f"{PREFIX}/",
                    "EmptyOnDelete": everything,
                },
            )
            # Made after, deleted before everything that the function works with.
            resource.node.add_dependency(bucket, cleaner)
            if self._empties:
                # Its denial of writes has to outlast the emptying; it goes with its bucket.
                cast("s3.BucketPolicy", bucket.policy).apply_removal_policy(cdk.RemovalPolicy.RETAIN)

    @property
    def _empties(self) -> bool:
        """Whether the buckets are emptied when the stack goes."""
        return self._removal == cdk.RemovalPolicy.DESTROY

    def _allow_emptying(self, role: iam.Role, kind: str) -> None:
        allow(
            role,
            "s3:GetBucketPolicy",
            "s3:ListBucketMultipartUploads",
            "s3:ListBucketVersions",
            "s3:PutBucketPolicy",
            on=[self._bucket_arn(kind)],
        )
        allow(
            role,
            "s3:AbortMultipartUpload",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            on=[self._bucket_arn(kind, "*")],
            because="Emptying a bucket means every object in it.",
        )


def default_objects(policy: FloorPolicy) -> dict[str, str]:
    """Return the text of each object that a fresh bucket holds, by key."""
    return {
        "defaults/none/none": "none\n",
        "defaults/scratch/scratch": "scratch\n",
        f"{policy.folder}{FILE}": policy.text,
    }
