# SPDX-License-Identifier: Apache-2.0
"""How long a model card's texts may be, and what becomes of a longer one.

Source: "Model package model card schema",
https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-details.html#model-card-schema
"""

from __future__ import annotations

from collections.abc import Iterable

CARD = 100_000
"""Characters of the whole: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ModelPackageModelCard.html"""
TEXT = 2048
OBSERVATION = 2096
NOTE = 1024
NAME = 255
LABEL = 63
ARN = 256
DATASETS = 10


def within(text: object, characters: int) -> str:
    """Return a text, cut with a sign of it where it has more characters than it may."""
    told = " ".join(str(text).split())
    return told if len(told) <= characters else f"{told[: characters - 1].rstrip()}…"


def sentences(told: Iterable[str], characters: int) -> str:
    """Return as many whole sentences as there is room for, and how many were left out."""
    every = [one for one in (" ".join(one.split()) for one in told) if one]
    for kept in range(len(every), 0, -1):
        missing = len(every) - kept
        text = " ".join([*every[:kept], *([f"({missing} more in the report.)"] if missing else [])])
        if len(text) <= characters:
            return text
    return within(every[0], characters) if every else ""
