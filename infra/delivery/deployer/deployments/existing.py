# SPDX-License-Identifier: Apache-2.0
"""A model, an endpoint configuration or an endpoint that is there already, held against what the deployer would make.

Whoever makes one under a version's name before the deployer does would have it served, or tested, in that version's
stead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .reconcile import CLOCK_TOLERANCE_MILLISECONDS
from .registration import is_same_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CAPTURE = ("EnableCapture", "InitialSamplingPercentage", "DestinationS3Uri", "KmsKeyId", "CaptureOptions")
# What else decides what runs, with what data, or who gets to see it. Everything else SageMaker may fill in.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html
_OF_CONTAINER = (
    "AdditionalModelDataSources",
    "ImageConfig",
    "InferenceSpecificationName",
    "ModelPackageName",
    "MultiModelConfig",
)
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html
_OF_VARIANT = (
    "AcceleratorType",
    "CapacityReservationConfig",
    "CoreDumpConfig",
    "EnableSSMAccess",
    "InferenceAmiVersion",
    "InstancePools",
    "ManagedInstanceScaling",
    "RoutingConfig",
    "ServerlessConfig",
)
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpointConfig.html
_OF_CONFIGURATION = (
    "AsyncInferenceConfig",
    "ExecutionRoleArn",
    "ExplainerConfig",
    "KmsKeyId",
    "ShadowProductionVariants",
    "VpcConfig",
)


def model_differences(wanted: Mapping[str, Any], described: Mapping[str, Any]) -> list[str]:
    """Return in what a described model is not the one that CreateModel would have been asked for.

    Args:
        wanted: CreateModel's request.
        described: DescribeModel's answer.
    """
    container: Mapping[str, Any] = described.get("PrimaryContainer") or {}
    asked = wanted["PrimaryContainer"]
    found = _differences("PrimaryContainer.", asked, container, [*asked, *_OF_CONTAINER])
    if container.get("Mode", "SingleModel") != "SingleModel":
        found.append(f"PrimaryContainer.Mode is {container['Mode']}")
    source = container.get("ModelDataSource")
    if source and not is_same_object(source, asked["ModelDataUrl"]):
        found.append(f"PrimaryContainer.ModelDataSource is {source}")
    names = ["Containers", "EnableNetworkIsolation", "ExecutionRoleArn", "VpcConfig"]
    return found + _differences("", wanted, described, names)


def configuration_differences(wanted: Mapping[str, Any], described: Mapping[str, Any]) -> list[str]:
    """Return in what a described endpoint configuration is not the one that would have been asked for.

    Args:
        wanted: CreateEndpointConfig's request.
        described: DescribeEndpointConfig's answer.
    """
    variants = described.get("ProductionVariants") or []
    if len(variants) != 1:
        return [f"it has {len(variants)} production variants, not one"]
    (asked,), (variant,) = wanted["ProductionVariants"], variants
    found = _differences("ProductionVariants[0].", asked, variant, [*asked, *_OF_VARIANT])
    found += _differences("", wanted, described, _OF_CONFIGURATION)
    capture = wanted.get("DataCaptureConfig") or {}
    return found + _differences("DataCaptureConfig.", capture, described.get("DataCaptureConfig") or {}, _CAPTURE)


def endpoint_differences(name: str, config: str | None, *, created_at: int, ordered_at: int) -> list[str]:
    """Return in what a described candidate's endpoint is not the one that the deployer ordered.

    Configuration and model of an endpoint can be deleted under it, and others be made under their names: an endpoint
    that is older than the order was made of what nobody can look at any more.

    Args:
        name: Of the endpoint and of its configuration.
        config: The configuration that it has.
        created_at: When it was created, milliseconds since 1970.
        ordered_at: When the deployer was about to order it, the same; 0 where it never was.
    """
    found = [] if config == name else [f"EndpointConfigName is {config}, not {name}"]
    if not ordered_at or created_at < ordered_at - CLOCK_TOLERANCE_MILLISECONDS:
        found.append("it was created before the deployer ordered it")
    return found


def _differences(
    place: str, wanted: Mapping[str, Any], described: Mapping[str, Any], names: Iterable[str]
) -> list[str]:
    """Return a sentence for each of the named members that differs; what is empty counts as absent."""
    found = []
    for name in sorted(set(names)):
        asked, present = _plain(wanted.get(name)), _plain(described.get(name))
        if asked != present:
            found.append(f"{place}{name} is {present if present is not None else 'not set'}, not {asked or 'absent'}")
    return found


def _plain(value: Any) -> Any:
    """Return a value without what order and emptiness say; SageMaker gives VPCs' ids in any order."""
    if isinstance(value, dict):
        members = {name: _plain(each) for name, each in value.items()}
        return {name: each for name, each in members.items() if each is not None} or None
    if isinstance(value, list):
        return sorted((_plain(each) for each in value), key=str) or None
    return None if value in ("", False) else value
