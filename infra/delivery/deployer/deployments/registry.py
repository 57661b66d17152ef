# SPDX-License-Identifier: Apache-2.0
"""The model registry, read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from . import errors, names

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_sagemaker import SageMakerClient

UNKNOWN = "unknown"
"""Who decided, where the cloud does not say."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A registered version.

    Attributes:
        modified_at: LastModifiedTime, milliseconds since 1970.
        statistics_uri: S3 URI of evaluation.json as registered; unlike metadata nobody can change it afterwards.
        containers: As registered, with everything that they say.
        status: ModelApprovalStatus, such as `Rejected`.
        decided_by: Who changed the version last, ARN or principal; right after a decision that is who took it.
        reason: ApprovalDescription, on one line: nobody writes paragraphs of their own into what people are told.
        measured_on: Instance type on which MeasureServing ran: the pipeline registers it as the one to serve on.
    """

    arn: str
    version: int
    approved: bool
    modified_at: int
    image: str
    model_uri: str
    statistics_uri: str | None
    containers: tuple[dict[str, Any], ...]
    metadata: dict[str, str]
    measured_on: str = ""
    status: str = ""
    decided_by: str = UNKNOWN
    reason: str = ""


def describe(sagemaker: SageMakerClient, arn: str) -> Package | None:
    """Return a version, or None when it was deleted."""
    try:
        answer: dict[str, Any] = dict(sagemaker.describe_model_package(ModelPackageName=arn))
    except ClientError as error:
        if errors.is_missing(error):
            return None
        raise
    specification = answer.get("InferenceSpecification", {})
    containers = tuple(dict(each) for each in specification.get("Containers", [])) or ({},)
    statistics = answer.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
    return Package(
        arn=arn,
        version=int(answer.get("ModelPackageVersion") or names.package_version(arn)),
        approved=answer.get("ModelApprovalStatus") == "Approved",
        modified_at=_milliseconds(answer.get("LastModifiedTime") or answer["CreationTime"]),
        image=containers[0].get("Image", ""),
        model_uri=containers[0].get("ModelDataUrl", ""),
        statistics_uri=statistics.get("S3Uri"),
        containers=containers,
        metadata=dict(answer.get("CustomerMetadataProperties") or {}),
        measured_on=next(iter(specification.get("SupportedRealtimeInferenceInstanceTypes") or ()), ""),
        status=answer.get("ModelApprovalStatus", ""),
        decided_by=_who(answer.get("LastModifiedBy") or {}),
        reason=" ".join(str(answer.get("ApprovalDescription", "")).split()),
    )


def approved(sagemaker: SageMakerClient, group: str) -> dict[int, str]:
    """Return the ARN by version of each approved version; a group that is not there has none."""
    found: dict[int, str] = {}
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, ModelApprovalStatus="Approved", SortBy="CreationTime", SortOrder="Descending"
    )
    try:
        for page in pages:
            for summary in page["ModelPackageSummaryList"]:
                if summary.get("ModelApprovalStatus") == "Approved":
                    arn = summary["ModelPackageArn"]
                    found[names.package_version(arn)] = arn
    except ClientError as error:
        if not errors.is_missing(error):
            raise
    return found


def delete_all(sagemaker: SageMakerClient, group: str) -> int:
    """Delete every version of a group, and return how many there were; a group that is not there has none."""
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    try:
        # Listed to the end first: deleting while paging would skip some.
        doomed = [summary["ModelPackageArn"] for page in pages for summary in page["ModelPackageSummaryList"]]
    except ClientError as error:
        if errors.is_missing(error):
            return 0
        raise
    for arn in doomed:
        try:
            sagemaker.delete_model_package(ModelPackageName=arn)
        except ClientError as error:
            if not errors.is_missing(error):
                raise
    return len(doomed)


def _who(user: dict[str, Any]) -> str:
    """Return who a UserContext means: by ARN, by principal, or by the profile in Studio.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UserContext.html
    """
    identity = user.get("IamIdentity") or {}
    return str(identity.get("Arn") or identity.get("PrincipalId") or user.get("UserProfileName") or UNKNOWN)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
