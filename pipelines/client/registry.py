# SPDX-License-Identifier: Apache-2.0
"""The versions in the model registry: what an approver looks at and decides."""

import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import ClientError

from pipelines.client.connection import Connection, refusals_told
from pipelines.errors import BadInputError
from pipelines.whole_files import written_whole

Decision = Literal["Approved", "Rejected", "PendingManualApproval"]


@dataclass(frozen=True)
class Version:
    """A version of the model package group, with what its dossier says.

    Attributes:
        model_uri: S3 URI of its model.tar.gz.
        image: In which it is to serve.
        modified: When anything of it was changed last.
        decided_by: Who changed it last: who approved or rejected it, where anybody has.
        reason: What they wrote.
        evaluation_uri: S3 URI of evaluation.json as it was registered, which nobody can change; empty where none was.
        containers: As registered, with everything that they say.
        card: The content of its model card; empty where it has none, or one that is no JSON.
    """

    number: int
    arn: str
    approval: str
    created: datetime
    description: str
    dossier: dict[str, str]
    model_uri: str = ""
    image: str = ""
    modified: datetime | None = None
    decided_by: str = ""
    reason: str = ""
    evaluation_uri: str = ""
    containers: tuple[dict[str, Any], ...] = ()
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def is_decided(self) -> bool:
        """Whether somebody has approved or rejected it."""
        return self.approval in ("Approved", "Rejected")

    def as_json(self) -> dict[str, Any]:
        """The version as plain JSON values."""
        return {
            "version": self.number,
            "arn": self.arn,
            "approval": self.approval,
            "decided_by": self.decided_by or None,
            "reason": self.reason or None,
            "created": self.created.isoformat(),
            "modified": self.modified.isoformat() if self.modified else None,
            "description": self.description,
            "model_uri": self.model_uri,
            "image": self.image,
            "evaluation_uri": self.evaluation_uri or None,
            "dossier": self.dossier,
        }


def versions(connection: Connection, group: str) -> list[Version]:
    """Every version of the group, newest first."""
    numbered = _numbered(connection, group)
    connection.client("sagemaker")  # made once, before threads share it
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda arn: describe(connection, arn), numbered.values()))


def version(connection: Connection, group: str, number: int | None) -> Version:
    """One version by its number; the newest where none is given.

    Raises:
        BadInputError: The group holds no such version.
    """
    numbered = _numbered(connection, group)
    if not numbered:
        raise BadInputError(f"model package group {group} holds no version yet: `mapgate run` registers one")
    wanted = next(iter(numbered)) if number is None else number
    if wanted not in numbered:
        numbers = ", ".join(str(known) for known in reversed(numbered))
        raise BadInputError(f"model package group {group} holds no version {number}, only {numbers}")
    return describe(connection, numbered[wanted])


def _numbered(connection: Connection, group: str) -> dict[int, str]:
    """The ARN of each version by its number, which stands at its end, newest first."""
    pages = connection.client("sagemaker").get_paginator("list_model_packages")
    listed = pages.paginate(ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending")
    arns = [item["ModelPackageArn"] for page in listed for item in page["ModelPackageSummaryList"]]
    return dict(sorted(((int(arn.rsplit("/", 1)[-1]), arn) for arn in arns), reverse=True))


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

    Without a reason the one of the decision before is taken away: it says nothing of this one.

    Raises:
        BadInputError: SageMaker refused, in its own words.
    """
    with refusals_told(arn):
        connection.client("sagemaker").update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus=decision, ApprovalDescription=reason or ""
        )


def save_report(connection: Connection, found: Version, destination: Path, bucket: str = "") -> None:
    """Save the version's report.html: the one beside its evidence, which knows of approvals, where there is one.

    Args:
        bucket: Of the deployment.

    Raises:
        BadInputError: The version has no report, or it cannot be read.
    """
    signed = f"s3://{bucket}/evidence/v{found.number:06d}/report.html"
    uri = signed if bucket and _is_there(connection, signed) else found.dossier.get("report_uri")
    if uri is None:
        raise BadInputError(
            f"version {found.number} has no report yet: its dossier is published by the execution that made it"
        )
    place, _, key = uri.removeprefix("s3://").partition("/")
    with refusals_told(uri), written_whole(destination) as beside:
        connection.client("s3").download_file(place, key, str(beside))


def _is_there(connection: Connection, uri: str) -> bool:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        connection.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError:
        return False
    return True


def describe(connection: Connection, arn: str) -> Version:
    """One version by its ARN, of whatever group."""
    with refusals_told(arn):
        answer = connection.client("sagemaker").describe_model_package(ModelPackageName=arn)
    containers = answer.get("InferenceSpecification", {}).get("Containers") or [{}]
    container = containers[0]
    dossier = answer.get("CustomerMetadataProperties", {})
    approval = answer["ModelApprovalStatus"]
    statistics = answer.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
    return Version(
        number=answer["ModelPackageVersion"],
        arn=arn,
        approval=approval,
        created=answer["CreationTime"],
        description=answer.get("ModelPackageDescription", ""),
        dossier=dossier,
        model_uri=container.get("ModelDataUrl", ""),
        image=container.get("Image", ""),
        modified=answer.get("LastModifiedTime"),
        decided_by=_who(answer.get("LastModifiedBy", {})) if approval in ("Approved", "Rejected") else "",
        reason=answer.get("ApprovalDescription", ""),
        evaluation_uri=statistics.get("S3Uri") or dossier.get("evaluation_uri", ""),
        containers=tuple(containers),
        card=_card(answer.get("ModelCard", {}).get("ModelCardContent", "")),
    )


def evaluation(connection: Connection, found: Version) -> dict[str, Any]:
    """The parsed evaluation.json of a version.

    Raises:
        BadInputError: It has none, or it cannot be read.
    """
    uri = found.evaluation_uri
    if not uri:
        raise BadInputError(f"version {found.number} has no evaluation: it was not registered by the pipeline")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with refusals_told(uri):
        body = connection.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        content = json.loads(body)
    except ValueError as error:
        raise BadInputError(f"{uri}: not JSON ({error})") from error
    if not isinstance(content, dict) or "gate" not in content:
        raise BadInputError(f"{uri}: is no evaluation")
    return content


def _who(user: Mapping[str, Any]) -> str:
    """Who changed something: the IAM identity where SageMaker says it, else the Studio profile.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UserContext.html
    """
    identity = user.get("IamIdentity", {})
    return str(identity.get("Arn") or identity.get("PrincipalId") or user.get("UserProfileName") or "")


def _card(content: str) -> dict[str, Any]:
    try:
        card = json.loads(content or "{}")
    except ValueError:
        return {}
    return card if isinstance(card, dict) else {}
