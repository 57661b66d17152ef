# SPDX-License-Identifier: Apache-2.0
"""What a training starts from, whoever says so and whoever says nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training_src.data.label_map import LabelMap
from training_src.errors import ConfigurationError
from training_src.models.checkpoints import checkpoint
from training_src.models.config.pipeline import CONFIGS, PipelineDescription, load, load_bundled
from training_src.training.hyperparameters import BuiltIn
from training_src.training.initial_checkpoint import InitialCheckpoint, initial_checkpoint
from training_src.training.request import Request

LABELS = LabelMap({1: "vehicle", 2: "pedestrian", 4: "cyclist"})


@pytest.fixture
def carried(tmp_path: Path) -> Path:
    """The folder of an image that carries weights of SSD MobileNet V2."""
    folder = tmp_path / "pretrained" / "ssd_mobilenet_v2_300x300_open_images"
    written(folder / "checkpoint", 1.0)
    text = (CONFIGS / "ssd_mobilenet_v2_320x320.config").read_text().replace("num_classes: 90", "num_classes: 23")
    (folder / "pipeline.config").write_text(text)
    return folder.parent


def written(folder: Path, value: float) -> str:
    """A checkpoint's prefix."""
    folder.mkdir(parents=True)
    checkpoint.write(str(folder / "ckpt-0"), {"model/x/.ATTRIBUTES/VARIABLE_VALUE": np.full(2, value, np.float32)})
    return str(folder / "ckpt-0")


def asked(**given: object) -> Request:
    return replace(Request(Path("train"), Path("validation"), LABELS, "0" * 64), **given)  # type: ignore[arg-type]


def with_checkpoint(tmp_path: Path, fields: str) -> tuple[Request, PipelineDescription]:
    """A user's own config with these fields in its `train_config`."""
    config = tmp_path / "own.config"
    text = (CONFIGS / "ssd_mobilenet_v2_320x320.config").read_text()
    config.write_text(text.replace("train_config {", f"train_config {{\n{fields}"))
    return asked(config=config), load(config, 4)


def chosen(
    tmp_path: Path, request: Request, description: PipelineDescription, carried: Path | None = None
) -> InitialCheckpoint | None:
    return initial_checkpoint(request, description, tmp_path / "work", carried or tmp_path / "nothing")


@pytest.mark.parametrize(
    ("architecture", "takes"),
    [
        ("ssd_mobilenet_v2_320x320", True),
        ("ssd_mobilenet_v2_fpnlite_320x320", True),
        ("ssd_mobilenet_v2_fpnlite_640x640", True),
        ("ssd_mobilenet_v2_fpnlite_160x160", False),  # of half its depth
        ("ssd_resnet50_v1_fpn_640x640", False),
        ("efficientdet_d0_512x512", False),
        ("faster_rcnn_resnet50_v1_640x640", False),
    ],
)
def test_the_images_weights_start_a_bundled_config_of_their_backbone(
    tmp_path: Path, carried: Path, architecture: str, takes: bool
) -> None:
    found = chosen(tmp_path, asked(architecture=architecture), load_bundled(architecture, 4), carried)
    assert (found is not None) == takes
    if found:
        assert (found.origin, found.kind, found.source.name) == (
            "pretrained",
            "",
            "ssd_mobilenet_v2_300x300_open_images",
        )
        assert checkpoint.read(found.prefix)
    assert chosen(tmp_path, asked(architecture=architecture), load_bundled(architecture, 4)) is None


@pytest.mark.parametrize("field", ["", 'fine_tune_checkpoint: "PATH_TO_BE_CONFIGURED"'])
def test_a_config_of_the_users_starts_from_scratch_where_it_names_no_checkpoint(
    tmp_path: Path, carried: Path, field: str
) -> None:
    assert chosen(tmp_path, *with_checkpoint(tmp_path, field), carried) is None


def test_a_channel_wins_over_the_config_and_the_images_weights(tmp_path: Path, carried: Path) -> None:
    written(tmp_path / "channel", 2.0)
    request, description = with_checkpoint(tmp_path, f'fine_tune_checkpoint: "{written(tmp_path / "own", 3.0)}"')
    configured = chosen(tmp_path, request, description, carried)
    assert configured is not None and configured.origin == "configured"
    for each in (request, asked(architecture="ssd_mobilenet_v2_320x320")):
        found = chosen(tmp_path, replace(each, checkpoint=tmp_path / "channel"), description, carried)
        assert found is not None and found.origin == "given"
        assert found.digest != configured.digest


def test_the_object_scratch_means_drawn_weights_for_all(tmp_path: Path, carried: Path) -> None:
    (tmp_path / "channel").mkdir()
    (tmp_path / "channel" / "scratch").write_text("scratch\n")
    request, description = with_checkpoint(tmp_path, f'fine_tune_checkpoint: "{written(tmp_path / "own", 3.0)}"')
    for each in (request, asked(architecture="ssd_mobilenet_v2_320x320")):
        assert chosen(tmp_path, replace(each, checkpoint=tmp_path / "channel"), description, carried) is None


def test_a_type_that_somebody_wrote_is_kept(tmp_path: Path, carried: Path) -> None:
    prefix = written(tmp_path / "own", 3.0)
    for fields, kind in (("", ""), ('fine_tune_checkpoint_type: "detection"', "detection")):
        found = chosen(tmp_path, *with_checkpoint(tmp_path, f'fine_tune_checkpoint: "{prefix}" {fields}'))
        assert found is not None and found.kind == kind
    # The built-in algorithm's hyperparameter has gone into the config that is trained.
    _, description = with_checkpoint(tmp_path, 'fine_tune_checkpoint_type: "full"')
    request = asked(architecture="ssd_mobilenet_v2_320x320", built_in=BuiltIn(reinitialize_top_layer="false"))
    found = chosen(tmp_path, request, description, carried)
    assert found is not None and found.kind == "full"


def test_a_configured_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    request, description = with_checkpoint(tmp_path, 'fine_tune_checkpoint: "zoo/checkpoint/ckpt-0"')
    with pytest.raises(ConfigurationError, match="'zoo/checkpoint/ckpt-0' is not there; give its folder as Initial"):
        chosen(tmp_path, request, description)
