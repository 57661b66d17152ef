# SPDX-License-Identifier: Apache-2.0
"""A checkpoint is exported once on a machine, to what the real server answers with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.commands.inference_commands import answers_of
from pipelines.zoo.served import CHECKOUT, ExportError, served

NAME = "small_detector"
# A process of its own, which leaves nothing of TensorFlow in this one.
SCRIPT = """
import pathlib, sys
from training_src.data.label_map import LabelMap, write_label_map
from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import CONFIGS, PipelineConfig
from training_src.text_format import parse

folder = pathlib.Path(sys.argv[1])
(folder / "checkpoint").mkdir()
text = (CONFIGS / "ssd_mobilenet_v2_fpnlite_160x160.config").read_text()
for given, small in (
    ("num_classes: 90", "num_classes: 2"),
    ("depth_multiplier: 1.0", "depth_multiplier: 0.1"),
    ("min_level: 3", "min_level: 5"),
    ("bias_init: -3.0", "bias_init: 0.0"),
):
    text = text.replace(given, small)
(folder / "pipeline.config").write_text(text)
variables = build_detector(decode(PipelineConfig, parse(text)).model).variables()
checkpoint.write(str(folder / "checkpoint" / "ckpt-0"), {key: value.numpy() for key, value in variables.items()})
write_label_map(LabelMap({1: "car", 2: "person"}), folder / "label_map.pbtxt")
"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder laid out as the zoo's, of a small detector with random weights."""
    folder = tmp_path / "zoo" / NAME
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", SCRIPT, str(folder)], cwd=CHECKOUT, check=True, capture_output=True)
    return folder


def test_a_checkpoint_is_exported_once_and_served(checkpoint: Path, tmp_path: Path) -> None:
    models, told = tmp_path / "models", list[str]()
    (models / NAME / "of-older-sources").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "street.jpg"), np.full((60, 80, 3), 90, np.uint8))

    folder = served(NAME, models, lambda: checkpoint, told.append)
    again = served(NAME, models, lambda: pytest.fail("it is there"), told.append)

    assert folder == again
    assert told == [f"exporting {NAME}, this once"]
    assert [path.name for path in (models / NAME).iterdir()] == [folder.name]
    answer = json.loads(answers_of(folder, [tmp_path / "street.jpg"])[0])
    assert answer["labels"] == ["car", "person"]
    assert len(answer["scores"]) > 0


def test_what_cannot_be_exported_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(ExportError, match=r"empty: could not be exported: .*no pipeline\.config beside it"):
        served(NAME, tmp_path / "models", lambda: tmp_path / "empty", lambda _: None)
    assert list((tmp_path / "models" / NAME).iterdir()) == []
