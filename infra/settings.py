# SPDX-License-Identifier: Apache-2.0
"""What differs between environments, typed, read from `environments/<name>.yaml`.

`python -m infra.settings <name>` prints an environment's as JSON, defaults included.
"""

import re
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from infra.floor_policy import BUNDLED, FloorPolicy, read_floor_policy
from infra.instance_types import Use, as_of, has_local_nvme, refusals, regions

ENVIRONMENTS = Path(__file__).with_name("environments")
ARCHITECTURES = Path(__file__).parents[1] / "training_src" / "models" / "configs"
LONGEST_BUCKET_NAME = 63


def _quoted_account(account: Any) -> Any:
    if isinstance(account, int):
        raise ValueError("YAML reads it as a number, which drops zeros in front: put it in quotes")
    return account


def _known_region(region: str) -> str:
    if region not in regions():
        raise ValueError(f"there is no SageMaker in {region} as of {as_of()}{_meant(region, regions())}")
    return region


def _bundled_architecture(name: str) -> str:
    bundled = sorted(config.stem for config in ARCHITECTURES.glob("*.config"))
    if name not in bundled:
        raise ValueError(
            f"{name} is no bundled architecture{_meant(name, bundled)}; `mapgate architectures` names them"
        )
    return name


def _bucket_name(name: str) -> str:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name) or ".." in name or re.fullmatch(r"[\d.]+", name):
        raise ValueError(
            f"{name} is no name of a bucket: 3 to 63 small letters, digits, hyphens and dots, without s3:// and prefix"
        )
    return name


def _meant(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"; is {near[0]} meant?" if near else ""


Account = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$"), BeforeValidator(_quoted_account)]
Region = Annotated[str, AfterValidator(_known_region)]
Architecture = Annotated[str, AfterValidator(_bundled_architecture)]
BucketName = Annotated[str, AfterValidator(_bucket_name)]
InstanceType = Annotated[str, StringConstraints(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=20)]


class SettingsError(Exception):
    """An environment's file cannot be used."""


class Section(BaseModel):
    """A part of the settings: unknown keys are refused, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Network(Section):
    """A VPC for jobs and endpoints. Its endpoints for S3, ECR, Logs, KMS and STS are its owner's."""

    subnets: tuple[Annotated[str, StringConstraints(pattern=r"^subnet-[0-9a-f]+$")], ...] = Field(
        min_length=1, description="Where the network interfaces of jobs and endpoints are made"
    )
    security_groups: tuple[Annotated[str, StringConstraints(pattern=r"^sg-[0-9a-f]+$")], ...] = Field(
        min_length=1, description="Which those interfaces belong to"
    )


class Security(Section):
    """How jobs and endpoints are kept apart from the rest of the world."""

    network_isolation: bool = Field(default=True, description="Jobs get no network at all; they need none")
    encrypt_between_containers: bool = Field(default=False, description="Encrypt what several instances of a job say")
    customer_managed_volumes: bool = Field(
        default=True,
        description="Encrypt job and endpoint volumes with the environment's key where SageMaker allows it",
    )


class Processing(Section):
    """Instances of the Processing steps; MeasureServing runs on the endpoint's type."""

    prepare_instance_type: InstanceType = Field(default="ml.m5.xlarge", description="Of PrepareDataset")
    prepare_instance_count: int = Field(
        default=1,
        ge=1,
        le=100,
        description="How many share a data set's images; above 1 the pipeline gets the step JoinDataset and the "
        "parameter AnnotationsUri",
    )
    evaluate_instance_type: InstanceType = Field(
        default="ml.m5.xlarge", description="Of EvaluateDetector, which runs the SavedModel over the test images"
    )
    volume_gigabytes: int = Field(default=50, ge=1, le=16384, description="Of each Processing job, in GiB")
    prepare_maximum_hours: int = Field(
        default=2, ge=1, le=120, description="After which PrepareDataset is stopped; docs/data.md says what that bounds"
    )
    evaluate_maximum_hours: int = Field(
        default=2, ge=1, le=120, description="After which MeasureServing and EvaluateDetector are stopped, each"
    )


class Training(Section):
    """Instances of TrainDetector."""

    instance_types: tuple[InstanceType, ...] = Field(
        default=("ml.g5.xlarge",),
        min_length=1,
        description="What may be chosen at the start of an execution; the first is the default",
    )
    spot: bool = Field(
        default=True, description="Train on spare capacity, for less; training resumes from its checkpoints"
    )
    maximum_hours: int = Field(default=24, ge=1, le=120, description="Of training")
    maximum_wait_hours: int = Field(
        default=48, ge=1, le=240, description="Of training and waiting for spare capacity together"
    )
    volume_gigabytes: int = Field(default=100, ge=1, le=16384, description="Of the training job, in GiB")
    default_architecture: Architecture = Field(
        default="ssd_mobilenet_v2_fpnlite_640x640", description="Zoo name of the detector, unless an execution says"
    )
    default_steps: int = Field(
        default=0, ge=0, description="Of training, unless an execution says; 0 takes the config's num_steps"
    )
    default_batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default="auto",
        description="Images a step, unless an execution says; auto: as many as fit the memory",
    )
    data_buckets: tuple[BucketName, ...] = Field(
        default=(), description="Further buckets that hold labelled images, configs, checkpoints or gate policies"
    )

    @model_validator(mode="after")
    def _instance_types_agree(self) -> Self:
        if len({has_local_nvme(instance_type) for instance_type in self.instance_types}) > 1:
            raise ValueError(
                "training.instance_types mixes types with and without local NVMe storage: SageMaker refuses a volume "
                "key on the former, and one definition serves them all; keep to one kind"
            )
        return self

    @model_validator(mode="after")
    def _waiting_includes_training(self) -> Self:
        if self.spot and self.maximum_wait_hours < self.maximum_hours:
            raise ValueError(
                f"training.maximum_wait_hours ({self.maximum_wait_hours}) is the time of training and waiting "
                f"together and must be at least training.maximum_hours ({self.maximum_hours})"
            )
        return self


