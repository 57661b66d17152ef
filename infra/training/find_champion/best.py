# SPDX-License-Identifier: Apache-2.0
"""The best version that ever served, by the deployer's records: what a row of small steps down is measured against.

Each promotion may be a little worse than the champion of its day. The greatest mAP among all versions that served says
whom a challenger has to stand up to besides; both are measured anew, so that this mAP only chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from champion import is_there
from services import split

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from champion import Champion
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Served:
    """A version that has served, and what its verdict says of it.

    Attributes:
        mean_average_precision: On its own test set, whose digest is `test_set`.
        model_sha256: Of its model.tar.gz, by which the deployer's copy is named.
    """

    version: int
    arn: str
    uri: str
    model_sha256: str
    runtime: str
    mean_average_precision: Decimal
    test_set: str


@dataclass(frozen=True)
class Best:
    """The best version that ever served, where it can be measured and is not the champion.

    Attributes:
        arn: Of its version; None where there is nothing to measure.
        uri: Of its model.tar.gz.
        runtime: By which it served.
        sentence: Which it is, or why none is measured.
    """

    arn: str | None
    uri: str
    runtime: str
    sentence: str


def find_best(table: Table, endpoint_name: str, champion: Champion | None, s3: S3Client) -> Best:
    """Return what a challenger is measured against besides the champion.

    Args:
        table: The deployment records.
        endpoint_name: The production endpoint.
        champion: What production serves.
        s3: Client.
    """
    best = best_served(served_versions(table, endpoint_name), champion.arn if champion else None)
    if best is None:
        return _none("No version with a recorded verdict has served.")
    if champion is not None and best.arn == champion.arn:
        return _none("The champion is the best version that served.")
    for uri in _places(best):
        if is_there(s3, uri):
            return Best(best.arn, uri, best.runtime, f"v{best.version} is the best version that served.")
    return _none(f"v{best.version} is the best version that served, but its artifact {best.uri} is gone.")


def best_served(served: Iterable[Served], champion_arn: str | None) -> Served | None:
    """Return the version with the greatest mAP; the newest of equal ones.

    Figures of different test sets cannot be compared: those of the champion's decide, where another version that
    served was judged on it.
    """
    found = list(served)
    test_set = next((one.test_set for one in found if one.arn == champion_arn), None)
    comparable = [one for one in found if one.test_set == test_set]
    if any(one.arn != champion_arn for one in comparable):
        found = comparable
    return max(found, key=lambda one: (one.mean_average_precision, one.version), default=None)


def served_versions(table: Table, endpoint_name: str) -> list[Served]:
    """Return the versions of which the records say that they have served, with their verdicts.

    One of before verdicts were recorded has none, and nobody knows its figures.
    """
    versions, verdicts = (_records(table, endpoint_name, kind) for kind in ("version#", "verdict#"))
    return [
        _served(verdicts[number]) for number, item in versions.items() if item.get("ServedAt") and number in verdicts
    ]


def _served(verdict: Mapping[str, Any]) -> Served:
    return Served(
        version=int(verdict["Version"]),
        arn=verdict["ModelPackageArn"],
        uri=verdict["ModelUri"],
        model_sha256=verdict["ModelSha256"],
        runtime=verdict["Runtime"],
        mean_average_precision=verdict["MeanAP"],
        test_set=verdict["TestSet"],
    )


def _places(served: Served) -> Iterator[str]:
    """Where its artifact lies: what the deployer copied it to and nobody else can write, then where it was trained."""
    bucket, _ = split(served.uri)
    yield f"s3://{bucket}/released/{served.model_sha256}/model.tar.gz"
    yield served.uri


def _records(table: Table, endpoint_name: str, kind: str) -> dict[str, dict[str, Any]]:
    """The endpoint's records of a kind, by what follows it in their key; its history, which grows, is not read."""
    query: dict[str, Any] = {
        "KeyConditionExpression": "EndpointName = :name AND begins_with(#record, :kind)",
        "ExpressionAttributeNames": {"#record": "Record"},
        "ExpressionAttributeValues": {":name": endpoint_name, ":kind": kind},
        "ConsistentRead": True,
    }
    found: dict[str, dict[str, Any]] = {}
    while True:
        page = table.query(**query)
        found |= {str(item["Record"]).removeprefix(kind): item for item in page["Items"]}
        if "LastEvaluatedKey" not in page:
            return found
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _none(sentence: str) -> Best:
    return Best(None, "", "", sentence)
