# SPDX-License-Identifier: Apache-2.0
"""The versions in the model registry: what an approver looks at and decides."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import ClientError

from pipelines.client.connection import Connection, refusals_told
from pipelines.errors import BadInputError

Decision = Literal["Approved", "Rejected"]


@dataclass(frozen=True)
class Version:
    """A version of the model package group, with what its dossier says.

    Attributes:
        model_uri: S3 URI of its model.tar.gz.
    """

    number: int
    arn: str
    approval: str
    created: datetime
    description: str
    dossier: dict[str, str]
    model_uri: str = ""

    def as_json(self) -> dict[str, Any]:
        """The version as plain JSON values."""
        return {
            "version": self.number,
            "arn": self.arn,
            "approval": self.approval,
            "created": self.created.isoformat(),
            "description": self.description,
            "dossier": self.dossier,
        }


def versions(connection: Connection, group: str) -> list[Version]:
    """Every version of the group, newest first."""
    pages = connection.client("sagemaker").get_paginator("list_model_packages")
    listed = pages.paginate(ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending")
    arns = [item["ModelPackageArn"] for page in listed for item in page["ModelPackageSummaryList"]]
    return sorted((describe(connection, arn) for arn in arns), key=lambda version: version.number, reverse=True)


def version(connection: Connection, group: str, number: int | None) -> Version:
    """One version by its number; the newest where none is given.

    Raises:
        BadInputError: The group holds no such version.
    """
    known = versions(connection, group)
    if not known:
        raise BadInputError(f"model package group {group} holds no version yet: `mapgate run` registers one")
    if number is None:
        return known[0]
    for candidate in known:
        if candidate.number == number:
            return candidate
    numbers = ", ".join(str(candidate.number) for candidate in reversed(known))
    raise BadInputError(f"model package group {group} holds no version {number}, only {numbers}")


def champion(connection: Connection, endpoint: str) -> int | None:
    """The number of the version that production serves, as the deployer names what it deploys; None where nothing does.

    An endpoint's configuration changes when a rollout has ended well, so this is not a version that is on its way.

    Raises:
        BadInputError: The endpoint serves what no deployer deployed, or SageMaker refused, in its own words.
    """
    with refusals_told(f"endpoint {endpoint}"):
        try:
            serves = connection.client("sagemaker").describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
        except ClientError as error:
            if "Could not find" in error.response["Error"]["Message"]:
                return None
            raise
    # <project>-<environment>-v<version>-<hash of the hosting settings>
    named = re.fullmatch(rf"{re.escape(connection.deployment_name)}-v(\d+)(-[0-9a-f]{{6}})?", serves)
    if named is None:
        raise BadInputError(f"endpoint {endpoint} serves {serves}, which is no version's; name a version by its number")
    return int(named[1])


def decide(connection: Connection, arn: str, decision: Decision, reason: str | None = None) -> None:
    """Approve or reject a version, with a reason that the registry keeps.

    Raises:
        BadInputError: SageMaker refused, in its own words.
    """
    arguments = {"ApprovalDescription": reason} if reason else {}
    with refusals_told(arn):
        connection.client("sagemaker").update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus=decision, **arguments
        )


def save_report(connection: Connection, found: Version, destination: Path) -> None:
    """Save the version's report.html.

    Raises:
        BadInputError: The version has no report.
    """
    uri = found.dossier.get("report_uri")
    if uri is None:
        raise BadInputError(
            f"version {found.number} has no report yet: its dossier is published by the execution that made it"
        )
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    connection.client("s3").download_file(bucket, key, str(destination))


def describe(connection: Connection, arn: str) -> Version:
    """One version by its ARN, of whatever group."""
    answer = connection.client("sagemaker").describe_model_package(ModelPackageName=arn)
    (container, *_) = answer.get("InferenceSpecification", {}).get("Containers", [{}])
    return Version(
        number=answer["ModelPackageVersion"],
        arn=arn,
        approval=answer["ModelApprovalStatus"],
        created=answer["CreationTime"],
        description=answer.get("ModelPackageDescription", ""),
        dossier=answer.get("CustomerMetadataProperties", {}),
        model_uri=container.get("ModelDataUrl", ""),
    )
