# SPDX-License-Identifier: Apache-2.0
"""SageMaker's model registry: versions, their approval, and the events that tell of it."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from localcloud.authorisation.identities import user_context
from localcloud.context import CloudContext
from localcloud.dispatch import Call, ServiceError, invalid, original_action, replace_action, state_lock
from localcloud.events.event_bridge import announce
from localcloud.listing import listed
from localcloud.registry import model_cards

MAX_CUSTOMER_PROPERTIES = 50
_BEYOND_MOTO = (
    "ManagedStorageType",
    "ModelCard",
    "ModelLifeCycle",
    "ModelPackageRegistrationType",
    "SecurityConfig",
    "SkipModelValidation",
    "SourceUri",
)
"""What moto forgets of a model package."""

_EVENT_FIELDS = (
    "ApprovalDescription",
    "CustomerMetadataProperties",
    "InferenceSpecification",
    "MetadataProperties",
    "ModelApprovalStatus",
    "ModelLifeCycle",
    "ModelMetrics",
    "ModelPackageArn",
    "ModelPackageGroupName",
    "ModelPackageStatus",
    "ModelPackageVersion",
)


def install(_: CloudContext) -> None:
    """Answer the registry's actions."""
    for action, handler in (
        ("CreateModelPackage", _create),
        ("CreateModelPackageGroup", _create_group),
        ("DeleteModelPackage", _delete),
        ("DeleteModelPackageGroup", _delete_group),
        ("DescribeModelPackage", _describe),
        ("DescribeModelPackageGroup", _describe_group),
        ("ListModelPackages", _list),
        ("UpdateModelPackage", _update),
    ):
        replace_action("sagemaker", action, handler)


def approval_status(call: Call, name: str) -> str:
    """The approval status of a model package.

    Raises:
        ServiceError: No such package.
    """
    return str(_find(call, name).model_approval_status)


def _create_group(call: Call) -> dict[str, Any]:
    name = call.parameters["ModelPackageGroupName"]
    with state_lock:
        existing = call.backend("sagemaker").model_package_groups.get(name)
        if existing:
            raise invalid(f"Model Package Group already exists: {existing.arn}")
        answer = original_action("sagemaker", "CreateModelPackageGroup", call)
        call.backend("sagemaker").model_package_groups[name].created_by = user_context(call)
    return answer


def _describe_group(call: Call) -> dict[str, Any]:
    group = _find_group(call, call.parameters["ModelPackageGroupName"])
    return {**group.gen_response_object(), "CreatedBy": group.created_by}


def _delete_group(call: Call) -> dict[str, Any]:
    with state_lock:
        group = _find_group(call, call.parameters["ModelPackageGroupName"])
        state = call.backend("sagemaker")
        held = [
            p for p in state.model_packages.values() if p.model_package_group_name == group.model_package_group_name
        ]
        if held:
            message = (
                f"Model Package Group {group.arn} can not be deleted as it still contains {len(held)} Model Packages."
            )
            raise ServiceError("ConflictException", message)
        del state.model_package_groups[group.model_package_group_name]
    return {}


def _create(call: Call) -> dict[str, Any]:
    from moto.sagemaker.models import ModelPackage

    given = call.parameters
    if "ModelPackageGroupName" not in given:
        raise invalid("The emulated cloud keeps versions of groups only: give a ModelPackageGroupName")
    model_cards.check(given.get("ModelCard"))
    with state_lock:
        state = call.backend("sagemaker")
        group = _find_group(call, given["ModelPackageGroupName"])
        version = group.beyond_moto = getattr(group, "beyond_moto", 0) + 1
        package = ModelPackage(
            model_package_name=group.model_package_group_name,
            model_package_group_name=group.model_package_group_name,
            model_package_version=version,
            model_package_description=given.get("ModelPackageDescription"),
            inference_specification=given.get("InferenceSpecification"),
            source_algorithm_specification=given.get("SourceAlgorithmSpecification"),
            validation_specification=given.get("ValidationSpecification"),
            certify_for_marketplace=given.get("CertifyForMarketplace", False),
            model_approval_status=given.get("ModelApprovalStatus", "PendingManualApproval"),
            metadata_properties=given.get("MetadataProperties"),
            model_metrics=given.get("ModelMetrics"),
            approval_description=None,
            customer_metadata_properties=dict(given.get("CustomerMetadataProperties") or {}),
            drift_check_baselines=given.get("DriftCheckBaselines"),
            domain=given.get("Domain"),  # type: ignore[arg-type]
            task=given.get("Task"),  # type: ignore[arg-type]
            sample_payload_url=given.get("SamplePayloadUrl"),  # type: ignore[arg-type]
            additional_inference_specifications=given.get("AdditionalInferenceSpecifications"),  # type: ignore[arg-type]
            client_token=given.get("ClientToken"),  # type: ignore[arg-type]
            region_name=call.region,
            account_id=call.account,
            model_package_type="Versioned",
            tags=given.get("Tags") or [],
        )
        package.beyond_moto = {name: given[name] for name in _BEYOND_MOTO if name in given}  # type: ignore[attr-defined]
        package.created_by = user_context(call)
        state.model_package_name_mapping[package.model_package_name] = package.arn
        state.model_package_name_mapping[package.arn] = package.arn
        state.model_packages[package.arn] = package
    _announce(call, package, [])
    return {"ModelPackageArn": package.arn}


