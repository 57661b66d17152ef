# SPDX-License-Identifier: Apache-2.0
"""Jobs as people send them to the training images that they have had so far."""

import errno
import io
import json
import os
import shutil
import signal
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from containers.contract.job import TrainingJob
from training_src import train
from training_src.data.records.example import read_examples
from training_src.errors import ConfigurationError, DataError
from training_src.models.config.pipeline import PipelineDescription, load, load_bundled
from training_src.training.config_overrides import at_size, overridden
from training_src.training.hyperparameters import Settings, unpacked
from training_src.training.initial_checkpoint import initial_checkpoint
from training_src.training.records import Records
from training_src.training.request import Request, read_request

Foreign = Callable[..., Path]
PATHS = """
train_input_reader {
  label_map_path: "annotations/label_map.pbtxt"
  tf_record_input_reader { input_path: "annotations/train.record" }
}
eval_input_reader {
  label_map_path: "annotations/label_map.pbtxt"
  tf_record_input_reader { input_path: "annotations/test.record" }
}
"""
OD_API = {
    "pipeline_config_path": "/opt/ml/input/data/train/pipeline.config",
    "model_dir": '"/opt/ml/training"',
    "num_train_steps": '"2"',
    "sample_1_of_n_eval_examples": "2",
    "sagemaker_program": "run.sh",
}
# As SageMaker's SDK sends what the published notebooks' estimators are given, each value in quotes of its own.
NOTEBOOK = {
    "model_dir": '"/opt/training"',
    "pipeline_config_path": '"pipeline.config"',
    "checkpoint_dir": '"checkpoint/"',
    "num_train_steps": '"2"',
    "sample_1_of_n_eval_examples": '"1"',
    "sagemaker_container_log_level": "20",
    "sagemaker_job_name": '"tf2-object-detection-2026-11-30"',
    "sagemaker_program": '"run_training.sh"',
    "sagemaker_region": '"us-east-1"',
    "sagemaker_submit_directory": '"/opt/ml/input/data/code/sourcedir.tar.gz"',
}
BUILT_IN = {
    "epochs": "3",
    "batch_size": "4",
    "optimizer": "adam",
    "learning_rate": "0.002",
    "train_only_on_top_layer": "False",
    "reinitialize_top_layer": "Auto",
    "early_stopping": "False",
}


