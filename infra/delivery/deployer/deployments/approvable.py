# SPDX-License-Identifier: Apache-2.0
"""What a verdict that holds allows to be served, and from what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .verdict_record import VerdictRecord


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the evaluation allows to be served.

    Attributes:
        runtime: The runtime whose detections were judged, such as `openvino`.
        precision: Its precision, such as `f32`.
        artifact_sha256: Of the model.tar.gz that was judged.
        sentence: The gate's own.
        floor_sha256: Of the environment's policy as the evaluation names it; empty where it names none.
    """

    runtime: str
    precision: str
    artifact_sha256: str
    sentence: str
    floor_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Approvable:
    """A version that may be served, and everything that it is served from.

    Attributes:
        verdict: By which it may.
        image: Pinned, `<repository>@sha256:...`.
        artifact_uri: Of the released copy.
        record: Of its verdict; None for a version from before there were any, which has served.
        caveats: What people are told of it although it goes.
    """

    verdict: Verdict
    image: str
    artifact_uri: str
    record: VerdictRecord | None
    caveats: tuple[str, ...]
