# SPDX-License-Identifier: Apache-2.0
"""`preprocessor.proto`: the `data_augmentation_options` that change boxes and classes, and no pixel."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class RandomJitterBoxes:
    ratio: float = 0.05
    jitter_mode: Literal[
        "DEFAULT",
        "EXPAND",
        "SHRINK",
        "EXPAND_SYMMETRIC",
        "SHRINK_SYMMETRIC",
        "EXPAND_SYMMETRIC_XY",
        "SHRINK_SYMMETRIC_XY",
    ] = "DEFAULT"


@dataclass(frozen=True, kw_only=True)
class DropLabelProbabilistically:
    """`label` is an id of the label map."""

    label: int
    drop_probability: float = 1.0


@dataclass(frozen=True, kw_only=True)
class RemapLabels:
    """Ids are those of the label map."""

    original_labels: tuple[int, ...] = ()
    new_label: int