@pytest.fixture
def foreign(prepared: Path, small_config: str, tmp_path: Path) -> Foreign:
    """Make a job's directory: channels as names with the folder of `prepared` that each gets, and where texts go."""

    def make(channels: Mapping[str, str], texts: Mapping[str, str], hyperparameters: Mapping[str, str]) -> Path:
        root = tmp_path / "ml"
        for name, source in channels.items():
            folder = root / "input" / "data" / name
            folder.mkdir(parents=True)
            if source in ("train", "validation"):
                for number, shard in enumerate(sorted((prepared / source).glob("*.tfrecord"))):
                    shutil.copy(shard, folder / f"{source}.record-{number:05d}-of-00002")
        for place, kind in texts.items():
            content = small_config + PATHS if kind == "config" else (prepared / "metadata" / kind).read_text()
            (root / "input" / "data" / place).write_text(content)
        config = root / "input" / "config"
        config.mkdir(parents=True)
        (config / "inputdataconfig.json").write_text(json.dumps({name: {} for name in channels}))
        (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
        return root

    return make


def read(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Request, PipelineDescription, list[str]]:
    monkeypatch.setenv("MAPGATE_ML_ROOT", str(root))
    work = root.parent / "work"
    work.mkdir()
    request = read_request(TrainingJob.load(), work)
    greatest = request.label_map.greatest_id
    description = load(request.config, greatest) if request.config else load_bundled(request.architecture, greatest)
    description, lines = overridden(description, request)
    batch = Settings.of(TrainingJob.load().hyperparameters).batch_size
    assert batch != "auto"
    batch = batch or description.config.train_config.batch_size
    description, of_size = at_size(description, request, batch, len(Records(request.train)))
    return request, description, [*lines, *of_size]


@pytest.mark.usefixtures("short_mobilenet", "unsimplified")
def test_a_job_of_the_apis_own_script_gets_a_trained_and_evaluated_model(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"train/pipeline.config": "config", "train/label_map.pbtxt": "label_map.pbtxt"}
    root = foreign({"train": "train", "val": "validation"}, texts, OD_API)
    monkeypatch.setenv("MAPGATE_ML_ROOT", str(root))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert train.main() == 0, (root / "output" / "failure").read_text()
    output = capsys.readouterr().out
    assert "9 images to train on, 2 to validate on" in output
    assert "overridden    model_dir is without effect: checkpoints go to the job's checkpoints folder" in output
    assert "train_input_reader.tf_record_input_reader.input_path: annotations/train.record -> train channel" in output
    assert "evaluation mAP=" in output
    assert json.loads((root / "model" / "model.json").read_text())["training"]["steps"] == 2
    assert (root / "model" / "1" / "saved_model.pb").exists()


def test_an_estimators_source_dir_gives_config_and_checkpoint(
    foreign: Foreign, small_config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = {"train": "train", "val": "validation", "code": ""}
    root = foreign(channels, {"train/label_map.pbtxt": "label_map.pbtxt"}, NOTEBOOK)
    text = small_config.replace("train_config {", 'train_config { fine_tune_checkpoint: "checkpoint/ckpt-0"')
    with tarfile.open(root / "input" / "data" / "code" / "sourcedir.tar.gz", "w:gz") as tar:
        for name, content in (
            ("run_training.sh", "exit 1"), ("pipeline.config", text), ("checkpoint/ckpt-0.index", "index"),
        ):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content.encode()))
    request, description, _ = read(root, monkeypatch)
    assert request.config == root / "code" / "pipeline.config"
    found = initial_checkpoint(request, description, root.parent / "checkpoint")
    assert found is not None
    assert found.prefix == str(root / "code" / "checkpoint" / "ckpt-0")
    assert found.description()["source"] == "checkpoint/ckpt-0"
    told = "\n".join(request.notes)
    assert "TensorBoard's events are in /opt/training, too" in told
    assert "checkpoint_dir is without effect: a training validates as it goes on" in told


