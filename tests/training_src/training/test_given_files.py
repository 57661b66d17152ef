# SPDX-License-Identifier: Apache-2.0
"""Which pipeline.config a job means, by what it names and what lies in its folders."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from containers.contract.job import TrainingJob
from training_src.errors import ConfigurationError
from training_src.models.config.pipeline import CONFIGS
from training_src.training.given_files import config_file, fetch_source, label_map_file


def job(root: Path, files: Mapping[str, str], **hyperparameters: str) -> TrainingJob:
    """A job with these files below its directory; each folder of `input/data` is a channel."""
    data = root / "input" / "data"
    data.mkdir(parents=True)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return TrainingJob(root, hyperparameters, {folder.name: folder for folder in data.iterdir()})


@pytest.mark.parametrize(
    ("files", "wanted", "chosen"),
    [
        (["code/pipeline.config", "code/zoo/pipeline.config"], "pipeline.config", "code/pipeline.config"),
        (["code/pipeline.config", "input/data/train/pipeline.config"], "./pipeline.config", "code/pipeline.config"),
        (["code/pipeline.config"], "/opt/ml/code/pipeline.config", "code/pipeline.config"),
        (["code/configs/ssd.config", "code/other.config"], "configs/ssd.config", "code/configs/ssd.config"),
        (["code/configs/ssd.config", "code/other.config"], "ssd.config", "code/configs/ssd.config"),
        (["input/data/train/deep/ssd.config"], "/home/me/ssd.config", "input/data/train/deep/ssd.config"),
        (["input/data/train/ssd[1].config"], "x/ssd[1].config", "input/data/train/ssd[1].config"),
        (["code/only.config"], "", "code/only.config"),
        (["input/data/config/a.config", "input/data/config/b.config"], "b.config", "input/data/config/b.config"),
        (["input/data/config/a.config", "code/b.config"], "b.config", "input/data/config/a.config"),
        (["input/data/train/a.txt"], "", None),
        # Jupyter keeps the file as it was opened, macOS its resource fork.
        (["code/.ipynb_checkpoints/pipeline-checkpoint.config", "code/ssd.config"], "", "code/ssd.config"),
        (
            ["input/data/config/.ipynb_checkpoints/a-checkpoint.config", "input/data/config/a.config"],
            "",
            "input/data/config/a.config",
        ),
        (["input/data/config/._a.config", "input/data/config/a.config"], "", "input/data/config/a.config"),
        (["code/deep/.ipynb_checkpoints/ssd.config", "code/deep/ssd.config"], "ssd.config", "code/deep/ssd.config"),
    ],
)
def test_the_config_is_the_one_that_is_named_or_the_only_one(
    tmp_path: Path, files: list[str], wanted: str, chosen: str | None
) -> None:
    found = config_file(job(tmp_path, {name: name for name in files}), wanted)
    assert found == (tmp_path / chosen if chosen else None)


@pytest.mark.parametrize("left", [".ipynb_checkpoints/label_map-checkpoint.pbtxt", "._label_map.pbtxt"])
def test_the_label_map_is_the_file_that_was_saved_last(tmp_path: Path, left: str) -> None:
    files = {f"input/data/train/{name}": name for name in (left, "label_map.pbtxt")}
    assert label_map_file(job(tmp_path, files), None) == tmp_path / "input/data/train/label_map.pbtxt"


@pytest.mark.parametrize(
    ("files", "told", "chosen"),
    [
        # Beside a checkpoint lie the names of its own classes.
        (["checkpoint/label_map.pbtxt", "train/label_map.pbtxt"], "", "train/label_map.pbtxt"),
        (["model/1/label_map.pbtxt", "training/classes.pbtxt"], "", "training/classes.pbtxt"),
        (["checkpoint/label_map.pbtxt", "train/a.record"], "", "checkpoint/label_map.pbtxt"),
        (["label/classes.pbtxt", "train/label_map.pbtxt"], "label_map.pbtxt", "label/classes.pbtxt"),
        (["train/a_label_map.pbtxt", "train/label_map.pbtxt"], "/home/me/label_map.pbtxt", "train/label_map.pbtxt"),
        (["train/new.pbtxt", "train/label_map.pbtxt"], "annotations/new.pbtxt", "train/new.pbtxt"),
        (
            ["train/label_map.pbtxt", "val/label_map.pbtxt"],
            "/opt/ml/input/data/val/label_map.pbtxt",
            "val/label_map.pbtxt",
        ),
        (["train/graph.pbtxt", "train/label_map.pbtxt"], "", "train/label_map.pbtxt"),
        (["train/a.record"], "label_map.pbtxt", None),
    ],
)
def test_the_label_map_is_that_of_the_images(tmp_path: Path, files: list[str], told: str, chosen: str | None) -> None:
    text = (CONFIGS / "ssd_mobilenet_v2_fpnlite_320x320.config").read_text()
    made = job(tmp_path, {f"input/data/{name}": "" for name in files})
    config = tmp_path / "pipeline.config"
    config.write_text(f'{text}\ntrain_input_reader {{ label_map_path: "{told}" }}\n')
    found = label_map_file(made, config)
    assert found == (tmp_path / "input" / "data" / chosen if chosen else None)


def test_equal_files_of_one_name_are_one(tmp_path: Path) -> None:
    files = dict.fromkeys(["input/data/train/a/pipeline.config", "input/data/val/a/pipeline.config"], "model {}")
    assert config_file(job(tmp_path, files), "pipeline.config") == tmp_path / "input/data/train/a/pipeline.config"


@pytest.mark.parametrize(
    ("files", "wanted", "sentence"),
    [
        (["code/other.config"], "pipeline.config", 'is "pipeline.config", which is neither there nor in a channel nor'),
        (["code/other.config", "input/data/train/a.txt"], "/", 'is "/", which is neither there'),
        (["code/other.config", "input/data/train/a.txt"], "..", 'is "..", which is neither there'),
        (["code/other.config", "input/data/train/a.txt"], "*.config", 'is "\\*.config", which is neither there'),
        (["code/other.config", "input/data/train/a.txt"], "a\0b", "which is neither there"),
        (
            ["code/zoo/pipeline.config", "input/data/train/deep/pipeline.config"],
            "pipeline.config",
            "pipeline.config, and different ones: code/zoo/pipeline.config, input/data/train/deep/pipeline.config; "
            "give the place of one, as /opt/ml/code/zoo/pipeline.config",
        ),
        (
            ["code/a.config", "code/b.config"],
            "",
            r"2 \*.config files are there: code/a.config, code/b.config; say by the hyperparameter pipeline_config_pa",
        ),
        (
            ["input/data/config/a.config", "input/data/config/b.config"],
            "c.config",
            r"2 \*.config files are there: input/data/config/a.config, input/data/config/b.config; say by",
        ),
        (["input/data/config/readme.txt"], "", r"The channel config holds no \*.config file; put the pipeline.config"),
    ],
)
def test_what_names_no_config_or_several_is_a_sentence(
    tmp_path: Path, files: list[str], wanted: str, sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        config_file(job(tmp_path, {name: name for name in files}), wanted)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"sagemaker_submit_directory": '"/opt/ml/code"', "sagemaker_program": '"anything.py"'},
        {"sagemaker_submit_directory": "file:///opt/ml/code"},
        {"sagemaker_submit_directory": '"file:///opt/ml/input/data/train"'},
    ],
)
def test_a_source_dir_that_is_there_already_needs_no_fetching(tmp_path: Path, given: dict[str, str]) -> None:
    """As in the SDK's local mode, which mounts the folder."""
    made = job(tmp_path, {"code/pipeline.config": "model {}", "input/data/train/a.txt": ""}, **given)
    assert fetch_source(made, "pipeline.config") == []
    assert config_file(made, "pipeline.config") == tmp_path / "code" / "pipeline.config"
