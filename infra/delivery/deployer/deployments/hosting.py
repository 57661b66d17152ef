# SPDX-License-Identifier: Apache-2.0
"""Models, endpoint configurations and endpoints on SageMaker.

Nothing is replaced in place: a model and its configuration are made once under a version's name, an endpoint moves from
one configuration to the next, and what no endpoint uses any more is removed.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from . import errors, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_sagemaker import SageMakerClient

    from .registry import Package
    from .settings import DeployerSettings
    from .verdict import Verdict

VARIANT = "AllTraffic"
_BAKING_SECONDS = 300
_UPDATE_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """What DescribeEndpoint says.

    Attributes:
        status: As the API spells it; None when there is no such endpoint.
        config: EndpointConfigName.
        modified_at: LastModifiedTime, milliseconds since 1970; 0 when there is no such endpoint.
    """

    status: str | None
    config: str | None = None
    reason: str = ""
    modified_at: int = 0


@dataclass(frozen=True, kw_only=True)
class Served:
    """What a model serves: artifact, runtime and precision."""

    model_uri: str
    runtime: str
    precision: str


class Hosting:
    """The hosting side of SageMaker, in one environment."""

    def __init__(self, sagemaker: SageMakerClient, settings: DeployerSettings) -> None:
        self._sagemaker = sagemaker
        self._settings = settings

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
            modified_at=round(answer["LastModifiedTime"].timestamp() * 1000),
        )

    def prepare(self, name: str, package: Package, verdict: Verdict, *, instance_count: int, capture: bool) -> None:
        """Make the model and the endpoint configuration of a version, unless they are there.

        Args:
            name: Of both.
            package: The version.
            verdict: Says with which runtime and precision it serves.
            instance_count: Instances that the configuration starts with.
            capture: Whether requests are kept when the settings want that.
        """
        with _unless_existing():
            self._sagemaker.create_model(**self._model(name, package, verdict))
        with _unless_existing():
            self._sagemaker.create_endpoint_config(**self._config(name, instance_count, capture))

    def create(self, endpoint_name: str, config: str) -> None:
        """Create an endpoint."""
        self._sagemaker.create_endpoint(EndpointName=endpoint_name, EndpointConfigName=config, Tags=self._tags())

    def update(self, endpoint_name: str, config: str) -> None:
        """Move an endpoint to another configuration, behind SageMaker's guardrails; what autoscaling set stays."""
        request: dict[str, Any] = {
            "EndpointName": endpoint_name,
            "EndpointConfigName": config,
            "RetainAllVariantProperties": True,
            "DeploymentConfig": deployment_config(self._settings),
        }
        self._sagemaker.update_endpoint(**request)

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
        """Remove the endpoint configuration and the model of this name, as far as they are there."""
        with _unless_missing():
            self._sagemaker.delete_endpoint_config(EndpointConfigName=name)
        with _unless_missing():
            self._sagemaker.delete_model(ModelName=name)

    def served(self, name: str) -> Served:
        """Return what the model of this name serves."""
        container: dict[str, Any] = dict(self._sagemaker.describe_model(ModelName=name).get("PrimaryContainer") or {})
        environment = container.get("Environment") or {}
        return Served(
            model_uri=container.get("ModelDataUrl", ""),
            runtime=environment.get("MAPGATE_RUNTIME", ""),
            precision=environment.get("MAPGATE_PRECISION", ""),
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

    def _model(self, name: str, package: Package, verdict: Verdict) -> dict[str, Any]:
        settings = self._settings
        environment = package.environment | {"MAPGATE_RUNTIME": verdict.runtime, "MAPGATE_PRECISION": verdict.precision}
        request: dict[str, Any] = {
            "ModelName": name,
            "PrimaryContainer": {
                "Image": package.image,
                "ModelDataUrl": package.model_uri,
                "Environment": environment,
            },
            "ExecutionRoleArn": settings.execution_role_arn,
            "EnableNetworkIsolation": True,
            "Tags": self._tags(),
        }
        if settings.subnet_ids:
            request["VpcConfig"] = {
                "Subnets": list(settings.subnet_ids),
                "SecurityGroupIds": list(settings.security_group_ids),
            }
        return request

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


def deployment_config(settings: DeployerSettings) -> dict[str, Any]:
    """Return UpdateEndpoint's DeploymentConfig: blue/green, by a canary where one is possible.

    A canary is at most half of the fleet and is judged by alarms, so it takes two instances and an alarm. Without
    alarms nothing would roll an update back, but a fleet that does not come up never gets traffic. The alarms watch the
    canary, and both ways they watch the new fleet once more under all of the traffic, before the old one ends.
    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green-canary.html
    """
    routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    if settings.alarm_names and settings.instance_count >= 2:
        one_instance = math.ceil(100 / settings.instance_count)
        size = min(50, max(settings.canary_percent, one_instance))
        routing = {
            "Type": "CANARY",
            "WaitIntervalInSeconds": _BAKING_SECONDS,
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": size},
        }
    config: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": _BAKING_SECONDS if settings.alarm_names else 0,
            "MaximumExecutionTimeoutInSeconds": _UPDATE_SECONDS,
        }
    }
    if settings.alarm_names:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in settings.alarm_names[:10]]}
    return config


@contextlib.contextmanager
def _unless_existing() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if not errors.is_existing(error):
            raise


@contextlib.contextmanager
def _unless_missing() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if not errors.is_missing(error):
            raise
