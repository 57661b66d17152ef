# SPDX-License-Identifier: Apache-2.0
"""The table of detectors in docs/models.md is what the configs' dataclasses take."""

import typing
from pathlib import Path

from training_src.models.config.extractors import WAITING
from training_src.models.config.faster_rcnn import FasterRcnnFeatureExtractor
from training_src.models.config.legacy import TWINS
from training_src.models.config.pipeline import bundled_architectures, load_bundled
from training_src.models.config.ssd import FeatureExtractor

DOCS = Path(__file__).parents[2] / "docs"
HEADER = "| `feature_extractor.type` | in files of TensorFlow 1 | bundled as |"


def test_every_detector_that_is_built_stands_in_the_table() -> None:
    lines = (DOCS / "models.md").read_text().splitlines()
    start = lines.index(HEADER) + 2
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    assert lines[start:end] == [_row(kind) for kind in _kinds()]


def test_no_network_that_is_built_is_said_to_wait() -> None:
    for kind in _kinds():
        assert not [name for name in WAITING if kind.startswith(name)], kind


def _kinds() -> list[str]:
    return [
        kind
        for extractor in (FeatureExtractor, FasterRcnnFeatureExtractor)
        for kind in typing.get_args(typing.get_type_hints(extractor)["type"])
    ]


def _row(kind: str) -> str:
    old = [name for name, twin in TWINS.items() if twin == kind]
    bundled = [
        name
        for name in bundled_architectures()
        if load_bundled(name, 1).config.model.family.feature_extractor.type == kind
    ]
    cells = (", ".join(f"`{name}`" for name in names) for names in ([kind], old, bundled))
    return f"| {' | '.join(cells)} |"
