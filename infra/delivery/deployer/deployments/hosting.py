# SPDX-License-Identifier: Apache-2.0
"""Models, endpoint configurations and endpoints on SageMaker.

Nothing is replaced in place: a model and its configuration are made once under a version's name, an endpoint moves from
one configuration to the next, and what no endpoint uses any more is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from . import errors, names, rollback
from .errors import ConflictError, RefusedError
from .existing import configuration_differences, endpoint_differences, model_differences
from .rollback import VARIANT
from .rollout import deployment_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sagemaker import SageMakerClient

    from .approvable import Approvable
    from .settings import DeployerSettings


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """What DescribeEndpoint says.

    Attributes:
        status: As the API spells it; None when there is no such endpoint.
        config: EndpointConfigName.
        instances: How many serve, whatever its configuration once said.
        modified_at: LastModifiedTime, milliseconds since 1970; 0 when there is no such endpoint.
        created_at: CreationTime, the same.
    """

    status: str | None
    config: str | None = None
    reason: str = ""
    instances: int = 0
    modified_at: int = 0
    created_at: int = 0


@dataclass(frozen=True, kw_only=True)
class Served:
    """What a model serves, image, artifact, runtime and precision, and on which instances."""

    image: str
    model_uri: str
    runtime: str
    precision: str
    instance_type: str


class Hosting:
    """The hosting side of SageMaker, in one environment."""

    def __init__(self, sagemaker: SageMakerClient, cloudwatch: CloudWatchClient, settings: DeployerSettings) -> None:
        self._sagemaker = sagemaker
        self._cloudwatch = cloudwatch
        self._settings = settings
        self.fingerprint = self._fingerprint()
        """Hash of the settings with which production is hosted: of all that its model and configuration say of it."""

    def endpoint(self, name: str) -> Endpoint:
        """Describe an endpoint."""
        try:
            answer: dict[str, Any] = dict(self._sagemaker.describe_endpoint(EndpointName=name))
        except ClientError as error:
            if errors.is_missing(error):
                return Endpoint(status=None)
            raise
        return Endpoint(
            status=answer["EndpointStatus"],
            config=answer.get("EndpointConfigName"),
            reason=answer.get("FailureReason", ""),
            instances=min(_counts(answer["ProductionVariants"][0])) if answer.get("ProductionVariants") else 0,
            modified_at=round(answer["LastModifiedTime"].timestamp() * 1000),
            created_at=round(answer["CreationTime"].timestamp() * 1000),
        )

    def prepare(self, name: str, approvable: Approvable, *, instance_count: int, capture: bool) -> None:
        """Make the model and the endpoint configuration of a version, unless they are there as they would be made.

        Args:
            name: Of both.
            approvable: What serves, and with which runtime and precision.
            instance_count: Instances that the configuration starts with.
            capture: Whether requests are kept when the settings want that.

        Raises:
            RefusedError: Another model or configuration has this name.
            ConflictError: It went away meanwhile.
        """
        sagemaker = self._sagemaker
        model = self._model(name, approvable)
        try:
            sagemaker.create_model(**model)
        except ClientError as error:
            described = _described(error, lambda: sagemaker.describe_model(ModelName=name))
            _refuse("model", "model", name, model_differences(model, described))
        config = self._config(name, instance_count, capture)
        try:
            sagemaker.create_endpoint_config(**config)
        except ClientError as error:
            described = _described(error, lambda: sagemaker.describe_endpoint_config(EndpointConfigName=name))
            _refuse("endpoint configuration", "endpoint-config", name, configuration_differences(config, described))

    def hold_candidate(self, name: str, *, ordered_at: int | None = None) -> None:
        """See that a candidate's endpoint is the one that the deployer ordered.

        Args:
            name: Of the endpoint and of its configuration.
            ordered_at: When it was about to be ordered, milliseconds since 1970, 0 where it never was; None where it is
                known that the deployer created it.

        Raises:
            RefusedError: Somebody else made it, or moved it to another configuration.
            ConflictError: It is gone.
        """
        endpoint = self.endpoint(name)
        if endpoint.status is None:
            raise ConflictError(f"{name} is gone")
        created_at = endpoint.created_at
        differences = endpoint_differences(
            name, endpoint.config, created_at=created_at, ordered_at=created_at if ordered_at is None else ordered_at
        )
        if differences:
            raise RefusedError(
                f"the endpoint {name} is there already and is not what the deployer makes: {'; '.join(differences)}; "
                "it is deleted: find out who made it, and retry the execution"
            )

    def create(self, endpoint_name: str, config: str) -> None:
        """Create an endpoint."""
        self._sagemaker.create_endpoint(EndpointName=endpoint_name, EndpointConfigName=config, Tags=self._tags())

    def update(self, endpoint_name: str, living: Endpoint, config: str) -> None:
        """Move an endpoint to another configuration, behind SageMaker's guardrails and alarms on the new fleet.

        What autoscaling set stays, unless the settings changed what the living configuration says of count or capture.
        Then nothing is retained: that ExcludeRetainedVariantProperties frees data capture is "not currently supported".
        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_VariantProperty.html
        """
        settings = self._settings
        retained = self._retainable(living.config) == self._retainable(config)
        coming = living.instances if retained else settings.instance_count
        rollback.put_alarms(self._cloudwatch, settings, config)
        request: dict[str, Any] = {
            "EndpointName": endpoint_name,
            "EndpointConfigName": config,
            "RetainAllVariantProperties": retained,
            "DeploymentConfig": deployment_config(settings, rollback.alarm_names(config), living.instances, coming),
        }
        self._sagemaker.update_endpoint(**request)

    def end_update(self, config: str) -> None:
        """Remove the alarms that watched an update to this configuration."""
        rollback.remove_alarms(self._cloudwatch, config)

    def delete_endpoint(self, name: str) -> bool:
        """Delete an endpoint; False when SageMaker is busy with it and refuses."""
        try:
            self._sagemaker.delete_endpoint(EndpointName=name)
        except ClientError as error:
            if errors.is_busy(error):
                return False
            if not errors.is_missing(error):
                raise
        return True

    def remove(self, name: str) -> None:
        """Remove the endpoint configuration and the model of this name, as far as they are there, and its alarms."""
        if names.production_version(self._settings.prefix, name) is not None:
            self.end_update(name)
        with _unless_missing():
            self._sagemaker.delete_endpoint_config(EndpointConfigName=name)
        with _unless_missing():
            self._sagemaker.delete_model(ModelName=name)

    def served(self, name: str) -> Served:
        """Return what the model and the configuration of this name serve."""
        config: dict[str, Any] = dict(self._sagemaker.describe_endpoint_config(EndpointConfigName=name))
        container: dict[str, Any] = dict(self._sagemaker.describe_model(ModelName=name).get("PrimaryContainer") or {})
        environment = container.get("Environment") or {}
        return Served(
            image=container.get("Image", ""),
            model_uri=container.get("ModelDataUrl", ""),
            runtime=environment.get("MAPGATE_RUNTIME", ""),
            precision=environment.get("MAPGATE_PRECISION", ""),
            instance_type=config["ProductionVariants"][0].get("InstanceType", ""),
        )

    def owned_endpoints(self) -> list[str]:
        """Return the names of the deployer's endpoints: production and candidates."""
        settings = self._settings
        pages = self._sagemaker.get_paginator("list_endpoints").paginate(NameContains=settings.prefix)
        listed = [endpoint["EndpointName"] for page in pages for endpoint in page["Endpoints"]]
        return [
            name
            for name in listed
            if name == settings.endpoint_name or names.candidate_version(settings.prefix, name) is not None
        ]

    def owned_names(self) -> set[str]:
        """Return the names under which the deployer has an endpoint configuration or a model."""
        prefix = self._settings.prefix
        configs = self._sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=prefix)
        models = self._sagemaker.get_paginator("list_models").paginate(NameContains=prefix)
        listed = {config["EndpointConfigName"] for page in configs for config in page["EndpointConfigs"]}
        listed |= {model["ModelName"] for page in models for model in page["Models"]}
        return {name for name in listed if names.is_owned(prefix, name)}

    def _fingerprint(self) -> str:
        # A model of before there were released copies has another hash: production moves to its copy by itself.
        said = [self._config("", self._settings.instance_count, capture=True), self._placement(), "released"]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:6]

    def _retainable(self, config: str | None) -> tuple[Any, ...] | None:
        """Return what RetainAllVariantProperties would keep of a configuration; None for one not there or not ours."""
        if config is None or not names.is_owned(self._settings.prefix, config):
            return None
        try:
            described: dict[str, Any] = dict(self._sagemaker.describe_endpoint_config(EndpointConfigName=config))
        except ClientError as error:
            if errors.is_missing(error):
                return None
            raise
        capture = described.get("DataCaptureConfig") or {}
        kept = ("EnableCapture", "InitialSamplingPercentage", "DestinationS3Uri", "KmsKeyId")
        count = described["ProductionVariants"][0].get("InitialInstanceCount")
        return (count, *(capture.get(name) for name in kept))

    def _placement(self) -> dict[str, Any]:
        """Return what a model says of where it runs and as whom."""
        settings = self._settings
        placement: dict[str, Any] = {"ExecutionRoleArn": settings.execution_role_arn, "EnableNetworkIsolation": True}
        if settings.subnet_ids:
            placement["VpcConfig"] = {
                "Subnets": list(settings.subnet_ids),
                "SecurityGroupIds": list(settings.security_group_ids),
            }
        return placement

    def _model(self, name: str, approvable: Approvable) -> dict[str, Any]:
        """Return CreateModel's request: nothing of it comes from the registry but what was verified.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html takes images by digest.
        """
        return {
            "ModelName": name,
            "PrimaryContainer": {
                "Image": approvable.image,
                "ModelDataUrl": approvable.artifact_uri,
                "Environment": {
                    "MAPGATE_RUNTIME": approvable.verdict.runtime,
                    "MAPGATE_PRECISION": approvable.verdict.precision,
                    "MAPGATE_METRICS_NAMESPACE": self._settings.prefix,
                },
            },
            "Tags": self._tags(),
            **self._placement(),
        }

    def _config(self, name: str, instance_count: int, capture: bool) -> dict[str, Any]:
        settings = self._settings
        request: dict[str, Any] = {
            "EndpointConfigName": name,
            "ProductionVariants": [
                {
                    "VariantName": VARIANT,
                    "ModelName": name,
                    "InstanceType": settings.instance_type,
                    "InitialInstanceCount": instance_count,
                    "InitialVariantWeight": 1.0,
                }
            ],
            "Tags": self._tags(),
        }
        if settings.ami_version:
            request["ProductionVariants"][0]["InferenceAmiVersion"] = settings.ami_version
        if settings.kms_key_arn:
            request["KmsKeyId"] = settings.kms_key_arn
        if capture and settings.data_capture_percent:
            request["DataCaptureConfig"] = self._capture()
        return request

    def _capture(self) -> dict[str, Any]:
        settings = self._settings
        request: dict[str, Any] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": settings.data_capture_percent,
            "DestinationS3Uri": f"s3://{settings.bucket}/data-capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
        if settings.kms_key_arn:
            request["KmsKeyId"] = settings.kms_key_arn
        return request

    def _tags(self) -> list[Any]:
        return [{"Key": key, "Value": value} for key, value in self._settings.tags.items()]


def _counts(variant: dict[str, Any]) -> list[int]:
    named = ("CurrentInstanceCount", "DesiredInstanceCount")
    return [int(variant[name]) for name in named if name in variant] or [0]


def _described(error: ClientError, describe: Callable[[], Any]) -> dict[str, Any]:
    """Return what is there already, where that is what the refusal of a creation says.

    Raises:
        ConflictError: It is no longer there.
    """
    if not errors.is_existing(error):
        raise error
    try:
        return dict(describe())
    except ClientError as missing:
        if not errors.is_missing(missing):
            raise
        raise ConflictError("another event removed what this one found") from missing


def _refuse(kind: str, command: str, name: str, differences: list[str]) -> None:
    if differences:
        raise RefusedError(
            f"the {kind} {name} is there already and is not what the deployer makes: {'; '.join(differences)}; find "
            f"out who made it, delete it by `aws sagemaker delete-{command} --{command}-name {name}`, and approve the "
            "version again"
        )


@contextlib.contextmanager
def _unless_missing() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if not errors.is_missing(error):
            raise
