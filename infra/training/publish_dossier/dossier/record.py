# SPDX-License-Identifier: Apache-2.0
"""The verdict's record: what the deployer believes of a version, written once.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from .chain import Kept
from .errors import DossierError
from .judged import Found, Verdict
from .objects import code_of
from .settings import Inputs, Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table


def item(inputs: Inputs, settings: Settings, found: Found, verdict: Verdict, kept: Kept) -> dict[str, Any]:
    """Return the record's attributes; equal verdicts have equal ones, whenever they are recorded."""
    return {
        "EndpointName": settings.endpoint_name,
        "Record": f"verdict#{inputs.version:06d}",
        "Version": inputs.version,
        "ModelPackageArn": inputs.model_package_arn,
        "PipelineExecutionArn": inputs.execution_arn,
        "EvaluationUri": inputs.evaluation,
        "EvaluationSha256": found.evaluation.resource.sha256,
        "ModelUri": inputs.model_uri,
        "ModelSha256": found.model.sha256,
        "Image": found.inference_image.uri,
        "ImageDigest": found.inference_image.sha256,
        "FloorPolicySha256": found.floor_policy.sha256,
        "GatePolicySha256": verdict.gate_policy.sha256 if verdict.gate_policy else "",
        "TestSet": verdict.test_set,
        "DatasetSha256": verdict.dataset_sha256,
        "ChampionArn": verdict.champion_arn,
        "BestArn": verdict.best_arn,
        "Waiver": verdict.waiver,
        "MeanAP": Decimal(str(verdict.mean_ap)),
        "Runtime": verdict.runtime,
        "Precision": verdict.precision,
        "StatementUri": kept.uri,
        "StatementSha256": kept.sha256,
        "PublishedAt": kept.statement["predicate"]["timeVerified"],
        "Revision": 1,
    }


def save(table: Table, wanted: Mapping[str, Any]) -> None:
    """Write a record where none is; the same one again is fine.

    Raises:
        DossierError: Another one is there.
    """
    try:
        table.put_item(Item=dict(wanted), ConditionExpression="attribute_not_exists(EndpointName)")
    except ClientError as error:
        if code_of(error) != "ConditionalCheckFailedException":
            raise
        key = {name: wanted[name] for name in ("EndpointName", "Record")}
        found: Mapping[str, Any] = table.get_item(Key=key, ConsistentRead=True).get("Item") or {}
        others = sorted(name for name in wanted if found.get(name) != wanted[name])
        if others:
            raise DossierError(
                f"v{wanted['Version']} has a verdict already, and it is another one (in {', '.join(others)}); a new "
                "execution makes a new version"
            ) from error