@pytest.mark.parametrize("beside", [True, False])
def test_a_source_dir_that_cannot_be_had_matters_only_where_the_config_is_in_it(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    texts = {"train/label_map.pbtxt": "label_map.pbtxt", **({"train/pipeline.config": "config"} if beside else {})}
    root = foreign({"train": "train", "val": "validation"}, texts, NOTEBOOK)
    if not beside:
        with pytest.raises(ConfigurationError, match=r"source_dir .* is not there; put its pipeline.config into a ch"):
            read(root, monkeypatch)
        return
    request, _, _ = read(root, monkeypatch)
    assert any(note.startswith("sagemaker_submit_directory is without effect: The source") for note in request.notes)


def test_channels_override_the_paths_in_the_config(foreign: Foreign, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = {"train": "train", "validation": "validation", "config": "", "label": "", "checkpoint": ""}
    texts = {
        "config/pipeline.config": "config",
        "label/labels.pbtxt": "label_map.pbtxt",
        "checkpoint/checkpoint": "label_map.pbtxt",
    }
    root = foreign(channels, texts, {"num_steps": "70", "quantize": "True"})
    request, description, lines = read(root, monkeypatch)
    assert (len(Records(request.train)), len(Records(request.validation))) == (9, 3)
    assert request.checkpoint == root / "input" / "data" / "checkpoint"
    assert description.config.train_config.num_steps == 70
    assert description.config.quantize
    assert "schedule of 200 steps, scaled to the 70 that were asked for" in lines
    assert sum("annotations/" in line for line in lines) == 4
    rate = description.config.train_config.optimizer.learning_rate.cosine_decay_learning_rate
    assert rate is not None
    assert rate.total_steps == 70


def test_hyperparameters_of_the_built_in_algorithm_change_the_config(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = {"training": "train", "validation": "validation"}
    root = foreign(channels, {"training/label_map.pbtxt": "label_map.pbtxt"}, BUILT_IN)
    request, description, lines = read(root, monkeypatch)
    config = description.config.train_config
    assert request.architecture == "ssd_mobilenet_v2_fpnlite_320x320"
    assert any(
        "neither a pipeline.config nor the hyperparameter architecture is given" in note for note in request.notes
    )
    # Nine images in batches of four are three steps an epoch.
    assert (config.batch_size, config.num_steps) == (4, 9)
    assert config.optimizer.adam_optimizer is not None
    assert config.optimizer.learning_rate.constant_learning_rate is not None
    assert config.optimizer.learning_rate.constant_learning_rate.learning_rate == 0.002
    # The rate is the job's own, and stays.
    assert "batch of 8 -> 4; learning rate 0.002 as given" in lines


@pytest.mark.parametrize(
    ("hyperparameters", "sentence"),
    [
        ({"learning_rat": "1"}, '"learning_rat" is not known'),
        ({"optimizer": "lion"}, 'optimizer is "lion"; give one of adam, sgd, nesterov, rmsprop'),
        ({"optimizer": "adagrad"}, 'optimizer is "adagrad", which there is not here; give adam or rmsprop'),
        ({"optimizer": "Adadelta"}, 'optimizer is "adadelta", which there is not here; give adam or rmsprop'),
        ({"beta_1": "1.0"}, 'beta_1 is "1.0"; give a part below 1'),
        ({"pipeline_config_path": "/opt/ml/nowhere.config"}, "neither there nor in a channel"),
        ({"reinitialize_top_layer": "perhaps"}, 'reinitialize_top_layer is "perhaps"; give one of auto, true, false'),
    ],
)
def test_what_cannot_be_honoured_is_a_sentence(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch, hyperparameters: dict[str, str], sentence: str
) -> None:
    texts = {"training/label_map.pbtxt": "label_map.pbtxt"}
    root = foreign({"training": "train"}, texts, {"num_train_steps": "1", **hyperparameters})
    with pytest.raises(ConfigurationError, match=sentence):
        read(root, monkeypatch)


@pytest.mark.parametrize(
    ("hyperparameters", "written"),
    [
        ({"optimizer": "nesterov", "momentum": "0.5"}, "momentum_optimizer_value: 0.5 nesterov: true"),
        ({"optimizer": "sgd"}, "momentum_optimizer_value: 0.9 }"),
        # By the algorithm's documentation momentum is passed over by all others.
        ({"optimizer": "rmsprop", "momentum": "0.5"}, "decay: 0.95 epsilon: 1e-07 momentum_optimizer_value: 0.0"),
        ({"optimizer": "adam", "beta_1": "0.8"}, "epsilon: 1e-07 beta_1: 0.8 }"),
        ({"optimizer": "adam"}, "epsilon: 1e-07 }"),
    ],
)
def test_an_optimizer_of_the_built_in_algorithm_is_a_config(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch, hyperparameters: dict[str, str], written: str
) -> None:
    texts = {"training/label_map.pbtxt": "label_map.pbtxt"}
    root = foreign({"training": "train"}, texts, {"epochs": "1", "batch_size": "4", **hyperparameters})
    _, _, lines = read(root, monkeypatch)
    assert any(line.startswith("train_config.optimizer: ") and written in line for line in lines), lines


@pytest.mark.parametrize(
    ("told", "architecture"),
    [
        ("ssd_mobilenet_v2_fpnlite_640x640", "ssd_mobilenet_v2_fpnlite_640x640"),
        ("pipeline.config", "ssd_mobilenet_v2_fpnlite_320x320"),
    ],
)
def test_incremental_training_keeps_the_architecture_of_its_model(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch, told: str, architecture: str
) -> None:
    channels = {"training": "train", "validation": "validation", "model": ""}
    root = foreign(channels, {"training/label_map.pbtxt": "label_map.pbtxt"}, BUILT_IN)
    description = json.dumps({"architecture": told}).encode()
    with tarfile.open(root / "input" / "data" / "model" / "model.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("model.json")
        member.size = len(description)
        tar.addfile(member, io.BytesIO(description))
    request, _, _ = read(root, monkeypatch)
    assert request.architecture == architecture
    assert any(f"is given: {architecture} is taken" in note for note in request.notes)


@pytest.mark.parametrize(
    ("archive", "hyperparameters", "architecture"),
    [
        ("train-tensorflow-od1-ssd-resnet50-v1-fpn-640x640-coco17-tpu-8", {}, "ssd_resnet50_v1_fpn_640x640"),
        ("train-tensorflow-od1-ssd-efficientdet-d0-512x512-coco17-tpu-8", {}, "efficientdet_d0_512x512"),
        ("ssd_mobilenet_v2_fpnlite_640x640_coco17_tpu-8", {}, "ssd_mobilenet_v2_fpnlite_640x640"),
        ("train-tensorflow-od1-ssd-mobilenet-v1-fpn-640x640-coco17-tpu-8", {}, "ssd_mobilenet_v1_fpn_640x640"),
        ("efficientdet_d1_coco17_tpu-32", {}, "efficientdet_d1_640x640"),
        ("weights", {}, "ssd_mobilenet_v2_fpnlite_320x320"),
        (
            "weights",
            {"architecture": "tensorflow-od1-ssd-mobilenet-v2-fpnlite-640x640-coco17-tpu-8"},
            "ssd_mobilenet_v2_fpnlite_640x640",
        ),
        ("weights", {"architecture": "ssd_mobilenet_v9"}, "ssd_mobilenet_v9"),
    ],
)
def test_a_model_of_the_built_in_algorithms_list_is_known_by_its_name(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch, archive: str, hyperparameters: dict[str, str], architecture: str
) -> None:
    channels = {"training": "train", "validation": "validation", "model": ""}
    root = foreign(channels, {"training/label_map.pbtxt": "label_map.pbtxt"}, BUILT_IN | hyperparameters)
    with tarfile.open(root / "input" / "data" / "model" / f"{archive}.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("saved_model.pb"))
    monkeypatch.setenv("MAPGATE_ML_ROOT", str(root))
    work = root.parent / "work"
    work.mkdir()
    assert read_request(TrainingJob.load(), work).architecture == architecture


@pytest.mark.parametrize("channels", [{"train": "train", "val": "validation"}, {"training": "train"}])
def test_what_is_said_of_the_splits_is_what_was_done(
    foreign: Foreign,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    channels: dict[str, str],
) -> None:
    first = next(iter(channels))
    root = foreign(channels, {f"{first}/label_map.pbtxt": "label_map.pbtxt"}, {"num_train_steps": "1"})
    read(root, monkeypatch)
    output = capsys.readouterr().out
    assert "No validation split is left" not in output
    assert ("No splits are given" in output) == (len(channels) == 1)
    assert ("What would be the test split validates, too" in output) == (len(channels) == 1)


def test_a_channel_that_brings_a_validation_split_keeps_it_and_all_that_trains(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], prepared: Path
) -> None:
    """As AWS's blog has it: `train.records` and `validation.records` in the channel train."""
    texts = {"train/label_map.pbtxt": "label_map.pbtxt"}
    root = foreign({"train": "train"}, texts, {"num_train_steps": "1"})
    channel = root / "input" / "data" / "train"
    for file in channel.glob("*.record*"):
        file.unlink()
    for split in ("train", "validation"):
        shards = sorted((prepared / split).glob("*.tfrecord"))
        (channel / f"{split}.records").write_bytes(b"".join(shard.read_bytes() for shard in shards))
    request, _, _ = read(root, monkeypatch)
    kept = {
        split: {example.source_id for example in read_examples(prepared / split)} for split in ("train", "validation")
    }
    assert {example.source_id for example in read_examples(request.train)} == kept["train"]
    assert {example.source_id for example in read_examples(request.validation)} == kept["validation"]
    output = capsys.readouterr().out
    assert "validation split is left" not in output
    assert "becomes the test" not in output


def test_channels_may_lie_on_another_disk(foreign: Foreign, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on SageMaker, where no file of theirs has a second name in `/tmp`."""
    monkeypatch.setattr(Path, "hardlink_to", no_second_name)
    texts = {"train/label_map.pbtxt": "label_map.pbtxt"}
    request, _, _ = read(foreign({"train": "train", "val": "validation"}, texts, {"epochs": "1"}), monkeypatch)
    assert (len(Records(request.train)), len(Records(request.validation))) == (9, 3)


def test_a_channel_shows_nothing_but_the_jobs_own_inputs(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = foreign({"train": "train", "val": "validation"}, {"train/label_map.pbtxt": "label_map.pbtxt"}, {})
    record = next((root / "input" / "data" / "train").glob("*.record-*"))
    record.rename(tmp_path / record.name)
    record.symlink_to(tmp_path / record.name)
    with pytest.raises(DataError, match="is a link to a place outside the data set"):
        read(root, monkeypatch)


def no_second_name(*_: object) -> None:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


@pytest.mark.parametrize(
    ("channels", "emptied", "sentence"),
    [
        ({"train": "train"}, "train", 'The channel "train" is named in inputdataconfig.json, and .*train is missing'),
        ({"training": "train", "validation": "validation"}, "validation", 'The channel "validation" is named'),
        ({"training": "train", "model": ""}, "model", 'The channel "model" is named'),
        ({"validation": "validation"}, "", r"has no channel train or training \(it has: validation\)"),
    ],
)
def test_a_channel_that_is_named_and_missing_is_named(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch, channels: dict[str, str], emptied: str, sentence: str
) -> None:
    root = foreign(channels, {}, {"epochs": "1"})
    if emptied:
        shutil.rmtree(root / "input" / "data" / emptied)
    with pytest.raises(DataError, match=sentence):
        read(root, monkeypatch)


@pytest.mark.parametrize("held_out", [True, False])
def test_every_image_that_is_trained_or_validated_on_counts_as_seen(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch, held_out: bool
) -> None:
    channels = {"training": "train", **({"validation": "validation"} if held_out else {})}
    root = foreign(channels, {"training/label_map.pbtxt": "label_map.pbtxt"}, {"num_train_steps": "1"})
    request, _, _ = read(root, monkeypatch)
    seen = request.seen
    assert (len(seen.train), len(seen.validation)) == (len(Records(request.train)), len(Records(request.validation)))
    assert len(seen.train | seen.validation) == (12 if held_out else 9)
    assert seen.unknown == ()


def test_a_job_sent_again_is_the_same_training() -> None:
    first = {"epochs": "3", "sagemaker_job_name": '"job-1"', "_tuning_objective_metric": "mAP", "model_dir": '"/opt/1"'}
    again = {"epochs": "3", "sagemaker_job_name": '"job-2"', "model_dir": '"/opt/2"', "quantize": "True"}
    assert train.deciding(first) == train.deciding(again)
    assert train.deciding(first) != train.deciding({**again, "learning_rate": "0.1"})


@pytest.mark.parametrize(("settings", "asked"), [("seed=18 quantize=true", True), ("", False)])
def test_the_pipelines_own_job_asks_for_int8_by_a_setting(prepared: Path, settings: str, asked: bool) -> None:
    given = unpacked({"architecture": "ssd_mobilenet_v2_fpnlite_160x160", "settings": settings})
    channels = {name: prepared / name for name in ("train", "validation", "metadata")}
    assert read_request(TrainingJob(prepared, given, channels), prepared / "unused").quantize is asked
