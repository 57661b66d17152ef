# SPDX-License-Identifier: Apache-2.0
"""What a version without a verdict record served from: nothing that came after it serves in its name.

Its registry entry can be edited, and nobody recorded digests. Its evaluation names artifact, runtime and precision, and
when an object was written S3 alone says: an evaluation that is older than the service is the one that it began by.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html#SysMetadata
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .errors import RefusedError

if TYPE_CHECKING:
    from .approval import Approval


def hold_against_service(known: Approval, evaluation_uri: str, *, written_at: datetime, image: str) -> None:
    """See that a version without a verdict record would serve again what it has served.

    Args:
        known: How the version fared.
        evaluation_uri: Where its evaluation lies.
        written_at: When S3 took the evaluation.
        image: By which it would serve, pinned; held against what is recorded since images are.

    Raises:
        RefusedError: Its evaluation was written after it served, or it served by another image.
    """
    version, served_at = f"v{known.version}", datetime.fromtimestamp(known.served_at / 1000, UTC)
    if written_at > served_at:
        raise RefusedError(
            f"{version}: {evaluation_uri} was written at {_moment(written_at)}, and {version} has served since "
            f"{_moment(served_at)}, without a verdict record that would tell what it was judged by; delete what was "
            "written over the object, or run the pipeline again and approve the version that it registers"
        )
    if "@" in known.served_image and known.served_image != image:
        raise RefusedError(
            f"{version} served by {known.served_image}, and names {image} now; somebody edited it: put the image "
            "right, or run the pipeline again and approve the version that it registers"
        )


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