class Delivery(Section):
    """The production endpoint and who hears of it."""

    instance_type: InstanceType = Field(
        default="ml.c5.xlarge",
        description="Of production, of candidates and of MeasureServing; one with a GPU gets the image with TensorFlow",
    )
    instance_count: int = Field(default=1, ge=1, le=20, description="Of production; a canary takes two")
    canary_percent: int = Field(
        default=10,
        ge=1,
        le=50,
        description="Share of the new fleet that takes traffic first; SageMaker allows at most half",
    )
    latency_alarm_milliseconds: int = Field(
        default=2000,
        ge=1,
        description="P90 of the model's latency at which an update rolls back, and people are told",
    )
    data_capture_percent: int = Field(
        default=0, ge=0, le=100, description="Share of production's requests that is kept"
    )
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")] | None = Field(
        default=None, description="Address that gets the notifications, if any"
    )


class Settings(Section):
    """What the file of an environment may say."""

    project: Name = Field(default="mapgate", description="Begins every physical name")
    environment: Name = Field(description="Goes on in every physical name; the file's own name, never said in it")
    account: Account | None = Field(
        default=None, description="Where the environment stands; otherwise where the CDK CLI's credentials point"
    )
    region: Region | None = Field(default=None, description="As `account`")
    further_instance_types: tuple[InstanceType, ...] = Field(
        default=(), description="Types that are newer than the list in infra/sagemaker.json, and taken unchecked"
    )
    removal: Literal["destroy", "retain"] = Field(
        default="retain", description="What becomes of data, keys and images when the stacks are destroyed"
    )
    log_retention_days: Literal[7, 30, 90, 180, 365] = Field(default=90, description="Of every Lambda's log")
    quota_wait_minutes: int = Field(
        default=240,
        ge=1,
        le=14400,
        description="How long a job's step waits for instances of a quota that other jobs use up; of a quota of 0 "
        "`mapgate run` tells before it starts",
    )
    gate_policy: str | None = Field(
        default=None,
        description="The gate's policy, which an execution can only tighten: a file, by its path from this one; "
        "otherwise infra/training/defaults/gate_policy.yaml",
    )
    network: Network | None = Field(default=None, description="No VPC unless said")
    security: Security = Field(default=Security(), description="See below")
    processing: Processing = Field(default=Processing(), description="See below")
    training: Training = Field(default=Training(), description="See below")
    delivery: Delivery = Field(default=Delivery(), description="See below")
    _floor_policy: FloorPolicy = PrivateAttr()

    @model_validator(mode="after")
    def _gate_policy_is_one(self, info: ValidationInfo) -> Self:
        folder = (info.context or {}).get("folder", ENVIRONMENTS)
        try:
            self._floor_policy = read_floor_policy(folder / self.gate_policy if self.gate_policy else BUNDLED)
        except ValueError as error:
            raise ValueError(f"gate_policy: {error}") from error
        return self

    @model_validator(mode="after")
    def _instances_fit(self) -> Self:
        for fault in self._unfit_instances():
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _buckets_can_be_named(self) -> Self:
        region = self.region or max(regions(), key=len)
        longest = f"{self.prefix}-access-logs-{'0' * 12}-{region}"
        if len(longest) > LONGEST_BUCKET_NAME:
            raise ValueError(
                f"project and environment are {len(longest) - LONGEST_BUCKET_NAME} characters too long for the name of "
                f"a bucket, {self.prefix}-access-logs-<account>-{region}; shorten them"
                f"{'' if self.region else ', or say the region, whose name may be shorter'}"
            )
        return self

    def _unfit_instances(self) -> Iterator[str]:
        processing, training = self.processing, self.training
        volume = processing.volume_gigabytes
        wanted: list[tuple[str, str, list[Use], int]] = [
            ("processing.prepare_instance_type", processing.prepare_instance_type, ["processing"], volume),
            ("processing.evaluate_instance_type", processing.evaluate_instance_type, ["processing"], volume),
            # MeasureServing, a Processing job, measures on the type that serves.
            ("delivery.instance_type", self.delivery.instance_type, ["endpoint", "processing"], volume),
        ]
        volume = training.volume_gigabytes
        wanted += [("training.instance_types", name, ["training"], volume) for name in training.instance_types]
        for key, name, uses, gigabytes in wanted:
            for reason in refusals(name, uses, further=self.further_instance_types, volume_gigabytes=gigabytes):
                yield f"{key}: {reason}"

    def gives_volume_key(self, instance_type: str) -> bool:
        """Whether the volumes of a type get the environment's key; SageMaker refuses one for storage of their own.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
        """
        return self.security.customer_managed_volumes and not has_local_nvme(instance_type)

    @property
    def floor_policy(self) -> FloorPolicy:
        """The gate's policy, as it was when the settings were read."""
        return self._floor_policy

    @property
    def prefix(self) -> str:
        """What every physical name starts with, so that two projects fit in one account."""
        return f"{self.project}-{self.environment}"

    @classmethod
    def read(cls, environment: str, folder: Path = ENVIRONMENTS) -> "Settings":
        """Read the settings of an environment.

        Raises:
            SettingsError: No such file, or a value that cannot be; names the file, the key and the reason.
        """
        path = folder / f"{environment}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
            raise SettingsError(
                f"{path}: no such environment; there are {known}. Choose one with -c environment=<name>"
            )
        try:
            return cls.model_validate({"environment": environment, **_stated(path)}, context={"folder": folder})
        except ValidationError as error:
            raise SettingsError(f"{path}: {'; '.join(_fault(each) for each in error.errors())}") from None


def _stated(path: Path) -> dict[str, Any]:
    """Return what an environment's file says.

    Raises:
        SettingsError: It is no YAML, holds no settings, or names the environment that it is.
    """
    try:
        stated = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f"line {place.line + 1}, column {place.column + 1}: " if place else ""
        raise SettingsError(f"{path}: {where}{getattr(error, 'problem', None) or 'cannot be read as YAML'}") from None
    if stated is None:
        raise SettingsError(f"{path}: is empty; say at least what becomes of data, `removal: retain`")
    if not isinstance(stated, dict):
        raise SettingsError(f"{path}: holds a {type(stated).__name__}, not settings such as `removal: retain`")
    if "environment" in stated:
        raise SettingsError(f"{path}: environment: is the file's own name, never said in it; remove the line")
    return stated


def _fault(error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


if __name__ == "__main__":
    try:
        print(Settings.read(sys.argv[1]).model_dump_json())
    except SettingsError as error:
        sys.exit(str(error))