def _update(call: Call) -> dict[str, Any]:
    """Only what is given changes; customer properties are merged, then those to remove are removed."""
    given = call.parameters
    with state_lock:
        package = _find(call, given["ModelPackageArn"])
        model_cards.check(given.get("ModelCard"), _beyond(package).get("ModelCard"))
        before = _described(package)
        properties = {**(package.customer_metadata_properties or {}), **(given.get("CustomerMetadataProperties") or {})}
        for name in given.get("CustomerMetadataPropertiesToRemove") or []:
            properties.pop(name, None)
        if len(properties) > MAX_CUSTOMER_PROPERTIES:
            raise invalid(f"A model package has at most {MAX_CUSTOMER_PROPERTIES} CustomerMetadataProperties.")
        package.customer_metadata_properties = properties
        for name, attribute in (
            ("ModelApprovalStatus", "model_approval_status"),
            ("ApprovalDescription", "approval_description"),
            ("InferenceSpecification", "inference_specification"),
        ):
            if name in given:
                setattr(package, attribute, given[name])
        if given.get("AdditionalInferenceSpecificationsToAdd"):
            package.add_additional_inference_specifications(given["AdditionalInferenceSpecificationsToAdd"])
        package.beyond_moto = {**_beyond(package), **{name: given[name] for name in _BEYOND_MOTO if name in given}}
        package.modifications_done()
        package.last_modified_by = user_context(call)
        after = _described(package)
    watched = ("ModelApprovalStatus", "ApprovalDescription", "ModelLifeCycle", "CustomerMetadataProperties")
    changed = [name for name in (*watched, "InferenceSpecification") if before.get(name) != after.get(name)]
    if before.get("SourceUri") != after.get("SourceUri"):
        changed.append("sourceUri")
    _announce(call, package, changed)
    return {"ModelPackageArn": package.arn}


def _describe(call: Call) -> dict[str, Any]:
    with state_lock:
        return _described(_find(call, call.parameters["ModelPackageName"]))


def _list(call: Call) -> dict[str, Any]:
    """List versions as https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListModelPackages.html says."""
    given = call.parameters
    kind = "Versioned" if "ModelPackageGroupName" in given else given.get("ModelPackageType", "Unversioned")
    group = given.get("ModelPackageGroupName", "").rsplit("/", 1)[-1]
    with state_lock:
        every = [_described(package) for package in call.backend("sagemaker").model_packages.values()]
    wanted = [
        package
        for package in every
        if kind != "Unversioned"
        and group in ("", package.get("ModelPackageGroupName"))
        and given.get("ModelApprovalStatus") in (None, package.get("ModelApprovalStatus"))
    ]
    return listed(given, wanted, "ModelPackageSummaryList", "ModelPackageArn", "ModelPackageStatus")


def _delete(call: Call) -> dict[str, Any]:
    with state_lock:
        package = _find(call, call.parameters["ModelPackageName"])
        state = call.backend("sagemaker")
        del state.model_packages[package.arn]
        state.model_package_name_mapping.pop(package.arn, None)
    return {}


def _announce(call: Call, package: Any, changed: list[str]) -> None:
    """Say it as https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html shows."""
    described = _described(package)
    detail = {name: described[name] for name in _EVENT_FIELDS if name in described}
    for name in ("CreationTime", "LastModifiedTime"):
        if name in described:
            detail[name] = described[name].replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if changed:
        detail["UpdatedModelPackageFields"] = changed
    announce(call.account, call.region, "Model Package State Change", detail, [package.arn])


def _described(package: Any) -> dict[str, Any]:
    described = {**package.gen_response_object(), **_beyond(package)}
    if not described.get("CustomerMetadataProperties"):
        described.pop("CustomerMetadataProperties", None)
    return described


def _beyond(package: Any) -> dict[str, Any]:
    return dict(getattr(package, "beyond_moto", {}))


def _find(call: Call, name: str) -> Any:
    state = call.backend("sagemaker")
    package = state.model_packages.get(state.model_package_name_mapping.get(name, name))
    if package is None:
        arn = name if name.startswith("arn:") else call.arn(f"model-package/{name}")
        raise invalid(f"ModelPackage {arn} does not exist.")
    return package


def _find_group(call: Call, name: str) -> Any:
    group = call.backend("sagemaker").model_package_groups.get(name.rsplit("/", 1)[-1])
    if group is None:
        arn = call.arn(f"model-package-group/{name.rsplit('/', 1)[-1]}")
        raise invalid(f"ModelPackageGroup {arn} does not exist.")
    return group
