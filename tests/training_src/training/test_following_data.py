# SPDX-License-Identifier: Apache-2.0
"""Where the data decide what is trained, and a training that was decided so."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from training_src.data.label_map import LabelMap
from training_src.models.box_shapes import BoxShapes
from training_src.models.config.decoding import message_of
from training_src.models.config.pipeline import PipelineDescription, load, load_bundled
from training_src.models.fitted_input import fit_input, input_side, recorded_footprint
from training_src.text_format import dump, parse
from training_src.training.following_data import following_data
from training_src.training.initial_checkpoint import InitialCheckpoint
from training_src.training.request import Request

MakeJob = Callable[..., Path]
SMALL, PYRAMID = "ssd_mobilenet_v2_fpnlite_160x160", "ssd_mobilenet_v2_fpnlite_320x320"
TINY = BoxShapes({"square": {(-20, -20): 100}}, 640)


def asked(architecture: str = PYRAMID, shapes: BoxShapes | None = TINY, config: Path | None = None) -> Request:
    folder = Path("nowhere")
    return Request(
        folder, folder, LabelMap({1: "square"}), "0" * 64, shapes=shapes, config=config, architecture=architecture
    )


def given(folder: Path, config: PipelineDescription | None) -> InitialCheckpoint:
    """A zoo-layout checkpoint that a user gave, with its config."""
    (folder / "checkpoint").mkdir(parents=True)
    if config:
        (folder / "pipeline.config").write_text(config.text())
    return InitialCheckpoint(str(folder / "checkpoint" / "ckpt-0"), "given", folder)


def test_the_data_decide_for_a_small_bundled_detector_and_say_so() -> None:
    found, sentences = following_data(load_bundled(PYRAMID, 1), asked(), None)
    assert found.text() == fit_input(load_bundled(PYRAMID, 1), TINY).description.text()
    assert sentences[0] == f"input {input_side(found)}x{input_side(found)} instead of 320x320"


def test_a_users_own_config_and_other_architectures_stay_as_they_are(tmp_path: Path) -> None:
    own = tmp_path / "own.config"
    own.write_text(load_bundled(PYRAMID, 1).text())
    for description, request in (
        (load(own, 1), asked("", config=own)),
        (load_bundled("ssd_mobilenet_v2_fpnlite_640x640", 1), asked("ssd_mobilenet_v2_fpnlite_640x640")),
        (load_bundled("faster_rcnn_resnet50_v1_640x640", 1), asked("faster_rcnn_resnet50_v1_640x640")),
    ):
        assert following_data(description, request, None) == (description, ())


def test_an_older_data_set_leaves_the_configs_own_with_a_line() -> None:
    description = load_bundled(PYRAMID, 1)
    found, (sentence,) = following_data(description, asked(shapes=None), None)
    assert found.text() == description.text()
    assert "dataset.json has no box_shapes; prepare the data set again" in sentence


def test_a_given_checkpoint_of_the_same_detector_brings_its_own_size_and_anchors(tmp_path: Path) -> None:
    earlier = fit_input(load_bundled(PYRAMID, 9), BoxShapes({"cell": {(-21, -22): 100}}, 640)).description
    found, (sentence,) = following_data(load_bundled(PYRAMID, 1), asked(), given(tmp_path, earlier))
    assert found.config.model.ssd is not None and earlier.config.model.ssd is not None
    assert found.config.model.ssd.anchor_generator == earlier.config.model.ssd.anchor_generator
    assert input_side(found) == input_side(earlier) > 320
    assert found.config.model.family.num_classes == 1
    assert sentence.endswith("are those of the checkpoint's pipeline.config")


@pytest.mark.parametrize(
    ("resizer", "size"),
    [
        ("fixed_shape_resizer { height: 320 width: 480 }", "320x480"),
        ("keep_aspect_ratio_resizer { min_dimension: 320 max_dimension: 480 pad_to_max_dimension: true }", "480x480"),
    ],
)
def test_an_input_that_is_no_square_is_taken_over_too(tmp_path: Path, resizer: str, size: str) -> None:
    own = tmp_path / "own.config"
    own.write_text(load_bundled(PYRAMID, 9).text())
    message = parse(own.read_text())
    message_of(message_of(message, "model"), "ssd")["image_resizer"] = [parse(resizer)]
    own.write_text(dump(message))
    found, (sentence,) = following_data(load_bundled(PYRAMID, 1), asked(), given(tmp_path, load(own, 9)))
    assert found.config.model.family.image_resizer == load(own, 9).config.model.family.image_resizer
    assert sentence.startswith(f"input {size} and anchors")
    assert recorded_footprint(found).bytes_an_image > recorded_footprint(load_bundled(PYRAMID, 1)).bytes_an_image


def test_a_checkpoint_without_a_config_leaves_the_architectures_own(tmp_path: Path) -> None:
    found, (sentence,) = following_data(load_bundled(PYRAMID, 1), asked(), given(tmp_path, None))
    assert found.text() == load_bundled(PYRAMID, 1).text()
    assert "stay the architecture's" in sentence


@pytest.mark.parametrize("text", ["model { ssd { num_classes: 1 shape: ROUND } }", "model { ssd {"])
def test_a_checkpoints_config_that_cannot_be_read_is_no_reason_to_refuse(tmp_path: Path, text: str) -> None:
    initial = given(tmp_path, load_bundled(PYRAMID, 1))
    (tmp_path / "pipeline.config").write_text(text)
    found, (sentence,) = following_data(load_bundled(PYRAMID, 1), asked(), initial)
    assert found.text() == load_bundled(PYRAMID, 1).text()
    assert sentence.startswith("input and anchors stay the architecture's, as the checkpoint's pipeline.config cannot")


@pytest.mark.parametrize("origin", ["pretrained", "other", "detection"])
def test_weights_whose_box_heads_nobody_asked_to_keep_let_the_data_decide(tmp_path: Path, origin: str) -> None:
    detector = "ssd_mobilenet_v2_320x320" if origin == "other" else PYRAMID
    initial = given(tmp_path, load_bundled(detector, 9))
    if origin == "pretrained":
        initial = replace(initial, origin="pretrained")
    if origin == "detection":
        initial = replace(initial, kind="detection")
    found, _ = following_data(load_bundled(PYRAMID, 1), asked(), initial)
    assert found.text() == fit_input(load_bundled(PYRAMID, 1), TINY).description.text()


def test_a_training_records_what_the_data_decided_in_its_artifact(
    make_job: MakeJob, training_command: Sequence[str]
) -> None:
    root = make_job(config=None, architecture=SMALL, num_train_steps="1", settings="batch_size=1 xla=off")
    dataset = root / "input" / "data" / "metadata" / "dataset.json"
    shapes = BoxShapes({"square": {(-20, -20): 40}, "disc": {(-21, -19): 40}}, 300)
    facts = {"sha256": "0" * 64, "splits": {"train": {"box_shapes": shapes.as_json()}}}
    dataset.write_text(json.dumps(facts))
    environment = {"PATH": "/usr/bin:/bin", "MAPGATE_ML_ROOT": str(root)}
    done = subprocess.run(
        training_command, cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "data decides  input 224x224 instead of 160x160\n" in done.stdout
    said = done.stdout.index("data decides"), done.stdout.index("\nanchors "), done.stdout.index("step=1/1")
    assert said == tuple(sorted(said))
    expected = fit_input(load_bundled(SMALL, 4), shapes).description.config.model
    trained = load(root / "model" / "pipeline.config", 4).config.model
    assert trained == expected
    assert json.loads((root / "model" / "model.json").read_text())["input"] == {"height": 224, "width": 224}
