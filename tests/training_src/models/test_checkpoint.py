# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the OD API, read by key."""

import json
from pathlib import Path

import numpy as np
import pytest

from training_src.models import checkpoint
from training_src.models.config.pipeline import PipelineDescription, load
from training_src.models.detector import build_detector
from training_src.models.errors import CheckpointError


def test_every_key_of_the_reference_is_a_variable(case: Path, description: PipelineDescription) -> None:
    entries = json.loads((case / "variables.json").read_text())
    shapes = {entry["key"]: entry["shape"] for entry in entries if not entry["key"].startswith("save_counter")}
    variables = build_detector(description.config.model).variables()
    assert {key: list(v.shape) for key, v in variables.items()} == shapes


@pytest.mark.parametrize(("kind", "count"), [("detection", 290), ("classification", 260), ("full", 384), ("", 290)])
def test_a_type_restores_what_it_says(
    description: PipelineDescription, reference_checkpoint: str, kind: str, count: int
) -> None:
    variables = build_detector(description.config.model).variables()
    drawn = {key: variable.numpy() for key, variable in variables.items()}
    restored = checkpoint.restore(variables, reference_checkpoint, kind)
    assert len(restored.restored) == count
    assert len(restored.left) == len(restored.unused) == 384 - count
    stored = checkpoint.read(reference_checkpoint)
    for key, variable in variables.items():
        np.testing.assert_array_equal(variable.numpy(), stored[key] if key in restored.restored else drawn[key])
    assert f"restored       {count} variables" in restored.table()


def test_a_classification_checkpoint_is_rooted_at_the_backbone(
    description: PipelineDescription, reference_checkpoint: str, tmp_path: Path
) -> None:
    backbone = "model/_feature_extractor/classification_backbone/"
    tensors = {
        "feature_extractor/" + key.removeprefix(backbone): tensor
        for key, tensor in checkpoint.read(reference_checkpoint).items()
        if key.startswith(backbone)
    }
    prefix = str(tmp_path / "mobilenet_v2.ckpt-1")
    checkpoint.write(prefix, tensors)
    variables = build_detector(description.config.model).variables()
    for kind in ("classification", ""):
        assert len(checkpoint.restore(variables, prefix, kind).restored) == 260
    with pytest.raises(CheckpointError, match="none of its 260 tensors is a detection variable of this model"):
        checkpoint.restore(variables, prefix, "detection")


def test_another_class_count_is_named(case: Path, reference_checkpoint: str, tmp_path: Path) -> None:
    config = tmp_path / "pipeline.config"
    config.write_text((case / "pipeline.config").read_text().replace("num_classes: 3", "num_classes: 5"))
    variables = build_detector(load(config, 5).config.model).variables()
    with pytest.raises(
        CheckpointError,
        match=r"class_predictions_with_background.* has shape \[1, 1, 128, 24\], .* needs \[1, 1, 128, 36\]",
    ):
        checkpoint.restore(variables, reference_checkpoint, "full")
    assert len(checkpoint.restore(variables, reference_checkpoint, "detection").restored) == 290


def test_damaged_and_missing_checkpoints_are_sentences(
    description: PipelineDescription, reference_checkpoint: str, tmp_path: Path
) -> None:
    variables = build_detector(description.config.model).variables()
    with pytest.raises(CheckpointError, match="not a readable TensorFlow checkpoint"):
        checkpoint.restore(variables, str(tmp_path / "nothing"), "full")
    data = Path(f"{reference_checkpoint}.data-00000-of-00001").read_bytes()
    (tmp_path / "cut.data-00000-of-00001").write_bytes(data[: len(data) // 2])
    (tmp_path / "cut.index").write_bytes(Path(f"{reference_checkpoint}.index").read_bytes())
    with pytest.raises(CheckpointError, match=r"cut: .*damaged"):
        checkpoint.restore(variables, str(tmp_path / "cut"), "full")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoint.find(tmp_path / "empty")


def test_the_newest_checkpoint_of_a_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    for number in (9, 10):
        checkpoint.write(str(tmp_path / "zoo" / f"ckpt-{number}"), {"a": np.zeros(2, np.float32)})
    assert checkpoint.find(tmp_path) == str(tmp_path / "zoo" / "ckpt-10")
