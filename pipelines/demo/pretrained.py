# SPDX-License-Identifier: Apache-2.0
"""The pre-trained detector in the demo's story: what training starts from, and what it finds before it was trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.client.invocation import Detection


@dataclass(frozen=True)
class PretrainedDetector:
    """How the story asks for the detector.

    Attributes:
        checkpoint: Gives the folder of its checkpoint, which the training image is to hold; None on a machine that
            cannot fetch it.
        detect: What a real server of the detector finds in pictures, from a score on.
    """

    checkpoint: Callable[[], Path | None]
    detect: Callable[[Sequence[Path], float], list[list[Detection]]]
