# SPDX-License-Identifier: Apache-2.0
"""With what a version would be compared now: the champion, and the best version that ever served.

An execution of chosen steps takes what FindChampion said once. The best version is chosen here by the same rule, from
the same records, so that the two words can be held against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from . import errors
from .places import split
from .released import released_uri

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_s3 import S3Client

    from .context import EventContext
    from .records import Production
    from .verdict_record import VerdictRecord

NONE = "none"
"""What a verdict names where there was nothing to compare with."""


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """With what a new comparison would be made.

    Attributes:
        champion_arn: `none` where nothing serves.
        champion_is_there: Whether its artifact can be measured.
        best_arn: `none` where there is none that can be measured, or the champion is it.
    """

    champion_arn: str = NONE
    champion_is_there: bool = False
    best_arn: str = NONE


def find_rivals(context: EventContext, read: Production) -> Rivals:
    """Return with what a version would be compared now.

    Args:
        context: Settings, services and records.
        read: Production's records.
    """
    champion, s3 = read.champion, context.clients.s3
    if champion is None:
        return Rivals()
    served = [approval.version for approval in read.approvals.values() if approval.served_at]
    verdicts = [context.records.verdict(context.settings.endpoint_name, version) for version in served]
    best = best_served([verdict for verdict in verdicts if verdict is not None], champion.arn)
    measurable = best is not None and best.arn != champion.arn and _is_measurable(s3, context.settings.bucket, best)
    return Rivals(
        champion_arn=champion.arn,
        champion_is_there=_is_there(s3, champion.model_uri),
        best_arn=best.arn if best is not None and measurable else NONE,
    )


def best_served(served: Iterable[VerdictRecord], champion_arn: str) -> VerdictRecord | None:
    """Return the version with the greatest mAP, the newest of equal ones, as FindChampion does.

    Where another version that served was judged on the champion's test set, only figures of that one count.
    """
    found = list(served)
    test_set = next((one.test_set for one in found if one.arn == champion_arn), None)
    comparable = [one for one in found if one.test_set == test_set]
    if any(one.arn != champion_arn for one in comparable):
        found = comparable
    return max(found, key=lambda one: (one.mean_ap, one.version), default=None)


def _is_measurable(s3: S3Client, bucket: str, best: VerdictRecord) -> bool:
    return any(_is_there(s3, uri) for uri in (released_uri(bucket, best.model_sha256), best.model_uri))


def _is_there(s3: S3Client, uri: str) -> bool:
    bucket, key = split(uri)
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if not errors.is_absent(error):
            raise
        return False
    return True
