# SPDX-License-Identifier: Apache-2.0
"""Whose checkpoint it is, by what lies beside it."""

from pathlib import Path

import pytest

from training_src.training.checkpoint_classes import is_of_the_zoo


@pytest.mark.parametrize(
    ("config", "label_map", "zoos"),
    [
        ("model { ssd { num_classes: 90 } }", False, True),
        ("model { faster_rcnn { num_classes: 90 } }", False, True),
        ("model { ssd { num_classes: 90 } }", True, False),
        ("model { ssd { num_classes: 3 } }", False, False),
        (None, False, False),
    ],
)
def test_the_zoos_have_cocos_classes_and_no_label_map(
    tmp_path: Path, config: str | None, label_map: bool, zoos: bool
) -> None:
    (tmp_path / "checkpoint").mkdir()
    if config:
        (tmp_path / "pipeline.config").write_text(config)
    if label_map:
        (tmp_path / "label_map.pbtxt").write_text('item { id: 1 name: "car" }')
    assert is_of_the_zoo(str(tmp_path / "checkpoint" / "ckpt-0")) == zoos
