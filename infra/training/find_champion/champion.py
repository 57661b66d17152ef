# SPDX-License-Identifier: Apache-2.0
"""The champion: what production serves by the deployer's record, and whether it can still be measured.

Without its artifact nobody can compare a challenger with it. The comparison then fails, since a rule that goes away
when its evidence does would let anything through. What production serves is put right by restoring the artifact, or an
administrator says in writing that this once nothing is compared: in an SSM parameter, which no role of the pipeline and
no data scientist may write. Its value names the version, so that it is worth nothing for the next champion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from services import is_absent, split

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient

# What a job's environment variable holds at most.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html
WAIVER_CHARACTERS = 256
REASON_CHARACTERS = 160


class LostChampionError(Exception):
    """The champion's artifact is gone, and nobody has waived the comparison; the message names both ways out."""


@dataclass(frozen=True)
class Champion:
    """What production serves.

    Attributes:
        arn: Of its version.
        uri: Of its model.tar.gz.
        runtime: By which it serves.
    """

    arn: str
    uri: str
    runtime: str


def find_champion(table: Table, endpoint_name: str) -> Champion | None:
    """Return the champion as the deployer recorded it; Approved alone does not make one.

    Args:
        table: The deployment records.
        endpoint_name: The production endpoint.
    """
    item: dict[str, Any] = (
        table.get_item(Key={"EndpointName": endpoint_name, "Record": "endpoint"}, ConsistentRead=True).get("Item") or {}
    )
    found = item.get("Champion")
    return Champion(found["ModelPackageArn"], found["ModelUri"], found["Runtime"]) if found else None


def waiver_of(champion: Champion, s3: S3Client, ssm: SSMClient, parameter: str) -> str | None:
    """Return None while the champion can be measured, else what an administrator wrote to go on without it.

    Args:
        champion: What production serves.
        s3: Client.
        ssm: Client.
        parameter: Name of the SSM parameter; its value is the version's ARN, a space and the reason.

    Raises:
        LostChampionError: The artifact is gone, and the parameter does not speak of this version.
    """
    if is_there(s3, champion.uri):
        return None
    version, _, reason = (written := _newest(ssm, parameter)).get("Value", "").strip().partition(" ")
    if version == champion.arn and reason.strip():
        by = str(written.get("LastModifiedUser", "")).rpartition("/")[2]
        return f"{reason.strip()[:REASON_CHARACTERS]} - {by} {written['LastModifiedDate']:%Y-%m-%d}"[:WAIVER_CHARACTERS]
    bucket, key = split(champion.uri)
    raise LostChampionError(
        f"{champion.arn} serves production, but its artifact {champion.uri} is gone, so that no new model can be "
        "compared with it. Restore it: `aws s3api list-object-versions "
        f"--bucket {bucket} --prefix {key}` names its versions and the delete marker, and `aws s3api delete-object "
        "--version-id` takes the marker away. Or an administrator waives the comparison: `aws ssm put-parameter "
        f"--overwrite --type String --name {parameter} --value '{champion.arn} WHY'`."
    )


def is_there(s3: S3Client, uri: str) -> bool:
    """Whether an object is there."""
    bucket, key = split(uri)
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if not is_absent(error):
            raise
        return False
    return True


def _newest(ssm: SSMClient, parameter: str) -> dict[str, Any]:
    """The parameter's newest entry, which says who wrote it; nothing where there is none."""
    newest: dict[str, Any] = {}
    try:
        for page in ssm.get_paginator("get_parameter_history").paginate(Name=parameter):
            for entry in page["Parameters"]:
                if entry["Version"] > newest.get("Version", 0):
                    newest = dict(entry)
    except ssm.exceptions.ParameterNotFound:
        return {}
    return newest
